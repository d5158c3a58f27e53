package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// Role is the subcommand by which this program becomes one of those whom the shop calls, in a process of its own.
const Role = "crash-role"

// picking is how long the warehouse takes.
const picking = 100 * time.Millisecond

// Play plays a role until its input ends, which it does when whoever started it is gone. It prints where it listens.
func Play(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 1 {
		return errors.New("crash: name one role")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // however it ends
		cancel()
	}()
	switch args[0] {
	case "bank":
		provider, err := fakepay.New(fakepay.Config{
			Seed: 1, ReplayErrors: true,
			Latency: fakepay.Latency{P50: 150 * time.Millisecond, P99: 800 * time.Millisecond, Max: time.Second},
			Faults:  []fakepay.Fault{{Kind: fakepay.ReplyLost, Rate: 0.08}, {Kind: fakepay.ErrorAfter, Rate: 0.04}, {Kind: fakepay.RequestLost, Rate: 0.04}},
		})
		if err != nil {
			return err
		}
		return serve(ctx, provider, stdout)
	case "warehouse":
		return serve(ctx, warehouse.New(picking, nil).Handler(), stdout)
	case "post":
		box := mail.NewMailbox()
		sink, err := mail.ListenSMTP("127.0.0.1:0", box)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, sink.Address)
		list := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(box.Messages()) })
		return errors.Join(serve(ctx, list, stdout), sink.Close())
	}
	return fmt.Errorf("crash: there is no role %q", args[0])
}

func serve(ctx context.Context, h http.Handler, stdout io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "http://"+listener.Addr().String())
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// self is this program.
func self() (string, error) { return os.Executable() }
