package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// P1: for one key, one attempt is under way among all processes and callers that share a store.
func TestP1OneAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(3*time.Second, pay)}}
		store := newStore()
		var waiting []<-chan answered
		for range 4 {
			w := wrap(t, store, keyed(p))
			runs(t, w)
			for range 8 {
				waiting = append(waiting, goDo(t.Context(), w, "k", book))
			}
		}
		attempts := 0
		for _, c := range waiting {
			got := <-c
			require.NoError(t, got.err)
			require.Equal(t, paid(book, 1), got.Value)
			attempts += got.Attempts
		}
		require.Equal(t, len(waiting), attempts, "every caller is told that it took one attempt")
		require.Len(t, p.sendings(), 1)
		require.Equal(t, 1, p.most)
	})
}

// P1 T17: a process that notices the loss of its lease cancels its attempt; ErrLeaseLost is the cause.
func TestP1ALostLeaseCancelsTheAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var lost recorder[idempotency.ID]
		var failures recorder[string]
		var cause error
		mine := newFaulty(newStore())
		c := blind(&provider{script: []step{func(ctx context.Context, _ attempt, _ purchase) (payment, error) {
			mine.set(func(op string, _ int) trouble {
				if op == "Extend" {
					return trouble{before: errDown}
				}
				return trouble{}
			})
			<-ctx.Done()
			cause = context.Cause(ctx)
			return payment{}, ctx.Err()
		}}})
		c.Timeout = 5 * time.Minute
		c.Hooks.LeaseLost = lost.add
		c.Hooks.StoreError = func(op string, err error) {
			if errors.Is(err, errDown) {
				failures.add(op)
			}
		}
		began := time.Now()
		_, err := wrap(t, mine, c).Do(t.Context(), "k", book)
		requireUnknown(t, err)
		require.ErrorIs(t, cause, idempotency.ErrLeaseLost)
		require.Len(t, lost.all(), 1, "one lost lease is told once")
		require.Contains(t, failures.all(), "Extend", "renewals that fail are told")
		require.InDelta(t, 30, time.Since(began).Seconds(), 5, "the attempt ends when the lease may have run out")
	})
}

// P2: a settled outcome never changes, whatever is asked or said afterwards.
func TestP2SettledIsFinal(t *testing.T) {
	for name, row := range map[string]struct {
		end   step
		check func(t *testing.T, err error)
	}{
		"succeeded": {pay, func(t *testing.T, err error) { require.NoError(t, err) }},
		"rejected": {fail(idempotency.Rejected("declined", nil)), func(t *testing.T, err error) {
			requireRejected(t, err, "declined")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{row.end, pay}}
				store := newStore()
				c := blind(p)
				c.GiveUp = time.Minute
				w := wrap(t, store, c)
				first, err := w.Do(t.Context(), "k", book)
				row.check(t, err)
				for range 3 {
					_, _ = w.Cancel(t.Context(), "k")
					_, _ = w.Settle(t.Context(), "k", idempotency.Happened(payment{ID: "other"}))
					_, _ = w.Settle(t.Context(), "k", idempotency.Declined[payment]("other", nil).AsOf(requireState(t, w, "k", requireAny(t, w).State)))
					_, _ = w.Settle(t.Context(), "k", idempotency.DidNotHappen[payment]())
					_, err = w.Start(t.Context(), "k", book)
					require.NoError(t, err)
					time.Sleep(time.Hour)
					_, err = w.Recover(t.Context())
					require.NoError(t, err)
					again, err := wrap(t, newFaulty(store), c).Do(t.Context(), "k", book)
					row.check(t, err)
					require.Equal(t, first.Value, again.Value)
					require.True(t, again.Replayed)
				}
				require.Len(t, p.sendings(), 1)
			})
		})
	}
}

func requireAny(t *testing.T, w *wrapper) status {
	s, err := w.Status(t.Context(), "k")
	require.NoError(t, err)
	return s
}

// P3: an unknown outcome stays unknown, visibly, until somebody settles it.
func TestP3UnknownIsNeverGuessed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{lost, pay}}
		c := blind(p)
		c.Poll = 10 * time.Second
		w := wrap(t, newStore(), c)
		runs(t, w)
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		require.ErrorIs(t, err, context.DeadlineExceeded, "errors.Is finds what the attempt ended with")
		require.ErrorContains(t, err, "Settle", "the text says what to do next")
		time.Sleep(6 * time.Hour)
		list, err := w.List(t.Context(), idempotency.Query{States: []idempotency.State{idempotency.StateUnknown}})
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, "k", list[0].Key)
		require.Len(t, p.sendings(), 1)
		_, err = w.Settle(t.Context(), "k", idempotency.Happened(payment{ID: "by hand"}))
		require.NoError(t, err)
		res, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, "by hand", res.Value.ID)
	})
}

