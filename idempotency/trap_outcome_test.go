package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// T1: what nobody marked is unknown, whatever it says or wraps, and holds the key.
func TestUnmarkedErrorsAreUnknown(t *testing.T) {
	rejected, notSent := idempotency.Rejected("declined", nil), idempotency.NotSent(errLost)
	rows := []struct {
		name string
		step step
	}{
		{"a reset connection", fail(errLost)},
		{"the end of a stream", fail(io.ErrUnexpectedEOF)},
		{"an error that says it was not sent", fail(errors.New("not sent, declined, cancelled"))},
		{"a timeout", lost},
		{"its own context error", fail(context.Canceled)},
		{"a permanent error", fail(retry.Permanent(errLost))},
		{"marks that disagree", fail(errors.Join(rejected, notSent))},
		{"accepted and not sent", fail(fmt.Errorf("%w, %w", idempotency.Accepted("ch_1", 0), notSent))},
		{"ErrNotSent of another call", fail(fmt.Errorf("nested: %w", idempotency.ErrNotSent))},
		{"ErrCancelled of another call", fail(fmt.Errorf("nested: %w", idempotency.ErrCancelled))},
		{"a Rejection of another call", fail(fmt.Errorf("nested: %w", &idempotency.Rejection{Code: "declined"}))},
		{"a panic", panics("boom")},
		{"a panic with a marked error", panics(rejected)},
		{"a panic with an error that says not sent", panics(notSent)},
		{"Goexit", goexits},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{row.step, pay}}
				w := wrap(t, newStore(), blind(p))
				for range 2 {
					_, err := w.Do(t.Context(), "k", book)
					unknown := requireUnknown(t, err)
					require.Equal(t, idempotency.StateUnknown, unknown.State)
					require.Zero(t, unknown.RetryAfter(), "no automatic step is left")
				}
				require.True(t, requireState(t, w, "k", idempotency.StateUnknown).Ambiguous)
				_, err := w.Recover(t.Context())
				require.NoError(t, err)
				require.Len(t, p.sendings(), 1, "an unknown outcome was sent again without a promise that makes it harmless")
			})
		})
	}
}

// T1: a nested call's failure carries what its provider said, which is no answer to the outer call.
func TestANestedCallsMarksAreNotTheOuterOnes(t *testing.T) {
	rows := []struct {
		name  string
		inner []step
		setup func(*call)
	}{
		{"rejected, but ambiguous", []step{fail(errLost), fail(idempotency.Rejected("echo", nil))}, nil},
		{"not sent", []step{fail(idempotency.NotSent(errLost))}, nil},
		{"not sent, after an unknown attempt", []step{fail(errLost), fail(idempotency.NotSent(errDown))}, nil},
		{"rejected", []step{fail(idempotency.Rejected("declined", nil))}, nil},
		{"accepted", []step{fail(idempotency.Accepted("ch_1", time.Hour))}, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newStore()
				ship := keyed(&provider{script: row.inner})
				ship.Name = "ship"
				ships := wrap(t, store, ship)
				p := &provider{script: []step{func(ctx context.Context, a attempt, in purchase) (payment, error) {
					// The money moves here. Then the parcel cannot be booked.
					res, err := ships.Do(ctx, a.ID, in)
					return res.Value, err
				}}}
				w := wrap(t, store, blind(p))
				_, err := w.Do(t.Context(), "k", book)
				requireUnknown(t, err)
				requireState(t, w, "k", idempotency.StateUnknown)
			})
		})
	}
}

// crash lets a process make one sending that nobody hears of: its store is gone from then on.
func crash(t *testing.T, store idempotency.Store, c call, key string, in purchase) {
	t.Helper()
	mine := newFaulty(store)
	send := c.Send
	c.Send = func(ctx context.Context, a attempt, in purchase) (payment, error) {
		mine.down()
		return send(ctx, a, in)
	}
	_, err := wrap(t, mine, c).Do(patience(t, 5*time.Second), key, in)
	requireUnsafe(t, err)
}

