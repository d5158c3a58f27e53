package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/buyer"
)

// printed is what a shop prints, for a test that reads along.
type printed struct {
	*io.PipeWriter
	mu  sync.Mutex
	all bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	p.all.Write(b)
	p.mu.Unlock()
	return p.PipeWriter.Write(b)
}

// serving runs the shop as the command does, and returns its URL and what ends it.
func serving(t *testing.T, args ...string) (url string, out *printed, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	out = &printed{PipeWriter: write}
	ended := make(chan error, 1)
	go func() { ended <- serveShop(ctx, args, out, io.Discard) }()
	t.Cleanup(cancel)
	var text strings.Builder
	address := regexp.MustCompile(`http://[0-9.:]+\n`)
	buffer := make([]byte, 1024)
	for !address.MatchString(text.String()) {
		n, err := read.Read(buffer)
		require.NoError(t, err)
		text.Write(buffer[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	return strings.TrimSpace(address.FindString(text.String())), out, func() error {
		cancel()
		return <-ended
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.db")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	args := []string{"-addr", taken.Addr().String(), "-db", file, "-latency", "10ms", "-picking", "10ms"}

	url, out, stop := serving(t, args...)
	assert.NotContains(t, url, taken.Addr().String(), "another port where this one is taken")
	b, err := buyer.New(url, "ada@example.com", http.DefaultTransport)
	require.NoError(t, err)
	form, err := b.Fill(t.Context(), "lamp")
	require.NoError(t, err)
	order, err := b.Send(t.Context(), form)
	require.NoError(t, err)
	require.NoError(t, b.Await(t.Context(), order, "shipped", 1))
	require.NoError(t, stop())
	out.mu.Lock()
	assert.Contains(t, out.all.String(), file)
	assert.Contains(t, out.all.String(), "password ")
	out.mu.Unlock()

	again, _, stop := serving(t, append(args, "-admin-password", "mine")...)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, again+"/admin", http.NoBody)
	require.NoError(t, err)
	req.SetBasicAuth("", "mine")
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	page, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Contains(t, string(page), "shipped", "the orders of before are still there")
	require.NoError(t, stop())
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"shop"}, {"-addr"}, {"-nothing"}, {"-db", "oracle://x"}, {"-latency", "soon"}, {"-picking", "soon"}, {"-addr", "127.0.0.1:99999"}} {
		if args[0] == "-picking" || args[0] == "-addr" {
			args = append(args, "-db", filepath.Join(t.TempDir(), "shop.db"))
		}
		assert.Error(t, run(t.Context(), args), args)
	}
}
