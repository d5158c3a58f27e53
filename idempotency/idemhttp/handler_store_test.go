package idemhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// faulty puts charge behind the middleware, over a store that can fail.
func faulty(t *testing.T, change func(*idemhttp.Config)) (*service, *mortal) {
	t.Helper()
	store := &mortal{Store: newStore()}
	s := &service{t: t}
	s.wrap(store, charge, change)
	return s, store
}

// T25: the store cannot be asked: nothing is executed, and the same key may be tried again.
func TestStoreDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var background sync.WaitGroup
		var failures atomic.Int64
		s, store := faulty(t, func(c *idemhttp.Config) {
			c.Background = &background
			c.Hooks.StoreError = func(op string, err error) {
				assert.ErrorIs(t, err, errDown)
				failures.Add(1)
			}
		})
		store.dead.Store(true)
		w := s.post("k", "42")
		wantProblem(t, w, idemhttp.Unavailable, 503)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		require.GreaterOrEqual(t, failures.Load(), int64(3), "the store is asked more than once")
		s.wantRuns(0)
		store.dead.Store(false)
		background.Wait() // what may have been claimed is given back
		require.Equal(t, 201, s.post("k", "42").Code)
		s.wantRuns(1)
	})
}

// T15: the replies of the store get lost, every other one, or all for a while. It is asked again, and says what it did.
func TestLostReplies(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, store := faulty(t, nil)
		store.deaf.Store("half")
		first := s.post("k", "42")
		require.Equal(t, 201, first.Code)
		wantReplay(t, first, s.post("k", "42"))
		s.wantRuns(1)
	})
}

// T15: a claim was granted and nobody heard of it. It is given back, instead of becoming an outcome that is unknown.
func TestClaimGivenBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var background sync.WaitGroup
		s, store := faulty(t, func(c *idemhttp.Config) { c.Background = &background })
		store.deaf.Store("Acquire")
		wantProblem(t, s.post("k", "42"), idemhttp.Unavailable, 503)
		store.deaf.Store("")
		background.Wait()
		require.Equal(t, 201, s.post("k", "42").Code)
		s.wantRuns(1)
	})
}

// P4, T9, T26: the store goes away while the handler runs. The client gets its response after some seconds; recording goes on, the claim is
// renewed meanwhile, and the retry gets the replay when the store has come back.
func TestRecordedLater(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var background sync.WaitGroup
		s, store := faulty(t, func(c *idemhttp.Config) { c.Background = &background })
		store.refuses.Store("Settle")
		began := time.Now()
		first := s.post("k", "42")
		require.Equal(t, 201, first.Code)
		require.Equal(t, "charged 42", first.Body.String())
		require.InDelta(t, 2, time.Since(began).Seconds(), 1.5)
		sleep(120)
		wantProblem(t, s.post("k", "42"), idemhttp.InProgress, 409)
		store.refuses.Store("")
		background.Wait()
		wantReplay(t, first, s.post("k", "42"))
		s.wantRuns(1)
	})
}

// What cannot be recorded within SettleFor is reported in full, and stays unknown.
func TestUnrecorded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var background sync.WaitGroup
		var reported []idempotency.UnrecordedEvent
		s, store := faulty(t, func(c *idemhttp.Config) {
			c.Background, c.SettleFor = &background, time.Minute
			c.Hooks.Unrecorded = func(e idempotency.UnrecordedEvent) { reported = append(reported, e) }
		})
		store.refuses.Store("Settle")
		require.Equal(t, 201, s.post("k", "42").Code)
		background.Wait()
		require.Len(t, reported, 1)
		var response idemhttp.Response
		require.NoError(t, response.UnmarshalBinary(reported[0].Outcome.Value))
		require.Equal(t, "charged 42", string(response.Body))
		sleep(31)
		wantProblem(t, s.post("k", "42"), idemhttp.OutcomeUnknown, 409)
		s.wantRuns(1)
	})
}

