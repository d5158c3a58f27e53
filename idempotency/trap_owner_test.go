package idempotency_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// unrenewed returns a process whose lease of 30 s cannot be renewed, and whose Send takes 40 s whatever its context says.
func unrenewed(t *testing.T, store idempotency.Store, c call, end step) *wrapper {
	mine := newFaulty(store)
	mine.set(func(op string, _ int) trouble {
		if op == "Extend" {
			return trouble{before: errDown}
		}
		return trouble{}
	})
	c.Send, c.Timeout, c.Grace = deaf(40*time.Second, end), 2*time.Minute, 10*time.Minute
	return wrap(t, mine, c)
}

// T7: an owner that lost its claim changes nothing, except that its success is handed in as a verdict.
func TestAnOldOwner(t *testing.T) {
	rows := []struct {
		name     string
		old      step
		newer    step
		state    idempotency.State
		value    string
		conflict bool
	}{
		{"late success, the new owner's attempt unknown", pay, fail(errLost), idempotency.StateSucceeded, "book #1", false},
		{"late success, the new owner succeeded", pay, fail(nil), idempotency.StateSucceeded, "", false},
		{"late success, the new owner was rejected", pay, fail(idempotency.Rejected("declined", nil)), idempotency.StateRejected, "", true},
		{"late rejection, the new owner succeeded", fail(idempotency.Rejected("declined", nil)), pay, idempotency.StateSucceeded, "book #1", true},
		{"late not sent, the new owner succeeded", fail(idempotency.NotSent(errLost)), pay, idempotency.StateSucceeded, "book #1", false},
		{"late error, the new owner accepted", fail(errLost), fail(idempotency.Accepted("ch_1", time.Hour)), idempotency.StateAccepted, "", false},
		{"late rejection, the new owner unknown", fail(idempotency.Rejected("declined", nil)), fail(errLost), idempotency.StateUnknown, "", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newStore()
				var conflicts recorder[idempotency.ConflictEvent]
				c := keyed(&provider{script: []step{row.newer}})
				c.KeyedErrors = func(*idempotency.Rejection) bool { return true }
				c.Hooks.Conflict = conflicts.add
				c.Retry.Attempts = 1
				old := goDo(t.Context(), unrenewed(t, store, c, row.old), "k", book)
				time.Sleep(35 * time.Second)
				w := wrap(t, store, c)
				_, _ = w.Do(t.Context(), "k", book)
				time.Sleep(10 * time.Second)
				s := requireState(t, w, "k", row.state)
				require.Equal(t, row.value, s.Value.ID)
				if row.conflict {
					require.NotEmpty(t, conflicts.all(), "a contradiction must be reported")
				} else {
					require.Empty(t, conflicts.all())
				}
				was := <-old
				if row.state == idempotency.StateSucceeded && !row.conflict {
					require.NoError(t, was.err, "the old owner's caller gets the outcome")
				} else if row.state != idempotency.StateRejected {
					require.NotErrorAs(t, was.err, new(*idempotency.Rejection), "what was not recorded must not be told (T68)")
				}
			})
		})
	}
}

// T8: a result is not refused because the lease had run out, if nobody took over.
func TestALateResultCountsIfNobodyTookOver(t *testing.T) {
	rows := map[idempotency.State]step{
		idempotency.StateSucceeded: pay,
		idempotency.StateRejected:  fail(idempotency.Rejected("declined", nil)),
		idempotency.StateAccepted:  fail(idempotency.Accepted("ch_1", time.Hour)),
	}
	for state, end := range rows {
		t.Run(state.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newStore()
				slow := goDo(t.Context(), unrenewed(t, store, blind(&provider{}), end), "k", book)
				time.Sleep(35 * time.Second)
				w := wrap(t, store, blind(&provider{}))
				_, err := w.Do(t.Context(), "k", book)
				requireUnknown(t, err)
				_, err = w.Settle(t.Context(), "k", idempotency.DidNotHappen[payment]().AsOf(requireState(t, w, "k", idempotency.StateUnknown)))
				requirePending(t, err) // its owner may still come back
				<-slow
				requireState(t, w, "k", state)
			})
		})
	}
}

// T9 P4: the outcome is recorded although the caller has gone.
func TestTheOutcomeIsRecordedWithoutItsCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(5*time.Second, pay)}}
		w := wrap(t, newStore(), blind(p))
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the tab was closed")
		waiting := goDo(ctx, w, "k", book)
		time.Sleep(time.Second)
		cancel(gone)
		got := <-waiting
		requirePending(t, got.err)
		require.ErrorIs(t, got.err, gone, "errors.Is finds why the caller left")
		time.Sleep(10 * time.Second)
		requireState(t, w, "k", idempotency.StateSucceeded)
		require.Len(t, p.sendings(), 1)
	})
}