// T2: a lease that ran out means unknown; what follows is what the provider's promises allow, and no more.
func TestALapsedLeaseMeansUnknown(t *testing.T) {
	rows := []struct {
		name    string
		promise func(*provider) call
		looks   []look
		sent    int
		asked   int
	}{
		{"no promise: held", blind, nil, 1, 0},
		{"live key: sent again with it", keyed, nil, 2, 0},
		{"can be asked: asked first", askable, []look{says(idempotency.Happened(payment{ID: "found"}))}, 1, 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{pay}, looks: row.looks}
				store := newStore()
				crash(t, store, row.promise(p), "k", book)
				w := wrap(t, store, row.promise(p))
				time.Sleep(20 * time.Second)
				_, err := w.Do(patience(t, time.Second), "k", book)
				requirePending(t, err) // the lease still stands
				require.Len(t, p.sendings(), 1)
				time.Sleep(20 * time.Second)
				_, err = w.Do(t.Context(), "k", book)
				require.Len(t, p.sendings(), row.sent, "sendings")
				require.Len(t, p.questions(), row.asked, "questions")
				if row.sent == 1 && row.asked == 0 {
					requireUnknown(t, err)
				} else {
					require.NoError(t, err)
					requireState(t, w, "k", idempotency.StateSucceeded)
				}
			})
		})
	}
}

// T3: after an unknown attempt, "declined" may be the echo of it. It settles only where it cannot be.
func TestARejectionAfterAnUnknownAttempt(t *testing.T) {
	stored := func(no *idempotency.Rejection) bool { return no.Code == "declined" }
	rows := []struct {
		name    string
		change  func(*call)
		code    string
		settles bool
	}{
		{"live key only", func(*call) {}, "declined", false},
		{"the provider stores this class of answer by key", func(c *call) { c.KeyedErrors = stored }, "declined", true},
		{"it stores another class", func(c *call) { c.KeyedErrors = stored }, "already_exists", false},
		{"KeyedErrors panics: nobody knows", func(c *call) {
			c.KeyedErrors = func(*idempotency.Rejection) bool { panic("bug") }
		}, "declined", false},
		{"harmless", func(c *call) { c.Harmless = true }, "declined", true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{fail(errLost), fail(idempotency.Rejected(row.code, nil))}}
				c := keyed(p)
				row.change(&c)
				w := wrap(t, newStore(), c)
				_, err := w.Do(t.Context(), "k", book)
				if row.settles {
					requireRejected(t, err, row.code)
					requireState(t, w, "k", idempotency.StateRejected)
					return
				}
				requireUnsafe(t, err)
				require.True(t, requireState(t, w, "k", idempotency.StateUnknown).Ambiguous)
			})
		})
	}
	t.Run("a first attempt's rejection settles", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := wrap(t, newStore(), blind(&provider{script: []step{fail(idempotency.Rejected("declined", errors.New("no funds")))}}))
			for range 2 {
				_, err := w.Do(t.Context(), "k", book)
				requireRejected(t, err, "declined")
				require.ErrorContains(t, err, "no funds")
			}
		})
	})
	t.Run("an attempt whose request went out twice is ambiguous", func(t *testing.T) {
		for name, said := range map[string]error{
			"rejected": idempotency.Rejected("already_exists", nil),
			"not sent": idempotency.NotSent(errLost),
			"accepted": idempotency.Accepted("ch_1", time.Hour),
		} {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{func(_ context.Context, a attempt, _ purchase) (payment, error) {
					a.Resent()
					return payment{}, said
				}}}
				w := wrap(t, newStore(), blind(p))
				_, err := w.Do(t.Context(), "k", book)
				requireUnsafe(t, err)
				s, err := w.Status(t.Context(), "k")
				require.NoError(t, err)
				require.True(t, s.Ambiguous, "%s: the first of the two requests may still land", name)
				require.False(t, s.State.Settled(), name)
			})
		}
	})
}

