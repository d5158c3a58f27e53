package idemhttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// listen puts a service behind a real server.
func (s *service) listen() *httptest.Server {
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = false
	server.Start()
	if t, ok := s.t.(*testing.T); ok {
		t.Cleanup(server.Close)
	}
	return server
}

// reply is a response that was read to its end.
type reply struct {
	StatusCode      int
	Header, Trailer http.Header
	Body            string
}

// send makes a request to a real server.
func send(t *testing.T, server *httptest.Server, key, body string) reply {
	t.Helper()
	return roundTrip(t, server, request(t, server, key, body))
}

func request(t *testing.T, server *httptest.Server, key, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/charges", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Idempotency-Key", `"`+key+`"`)
	return r
}

func roundTrip(t *testing.T, server *httptest.Server, r *http.Request) reply {
	t.Helper()
	response, err := server.Client().Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return reply{response.StatusCode, response.Header, response.Trailer, string(body)}
}

// T47: what is replayed is on a list. Cookies, credentials, and what belongs to a connection or a moment never are, and cannot be put there.
func TestReplayedHeaders(t *testing.T) {
	private := []string{
		"Set-Cookie", "Set-Cookie2", "WWW-Authenticate", "Authentication-Info", "Clear-Site-Data", "Connection", "Keep-Alive", "Upgrade",
		"Date", "Age", "X-Request-Id", "Server-Timing", "X-Rate-Limit-Remaining", "Idempotency-Key",
	}
	public := []string{"Content-Type", "Content-Language", "Location", "ETag", "Link", "Cache-Control", "Vary", "X-Charge"}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range private {
			w.Header().Set(name, "secret")
		}
		for _, name := range public {
			w.Header()[http.CanonicalHeaderKey(name)] = []string{"one", "two"}
		}
		w.WriteHeader(http.StatusCreated)
	}, func(c *idemhttp.Config) { c.ReplayHeaders = []string{"x-charge"} })
	first, replay := s.post("k", "42"), s.post("k", "42")
	wantReplay(t, first, replay)
	for _, name := range private {
		assert.Equal(t, "secret", first.Header().Get(name), "the first client gets all of it")
		assert.Empty(t, replay.Header().Get(name), name)
	}
	for _, name := range public {
		assert.Equal(t, []string{"one", "two"}, replay.Header().Values(name), name)
	}
	for _, name := range []string{"Set-Cookie", "set-cookie", " Set-Cookie ", "DATE", "Transfer-Encoding", "Content-Length", "", "Trailer:X"} {
		_, err := idemhttp.Handler(newStore(), idemhttp.Config{Name: "api", Principal: tenant, ReplayHeaders: []string{name}})
		assert.ErrorContains(t, err, "ReplayHeaders", name)
	}
	for _, name := range idemhttp.ReplayedHeaders() {
		assert.Equal(t, http.CanonicalHeaderKey(name), name)
	}
}

// What other middleware set before is kept, in responses and replays alike; the handler may take it away.
func TestOuterHeaders(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		assert.Equal(t, "outer", w.Header().Get("X-Outer"))
		w.Header().Del("X-Removed")
		w.WriteHeader(http.StatusCreated)
		w.Header().Set("X-Late", "too late")
	}, nil)
	inner := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Outer", "outer")
		w.Header().Set("X-Removed", "outer")
		inner.ServeHTTP(w, r)
	})
	first, replay := s.post("k", "42"), s.post("k", "42")
	require.Equal(t, "outer", first.Header().Get("X-Outer"))
	require.Empty(t, first.Header().Get("X-Removed"))
	require.Empty(t, first.Header().Get("X-Late"), "a header that comes after the response has begun is no header")
	require.Equal(t, "outer", replay.Header().Get("X-Outer"))
}

// Responses of all shapes are replayed as they were.
func TestShapes(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"nothing at all": func(http.ResponseWriter, *http.Request) {},
		"no content":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"not modified":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
		"redirect":       func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/charges/1", http.StatusSeeOther) },
		"binary":         func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0, 1, 2, 255}) },
		"string":         func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("text", 5000)) },
		"two statuses": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte("created"))
		},
		"many writes": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 1000 {
				fmt.Fprintf(w, "%d,", i)
			}
		},
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "a")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "b")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, handle, nil)
			server := s.listen()
			server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			first, replay := send(t, server, "k", "42"), send(t, server, "k", "42")
			require.Equal(t, first.StatusCode, replay.StatusCode)
			require.Equal(t, first.Body, replay.Body)
			require.Equal(t, first.Header.Get("Content-Type"), replay.Header.Get("Content-Type"))
			require.Equal(t, first.Header.Get("Location"), replay.Header.Get("Location"))
			require.Equal(t, "true", replay.Header.Get("Idempotent-Replayed"))
			s.wantRuns(1)
		})
	}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		_, err := w.Write([]byte("x"))
		assert.ErrorIs(t, err, http.ErrBodyNotAllowed)
		_, err = io.WriteString(w, "x")
		assert.ErrorIs(t, err, http.ErrBodyNotAllowed)
	}, nil)
	s.post("k", "")
	s.wantRuns(1)
}

