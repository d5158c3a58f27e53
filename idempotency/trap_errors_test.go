package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// P9 T68: an error that says "it may have happened" matches none of the three that make a new key safe, whatever it wraps.
func TestUnsafeErrorsHideWhatTheyWrap(t *testing.T) {
	for name, wrapped := range map[string]error{
		"ErrNotSent":    idempotency.ErrNotSent,
		"ErrCancelled":  idempotency.ErrCancelled,
		"a Rejection":   &idempotency.Rejection{Code: "inner"},
		"all of them":   errors.Join(idempotency.ErrNotSent, idempotency.ErrCancelled, &idempotency.Rejection{Code: "inner"}),
		"a nested Do's": fmt.Errorf("shipping: %w", fmt.Errorf("%w: %w", idempotency.ErrNotSent, &idempotency.Rejection{Code: "inner"})),
	} {
		said := fmt.Errorf("%w, because of %w", wrapped, errDown)
		check := func(t *testing.T, err error, want any) {
			t.Helper()
			requireUnsafe(t, err)
			require.ErrorAs(t, err, want)
			require.ErrorIs(t, err, errDown, "everything else stays findable")
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { // unknown
				_, err := wrap(t, newStore(), blind(&provider{script: []step{fail(said)}})).Do(t.Context(), "k", book)
				check(t, err, new(*idempotency.UnknownError))
			})
			bubble(t, func(t *testing.T) { // pending, because the call was started
				w := wrap(t, newStore(), blind(&provider{script: []step{fail(idempotency.NotSent(said))}}))
				_, err := w.Start(t.Context(), "k", book)
				require.NoError(t, err)
				_, err = w.Do(t.Context(), "k", book)
				check(t, err, new(*idempotency.PendingError))
			})
			bubble(t, func(t *testing.T) { // pending, because the caller left
				ctx, cancel := context.WithCancelCause(t.Context())
				cancel(said)
				_, err := wrap(t, newStore(), blind(&provider{script: []step{pay}})).Do(ctx, "k", book)
				check(t, err, new(*idempotency.PendingError))
			})
			bubble(t, func(t *testing.T) { // unrecorded, and the store's failure
				mine := newFaulty(newStore())
				mine.set(func(op string, _ int) trouble {
					if op == "Settle" {
						return trouble{before: said}
					}
					return trouble{}
				})
				w := wrap(t, mine, blind(&provider{script: []step{pay}}))
				_, err := w.Do(t.Context(), "k", book)
				check(t, err, new(*idempotency.UnrecordedError))
				mine.set(func(string, int) trouble { return trouble{before: said} })
				_, err = w.Do(t.Context(), "k2", book)
				requireUnsafe(t, err)
				require.ErrorIs(t, err, idempotency.ErrStore)
				require.ErrorIs(t, err, errDown)
				mine.up()
			})
		})
	}
}