// T34: a record that cannot be read is an error, never a miss; one that another version has fingerprinted is not the client's mistake (T21).
func TestUnreadableRecord(t *testing.T) {
	store := newStore()
	s := serve(t, charge, nil)
	s.wrap(store, charge, nil)
	put := func(key string, fingerprint, value []byte) {
		claim := idempotency.Claim{
			ID: idempotency.ID{Operation: "api", Scope: "acme", Key: key}, Token: idempotency.Token{1}, Lease: time.Minute, Fingerprint: fingerprint,
			GiveUp: idempotency.Never, Retention: time.Hour, StubFor: idempotency.Never,
		}
		rec, err := store.Acquire(t.Context(), claim)
		require.NoError(t, err)
		_, err = store.Settle(t.Context(), idempotency.Lease{ID: claim.ID, Fence: rec.Fence, Token: claim.Token},
			idempotency.Outcome{State: idempotency.StateSucceeded, Value: value})
		require.NoError(t, err)
	}
	put("other version's response", nil, []byte("\x7fwhatever"))
	put("empty", nil, nil)
	put("other version's fingerprint", make([]byte, 33), nil)
	put("no fingerprint of ours", []byte("x"), nil)
	for _, key := range []string{"other version's response", "empty", "other version's fingerprint", "no fingerprint of ours"} {
		wantProblem(t, s.post(key, "42"), idemhttp.Unavailable, 503)
	}
	s.wantRuns(0)
}

// T22: a thousand requests that wait for another process's execution look at the store together, ever more rarely.
func TestOnePoller(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &mortal{Store: newStore()}
		executes, waits := &service{t: t}, &service{t: t}
		executes.wrap(store, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(30 * time.Second)
			charge(w, r)
		}, nil)
		waits.wrap(store, charge, func(c *idemhttp.Config) { c.Wait = time.Minute })
		first := executes.start(post("k", "/charges", "42"))
		synctest.Wait()
		var responses []func() *httptest.ResponseRecorder
		for range 1000 {
			responses = append(responses, waits.start(post("k", "/charges", "42")))
		}
		one := first()
		for _, response := range responses {
			wantReplay(t, one, response())
		}
		require.Less(t, store.gets.Load(), int64(80), "looks at the store")
		executes.wantRuns(1)
		waits.wantRuns(0)
	})
}

// Those who wait in the executing process are told at once.
func TestWaitersAreWoken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(1234 * time.Millisecond)
			charge(w, r)
		}, func(c *idemhttp.Config) { c.Wait, c.Poll = time.Minute, time.Hour })
		first := s.start(post("k", "/charges", "42"))
		sleep(0.1)
		began := time.Now()
		second := s.post("k", "42")
		require.Equal(t, 1134*time.Millisecond, time.Since(began))
		wantReplay(t, first(), second)
	})
}

// The first one had no effect: of those who wait for it, one is executed, and the others get its response.
func TestWaitersTakeOver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := 0
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			if n++; n == 1 {
				idemhttp.SetEffect(r.Context(), idemhttp.EffectNone)
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			charge(w, r)
		}, func(c *idemhttp.Config) { c.Wait = time.Minute })
		first := s.start(post("k", "/charges", "42"))
		synctest.Wait()
		var responses []func() *httptest.ResponseRecorder
		for range 10 {
			responses = append(responses, s.start(post("k", "/charges", "42")))
		}
		require.Equal(t, 503, first().Code)
		replays := 0
		for _, response := range responses {
			w := response()
			require.Equal(t, 201, w.Code, w.Body.String())
			if w.Header().Get("Idempotent-Replayed") != "" {
				replays++
			}
		}
		require.Equal(t, 9, replays)
		s.wantRuns(2)
	})
}

// P5: who waits does so no longer than Wait, and no longer than its client.
func TestWaitIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(50 * time.Second)
			charge(w, r)
		}, func(c *idemhttp.Config) { c.Wait = 3 * time.Second })
		first := s.start(post("k", "/charges", "42"))
		synctest.Wait()
		began := time.Now()
		wantProblem(t, s.post("k", "42"), idemhttp.InProgress, 409)
		require.Equal(t, 3*time.Second, time.Since(began))
		ctx, cancel := withTimeout(t, time.Second)
		defer cancel()
		began = time.Now()
		wantProblem(t, s.do(post("k", "/charges", "42").WithContext(ctx)), idemhttp.InProgress, 409)
		require.Equal(t, time.Second, time.Since(began))
		first()
		s.wantRuns(1)
	})
}

// slow is a store that answers a claim long after it was granted.
type slow struct{ idempotency.Store }

func (s slow) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	rec, err := s.Store.Acquire(ctx, c)
	time.Sleep(31 * time.Second)
	return rec, err
}

// T18: a claim may have run out by the time this process hears of it: then nothing is executed, and the key is as good as new.
func TestClaimHeardOfTooLate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStore()
		s := &service{t: t}
		s.wrap(slow{store}, charge, nil)
		wantProblem(t, s.post("k", "42"), idemhttp.Unavailable, 503)
		s.wantRuns(0)
		s.wrap(store, charge, nil)
		require.Equal(t, 201, s.post("k", "42").Code)
		s.wantRuns(1)
	})
}