// A stream reaches its client while the handler runs, and is replayed in one piece.
func TestStreaming(t *testing.T) {
	next := make(chan string)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		controller := http.NewResponseController(w)
		for event := range next {
			fmt.Fprintf(w, "data: %s\n", event)
			assert.NoError(t, controller.Flush())
		}
	}, nil)
	server := s.listen()
	read := make(chan string)
	r := request(t, server, "k", "42")
	go func() {
		defer close(read)
		response, err := server.Client().Do(r)
		if !assert.NoError(t, err) {
			return
		}
		defer func() { _ = response.Body.Close() }()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			read <- lines.Text()
		}
	}()
	for _, event := range []string{"one", "two", "three"} {
		next <- event
		require.Equal(t, "data: "+event, <-read)
	}
	close(next)
	require.Empty(t, <-read)
	require.Equal(t, "data: one\ndata: two\ndata: three\n", send(t, server, "k", "42").Body)
	s.wantRuns(1)
}

// Nothing that the handler did not flush reaches the client before it is recorded.
func TestRecordedBeforeTold(t *testing.T) {
	store := &mortal{Store: newStore()}
	s := &service{t: t}
	s.wrap(store, charge, nil)
	w := httptest.NewRecorder()
	watched := &watchedWriter{ResponseWriter: w, t: t, settled: func() bool {
		rec, err := store.Get(t.Context(), id("k"))
		return err == nil && rec.State.Settled()
	}}
	s.ServeHTTP(watched, post("k", "/charges", "42"))
	require.Equal(t, 201, w.Code)
}

// watchedWriter minds whatever is written before the call has settled.
type watchedWriter struct {
	http.ResponseWriter
	t       *testing.T
	settled func() bool
}

func (w *watchedWriter) WriteHeader(status int) {
	assert.True(w.t, w.settled(), "WriteHeader before the response was recorded")
	w.ResponseWriter.WriteHeader(status)
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	assert.True(w.t, w.settled(), "Write before the response was recorded")
	return w.ResponseWriter.Write(p)
}

// T35: a response over the bound reaches its client, whole; it is recorded without its body, and a repetition is told so. It is never
// executed again.
func TestResponseOverTheBound(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for range 10 {
				n, err := io.WriteString(w, strings.Repeat("x", 15))
				assert.Equal(t, 15, n)
				assert.NoError(t, err)
				if flushed {
					w.(http.Flusher).Flush()
				}
			}
		}, func(c *idemhttp.Config) { c.MaxResponse = 100 })
		first := s.post("k", "42")
		require.Equal(t, 200, first.Code)
		require.Equal(t, strings.Repeat("x", 150), first.Body.String())
		wantProblem(t, s.post("k", "42"), idemhttp.ResponseOmitted, 409)
		s.wantRuns(1)
	}
	// At the bound it is recorded.
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 100)) },
		func(c *idemhttp.Config) { c.MaxResponse = 100 })
	wantReplay(t, s.post("k", "42"), s.post("k", "42"))
	// A client that has gone stops a stream that is not recorded.
	s = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 101))
		assert.Error(t, err)
	}, func(c *idemhttp.Config) { c.MaxResponse = 100 })
	s.ServeHTTP(gone{httptest.NewRecorder()}, post("k", "/charges", ""))
	wantProblem(t, s.post("k", ""), idemhttp.ResponseOmitted, 409)
}

// A handler that leaves a goroutine behind, which writes after the handler has returned: refused, whatever it does, and nothing of it is in the
// response or the record.
func TestWriteAfterReturn(t *testing.T) {
	returned, wrote := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "charged")
		go func() {
			defer close(wrote)
			<-returned
			w.WriteHeader(http.StatusInternalServerError)
			_, err := w.Write([]byte(" twice"))
			assert.Error(t, err)
			_, err = io.WriteString(w, " twice")
			assert.Error(t, err)
			assert.Error(t, http.NewResponseController(w).Flush())
			_, err = r.Body.Read(make([]byte, 1))
			assert.Error(t, err)
		}()
	}, nil)
	first := s.post("k", "42")
	close(returned)
	<-wrote
	require.Equal(t, "charged", first.Body.String())
	wantReplay(t, first, s.post("k", "42"))
	s.wantRuns(1)
}

// Hijacking is refused with a reason; the handler may still answer.
func TestHijackRefused(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _, err := http.NewResponseController(w).Hijack()
		assert.ErrorIs(t, err, http.ErrNotSupported)
		assert.ErrorContains(t, err, "cannot record")
		_, _, err = w.(http.Hijacker).Hijack()
		assert.Error(t, err)
		_, escapes := w.(interface{ Unwrap() http.ResponseWriter })
		assert.False(t, escapes, "what is written beneath is not recorded")
		w.WriteHeader(http.StatusNotImplemented)
	}, nil)
	require.Equal(t, http.StatusNotImplemented, send(t, s.listen(), "k", "42").StatusCode)
	s.wantRuns(1)
}