// What the typed errors say: which call, where it stands, when to come back; their text says what to do next.
func TestWhatErrorsSay(t *testing.T) {
	id := idempotency.ID{Operation: "charge", Scope: "tenant", Key: "k"}
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(errLost)}}
		c := keyed(p)
		c.Retry = retry.Policy{Initial: 4 * time.Second, Attempts: 1, Jitter: retry.NoJitter}
		_, err := wrap(t, newStore(), c).For("tenant").Do(t.Context(), "k", book)
		unknown := requireUnknown(t, err)
		require.Equal(t, id, unknown.ID)
		require.Equal(t, 4*time.Second, unknown.RetryAfter(), "the next step is due then")
		require.ErrorContains(t, err, "ask again with the same key")
		require.ErrorContains(t, err, errLost.Error())
	})
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(idempotency.Accepted("ch_1", 42*time.Second))}}
		_, err := wrap(t, newStore(), askable(p)).For("tenant").Do(t.Context(), "k", book)
		pending := requirePending(t, err)
		require.Equal(t, id, pending.ID)
		require.Equal(t, 42*time.Second, pending.RetryAfter())
		require.ErrorContains(t, err, "accepted")
		require.ErrorContains(t, err, "ask again with the same key")
	})
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(idempotency.Rejected("declined", errors.New("insufficient funds")))}}
		_, err := wrap(t, newStore(), blind(p)).Do(t.Context(), "k", book)
		var no *idempotency.Rejection
		require.ErrorAs(t, err, &no)
		require.Equal(t, idempotency.Rejection{Code: "declined", Message: "insufficient funds"}, *no)
		require.NotErrorIs(t, err, &idempotency.Rejection{Code: "other"})
		require.ErrorContains(t, err, "insufficient funds")
	})
	bubble(t, func(t *testing.T) {
		mine := newFaulty(newStore())
		w := wrap(t, mine, blind(&provider{script: []step{fail(idempotency.Rejected("declined", nil))}}))
		mine.set(func(op string, _ int) trouble {
			if op == "Settle" {
				return trouble{before: errDown}
			}
			return trouble{}
		})
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorContains(t, err, `charge "k" ended rejected, which is not recorded yet`)
		mine.down()
		_, err = w.Do(t.Context(), "k2", book)
		require.EqualError(t, err, "idempotency: the store failed: Acquire: the store is down")
		mine.up()
	})
	bubble(t, func(t *testing.T) {
		_, err := wrap(t, newStore(), blind(&provider{script: []step{fail(idempotency.NotSent(nil))}})).Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
		require.ErrorContains(t, err, "nothing was sent")
	})
	require.EqualError(t, &idempotency.Rejection{Code: "declined"}, "idempotency: rejected: declined")
	require.EqualError(t, &idempotency.PanicError{Value: "boom"}, "idempotency: panic: boom")
	require.EqualError(t, &idempotency.PanicError{}, "idempotency: runtime.Goexit was called")
	require.ErrorIs(t, &idempotency.PanicError{Value: errLost}, errLost)
	require.NoError(t, idempotency.Replayed(nil))
	require.Equal(t, "invalid", idempotency.State(99).String())
}

// Every hook is called; one that panics, or ends its goroutine, takes nobody with it.
func TestHooks(t *testing.T) {
	for how, bad := range map[string]func(){"sound": func() {}, "panicking": func() { panic("hook") }} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var called recorder[string]
				note := func(name string) { called.add(name); bad() }
				p := &provider{
					script: []step{fail(errLost), pay, deaf(time.Minute, pay), pay, pay},
					looks:  []look{says(idempotency.Happened(payment{ID: "found"}))},
				}
				c := askable(p)
				c.Timeout, c.SettleFor, c.Retry.Attempts = 20*time.Second, 10*time.Second, 2
				c.Hooks = idempotency.Hooks{
					Attempt:     func(e idempotency.AttemptEvent) { note("Attempt " + e.Class) },
					Asked:       func(e idempotency.AskedEvent) { note("Asked " + e.Verdict) },
					Settled:     func(e idempotency.SettledEvent) { note("Settled " + e.State.String()) },
					Answered:    func(e idempotency.AnsweredEvent) { note(fmt.Sprint("Answered ", e.Replayed)) },
					Conflict:    func(e idempotency.ConflictEvent) { note("Conflict " + e.Recorded.String()) },
					Unrecorded:  func(idempotency.UnrecordedEvent) { note("Unrecorded") },
					LeaseLost:   func(idempotency.ID) { note("LeaseLost") },
					Stuck:       func(idempotency.ID) { note("Stuck") },
					StoreError:  func(op string, err error) { note("StoreError " + op) },
					NotifyError: func(idempotency.ID, error) { note("NotifyError") },
					Oldest:      func(string, time.Duration) { note("Oldest") },
				}
				fails := true
				c.OnSettled = func(context.Context, settled) error {
					if fails {
						fails = false
						return errDown
					}
					return nil
				}
				mine := newFaulty(newStore())
				w := wrap(t, mine, c)
				res, err := w.Do(t.Context(), "asked", book)
				require.NoError(t, err)
				require.Equal(t, "found", res.Value.ID)
				_, err = w.Do(t.Context(), "asked", book)
				require.NoError(t, err)
				_, err = w.Do(t.Context(), "paid", book)
				require.NoError(t, err)
				_, _ = w.Settle(t.Context(), "nobody's", idempotency.Happened(payment{}))
				mine.set(func(op string, _ int) trouble {
					if op == "Extend" {
						return trouble{before: errDown}
					}
					return trouble{}
				})
				_, err = w.Do(patience(t, 22*time.Second), "stuck", book)
				requireUnsafe(t, err)
				mine.set(func(op string, _ int) trouble {
					if op == "Settle" {
						return trouble{before: errDown}
					}
					return trouble{}
				})
				_, err = w.Do(t.Context(), "unrecorded", book)
				require.ErrorAs(t, err, new(*idempotency.UnrecordedError))
				time.Sleep(time.Minute)
				mine.up()
				runs(t, w)
				time.Sleep(10 * time.Minute)
				for _, want := range []string{
					"Attempt unknown", "Attempt succeeded", "Asked happened", "Settled succeeded", "Answered true", "Conflict absent",
					"Unrecorded", "Stuck", "StoreError Settle", "NotifyError", "Oldest",
				} {
					require.Contains(t, called.all(), want)
				}
				for _, key := range []string{"asked", "paid", "stuck", "unrecorded"} {
					requireState(t, w, key, idempotency.StateSucceeded)
				}
			})
		})
	}
}

