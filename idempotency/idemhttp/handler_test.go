package idemhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// service is a handler behind the middleware, over a store in memory.
type service struct {
	t     testing.TB
	store idempotency.Store
	http.Handler
	ran atomic.Int64 // executions
}

// serve puts handle behind the middleware. Tenants name themselves by a header.
func serve(t testing.TB, handle http.HandlerFunc, change func(*idemhttp.Config)) *service {
	t.Helper()
	s := &service{t: t, store: memstore.New(memstore.Config{})}
	s.wrap(s.store, handle, change)
	return s
}

func (s *service) wrap(store idempotency.Store, handle http.HandlerFunc, change func(*idemhttp.Config)) {
	s.t.Helper()
	config := idemhttp.Config{Name: "api", Principal: tenant}
	if change != nil {
		change(&config)
	}
	middleware, err := idemhttp.Handler(store, config)
	require.NoError(s.t, err)
	s.Handler = middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ran.Add(1)
		handle(w, r)
	}))
}

func tenant(r *http.Request) (string, error) {
	if name := r.Header.Get("Tenant"); name != "" {
		return name, nil
	}
	return "acme", nil
}

// post makes a request with a key.
func post(key, path, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if key != "" {
		r.Header.Set("Idempotency-Key", `"`+key+`"`)
	}
	return r
}

// do sends a request to the handler itself.
func (s *service) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func (s *service) post(key, body string) *httptest.ResponseRecorder {
	return s.do(post(key, "/charges", body))
}

// wantRuns says how often the handler must have run by now.
func (s *service) wantRuns(n int) {
	s.t.Helper()
	require.EqualValues(s.t, n, s.ran.Load(), "executions")
}

// wantProblem says that a response is a problem of a kind.
func wantProblem(t testing.TB, w *httptest.ResponseRecorder, kind idemhttp.Kind, status int) {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	require.Equal(t, idemhttp.ProblemType, w.Header().Get("Content-Type"))
	p, err := idemhttp.ParseProblem(w.Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, kind, p.Kind, p.Detail)
	require.Equal(t, status, p.Status)
	require.NotEmpty(t, p.Title)
}

// wantReplay says that a response is the first one's replay.
func wantReplay(t testing.TB, first, replay *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, first.Code, replay.Code, replay.Body.String())
	require.Equal(t, first.Body.String(), replay.Body.String())
	require.Equal(t, "true", replay.Header().Get("Idempotent-Replayed"))
	require.Empty(t, first.Header().Get("Idempotent-Replayed"))
}

// charge answers 201 with what it was sent.
func charge(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Location", "/charges/1")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "charged %s", body)
}

// id is the ID of acme's key.
func id(key string) idempotency.ID {
	return idempotency.ID{Operation: "api", Scope: "acme", Key: key}
}
