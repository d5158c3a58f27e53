package fakepay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// bank is a provider and a client that reaches it over pipes, in a bubble of virtual time.
type bank struct {
	t      *testing.T
	srv    *fakepay.Server
	client *http.Client
}

// open must be called in a bubble. Whatever runs is over when the test ends, else the bubble says so.
func open(t *testing.T, cfg fakepay.Config) *bank {
	t.Helper()
	srv, err := fakepay.New(cfg)
	require.NoError(t, err)
	pipes := make(pipes)
	server := &http.Server{Handler: srv}
	go func() { _ = server.Serve(pipes) }()
	transport := &http.Transport{DialContext: pipes.dial, DisableKeepAlives: true}
	t.Cleanup(func() {
		require.NoError(t, srv.Close(context.Background()))
		transport.CloseIdleConnections()
		require.NoError(t, server.Close())
		time.Sleep(time.Second) // virtual: net/http lingers half a second after it refused a body
	})
	return &bank{t: t, srv: srv, client: &http.Client{Transport: transport}}
}

type pipes chan net.Conn

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// said is what a client got; lost if there was no answer.
type said struct {
	lost       bool
	status     int
	replayed   bool
	retryAfter string
	took       time.Duration
	charge     fakepay.Charge
	refund     fakepay.Refund
	list       fakepay.ChargeList
	err        fakepay.Error
	body       string
}

// call sends a request; a client waits 30 s at most.
func (b *bank) call(method, path, key, fault string, body any) said {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var content io.Reader = http.NoBody
	switch in := body.(type) {
	case nil:
	case string:
		content = bytes.NewBufferString(in)
	default:
		raw, err := json.Marshal(in)
		require.NoError(b.t, err)
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://bank"+path, content)
	require.NoError(b.t, err)
	if key != "" {
		req.Header.Set(fakepay.KeyHeader, key)
	}
	if fault != "" {
		req.Header.Set(fakepay.FaultHeader, fault)
	}
	start := time.Now()
	resp, err := b.client.Do(req)
	if err != nil {
		return said{lost: true, took: time.Since(start)}
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	s := said{
		status: resp.StatusCode, replayed: resp.Header.Get(fakepay.ReplayedHeader) == "true",
		retryAfter: resp.Header.Get("Retry-After"), took: time.Since(start), body: string(raw),
	}
	if len(raw) == 0 {
		return s
	}
	require.True(b.t, json.Valid(raw), "every answer is JSON: %s", raw)
	var failed fakepay.ErrorBody
	if json.Unmarshal(raw, &failed) == nil && failed.Error != nil {
		s.err = *failed.Error
	}
	_ = json.Unmarshal(raw, &s.charge)
	_ = json.Unmarshal(raw, &s.refund)
	_ = json.Unmarshal(raw, &s.list)
	return s
}

func order(reference string) fakepay.ChargeRequest {
	return fakepay.ChargeRequest{AmountCents: 4200, Currency: "EUR", Source: "tok_visa", Reference: reference}
}

func (b *bank) pay(reference, key, fault string) said {
	b.t.Helper()
	return b.call("POST", "/charges", key, fault, order(reference))
}

// settled waits until nothing is under way, and returns the ledger.
func (b *bank) settled() fakepay.Ledger {
	b.t.Helper()
	require.NoError(b.t, b.srv.Quiesce(context.Background()))
	return b.srv.Ledger()
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
