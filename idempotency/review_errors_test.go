package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
)

// What a hostile review found about errors: each of these tests failed once. H numbers are the review's.

// H1: a nested call's rejection is carried by an unknown outcome, and must not be found by its code: whoever asks
// "was my card declined?" would be told yes, and pay again.
func TestReviewANestedRejectionIsNotTheCalls(t *testing.T) {
	rows := map[string]func(error) error{
		"as it is": func(err error) error { return err },
		"wrapped":  func(err error) error { return fmt.Errorf("second step: %w", err) },
		"joined":   func(err error) error { return errors.Join(errLost, err) },
		"panicked": func(err error) error { panic(err) },
	}
	for name, around := range rows {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				inner := wrap(t, newStore(), call{Name: "inner", Send: fail(idempotency.Rejected("card_declined", nil))})
				c := blind(&provider{})
				c.Send = func(ctx context.Context, _ attempt, in purchase) (payment, error) {
					_, err := inner.Do(ctx, "x", in)
					return payment{}, around(err)
				}
				_, err := wrap(t, newStore(), c).Do(t.Context(), "k", book)
				requireUnknown(t, err)
				require.NotErrorIs(t, err, &idempotency.Rejection{Code: "card_declined"}, "%T matches the code of a call inside Send", err)
			})
		})
	}
}

// H2, H40: ErrStore says that this call sent nothing. Once Send was called no error may say so, whichever request to the
// store fails, and whether it fails before or after it was done.
func TestReviewErrStoreMeansNothingWasSent(t *testing.T) {
	for _, op := range []string{"Acquire", "Get", "Extend", "Settle"} {
		for name, what := range map[string]trouble{"never arrives": {before: errDown}, "reply lost": {after: errDown}} {
			for from := 1; from <= 3; from++ {
				t.Run(fmt.Sprintf("%s %s from number %d on", op, name, from), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						store := newFaulty(newStore())
						p := &provider{script: []step{lost}, looks: []look{says(idempotency.StillPending[payment](time.Second))}}
						w := wrap(t, store, askable(p))
						store.set(func(o string, n int) trouble {
							if o == op && n >= from {
								return what
							}
							return trouble{}
						})
						_, err := w.Do(patience(t, 5*time.Minute), "k", book)
						require.Error(t, err)
						requireUnsafe(t, err)
						if sent := len(p.sendings()); sent > 0 {
							require.NotErrorIs(t, err, idempotency.ErrStore, "Send was called %d times; a caller reads ErrStore as: nothing was sent", sent)
						}
						store.up()
					})
				})
			}
		}
	}
}

// H40: the call was made, its outcome is not recorded yet.
func TestReviewUnrecordedIsNotErrStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newFaulty(newStore())
		p := &provider{script: []step{pay}}
		w := wrap(t, store, blind(p))
		store.only("Settle", 1000, trouble{before: errDown})
		res, err := w.Do(t.Context(), "k", book)
		var unrecorded *idempotency.UnrecordedError
		require.ErrorAs(t, err, &unrecorded)
		require.Equal(t, paid(book, 1), res.Value, "it was charged")
		require.NotErrorIs(t, err, idempotency.ErrStore, "a caller reads ErrStore as: nothing was sent")
		require.ErrorIs(t, err, errDown, "the reason stays findable")
		store.up()
	})
}

// H3: Start while a Do runs. The Do may give the call back as not sent, and then nobody makes it: Start must not have
// said that it is committed to.
func TestReviewStartDoesNotCommitToARunningDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(time.Second, fail(idempotency.NotSent(errors.New("no such host")))), pay}}
		c := keyed(p)
		c.Retry.Attempts = 1
		w := wrap(t, newStore(), c)
		runs(t, w)
		do := goDo(t.Context(), w, "k", book)
		synctest.Wait()
		_, err := w.Start(t.Context(), "k", book)
		require.Error(t, err, "Start said that it committed to a call that only a Do has under way")
		require.Positive(t, requirePending(t, err).RetryAfter())
		require.ErrorIs(t, (<-do).err, idempotency.ErrNotSent)
		time.Sleep(time.Hour)
		_, err = w.Status(t.Context(), "k")
		require.ErrorIs(t, err, idempotency.ErrNoRecord, "nobody is committed to the call")

		_, err = w.Start(t.Context(), "k", book)
		require.NoError(t, err, "once the Do is over Start commits")
		time.Sleep(time.Minute)
		requireState(t, w, "k", idempotency.StateSucceeded)
		require.Len(t, p.sendings(), 2)
	})
	t.Run("a started call that runs stays committed to", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := &provider{script: []step{after(5*time.Second, fail(idempotency.NotSent(errors.New("no such host")))), pay}}
			w := wrap(t, newStore(), keyed(p))
			runs(t, w)
			for range 2 {
				_, err := w.Start(t.Context(), "k", book)
				require.NoError(t, err)
				time.Sleep(3 * time.Second)
				synctest.Wait()
			}
			time.Sleep(time.Hour)
			requireState(t, w, "k", idempotency.StateSucceeded)
		})
	})
}

