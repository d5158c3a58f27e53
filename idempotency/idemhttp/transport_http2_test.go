package idemhttp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// T46 over HTTP/2: net/http sends a request again by itself when the server refuses its stream, or says that it did not understand it, which does
// not mean that it has done nothing; with any header, by any method. Where the request has a body, the Transport keeps it
// from doing so; where it has none, the second sending is counted, and a decline after it is ambiguous.
func TestT46HTTP2ResendsByItself(t *testing.T) {
	for _, row := range []struct {
		name   string
		body   string
		resets uint32
		bare   int // requests that reach the server when net/http is left alone
		sent   int // through the Transport
		class  string
	}{
		{"a body, stream refused", "{}", refusedStream, 2, 1, "unknown"},
		{"a body, protocol error", "{}", protocolError, 2, 1, "unknown"},
		{"no body, stream refused", "", refusedStream, 2, 2, "rejected"},
		{"no body, protocol error", "", protocolError, 2, 2, "rejected"},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := func(t *testing.T) (url string, requests *atomic.Int32) {
				requests = new(atomic.Int32)
				p := newFaultProxy(t, "", func(c *faultyConn) {
					h := &http2Conn{t, c.in, c}
					h.serve(func(stream uint32) {
						if requests.Add(1) == 1 {
							h.frame(frameReset, 0, stream, code(row.resets))
							return
						}
						h.frame(frameHeaders, flagEndStream|flagEndHeaders, stream, []byte{0x8c}) // :status 400
					})
				})
				return "http://" + p.addr() + "/charges", requests
			}
			overHTTP2 := func() *http.Transport {
				base := &http.Transport{Protocols: new(http.Protocols)}
				base.Protocols.SetUnencryptedHTTP2(true)
				t.Cleanup(base.CloseIdleConnections)
				return base
			}
			request := func(ctx context.Context, url string) *http.Request {
				var body io.Reader
				if row.body != "" {
					body = strings.NewReader(row.body)
				}
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
				require.NoError(t, err)
				return req
			}

			url, requests := server(t)
			res, err := overHTTP2().RoundTrip(request(t.Context(), url))
			require.NoError(t, err)
			_ = res.Body.Close()
			require.EqualValues(t, row.bare, requests.Load(), "net/http alone: else this test shows nothing")

			url, requests = server(t)
			client := wired(t, &idemhttp.Transport{
				Provider: idemhttp.Provider{Answers: []idemhttp.Answer{{Status: http.StatusBadRequest, Means: idemhttp.MeansRejected}}},
				Base:     overHTTP2(),
			})
			class, attemptErr, callErr := oneAttempt(t, func(ctx context.Context, _ idempotency.Attempt, _ payment) (paid, error) {
				return sendRequest(client, request(ctx, url))
			})
			assert.Equal(t, row.class, class, "the attempt's error was %v", attemptErr)
			assert.EqualValues(t, row.sent, requests.Load())
			var unknown *idempotency.UnknownError
			assert.ErrorAs(t, callErr, &unknown, "whatever the second answer says, there may have been a first effect")
		})
	}
}

