package idemhttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// faultRuns is how often every fault is repeated.
const faultRuns = 100

// T48: what the wire does to a request, and what may be said about it. Every row runs faultRuns times over a connection of
// its own; the provider counts what reached it.
func TestWireFaults(t *testing.T) {
	half := func(raw []byte, inBody bool) []byte {
		body := bytes.Index(raw, []byte("\r\n\r\n")) + 4
		if inBody {
			return raw[:(body+len(raw))/2]
		}
		return raw[:body/2]
	}
	for _, row := range []struct {
		name    string
		scheme  string
		fault   func(c *faultyConn)
		class   string
		arrived int // at the provider, per run
	}{
		{"nothing is wrong", "http", func(c *faultyConn) { c.pass() }, "succeeded", 1},
		{"reset before the body was read", "http", func(c *faultyConn) { c.header(); c.reset() }, "unknown", 0},
		{"reset after the body, never handed on", "http", func(c *faultyConn) { c.request(); c.reset() }, "unknown", 0},
		{"reset after the body, handed on", "http", func(c *faultyConn) { c.forward(c.request()); c.reset() }, "unknown", 1},
		{"closed after the body, handed on", "http", func(c *faultyConn) { c.forward(c.request()) }, "unknown", 1},
		{"half a header", "http", func(c *faultyConn) { _, _ = c.Write(half(c.forward(c.request()), false)) }, "unknown", 1},
		{"half a body", "http", func(c *faultyConn) { _, _ = c.Write(half(c.forward(c.request()), true)) }, "unknown", 1},
		{"half a body, then reset", "http", func(c *faultyConn) {
			_, _ = c.Write(half(c.forward(c.request()), true))
			c.reset()
		}, "unknown", 1},
		{"no HTTP", "http", func(c *faultyConn) {
			c.forward(c.request())
			_, _ = io.WriteString(c, "220 mail.example ESMTP\r\n")
		}, "unknown", 1},
		{"the TLS handshake is cut", "https", func(c *faultyConn) { _, _ = c.in.ReadByte(); c.reset() }, "not sent", 0},
		{"the TLS handshake is answered with HTTP", "https", func(c *faultyConn) {
			_, _ = c.in.ReadByte()
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
		}, "not sent", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			bank := newPSP(t, nil)
			p := newFaultProxy(t, bank.Listener.Addr().String(), row.fault)
			client := wired(t, &idemhttp.Transport{
				Provider: idemhttp.Provider{Codes: []string{"error"}, Answers: []idemhttp.Answer{{Status: http.StatusCreated, Code: "pending", Means: idemhttp.MeansAccepted}}},
				Base:     &http.Transport{DisableKeepAlives: true},
			})
			l := newLedger(t, posting(client, row.scheme+"://"+p.addr()+"/charges"))
			for i := range faultRuns {
				_, err := l.Do(t.Context(), fmt.Sprintf("order-%d", i), payment{4200})
				class, attemptErr := l.last()
				require.Equal(t, row.class, class, "run %d: the attempt's error was %v", i, attemptErr)
				switch row.class {
				case "succeeded":
					require.NoError(t, err)
				case "not sent":
					require.ErrorIs(t, err, idempotency.ErrNotSent)
				default:
					var unknown *idempotency.UnknownError
					require.ErrorAs(t, err, &unknown)
				}
			}
			require.Len(t, bank.seen(), faultRuns*row.arrived, "requests that reached the provider")
		})
	}
}

// A body that comes too slowly, and is given up: whether the transport reads it, or the caller.
func TestWireSlowBody(t *testing.T) {
	for name, provider := range map[string]idemhttp.Provider{
		"read by the transport": {Codes: []string{"status"}, Answers: []idemhttp.Answer{{Status: http.StatusCreated, Code: "pending", Means: idemhttp.MeansAccepted}}},
		"read by the caller":    {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bank := newPSP(t, nil)
			half := make(chan struct{}, 1)
			p := newFaultProxy(t, bank.Listener.Addr().String(), func(c *faultyConn) {
				raw := c.forward(c.request())
				_, _ = c.Write(raw[:max(len(raw)-5, 0)])
				half <- struct{}{}
				c.waitForClient()
			})
			client := wired(t, &idemhttp.Transport{Provider: provider, Base: &http.Transport{DisableKeepAlives: true}})
			l := newLedger(t, func(ctx context.Context, _ idempotency.Attempt, _ payment) (paid, error) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				go func() {
					<-half
					cancel()
				}()
				return sendPost(ctx, client, "http://"+p.addr()+"/charges")
			})
			for i := range faultRuns {
				_, err := l.Do(t.Context(), fmt.Sprintf("order-%d", i), payment{4200})
				var unknown *idempotency.UnknownError
				require.ErrorAs(t, err, &unknown, "run %d", i)
			}
			require.Len(t, bank.seen(), faultRuns)
		})
	}
}

// An answer that breaks off is no success, also if Send did not notice: neither when the transport reads it, nor when the
// caller does.
func TestWireSwallowedHalfBody(t *testing.T) {
	for name, provider := range map[string]idemhttp.Provider{"read by the transport": plain, "read by the caller": {}} {
		t.Run(name, func(t *testing.T) {
			bank := newPSP(t, nil)
			p := newFaultProxy(t, bank.Listener.Addr().String(), func(c *faultyConn) {
				raw := c.forward(c.request())
				_, _ = c.Write(raw[:max(len(raw)-5, 0)])
			})
			client := wired(t, &idemhttp.Transport{Provider: provider})
			class, attemptErr, _ := oneAttempt(t, func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				_, err = sendPost(ctx, client, "http://"+p.addr()+"/charges")
				require.Error(t, err)
				return paid{"ch_?"}, nil
			})
			assert.Equal(t, "unknown", class)
			assert.ErrorContains(t, attemptErr, "broke off")
			assert.Len(t, bank.seen(), 1)
		})
	}
}