// H19: Goexit in OnSettled (t.FailNow does it) ends the flight after the outcome was recorded. The caller is told that
// outcome, not "unknown", and OnSettled is told again.
func TestReviewGoexitInOnSettled(t *testing.T) {
	rows := map[string]struct {
		send  step
		state idempotency.State
		check func(t *testing.T, err error)
	}{
		"succeeded": {pay, idempotency.StateSucceeded, func(t *testing.T, err error) { require.NoError(t, err) }},
		"rejected": {fail(idempotency.Rejected("no_funds", nil)), idempotency.StateRejected, func(t *testing.T, err error) {
			requireRejected(t, err, "no_funds")
		}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newFaulty(newStore()) // without transactions
				c := blind(&provider{script: []step{row.send}})
				c.OnSettled = func(context.Context, settled) error {
					runtime.Goexit()
					return nil
				}
				w := wrap(t, store, c)
				_, err := w.Do(t.Context(), "k", book)
				requireState(t, w, "k", row.state)
				row.check(t, err)

				var told recorder[string]
				c.OnSettled = func(_ context.Context, s settled) error { told.add(s.State.String()); return nil }
				runs(t, wrap(t, store, c)) // another process, whose OnSettled works
				time.Sleep(time.Hour)
				require.Equal(t, []string{row.state.String()}, told.all(), "OnSettled did not return, so it is told again")
			})
		})
	}
}

// H20: who comes with a dead context is told that the call was not looked at, not that it goes on.
func TestReviewADeadContextSaysNothingGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		w := wrap(t, newStore(), blind(p))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.Do(ctx, "k", book)
		require.Equal(t, idempotency.StateAbsent, requirePending(t, err).State)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "it was not looked at")
		require.NotContains(t, err.Error(), "still", "nothing is under way that could still be")
		_, err = w.Status(t.Context(), "k")
		require.ErrorIs(t, err, idempotency.ErrNoRecord)
		require.Empty(t, p.sendings())
	})
}

// H22: an error that nobody marked, beside one that is marked, may speak of a request that did arrive: unknown. A mark
// around both speaks for both.
func TestReviewAnUnmarkedBranchIsUnknown(t *testing.T) {
	refused := errors.New("dial tcp: connection refused")
	for name, mark := range map[string]func(error) error{
		"not sent": idempotency.NotSent,
		"rejected": func(err error) error { return idempotency.Rejected("no", err) },
		"accepted": func(error) error { return idempotency.Accepted("ch_1", 0) },
	} {
		for shape, err := range map[string]error{
			"joined, mark last":   errors.Join(errLost, mark(refused)),
			"joined, mark first":  errors.Join(mark(refused), errLost),
			"formatted":           fmt.Errorf("first host: %w; second host: %w", errLost, mark(refused)),
			"deep in another one": fmt.Errorf("charge: %w", errors.Join(fmt.Errorf("a: %w", errLost), fmt.Errorf("b: %w", mark(refused)))),
		} {
			t.Run(name+", "+shape, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := wrap(t, newStore(), blind(&provider{script: []step{fail(err)}}))
					_, err := w.Do(t.Context(), "k", book)
					requireUnknown(t, err)
					requireState(t, w, "k", idempotency.StateUnknown)
				})
			})
		}
	}
	t.Run("a mark around both", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := wrap(t, newStore(), blind(&provider{script: []step{fail(idempotency.NotSent(errors.Join(errLost, refused)))}}))
			_, err := w.Do(t.Context(), "k", book)
			require.ErrorIs(t, err, idempotency.ErrNotSent)
		})
	})
}

// An error in a log says which call it speaks of.
func TestErrorsNameTheCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := wrap(t, newStore(), blind(&provider{script: []step{pay}})).For("anna")
		_, err := w.Status(t.Context(), "k")
		require.ErrorIs(t, err, idempotency.ErrNoRecord)
		require.ErrorContains(t, err, `charge "k" of "anna"`)
		_, err = w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		_, err = w.Do(t.Context(), "k", lamp)
		require.ErrorIs(t, err, idempotency.ErrKeyReused)
		require.ErrorContains(t, err, `charge "k" of "anna"`)
		_, err = w.Start(t.Context(), "k", lamp)
		require.ErrorIs(t, err, idempotency.ErrKeyReused)
		require.ErrorContains(t, err, `charge "k" of "anna"`)
		_, err = w.Cancel(t.Context(), "closed")
		require.NoError(t, err)
		_, err = w.Do(t.Context(), "closed", book)
		require.ErrorIs(t, err, idempotency.ErrCancelled)
		require.ErrorContains(t, err, `charge "closed" of "anna"`)
	})
}

// A store whose failure has ended the caller's transaction must not be asked again in it: MySQL would commit that alone, and the call
// would be made though the order was rolled back.
func TestAFinalErrorIsNotAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, op := range []string{"Acquire", "Settle"} {
			store := newFaulty(newStore())
			w := wrap(t, store, blind(&provider{script: []step{pay}}))
			store.only(op, 10, trouble{before: finalError{errDown}})
			var err error
			if op == "Acquire" {
				_, err = w.Start(t.Context(), "k", book)
			} else {
				_, err = w.Settle(t.Context(), "k", idempotency.Happened(payment{}))
			}
			require.ErrorIs(t, err, idempotency.ErrStore)
			require.ErrorIs(t, err, errDown)
			require.Equal(t, 1, store.count(op), op)
		}
	})
}

type finalError struct{ error }

func (f finalError) Unwrap() error { return f.error }
func (finalError) Final() bool     { return true }