// The events of one call, in full.
func TestEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var attempts recorder[idempotency.AttemptEvent]
		var asked recorder[idempotency.AskedEvent]
		var moved recorder[idempotency.SettledEvent]
		p := &provider{
			script: []step{after(3*time.Second, fail(errLost))},
			looks:  []look{func(context.Context, attempt, purchase) (verdict, error) { return verdict{}, errDown }, says(idempotency.Happened(payment{ID: "found"}))},
		}
		c := askable(p)
		c.Hooks = idempotency.Hooks{Attempt: attempts.add, Asked: asked.add, Settled: moved.add}
		_, err := wrap(t, newStore(), c).For("tenant").Do(t.Context(), "k", book)
		require.NoError(t, err)
		id := idempotency.ID{Operation: "charge", Scope: "tenant", Key: "k"}
		require.Equal(t, []idempotency.AttemptEvent{
			{ID: id, ProviderKey: p.sendings()[0].Key, Number: 1, Class: "unknown", Err: errLost, Took: 3 * time.Second},
		}, attempts.all())
		require.Equal(t, []idempotency.AskedEvent{
			{ID: id, Verdict: "don't know", Err: errDown}, {ID: id, Verdict: "happened", Believed: true},
		}, asked.all())
		var states []string
		for _, e := range moved.all() {
			require.Equal(t, id, e.ID)
			require.Equal(t, 1, e.Attempts)
			states = append(states, e.State.String())
		}
		require.Equal(t, []string{"unknown", "unknown", "succeeded"}, states)
		require.Equal(t, 1, p.questions()[0].Number, "Lookup is told how many attempts there were")
		require.Equal(t, p.sendings()[0].Key, p.questions()[0].Key)
	})
}

// Attempt.FirstSent and Number go on from process to process.
func TestAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(errLost)}}
		c := keyed(p)
		c.Retry.Attempts = 2
		store := newStore()
		began := time.Now()
		for range 3 {
			_, err := wrap(t, store, c).Do(t.Context(), "k", book)
			requireUnknown(t, err)
			time.Sleep(time.Minute)
		}
		for i, s := range p.sendings() {
			require.Equal(t, i+1, s.Number)
			require.Equal(t, began, s.FirstSent)
			require.Equal(t, "k", s.ID)
		}
		require.Len(t, p.sendings(), 6)
	})
}