// T9 P4: while the store is away, the caller gets the value and an error that says so after about 2 s; recording goes on,
// and the lease stands.
func TestTheStoreIsAwayWhenTheOutcomeComes(t *testing.T) {
	rows := []struct {
		name string
		end  step
		told idempotency.State
	}{
		{"success", pay, idempotency.StateSucceeded},
		{"rejection", fail(idempotency.Rejected("declined", nil)), idempotency.StateRejected},
		{"accepted", fail(idempotency.Accepted("ch_1", time.Hour)), idempotency.StateAccepted},
		{"not sent", fail(retry.Permanent(idempotency.NotSent(errLost))), idempotency.StateFree},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newStore()
				mine := newFaulty(store)
				p := &provider{script: []step{row.end}}
				mine.set(func(op string, _ int) trouble {
					if op == "Settle" {
						return trouble{before: errDown}
					}
					return trouble{}
				})
				w := wrap(t, mine, blind(p))
				began := time.Now()
				res, err := w.Do(t.Context(), "k", book)
				require.InDelta(t, 2, time.Since(began).Seconds(), 0.5, "callers are told after about 2 s")
				var unrecorded *idempotency.UnrecordedError
				require.ErrorAs(t, err, &unrecorded)
				require.Equal(t, row.told.String(), unrecorded.State.String())
				require.ErrorIs(t, err, errDown)
				requireUnsafe(t, err) // T68
				if row.told == idempotency.StateSucceeded {
					require.Equal(t, paid(book, 1), res.Value, "the value is known, and must be handed over")
				}
				time.Sleep(3 * time.Minute)
				other := wrap(t, store, blind(p))
				requireState(t, other, "k", idempotency.StateRunning) // renewed all the time
				_, err = w.Do(t.Context(), "k", book)
				require.ErrorAs(t, err, &unrecorded, "who joins is told the same")
				mine.up()
				time.Sleep(10 * time.Second)
				s, err := other.Status(t.Context(), "k")
				if row.told == idempotency.StateFree {
					require.ErrorIs(t, err, idempotency.ErrNoRecord)
				} else {
					require.NoError(t, err)
					require.Equal(t, row.told.String(), s.State.String())
				}
				require.Len(t, p.sendings(), 1)
			})
		})
	}
}

// T9 T35: a value that cannot be stored is still known to who waits for it, also while the store is away.
func TestAnUnrecordedValueThatCannotBeStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mine := newFaulty(newStore())
		mine.set(func(op string, _ int) trouble {
			if op == "Settle" {
				return trouble{before: errDown}
			}
			return trouble{}
		})
		c := blind(&provider{script: []step{pay}})
		c.MaxBytes = 30
		res, err := wrap(t, mine, c).Do(t.Context(), "k", purchase{})
		require.ErrorAs(t, err, new(*idempotency.UnrecordedError))
		require.Equal(t, paid(purchase{}, 1), res.Value, "UnrecordedError is returned beside the value")
		mine.up()
	})
}

// T10: panics and Goexit in Send are unknown outcomes; everybody who waits hears of it, with value and stack.
func TestPanicsInSend(t *testing.T) {
	for name, row := range map[string]struct {
		step  step
		value any
	}{
		"panic":              {after(time.Second, panics("boom")), "boom"},
		"panic with error":   {after(time.Second, panics(errLost)), errLost},
		"runtime.Goexit":     {after(time.Second, goexits), nil},
		"panic in its Grace": {deaf(8500*time.Millisecond, panics("boom")), "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := wrap(t, newStore(), blind(&provider{script: []step{row.step}}))
				var waiting []<-chan answered
				for range 3 {
					waiting = append(waiting, goDo(t.Context(), w, "k", book))
					synctest.Wait()
				}
				for _, c := range waiting {
					got := <-c
					requireUnknown(t, got.err)
					var panicked *idempotency.PanicError
					require.ErrorAs(t, got.err, &panicked)
					require.Equal(t, row.value, panicked.Value)
					require.Contains(t, string(panicked.Stack), "helpers_test.go", "the stack shows where it happened")
				}
				requireState(t, w, "k", idempotency.StateUnknown)
			})
		})
	}
}

// T10: the same in everything else that is the user's: nobody hangs, no claim is kept alive, and recovery goes on.
func TestPanicsElsewhere(t *testing.T) {
	rows := []struct {
		name  string
		spoil func(c *call, bad func())
		state idempotency.State
	}{
		{"Lookup", func(c *call, bad func()) {
			c.Lookup = func(context.Context, attempt, purchase) (verdict, error) { bad(); return verdict{}, nil }
		}, idempotency.StateUnknown},
		{"Retry.OnRetry", func(c *call, bad func()) { c.Retry.OnRetry = func(retry.Retry) { bad() } }, idempotency.StateUnknown},
		{"the Attempt hook", func(c *call, bad func()) { c.Hooks.Attempt = func(idempotency.AttemptEvent) { bad() } }, idempotency.StateUnknown},
		{"the Settled hook", func(c *call, bad func()) { c.Hooks.Settled = func(idempotency.SettledEvent) { bad() } }, idempotency.StateUnknown},
		{"the Asked hook", func(c *call, bad func()) { c.Hooks.Asked = func(idempotency.AskedEvent) { bad() } }, idempotency.StateUnknown},
	}
	for _, row := range rows {
		for how, bad := range map[string]func(){"panics": func() { panic("boom") }, "Goexit": func() { runtime.Goexit() }} {
			t.Run(row.name+" "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p := &provider{script: []step{fail(errLost)}, looks: []look{says(idempotency.DontKnow[payment]())}}
					c := askable(p)
					c.Retry.Attempts = 2
					row.spoil(&c, bad)
					store := newStore()
					_, err := wrap(t, store, c).Do(t.Context(), "k", book)
					requireUnsafe(t, err)
					n, err := wrap(t, store, c).Recover(t.Context())
					require.NoError(t, err)
					time.Sleep(2 * time.Minute)
					if n == 0 {
						_, err = wrap(t, store, c).Recover(t.Context())
						require.NoError(t, err)
						time.Sleep(2 * time.Minute)
					}
					requireState(t, wrap(t, store, askable(p)), "k", row.state)
				})
			})
		}
	}
}
