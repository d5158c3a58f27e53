package idemhttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

type valueKey struct{}

// T40: a client that has gone before its request was claimed is not served.
func TestClientGoneBefore(t *testing.T) {
	s := serve(t, charge, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantProblem(t, s.do(post("k", "/charges", "42").WithContext(ctx)), idemhttp.Unavailable, 503)
	s.wantRuns(0)
	require.Equal(t, 201, s.post("k", "43").Code)
}

// Retention is kept without anybody's help, while requests come in: more is purged at a time than comes.
func TestPurges(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := serve(t, charge, func(c *idemhttp.Config) { c.Retention, c.Timeout = time.Minute, time.Hour })
		for n := range 2500 {
			require.Equal(t, 201, s.post(strconv.Itoa(n), "42").Code)
		}
		sleep(60)
		s.wrap(s.store, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) }, nil)
		s.post("slow", "")
		sleep(20)
		for _, key := range []string{"0", "1000", "2499"} {
			wantProblem(t, s.post(key, "42"), idemhttp.KeyExpired, 409)
		}
	})
}

// P5, T9, T19: the client goes away; the handler goes on with its request's values, its response is recorded, and the retry gets it.
func TestClientGoesAway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Second)
			assert.NoError(t, r.Context().Err())
			assert.Equal(t, "v", r.Context().Value(valueKey{}))
			w.WriteHeader(http.StatusCreated)
			_, err := w.Write([]byte("charged"))
			assert.NoError(t, err)
			assert.NoError(t, http.NewResponseController(w).Flush(), "the client has gone, which is none of the handler's business")
			_, err = w.Write([]byte(" 42"))
			assert.NoError(t, err)
		}, nil)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "v"))
		go s.ServeHTTP(gone{httptest.NewRecorder()}, post("k", "/charges", "42").WithContext(ctx))
		sleep(1)
		cancel()
		sleep(1)
		wantProblem(t, s.post("k", "42"), idemhttp.InProgress, 409)
		sleep(9)
		w := s.post("k", "42")
		require.Equal(t, 201, w.Code)
		require.Equal(t, "charged 42", w.Body.String())
		s.wantRuns(1)
	})
}

// gone is a connection that has broken.
type gone struct{ *httptest.ResponseRecorder }

func (gone) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
func (gone) FlushError() error         { return errors.New("broken pipe") }

// T17: a claim is renewed while its handler runs, however short the lease.
func TestRenewed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(50 * time.Second)
			w.WriteHeader(http.StatusCreated)
		}, func(c *idemhttp.Config) { c.Lease = time.Second })
		first := s.start(post("k", "/charges", "42"))
		for range 49 {
			sleep(1)
			wantProblem(t, s.post("k", "42"), idemhttp.InProgress, 409)
		}
		sleep(2)
		wantReplay(t, first(), s.post("k", "42"))
		s.wantRuns(1)
	})
}

// start sends a request, whose response may be asked for later.
func (s *service) start(r *http.Request) (response func() *httptest.ResponseRecorder) {
	c := make(chan *httptest.ResponseRecorder, 1)
	go func() { c <- s.do(r) }()
	return func() *httptest.ResponseRecorder { return <-c }
}

// T53, T8: at Timeout the handler's context ends; one that does not mind is no longer renewed, and its outcome counts as unknown; what it
// answers in the end is recorded all the same.
func TestTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var stuck []idempotency.ID
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			assert.ErrorIs(t, r.Context().Err(), context.DeadlineExceeded)
			time.Sleep(5 * time.Minute)
			w.WriteHeader(http.StatusCreated)
		}, func(c *idemhttp.Config) {
			c.Timeout = 10 * time.Second
			c.Hooks.Stuck = func(id idempotency.ID) { stuck = append(stuck, id) }
		})
		first := s.start(post("k", "/charges", "42"))
		sleep(30)
		wantProblem(t, s.post("k", "42"), idemhttp.InProgress, 409)
		sleep(60)
		require.Len(t, stuck, 1)
		wantProblem(t, s.post("k", "42"), idemhttp.OutcomeUnknown, 409)
		sleep(240)
		wantReplay(t, first(), s.post("k", "42"))
		s.wantRuns(1)
	})
}

