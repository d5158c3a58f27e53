package idemhttp_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// desk is what an operator has, over the same store.
func desk(t *testing.T, store idempotency.Store, change func(*idempotency.Call[string, idemhttp.Response])) *idempotency.Wrapper[string, idemhttp.Response] {
	t.Helper()
	call := idemhttp.Config{Name: "api", Principal: tenant}.Call()
	if change != nil {
		change(&call)
	}
	w, err := idempotency.Wrap(store, call)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close(context.Background())) })
	return w
}

// An unknown outcome is listed, and settled by who found out: what the operator says is replayed.
func TestOperatorSettles(t *testing.T) {
	s := serve(t, fails(500, 0), nil)
	require.Equal(t, 500, s.post("k", "42").Code)
	w := desk(t, s.store, nil)
	open, err := w.List(t.Context(), idempotency.Query{States: idempotency.Unresolved()})
	require.NoError(t, err)
	require.Len(t, open, 1)
	require.Equal(t, []any{"acme", "k", idempotency.StateUnknown}, []any{open[0].Scope, open[0].Key, open[0].State})

	response := idemhttp.Response{Status: 201, Header: http.Header{"Location": {"/charges/1"}}, Body: []byte("charged")}
	_, err = w.For("acme").Settle(t.Context(), "k", idempotency.Happened(response))
	require.NoError(t, err)
	replay := s.post("k", "42")
	require.Equal(t, []any{201, "charged", "/charges/1", "true"},
		[]any{replay.Code, replay.Body.String(), replay.Header().Get("Location"), replay.Header().Get("Idempotent-Replayed")})
	s.wantRuns(1)
	status, err := w.For("acme").Status(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, response, status.Value)
}

// The operator has found that nothing happened: the request may be executed again, by its client. Before Settling has passed, nobody is
// believed.
func TestOperatorReleases(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		status := 500
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, nil)
		s.post("k", "42")
		sleep(3600)
		w := desk(t, s.store, nil).For("acme")
		seen, err := w.Status(t.Context(), "k")
		require.NoError(t, err)
		_, err = w.Settle(t.Context(), "k", idempotency.DidNotHappen[idemhttp.Response]().AsOf(seen))
		require.NoError(t, err)
		wantProblem(t, s.post("k", "43"), idemhttp.KeyReused, 422)
		status = 201
		first := s.post("k", "42")
		require.Equal(t, 201, first.Code)
		wantReplay(t, first, s.post("k", "42"))
		s.wantRuns(2)
	})
}

// A key that an operator closes is never executed, whether it was used or not.
func TestOperatorCloses(t *testing.T) {
	s := serve(t, fails(500, 0), nil)
	w := desk(t, s.store, nil).For("acme")
	_, err := w.Cancel(t.Context(), "new")
	require.NoError(t, err)
	wantProblem(t, s.post("new", "42"), idemhttp.KeyClosed, 409)
	s.post("unknown", "42")
	_, err = w.Cancel(t.Context(), "unknown")
	var unknown *idempotency.UnknownError
	require.ErrorAs(t, err, &unknown)
	wantProblem(t, s.post("unknown", "42"), idemhttp.OutcomeUnknown, 409)
	s.wantRuns(1)
}

// Where the application can find out by itself, a Lookup settles what is unknown, and nothing is executed from there.
func TestApplicationLooksUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, nil)
		require.Panics(t, func() { s.post("k", "42") })
		asked := 0
		w := desk(t, s.store, func(c *idempotency.Call[string, idemhttp.Response]) {
			c.Settling = time.Minute
			c.Lookup = func(_ context.Context, a idempotency.Attempt, request string) (idempotency.Verdict[idemhttp.Response], error) {
				require.Equal(t, []string{"acme", "k", "POST /charges"}, []string{a.Scope, a.ID, request})
				if asked++; asked == 1 {
					return idempotency.StillPending[idemhttp.Response](7 * time.Second), nil
				}
				return idempotency.Happened(idemhttp.Response{Status: 201, Body: []byte("charged")}), nil
			}
		})
		wantRetry := func(after string) {
			t.Helper()
			unknown := s.post("k", "42")
			wantProblem(t, unknown, idemhttp.OutcomeUnknown, 409)
			require.Equal(t, after, unknown.Header().Get("Retry-After"))
		}
		wantRetry("")
		_, err := w.Recover(t.Context()) // the application does not know yet
		require.NoError(t, err)
		wantRetry("7")
		sleep(7)
		_, err = w.Recover(t.Context())
		require.NoError(t, err)
		replay := s.post("k", "42")
		require.Equal(t, 201, replay.Code)
		require.Equal(t, "charged", replay.Body.String())
		s.wantRuns(1)
	})
}

// Query and body, which may hold what is nobody's business, are not in the record.
func TestRecordIsDiscreet(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, nil)
	s.do(post("k", "/charges?card=4242", "secret"))
	rec, err := s.store.Get(t.Context(), id("k"))
	require.NoError(t, err)
	require.Equal(t, "POST /charges", string(rec.Request))
}