// http.ResponseController works: deadlines and full duplex reach the connection.
func TestResponseController(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		controller := http.NewResponseController(w)
		assert.NoError(t, controller.SetReadDeadline(time.Now().Add(time.Hour)))
		assert.NoError(t, controller.SetWriteDeadline(time.Now().Add(time.Hour)))
		assert.NoError(t, controller.EnableFullDuplex())
		assert.NoError(t, controller.Flush())
	}, nil)
	require.Equal(t, 200, send(t, s.listen(), "k", "42").StatusCode)
	s.wantRuns(1)
}

func TestFlushNotSupported(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		assert.ErrorIs(t, http.NewResponseController(w).Flush(), http.ErrNotSupported)
		assert.ErrorIs(t, http.NewResponseController(w).SetReadDeadline(time.Now()), http.ErrNotSupported)
	}, nil)
	s.ServeHTTP(struct{ http.ResponseWriter }{httptest.NewRecorder()}, post("k", "/charges", ""))
	s.wantRuns(1)
}

// Informational responses reach the client at once, and are not recorded.
func TestInformational(t *testing.T) {
	goOn := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		<-goOn
		w.Header().Del("Link")
		w.WriteHeader(http.StatusCreated)
	}, nil)
	server := s.listen()
	var hints []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, h.Get("Link")))
		close(goOn)
		return nil
	}}
	r := request(t, server, "k", "")
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	first := roundTrip(t, server, r)
	require.Equal(t, 201, first.StatusCode)
	require.Empty(t, first.Header.Get("Link"))
	require.Equal(t, []string{"103</style.css>; rel=preload"}, hints)
	replay := roundTrip(t, server, r)
	require.Equal(t, 201, replay.StatusCode)
	require.Equal(t, "true", replay.Header.Get("Idempotent-Replayed"))
	require.Len(t, hints, 1)
}

// A client that waits for "100 Continue" gets it, since the body is read for the fingerprint.
func TestExpectContinue(t *testing.T) {
	s := serve(t, charge, nil)
	server := s.listen()
	server.Client().Transport.(*http.Transport).ExpectContinueTimeout = time.Hour
	r := request(t, server, "k", "42")
	r.Header.Set("Expect", "100-continue")
	require.Equal(t, "charged 42", roundTrip(t, server, r).Body)
}

// Trailers, announced or not, reach the client; those on the list of headers are replayed.
func TestTrailers(t *testing.T) {
	for _, flushed := range []bool{false, true} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Content-Digest, X-Private, Set-Cookie")
			fmt.Fprint(w, "body")
			if flushed {
				w.(http.Flusher).Flush()
			}
			w.Header().Set("Content-Digest", "sha-256=:abc:")
			w.Header().Set("X-Private", "secret")
			w.Header().Set(http.TrailerPrefix+"Repr-Digest", "sha-256=:def:")
		}, nil)
		server := s.listen()
		first := send(t, server, "k", "42")
		require.Equal(t, "body", first.Body)
		require.Equal(t, "sha-256=:abc:", first.Trailer.Get("Content-Digest"))
		require.Equal(t, "secret", first.Trailer.Get("X-Private"))
		require.Equal(t, "sha-256=:def:", first.Trailer.Get("Repr-Digest"))
		require.Empty(t, first.Header.Get("Content-Digest"))
		replay := send(t, server, "k", "42")
		require.Equal(t, "body", replay.Body)
		require.Equal(t, "true", replay.Header.Get("Idempotent-Replayed"))
		require.Equal(t, "sha-256=:abc:", replay.Trailer.Get("Content-Digest"))
		require.Equal(t, "sha-256=:def:", replay.Trailer.Get("Repr-Digest"))
		require.Empty(t, replay.Trailer.Get("X-Private"))
	}
}

// A status that net/http does not take is the handler's panic, as without the middleware.
func TestInvalidStatus(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(99) }, nil)
	require.Panics(t, func() { s.post("k", "42") })
	wantProblem(t, s.post("k", "42"), idemhttp.OutcomeUnknown, 409)
}

// The server goes away while the handler runs: its client sees a broken connection, and finds the response later.
func TestAbortedConnection(t *testing.T) {
	inside, goOn := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		close(inside)
		<-goOn
		charge(w, r)
	}, func(c *idemhttp.Config) { c.Wait = time.Minute })
	server := s.listen()
	ctx, cancel := context.WithCancel(t.Context())
	r := request(t, server, "k", "42").WithContext(ctx)
	failed := make(chan error)
	go func() {
		response, err := server.Client().Do(r)
		if err == nil {
			err = errors.Join(errors.New("there was a response"), response.Body.Close())
		}
		failed <- err
	}()
	<-inside
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	close(goOn)
	require.Equal(t, "charged 42", send(t, server, "k", "42").Body)
	s.wantRuns(1)
}