// P4: see TestTheStoreIsAwayWhenTheOutcomeComes, and this: what cannot be recorded within SettleFor is handed to the hook,
// in full (T26).
func TestP4KnownIsNeverLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kept recorder[idempotency.UnrecordedEvent]
		mine := newFaulty(newStore())
		c := blind(&provider{script: []step{pay}})
		c.SettleFor = time.Minute
		c.Hooks.Unrecorded = kept.add
		w := wrap(t, mine, c)
		mine.set(func(op string, _ int) trouble {
			if op == "Settle" {
				return trouble{before: errDown}
			}
			return trouble{}
		})
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorAs(t, err, new(*idempotency.UnrecordedError))
		require.Empty(t, kept.all())
		time.Sleep(2 * time.Minute)
		require.Len(t, kept.all(), 1)
		event := kept.all()[0]
		require.Equal(t, idempotency.ID{Operation: "charge", Key: "k"}, event.ID)
		require.Equal(t, idempotency.StateSucceeded, event.Outcome.State)
		require.JSONEq(t, `{"ID":"book #1","Notes":null}`, string(event.Outcome.Value))
		require.ErrorIs(t, event.Err, errDown)
		mine.up()
		time.Sleep(time.Minute)
		_, err = w.Do(t.Context(), "k", book)
		requireUnknown(t, err) // the lease was let go
	})
}

// P5: a caller waits no longer than its own context; the attempt goes on, and who comes back finds it.
func TestP5WaitingIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(7*time.Second, pay)}}
		w := wrap(t, newStore(), blind(p))
		for range 3 { // leaving and coming back is what customers do
			began := time.Now()
			_, err := w.Do(patience(t, time.Second), "k", book)
			pending := requirePending(t, err)
			require.Equal(t, time.Second, time.Since(began))
			require.Equal(t, idempotency.StateRunning, pending.State)
			require.Positive(t, pending.RetryAfter())
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotEqual(t, context.DeadlineExceeded, err, "never a bare context error")
		}
		res, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.False(t, res.Replayed, "it joined the call that was under way")
		require.Len(t, p.sendings(), 1)
	})
	bubble(t, func(t *testing.T) { // also while the store hangs
		mine := newFaulty(newStore())
		mine.set(func(string, int) trouble { return trouble{wait: time.Minute, before: errDown} })
		p := &provider{script: []step{pay}}
		w := wrap(t, mine, blind(p))
		began := time.Now()
		_, err := w.Do(patience(t, time.Second), "k", book)
		requirePending(t, err)
		require.Equal(t, time.Second, time.Since(began))
		mine.up()
	})
}

// P6: a process killed at any instruction leaves a record from which any other can finish; the request is in it. Every
// request to the store is a place to die at, before and after it is done.
func TestP6CrashSafe(t *testing.T) {
	started := func(t *testing.T, w *wrapper) {
		_, _ = w.Start(t.Context(), "k", book)
		_, _ = w.Recover(t.Context())
	}
	done := func(t *testing.T, w *wrapper) { _, _ = w.Do(patience(t, time.Minute), "k", book) }
	for kind, act := range map[string]func(*testing.T, *wrapper){"Do": done, "Start and Recover": started} {
		for n := range 6 {
			for when, what := range map[string]trouble{"before": {before: errDown}, "after": {after: errDown}} {
				t.Run(fmt.Sprintf("%s dies %s request %d", kind, when, n+1), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						p := &provider{script: []step{fail(errLost), pay}}
						store := newStore()
						mine := newFaulty(store)
						total := 0
						mine.set(func(string, int) trouble {
							total++
							switch {
							case total == n+1:
								return what
							case total > n:
								return trouble{before: errDown}
							}
							return trouble{}
						})
						c := keyed(p)
						c.Retry.Attempts, c.Poll = 2, 10*time.Second
						act(t, wrap(t, mine, c))
						time.Sleep(time.Minute)
						w := wrap(t, store, c)
						_, err := w.Status(t.Context(), "k")
						if errors.Is(err, idempotency.ErrNoRecord) {
							require.Empty(t, p.sendings(), "sent without a record")
							return
						}
						require.NoError(t, err)
						runs(t, w)
						time.Sleep(time.Hour)
						requireState(t, w, "k", idempotency.StateSucceeded)
						for _, s := range p.sendings() {
							require.Equal(t, book, s.in, "the request is in the record")
							require.Equal(t, p.sendings()[0].Key, s.Key)
						}
						require.Equal(t, 1, p.most)
					})
				})
			}
		}
	}
}