// T46: a kept-alive connection that dies under a request with an Idempotency-Key makes net/http send it again by itself.
// Through the Transport it does not, with a body and without; what the attempt comes to is unknown.
func TestT46KeptAliveConnectionDies(t *testing.T) {
	for _, row := range []struct {
		name  string
		body  string
		drops func(c *faultyConn) // how the second request on a connection ends
	}{
		{"closed, with a body", `{"cents":4200}`, func(c *faultyConn) { c.forward(c.request()) }},
		{"reset, with a body", `{"cents":4200}`, func(c *faultyConn) { c.forward(c.request()); c.reset() }},
		{"closed, without a body", "", func(c *faultyConn) { c.forward(c.request()) }},
		{"reset, without a body", "", func(c *faultyConn) { c.forward(c.request()); c.reset() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			request := func(ctx context.Context, url string) *http.Request {
				var body io.Reader
				if row.body != "" {
					body = strings.NewReader(row.body)
				}
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
				require.NoError(t, err)
				return req
			}
			fault := func(c *faultyConn) {
				if c.pass() {
					row.drops(c)
				}
			}

			t.Run("net/http alone", func(t *testing.T) { // else this test shows nothing
				bank := newPSP(t, nil)
				p := newFaultProxy(t, bank.Listener.Addr().String(), fault)
				client := &http.Client{Transport: &http.Transport{}}
				for range 2 {
					req := request(t.Context(), "http://"+p.addr()+"/charges")
					req.Header.Set("Idempotency-Key", "k")
					_, err := sendRequest(client, req)
					require.NoError(t, err)
				}
				require.Len(t, bank.seen(), 3, "two requests became three")
			})

			bank := newPSP(t, nil)
			p := newFaultProxy(t, bank.Listener.Addr().String(), fault)
			for i := range faultRuns {
				client := wired(t, &idemhttp.Transport{})
				l := newLedger(t, func(ctx context.Context, a idempotency.Attempt, _ payment) (paid, error) {
					req := request(ctx, "http://"+p.addr()+"/charges")
					req.Header.Set("Idempotency-Key", "the SDK's own") // replaced by the attempt's
					req.Header.Set("X-Idempotency-Key", "and another")
					return sendRequest(client, req)
				})
				_, err := l.Do(t.Context(), "first", payment{1})
				require.NoError(t, err)
				_, err = l.Do(t.Context(), "second", payment{2})
				var unknown *idempotency.UnknownError
				require.ErrorAs(t, err, &unknown, "run %d", i)
				require.Len(t, bank.seen(), 2*(i+1), "run %d: requests that reached the provider", i)
				client.CloseIdleConnections()
			}
			for _, r := range bank.seen() {
				require.Len(t, r.header.Values("Idempotency-Key"), 1)
				require.NotEqual(t, "the SDK's own", r.header.Get("Idempotency-Key"))
			}
		})
	}
}

// T48: what ends before there is a connection was not sent.
func TestNotSentBeforeThereIsAConnection(t *testing.T) {
	errDial := errors.New("no route")
	dialing := func(dial func(ctx context.Context) error) http.RoundTripper {
		return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, dial(ctx) }}
	}
	closed := newFaultProxy(t, "", func(*faultyConn) {})
	_ = closed.ln.Close()
	refusing := newFaultProxy(t, "", func(c *faultyConn) { // a proxy that opens no tunnel
		c.header()
		_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
	})
	tlsServer := newTLSServer(t)

	for _, row := range []struct {
		name string
		base http.RoundTripper
		url  string
		send func(send sendFunc) sendFunc
	}{
		{"refused", nil, "http://" + closed.addr(), nil},
		{"dial error", dialing(func(context.Context) error { return errDial }), "http://bank.example", nil},
		{"name not found", dialing(func(context.Context) error {
			return &net.DNSError{Err: "no such host", Name: "bank.example", IsNotFound: true}
		}), "http://bank.example", nil},
		{"certificate not trusted", nil, tlsServer, nil},
		{"no tunnel", &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: refusing.addr()})}, "https://bank.example", nil},
		{"no host", nil, "http:///charges", nil},
		{"cancelled before", nil, "http://" + closed.addr(), func(send sendFunc) sendFunc {
			return func(ctx context.Context, a idempotency.Attempt, in payment) (paid, error) {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return send(ctx, a, in)
			}
		}},
		{"cancelled while dialling", dialing(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }), "http://bank.example", func(send sendFunc) sendFunc {
			return func(ctx context.Context, a idempotency.Attempt, in payment) (paid, error) {
				ctx, cancel := context.WithTimeout(ctx, 1)
				defer cancel()
				return send(ctx, a, in)
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			client := wired(t, &idemhttp.Transport{Base: row.base})
			send := posting(client, row.url)
			if row.send != nil {
				send = row.send(send)
			}
			class, attemptErr, err := oneAttempt(t, send)
			assert.Equal(t, "not sent", class, "the attempt's error was %v", attemptErr)
			assert.ErrorIs(t, err, idempotency.ErrNotSent)
		})
	}
}

// newTLSServer returns the address of a server whose certificate nobody trusts.
func newTLSServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}