// T48 over HTTP/2 with TLS. RFC 9113 (section 8.7) promises that a refused stream, and one above the last that a GOAWAY names, was not
// processed; but who says so may be a proxy that had handed the request on. Whatever ends after there was a connection is
// unknown, and nothing is sent a second time.
func TestHTTP2OverTLS(t *testing.T) {
	done := func(c *http2Conn, stream uint32) {
		c.frame(frameHeaders, flagEndHeaders, stream, []byte{0x88}) // :status 200
		c.frame(frameData, flagEndStream, stream, []byte(`{"id":"ch_1"}`))
	}
	for _, row := range []struct {
		name   string
		answer func(c *http2Conn, stream uint32) // nil: the handshake is cut
		class  string
		served int // requests that reached the provider
	}{
		{"answered", done, "succeeded", 1},
		{"the handshake is cut", nil, "not sent", 0},
		{"stream refused", func(c *http2Conn, stream uint32) { c.frame(frameReset, 0, stream, code(refusedStream)) }, "unknown", 1},
		{"stream reset", func(c *http2Conn, stream uint32) { c.frame(frameReset, 0, stream, code(internalError)) }, "unknown", 1},
		{"stream reset within the answer", func(c *http2Conn, stream uint32) {
			c.frame(frameHeaders, flagEndHeaders, stream, []byte{0x88})
			c.frame(frameData, 0, stream, []byte(`{"id":`))
			c.frame(frameReset, 0, stream, code(noError))
		}, "unknown", 1},
		{"GOAWAY that names no stream", func(c *http2Conn, _ uint32) { c.frame(frameGoAway, 0, 0, append(code(0), code(noError)...)) }, "unknown", 1},
		{"GOAWAY that names the stream, then the answer", func(c *http2Conn, stream uint32) {
			c.frame(frameGoAway, 0, 0, append(code(stream), code(noError)...))
			done(c, stream)
		}, "succeeded", 1},
		{"GOAWAY that names the stream, then the end", func(c *http2Conn, stream uint32) {
			c.frame(frameGoAway, 0, 0, append(code(stream), code(noError)...))
			c.close()
		}, "unknown", 1},
		{"closed", func(c *http2Conn, _ uint32) { c.close() }, "unknown", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			certified := httptest.NewTLSServer(nil) // for its certificate
			t.Cleanup(certified.Close)
			var served atomic.Int32
			p := newFaultProxy(t, "", func(c *faultyConn) {
				if row.answer == nil {
					_, _ = c.in.ReadByte()
					return
				}
				secure := tls.Server(c.TCPConn, &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}})
				h := &http2Conn{t, secure, secure}
				h.serve(func(stream uint32) {
					served.Add(1)
					row.answer(h, stream)
				})
			})
			trusted := x509.NewCertPool()
			trusted.AddCert(certified.Certificate())
			base := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: "example.com"}}
			t.Cleanup(base.CloseIdleConnections)
			client := wired(t, &idemhttp.Transport{Base: base})
			for i := range 10 { // over the same connection, while it lives
				l := newLedger(t, posting(client, "https://"+p.addr()+"/charges"))
				_, err := l.Do(t.Context(), fmt.Sprintf("order-%d", i), payment{4200})
				class, attemptErr := l.last()
				require.Equal(t, row.class, class, "run %d: the attempt's error was %v, the call's %v", i, attemptErr, err)
				require.EqualValues(t, row.served*(i+1), served.Load(), "one attempt is one request")
			}
		})
	}
}

// The few frames of HTTP/2 (RFC 9113, section 6) that a server needs in order to misbehave.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway = 0, 1, 3, 4, 6, 7
	flagEndStream, flagAck, flagEndHeaders                                     = 1, 1, 4
	noError, protocolError, internalError, refusedStream                       = 0, 1, 2, 7
)

// code is an error code, or the id of a stream.
func code(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// http2Conn is one connection of a client.
type http2Conn struct {
	t   testing.TB
	in  io.Reader
	out io.Writer
}

// serve calls answer for every request that is complete.
func (c *http2Conn) serve(answer func(stream uint32)) {
	preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	if _, err := io.ReadFull(c.in, preface); err != nil {
		return
	}
	c.frame(frameSettings, 0, 0, nil)
	for {
		var head [9]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			return
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(c.in, payload); err != nil {
			return
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			c.frame(frameSettings, flagAck, 0, nil)
		case kind == framePing && flags&flagAck == 0:
			c.frame(framePing, flagAck, 0, payload)
		case (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0:
			answer(stream)
		}
	}
}

func (c *http2Conn) frame(kind, flags byte, stream uint32, payload []byte) {
	n := len(payload)
	out := append([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, binary.BigEndian.AppendUint32(nil, stream)...)
	if _, err := c.out.Write(append(out, payload...)); err != nil {
		c.t.Log(fmt.Errorf("writing a frame: %w", err))
	}
}

func (c *http2Conn) close() {
	if closer, ok := c.out.(io.Closer); ok {
		_ = closer.Close()
	}
}
