package browser_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/naive"
	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/examples/store/web"
)

// roleVariable makes this test's binary a shop of its own, in a process that can be killed.
const roleVariable = "STEADFAST_BROWSER_ROLE"

// process is a shop in a process.
type process struct {
	*exec.Cmd
	url string
}

// launch starts a shop. It listens at addr, or on a free port.
func launch(t *testing.T, role, addr string, more ...string) process {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role, "ADDR="+addr), more...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // unless the test did
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "the shop does not start")
	return process{cmd, strings.TrimSpace(line)}
}

// kill kills it, as kill -9 does.
func (p process) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Process.Kill())
	_ = p.Wait()
}

// addr is where it listens.
func (p process) addr() string { return strings.TrimPrefix(p.url, "http://") }

// serve is the process.
func serve(role string) error {
	ctx := context.Background()
	handler, err := handlerFor(ctx, role)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", os.Getenv("ADDR"))
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	return server.Serve(listener)
}

func handlerFor(ctx context.Context, role string) (http.Handler, error) {
	if role == "naive" {
		// It ships and writes within its process; only the bank is asked what came of it.
		return naive.New(naive.Config{
			BankURL: os.Getenv("BANK"), Warehouse: warehouse.New(0, nil), Mail: mail.New(0, nil), Timeout: 3 * time.Second, Pause: time.Second,
		}).Handler(), nil
	}
	db, err := database.Open(ctx, os.Getenv("DB"))
	if err != nil {
		return nil, err
	}
	s, err := shop.Open(ctx, shop.Config{
		DB: db, Bank: bank.New(os.Getenv("BANK")), Warehouse: warehouse.NewClient(os.Getenv("WAREHOUSE")), Mail: mail.New(0, nil), Timing: timing(),
		Number: func() string { return first }, // there is only one
	})
	if err != nil {
		return nil, err
	}
	return web.New(web.Config{Shop: s, AdminPassword: password, Stopping: make(chan struct{})})
}

// placeNaive places an order at the naive shop, and returns the path of its page.
func placeNaive(t *testing.T, base string) string {
	t.Helper()
	form := url.Values{"item": {"lamp"}, "email": {email}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/orders", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	return res.Header.Get("Location")
}
