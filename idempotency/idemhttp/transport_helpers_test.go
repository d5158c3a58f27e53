package idemhttp_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// payment is what the calls of these tests ask for, and paid what they get.
type payment struct{ Cents int }

type paid struct {
	ID string `json:"id"`
}

type sendFunc = func(context.Context, idempotency.Attempt, payment) (paid, error)

// seenRequest is one request as a provider saw it.
type seenRequest struct {
	method, path, body string
	header             http.Header
}

// psp is a payment provider: it keeps what it saw, and answers what it is told to.
type psp struct {
	*httptest.Server
	answer func(w http.ResponseWriter, n int) // nil: 201 with a receipt

	mu       sync.Mutex
	requests []seenRequest
}

func newPSP(t testing.TB, answer func(w http.ResponseWriter, n int)) *psp {
	t.Helper()
	p := &psp{answer: answer}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *psp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it broke off: nothing was ordered
	}
	p.mu.Lock()
	p.requests = append(p.requests, seenRequest{r.Method, r.URL.Path, string(body), r.Header.Clone()})
	n := len(p.requests)
	p.mu.Unlock()
	if p.answer != nil {
		p.answer(w, n)
		return
	}
	jsonReply(w, http.StatusCreated, `{"id":"ch_1"}`)
}

func (p *psp) seen() []seenRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]seenRequest(nil), p.requests...)
}

// jsonReply writes a JSON answer; pairs are its headers.
func jsonReply(w http.ResponseWriter, status int, body string, pairs ...string) {
	w.Header().Set("Content-Type", "application/json")
	for i := 0; i+1 < len(pairs); i += 2 {
		w.Header().Set(pairs[i], pairs[i+1])
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// alwaysReply answers every request the same.
func alwaysReply(status int, body string, pairs ...string) func(http.ResponseWriter, int) {
	return func(w http.ResponseWriter, _ int) { jsonReply(w, status, body, pairs...) }
}

// wired is a client of a base transport of its own.
func wired(t testing.TB, tr *idemhttp.Transport) *http.Client {
	t.Helper()
	if tr.Base == nil {
		base := &http.Transport{}
		t.Cleanup(base.CloseIdleConnections)
		tr.Base = base
	}
	return &http.Client{Transport: tr}
}

// sendPost is what a plain Send looks like: it does not look at the status, and asks only for its receipt.
func sendPost(ctx context.Context, client *http.Client, url string) (out paid, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"cents":4200}`))
	if err != nil {
		return out, err
	}
	req.Header.Set("Content-Type", "application/json")
	return sendRequest(client, req)
}

func sendRequest(client *http.Client, req *http.Request) (out paid, err error) {
	res, err := client.Do(req)
	if err != nil {
		return out, err
	}
	defer func() { _ = res.Body.Close() }()
	err = json.NewDecoder(res.Body).Decode(&out)
	return out, err
}

// posting is a Send that posts once.
func posting(client *http.Client, url string) sendFunc {
	return func(ctx context.Context, _ idempotency.Attempt, _ payment) (paid, error) {
		return sendPost(ctx, client, url)
	}
}

// ledger makes calls through the library, one attempt each, and keeps how the attempts were classified.
type ledger struct {
	*idempotency.Wrapper[payment, paid]
	mu      sync.Mutex
	classes []string
	errs    []error
}

func newLedger(t testing.TB, send sendFunc, change ...func(*idempotency.Call[payment, paid])) *ledger {
	t.Helper()
	l := &ledger{}
	call := idempotency.Call[payment, paid]{
		Name: "charge", Namespace: "test", Timeout: patience, Retry: retry.Policy{Attempts: 1},
		Send: idemhttp.Send(send),
		Hooks: idempotency.Hooks{Attempt: func(e idempotency.AttemptEvent) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.classes = append(l.classes, e.Class)
			l.errs = append(l.errs, e.Err)
		}},
	}
	for _, c := range change {
		c(&call)
	}
	var err error
	l.Wrapper, err = idempotency.Wrap(memstore.New(memstore.Config{}), call)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// last is how the last attempt was classified, and its error.
func (l *ledger) last() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.classes) == 0 {
		return "none was made", nil
	}
	return l.classes[len(l.classes)-1], l.errs[len(l.errs)-1]
}

// oneAttempt makes one call with one attempt.
func oneAttempt(t testing.TB, send sendFunc) (class string, attemptErr, callErr error) {
	t.Helper()
	l := newLedger(t, send)
	_, callErr = l.Do(t.Context(), "order-1", payment{4200})
	class, attemptErr = l.last()
	return class, attemptErr, callErr
}
