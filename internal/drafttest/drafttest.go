// Package drafttest checks the middleware of package idemhttp against draft-ietf-httpapi-idempotency-key-header-07, line by line of its
// sections 2.1 to 2.7, over any store:
//
//	for _, c := range drafttest.Cases() {
//		t.Run(c.Name, func(t *testing.T) { c.Run(t, newStore(t)) })
//	}
package drafttest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// T is what the cases use of a *testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// Case is one line of the draft.
type Case struct {
	// Name is the section and what the line asks for.
	Name string
	// Run checks it over a store that is empty.
	Run func(t T, store idempotency.Store)
}

// Cases returns all cases, in the draft's order.
func Cases() []Case {
	var all []Case
	for _, section := range [][]Case{syntax, uniqueness, expiry, fingerprints, responsibilities, enforcement, errorScenarios} {
		all = append(all, section...)
	}
	return all
}

// docs is the page that problems link to.
const docs = "https://developer.example.com/idempotency"

// api is a service that charges, behind the middleware.
type api struct {
	t       T
	handler http.Handler
	charged atomic.Int64
	inside  chan struct{} // if set: a charge says that it has begun, and
	release chan struct{} // waits
	status  int
}

func newAPI(t T, store idempotency.Store, change func(*idemhttp.Config)) *api {
	t.Helper()
	a := &api{t: t, status: http.StatusCreated}
	config := idemhttp.Config{Name: "api", Principal: idemhttp.SingleTenant("acme"), Docs: docs}
	if change != nil {
		change(&config)
	}
	middleware, err := idemhttp.Handler(store, config)
	if err != nil {
		t.Fatalf("Handler: %v", err)
	}
	a.handler = middleware(http.HandlerFunc(a.charge))
	return a
}

// charge has its effect, and answers.
func (a *api) charge(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Errorf("the handler cannot read the body: %v", err)
	}
	n := a.charged.Add(1)
	if a.inside != nil {
		a.inside <- struct{}{}
		<-a.release
	}
	w.Header().Set("Location", fmt.Sprintf("/charges/%d", n))
	w.WriteHeader(a.status)
	fmt.Fprintf(w, "charge %d of %s", n, body)
}

// request makes a POST with these values of the header.
func (a *api) request(path, body string, keys ...string) *http.Request {
	r := httptest.NewRequestWithContext(a.t.Context(), http.MethodPost, path, strings.NewReader(body))
	for _, key := range keys {
		r.Header.Add("Idempotency-Key", key)
	}
	return r
}

func (a *api) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	return w
}

func (a *api) post(body string, keys ...string) *httptest.ResponseRecorder {
	return a.do(a.request("/charges", body, keys...))
}

// begin starts a charge of 42 with the key "k" that stays inside the handler, until end is called, which returns its response.
func (a *api) begin() (end func() *httptest.ResponseRecorder) {
	a.inside, a.release = make(chan struct{}), make(chan struct{})
	response := make(chan *httptest.ResponseRecorder, 1)
	r := a.request("/charges", "42", `"k"`)
	go func() { response <- a.do(r) }()
	<-a.inside
	return func() *httptest.ResponseRecorder {
		close(a.release)
		return <-response
	}
}

// wantCharges says how many charges there must be by now.
func (a *api) wantCharges(n int64) {
	a.t.Helper()
	if got := a.charged.Load(); got != n {
		a.t.Fatalf("%d charges were made, want %d", got, n)
	}
}

// wantFresh says that a response is the handler's own.
func (a *api) wantFresh(w *httptest.ResponseRecorder, status int) {
	a.t.Helper()
	if w.Code != status || w.Header().Get("Idempotent-Replayed") != "" {
		a.t.Fatalf("the response is %d, Idempotent-Replayed %q: %s; want %d from the handler itself",
			w.Code, w.Header().Get("Idempotent-Replayed"), w.Body, status)
	}
}

// wantReplay says that a response repeats another.
func (a *api) wantReplay(first, w *httptest.ResponseRecorder) {
	a.t.Helper()
	if w.Code != first.Code || w.Body.String() != first.Body.String() || w.Header().Get("Location") != first.Header().Get("Location") ||
		w.Header().Get("Idempotent-Replayed") != "true" {
		a.t.Fatalf("the response is %d, Idempotent-Replayed %q, Location %q: %s; want a replay of %d, %q: %s",
			w.Code, w.Header().Get("Idempotent-Replayed"), w.Header().Get("Location"), w.Body, first.Code, first.Header().Get("Location"), first.Body)
	}
}

// wantProblem says that a response is a problem of a kind, with a link to the documentation in body and header.
func (a *api) wantProblem(w *httptest.ResponseRecorder, status int, kind idemhttp.Kind) {
	a.t.Helper()
	p, err := idemhttp.ParseProblem(w.Body.Bytes())
	if err != nil {
		a.t.Fatalf("the response is %d: %s; want a problem %s: %v", w.Code, w.Body, kind, err)
	}
	if w.Code != status || p.Status != status || p.Type != docs+"#"+string(kind) || p.Title == "" {
		a.t.Fatalf("the response is %d: %s; want %d of the type %s#%s", w.Code, w.Body, status, docs, kind)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		a.t.Fatalf("Content-Type is %q, want application/problem+json", got)
	}
	if link := w.Header().Get("Link"); link != "<"+docs+`>; rel="describedby"; type="text/html"` {
		a.t.Fatalf("Link is %q, want the documentation, as describedby", link)
	}
}