// T4: "not found" and "declined" are believed only when Settling had passed since the last sending.
func TestANegativeAnswerThatComesTooEarly(t *testing.T) {
	for name, v := range map[string]verdict{
		"did not happen": idempotency.DidNotHappen[payment](),
		"declined":       idempotency.Declined[payment]("declined", nil),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{after(3*time.Second, fail(errLost)), pay}, looks: []look{says(v)}}
				w := wrap(t, newStore(), askable(p))
				runs(t, w)
				_, err := w.Start(t.Context(), "k", book)
				require.NoError(t, err)
				time.Sleep(55 * time.Second)
				requireState(t, w, "k", idempotency.StateUnknown)
				require.NotEmpty(t, p.questions(), "the provider can be asked early: it may say that it happened")
				time.Sleep(2 * time.Minute)
				quiet := p.sendings()[0].at.Add(3*time.Second + time.Minute)
				require.False(t, p.questions()[len(p.questions())-1].at.Before(quiet), "the question that counted came too early")
				if name == "declined" {
					require.Equal(t, "declined", requireState(t, w, "k", idempotency.StateRejected).Rejection.Code)
					require.Len(t, p.sendings(), 1)
					return
				}
				requireState(t, w, "k", idempotency.StateSucceeded)
				require.Len(t, p.sendings(), 2)
				require.False(t, p.sendings()[1].at.Before(quiet), "sent again while the first request may still land")
			})
		})
	}
}

// T4: where nobody reported the end of a sending, it is the end of its lease.
func TestALapsedLeaseEndsTheLastPossibleSending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{lost, pay}, looks: []look{says(idempotency.DidNotHappen[payment]())}}
		store := newStore()
		crash(t, store, askable(p), "k", book)
		began := p.sendings()[0].at
		w := wrap(t, store, askable(p))
		runs(t, w)
		time.Sleep(2 * time.Minute)
		requireState(t, w, "k", idempotency.StateSucceeded)
		require.Less(t, p.questions()[0].at.Sub(began), time.Minute, "it is asked as soon as the lease has run out")
		require.GreaterOrEqual(t, p.sendings()[1].at.Sub(began), 30*time.Second+time.Minute, "lease and Settling")
	})
}

// T5: one provider key until a definite end: over attempts, processes, crashes, and a proven "did not happen".
func TestOneProviderKeyUntilADefiniteEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{
			script: []step{pay, fail(errLost), fail(errLost), pay},
			looks:  []look{says(idempotency.DidNotHappen[payment]())},
		}
		c := askable(p)
		c.KeyLife, c.Namespace = 10*time.Minute, "shop-test"
		c.Retry.Attempts = 2
		store := newStore()
		crash(t, store, c, "k", book)
		runs(t, wrap(t, store, c))
		time.Sleep(20 * time.Minute)
		sent := p.sendings()
		require.GreaterOrEqual(t, len(sent), 4)
		for _, s := range append(sent, p.questions()...) {
			require.Equal(t, sent[0].Key, s.Key, "another provider key after an unknown outcome is another payment")
			require.Equal(t, book, s.in)
		}
	})
}

// T6: nothing is sent when the provider may have forgotten the key; then the call is held, or asked about.
func TestNothingIsSentWithADyingKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(errLost)}}
		c := keyed(p)
		c.KeyLife, c.Poll = 2*time.Hour, 10*time.Second
		w := wrap(t, newStore(), c)
		runs(t, w)
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		time.Sleep(5 * time.Hour)
		sent := p.sendings()
		require.Greater(t, len(sent), 5, "while the key lives it is tried again")
		last := sent[len(sent)-1].at.Sub(sent[0].at)
		require.Less(t, last, c.KeyLife-time.Minute, "sent too close to the end of the key's life")
		_, err = w.Do(t.Context(), "k", book)
		require.Zero(t, requireUnknown(t, err).RetryAfter())
		require.Equal(t, idempotency.Never, requireState(t, w, "k", idempotency.StateUnknown).Due)
		require.Len(t, p.sendings(), len(sent))
	})
}