// P7 T25: when the store cannot be asked, nothing is sent, however it fails.
func TestP7FailClosed(t *testing.T) {
	for name, what := range map[string]trouble{
		"refuses":    {before: errDown},
		"hangs":      {wait: time.Minute, before: errDown},
		"lost reply": {after: errDown},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{pay}}
				mine := newFaulty(newStore())
				mine.set(func(string, int) trouble { return what })
				w := wrap(t, mine, blind(p))
				_, err := w.Do(t.Context(), "k", book)
				require.ErrorIs(t, err, idempotency.ErrStore)
				require.ErrorIs(t, err, errDown, "the store's own error is to be found")
				requireUnsafe(t, err)
				for method, err := range everyMethod(t, w, "k2") {
					if method != "Status" || name != "lost reply" {
						require.ErrorIs(t, err, idempotency.ErrStore, method)
					}
				}
				_, err = w.List(t.Context(), idempotency.Query{})
				require.ErrorIs(t, err, idempotency.ErrStore)
				_, err = w.Recover(t.Context())
				require.ErrorIs(t, err, idempotency.ErrStore)
				require.Empty(t, p.sendings())
				mine.up()
			})
		})
	}
}

// P8 T21: a key that comes back with other input is refused in every state.
func TestP8SameKeySameRequest(t *testing.T) {
	for name, row := range everyState() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, p := row.make(t)
				sent := len(p.sendings())
				if name == "absent" || name == "cancelled before it was made" {
					return // no request is known yet
				}
				for range 2 {
					_, err := w.Do(patience(t, time.Second), "k", lamp)
					require.ErrorIs(t, err, idempotency.ErrKeyReused)
					requireUnsafe(t, err)
					_, err = w.Start(t.Context(), "k", lamp)
					require.ErrorIs(t, err, idempotency.ErrKeyReused)
				}
				require.Len(t, p.sendings(), sent)
			})
		})
	}
}

// P9: the three errors that make a new key safe come only from a confirmed record.
func TestP9SafeToStartAnew(t *testing.T) {
	bubble(t, func(t *testing.T) { // not sent
		p := &provider{script: []step{fail(idempotency.NotSent(errLost))}}
		w := wrap(t, newStore(), blind(p))
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
		require.ErrorIs(t, err, errLost)
		require.Len(t, p.sendings(), retry.DefaultAttempts)
		_, err = w.Status(t.Context(), "k")
		require.ErrorIs(t, err, idempotency.ErrNoRecord, "the key is free: the same one may be tried again")
		n, err := w.Recover(t.Context())
		require.NoError(t, err)
		require.Zero(t, n, "and nothing will send it later")
	})
	bubble(t, func(t *testing.T) { // not sent, because of a nested rejection
		p := &provider{script: []step{fail(idempotency.NotSent(&idempotency.Rejection{Code: "inner"}))}}
		w := wrap(t, newStore(), blind(p))
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
		require.NotErrorAs(t, err, new(*idempotency.Rejection), "it is open to be sent again, and was not rejected (T67)")
	})
}

// Every caller of a call that succeeds is told how: first, joined, replayed.
func TestResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen recorder[idempotency.AnsweredEvent]
		p := &provider{script: []step{fail(idempotency.NotSent(errLost)), after(2*time.Second, pay)}}
		c := blind(p)
		c.Hooks.Answered = seen.add
		w := wrap(t, newFaulty(newStore()), c)
		leader := goDo(t.Context(), w, "k", book)
		synctest.Wait()
		joiner := goDo(t.Context(), w, "k", book)
		for _, c := range []<-chan answered{leader, joiner} {
			got := <-c
			require.NoError(t, got.err)
			require.Equal(t, result{Value: paid(book, 2), Attempts: 2, SettledAt: time.Now()}, got.result)
		}
		at := time.Now()
		time.Sleep(time.Hour)
		res, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, result{Value: paid(book, 2), Replayed: true, Attempts: 2, SettledAt: at}, res)
		id := idempotency.ID{Operation: "charge", Key: "k"}
		require.Equal(t, []idempotency.AnsweredEvent{{ID: id, Joined: true}, {ID: id, Replayed: true}}, seen.all())
	})
}