// A handler that heeds its context answers 503, and nobody knows how far it came.
func TestTimeoutHeeded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			deadline, ok := r.Context().Deadline()
			assert.True(t, ok)
			assert.Equal(t, time.Minute, time.Until(deadline))
			<-r.Context().Done()
			w.WriteHeader(http.StatusServiceUnavailable)
		}, nil)
		require.Equal(t, 503, s.post("k", "42").Code)
		wantProblem(t, s.post("k", "42"), idemhttp.OutcomeUnknown, 409)
		s.wantRuns(1)
	})
}

// The reason why the handler's context ends is its own, also when the client has gone before.
func TestCause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			derived, cancel := context.WithCancel(r.Context())
			defer cancel()
			<-derived.Done()
			for _, ctx := range []context.Context{r.Context(), derived} {
				assert.Equal(t, context.DeadlineExceeded, ctx.Err())
				assert.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
			}
		}, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		response := s.start(post("k", "/charges", "42").WithContext(ctx))
		sleep(1)
		cancel(errors.New("the client has gone"))
		require.Equal(t, 200, response().Code)
		s.wantRuns(1)
	})
}

// T2: the process dies inside the handler. Its claim runs out: unknown, not executed again, unless that is harmless.
func TestCrash(t *testing.T) {
	for _, harmless := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			store := &mortal{Store: newStore()}
			s := &service{t: t}
			s.wrap(store, func(http.ResponseWriter, *http.Request) {
				store.dead.Store(true) // nothing that this process still does reaches the store
				panic(http.ErrAbortHandler)
			}, func(c *idemhttp.Config) { c.SettleFor = time.Second })
			go func() {
				defer func() { _ = recover() }()
				s.post("k", "42")
			}()
			synctest.Wait()
			s.wrap(store.Store, charge, func(c *idemhttp.Config) { c.Harmless = harmless })
			sleep(29)
			wantProblem(t, s.post("k", "42"), idemhttp.InProgress, 409)
			sleep(2)
			w := s.post("k", "42")
			if !harmless {
				wantProblem(t, w, idemhttp.OutcomeUnknown, 409)
				s.wantRuns(1)
				return
			}
			require.Equal(t, 201, w.Code)
			s.wantRuns(2)
			wantReplay(t, w, s.post("k", "42"))
		})
	}
}

// T7, T17: a lease is lost while the handler runs, and another process executes the request (Harmless). The handler's context ends, with the
// reason; the outcome that was recorded first stands.
func TestLeaseLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &mortal{Store: newStore()}
		var lost, conflicts int
		s := &service{t: t}
		s.wrap(store, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			assert.ErrorIs(t, context.Cause(r.Context()), idempotency.ErrLeaseLost)
			time.Sleep(time.Second)
			w.WriteHeader(http.StatusAccepted)
		}, func(c *idemhttp.Config) {
			c.Hooks.LeaseLost = func(idempotency.ID) { lost++ }
			c.Hooks.Conflict = func(idempotency.ConflictEvent) { conflicts++ }
		})
		first := s.start(post("k", "/charges", "42"))
		synctest.Wait()
		store.dead.Store(true)
		sleep(31)
		second := &service{t: t}
		second.wrap(store.Store, charge, func(c *idemhttp.Config) { c.Harmless = true })
		other := second.post("k", "42")
		require.Equal(t, 201, other.Code)
		store.dead.Store(false)
		require.Equal(t, 202, first().Code, "its client gets what was done for it")
		require.Positive(t, lost)
		require.Zero(t, conflicts, "two successes do not contradict each other: the first one stands")
		wantReplay(t, other, second.post("k", "42"))
	})
}