// T6: the margin: a sending needs time, and may take effect for as long as Settling says.
func TestTheKeysMargin(t *testing.T) {
	for _, row := range []struct {
		timeout, settling, margin time.Duration
	}{
		{8 * time.Second, 0, time.Minute}, // at least
		{8 * time.Second, 10 * time.Minute, 10*time.Minute + 9*time.Second},
		{5 * time.Minute, time.Minute, 6*time.Minute + time.Second},
	} {
		for _, early := range []bool{true, false} {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{fail(errLost), pay}}
				c := keyed(p)
				c.Timeout, c.Settling, c.KeyLife, c.Retry.Attempts = row.timeout, row.settling, 2*time.Hour, 1
				w := wrap(t, newStore(), c)
				_, err := w.Do(t.Context(), "k", book)
				requireUnknown(t, err)
				last := c.KeyLife - row.margin
				if early {
					time.Sleep(last - time.Second)
					_, err = w.Do(t.Context(), "k", book)
					require.NoError(t, err, "the key lives: %v", row)
					return
				}
				time.Sleep(last)
				_, err = w.Do(t.Context(), "k", book)
				requireUnknown(t, err)
				require.Len(t, p.sendings(), 1, "too close to the end of the key's life: %v", row)
			})
		}
	}
}

// T6 T18: the key's age is checked right before the sending, not when the claim was made.
func TestAKeyThatDiesBetweenClaimAndSending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(errLost), pay}}
		c := keyed(p)
		c.KeyLife, c.Retry.Attempts = 2*time.Hour, 1
		store := newStore()
		_, err := wrap(t, store, c).Do(t.Context(), "k", book)
		requireUnknown(t, err)
		time.Sleep(time.Minute)
		paused := newFaulty(store)
		paused.set(func(op string, n int) trouble {
			if op == "Acquire" && n == 2 { // the first one only finds the record
				return trouble{stall: 3 * time.Hour}
			}
			return trouble{}
		})
		_, err = wrap(t, paused, c).Do(t.Context(), "k", book)
		requireUnknown(t, err)
		require.Len(t, p.sendings(), 1, "the provider has forgotten the key by now: this would be a second charge")
	})
}

// T11: a 5xx is unknown, and sent again with the live key; one that the provider only repeats is asked about instead.
func TestServerErrorsAndTheirReplays(t *testing.T) {
	replay := fail(idempotency.Replayed(errors.New("500, stored")))
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(errors.New("500")), replay, pay}, looks: []look{says(idempotency.Happened(payment{ID: "found"}))}}
		c := askable(p)
		c.KeyLife, c.Namespace = 24*time.Hour, "shop-test"
		res, err := wrap(t, newStore(), c).Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, "found", res.Value.ID)
		require.Len(t, p.sendings(), 2, "a replayed answer is not asked for again")
		require.Len(t, p.questions(), 1)
	})
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{replay, pay}}
		w := wrap(t, newStore(), keyed(p))
		runs(t, w)
		_, err := w.Do(t.Context(), "k", book)
		require.Zero(t, requireUnknown(t, err).RetryAfter(), "an operator is needed")
		time.Sleep(time.Hour)
		requireState(t, w, "k", idempotency.StateUnknown)
		require.Len(t, p.sendings(), 1)
	})
}

// T12: "in progress" is no failure: the same key again, later.
func TestConflictInProgressIsTriedLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		busy := fail(retry.After(5*time.Second, errors.New("409, a request with this key is in progress")))
		p := &provider{script: []step{busy, busy, pay}}
		res, err := wrap(t, newStore(), keyed(p)).Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, 3, res.Attempts)
		sent := p.sendings()
		require.Equal(t, 5*time.Second, sent[1].at.Sub(sent[0].at), "Retry-After is obeyed")
		require.Equal(t, sent[0].Key, sent[2].Key)
	})
}
