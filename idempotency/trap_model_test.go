package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
)

// T57: claimed from the queue, and the process dies before it sends: the call goes back to the queue, and is not unknown.
func TestACrashBetweenQueueAndSending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		store := newStore()
		w := wrap(t, store, blind(p)) // an unknown outcome would stay one
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		mine := newFaulty(store)
		mine.set(func(op string, _ int) trouble {
			if op == "AcquireDue" {
				return trouble{after: errDown}
			}
			return trouble{before: errDown}
		})
		_, err = wrap(t, mine, blind(p)).Recover(t.Context())
		require.Error(t, err)
		requireState(t, w, "k", idempotency.StateRunning)
		time.Sleep(time.Minute)
		s := requireState(t, w, "k", idempotency.StateScheduled)
		require.False(t, s.Ambiguous)
		require.Equal(t, idempotency.Never, s.FirstSent)
		_, err = w.Recover(t.Context())
		require.NoError(t, err)
		requireState(t, w, "k", idempotency.StateSucceeded)
		require.Len(t, p.sendings(), 1)
	})
	bubble(t, func(t *testing.T) { // the mark is made before the sending: without it, nothing is sent
		p := &provider{script: []step{pay}}
		mine := newFaulty(newStore())
		w := wrap(t, mine, blind(p))
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		mine.set(func(op string, _ int) trouble {
			if op == "Extend" {
				return trouble{before: errDown}
			}
			return trouble{}
		})
		_, err = w.Recover(t.Context())
		require.NoError(t, err)
		require.Empty(t, p.sendings())
		requireState(t, w, "k", idempotency.StateScheduled)
	})
}

// T58: asking for an unresolved key again and again must not lock the operator out.
func TestAskingAgainDoesNotLockTheOperatorOut(t *testing.T) {
	for name, promise := range map[string]func(*provider) call{"nothing may be done": blind, "not due yet": askable} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{fail(errLost)}, looks: []look{says(idempotency.StillPending[payment](24 * time.Hour))}}
				mine := newFaulty(newStore())
				w := wrap(t, mine, promise(p))
				_, _ = w.Do(t.Context(), "k", book)
				time.Sleep(2 * time.Minute)
				_, err := w.Do(t.Context(), "k", book)
				requireUnknown(t, err)
				time.Sleep(2 * time.Minute)
				seen := requireState(t, w, "k", idempotency.StateUnknown)
				for range 20 { // an impatient customer
					_, err := w.Do(t.Context(), "k", book)
					requireUnknown(t, err)
					_, err = w.Recover(t.Context())
					require.NoError(t, err)
				}
				_, err = w.Settle(t.Context(), "k", idempotency.Declined[payment]("by hand", nil).AsOf(seen))
				require.NoError(t, err, "the fence moved on although nothing was done")
				requireState(t, w, "k", idempotency.StateRejected)
			})
		})
	}
}

// T60: two keys are two payments, under a perfect library too: the same order in a second tab, or with another card while
// the first is unknown. That is why the shop needs a unique index: one unsettled or successful payment per order.
func TestTwoKeysAreTwoPayments(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(errLost), pay}}
		w := wrap(t, newStore(), blind(p))
		_, err := w.Do(t.Context(), idempotency.KeyFrom("order 7", "card 1"), book)
		requireUnknown(t, err) // it may have been charged
		_, err = w.Do(t.Context(), idempotency.KeyFrom("order 7", "card 2"), book)
		require.NoError(t, err) // and now certainly is, a second time: no library can know that the two are one order
		sent := p.sendings()
		require.NotEqual(t, sent[0].Key, sent[1].Key)
	})
}

// T61: a claim that was taken only to ask lapses. The record returns to where it was claimed from, ambiguity kept: it is
// neither sent blindly nor cancelled as if it had never been sent.
func TestALapsedClaimToAsk(t *testing.T) {
	for name, end := range map[string]struct {
		step  step
		state idempotency.State
	}{
		"unknown":  {fail(errLost), idempotency.StateUnknown},
		"accepted": {fail(idempotency.Accepted("ch_1", 0)), idempotency.StateAccepted},
	} {
		for _, cancelled := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					store := newStore()
					mine := newFaulty(store)
					p := &provider{script: []step{end.step, pay}, looks: []look{func(context.Context, attempt, purchase) (verdict, error) {
						mine.down() // the process dies while it asks
						return idempotency.DidNotHappen[payment](), nil
					}}}
					w := wrap(t, store, blind(p))
					_, err := w.Start(t.Context(), "k", book)
					require.NoError(t, err)
					_, err = w.Recover(t.Context())
					require.NoError(t, err)
					before := requireState(t, w, "k", end.state)
					_, err = w.Settle(t.Context(), "k", idempotency.DontKnow[payment]()) // due now
					require.NoError(t, err)
					time.Sleep(2 * time.Minute)
					asking, other := make(chan error, 1), wrap(t, mine, askable(p))
					go func() {
						_, err := other.Recover(context.Background())
						asking <- err
					}()
					time.Sleep(5 * time.Second)
					requireState(t, w, "k", idempotency.StateRunning)
					want := end.state
					if cancelled {
						_, err = w.Cancel(t.Context(), "k")
						requirePending(t, err)
						want = idempotency.StateAbandoned
					}
					time.Sleep(time.Minute)
					require.Equal(t, before.Ambiguous, requireState(t, w, "k", want).Ambiguous)
					_, err = w.Recover(t.Context())
					require.NoError(t, err)
					_, err = w.Do(patience(t, time.Minute), "k", book)
					requireUnsafe(t, err)
					require.Len(t, p.sendings(), 1)
					time.Sleep(20 * time.Minute)
					require.NoError(t, <-asking)
				})
			})
		}
	}
}

// T62: what counts is when the question was asked, not when its answer arrived: "not found" as of a moment when the request
// was still on its way is not believed later.
func TestAnAnswerIsAsOfItsQuestion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(errLost), pay}}
		p.looks = []look{func(context.Context, attempt, purchase) (verdict, error) {
			time.Sleep(90 * time.Second) // asked too early, answered late enough
			return idempotency.DidNotHappen[payment](), nil
		}, says(idempotency.DontKnow[payment]())}
		c := askable(p)
		c.Timeout, c.Retry.Attempts = 2*time.Minute, 1
		var asked recorder[idempotency.AskedEvent]
		c.Hooks.Asked = asked.add
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		time.Sleep(10 * time.Second)
		_, err = w.Recover(t.Context())
		require.NoError(t, err)
		requireState(t, w, "k", idempotency.StateUnknown)
		require.Len(t, p.sendings(), 1)
		require.Len(t, asked.all(), 1)
		require.False(t, asked.all()[0].Believed)
	})
}

// T64: the webhook of a declined first attempt must not reject the second, which may have charged: it is a hint.
func TestANegativeWebhookIsAHint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{
			script: []step{fail(errLost), fail(idempotency.Accepted("ch_2", 24*time.Hour))},
			looks:  []look{says(idempotency.Happened(payment{ID: "second"}))},
		}
		c := askable(p)
		c.KeyLife, c.Namespace = 24*time.Hour, "shop-test"
		w := wrap(t, newStore(), c)
		runs(t, w)
		_, err := w.Do(t.Context(), "k", book)
		requirePending(t, err)
		time.Sleep(2 * time.Minute)
		require.Empty(t, p.questions())
		s, err := w.Settle(t.Context(), "k", idempotency.Declined[payment]("declined", nil).ForRef("ch_1"))
		require.NoError(t, err)
		require.Equal(t, idempotency.StateAccepted, s.State)
		time.Sleep(5 * time.Second)
		require.Len(t, p.questions(), 1, "the hint makes a lookup due now")
		require.Equal(t, "second", requireState(t, w, "k", idempotency.StateSucceeded).Value.ID)
	})
}

// T65: attempt 1 unknown, attempt 2 accepted, then declined: attempt 1 may still land. Ambiguity goes with every outcome;
// the call is looked up by key, and "declined" believed only when it is quiet.
func TestAmbiguityIsStoredWithAccepted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{
			script: []step{fail(errLost), fail(idempotency.Accepted("ch_2", 0))},
			looks:  []look{says(idempotency.Declined[payment]("declined", nil)), says(idempotency.Happened(payment{ID: "first"}))},
		}
		c := askable(p)
		c.KeyLife, c.Namespace = 24*time.Hour, "shop-test"
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		requirePending(t, err)
		require.True(t, requireState(t, w, "k", idempotency.StateAccepted).Ambiguous)
		_, err = w.Settle(t.Context(), "k", idempotency.Declined[payment]("declined", nil).ForRef("ch_2"))
		require.NoError(t, err)
		require.True(t, requireState(t, w, "k", idempotency.StateAccepted).Ambiguous)
		runs(t, w)
		time.Sleep(5 * time.Minute)
		require.Empty(t, p.questions()[0].Ref, "by key: the ref is that of one of two attempts")
		require.Equal(t, "first", requireState(t, w, "k", idempotency.StateSucceeded).Value.ID)
	})
}

// T66: Do on a record that Start made never says "not sent": Run will send it.
func TestDoOnAStartedCallIsNeverNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(idempotency.NotSent(errLost)), fail(idempotency.NotSent(errLost)), fail(idempotency.NotSent(errLost)), fail(idempotency.NotSent(errLost)), pay}}
		w := wrap(t, newStore(), blind(p))
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		_, err = w.Do(t.Context(), "k", book)
		require.Equal(t, idempotency.StateScheduled, requirePending(t, err).State)
		require.ErrorIs(t, err, errLost, "the reason is to be found")
		requireState(t, w, "k", idempotency.StateScheduled)
		time.Sleep(time.Hour)
		_, err = w.Recover(t.Context())
		require.NoError(t, err)
		requireState(t, w, "k", idempotency.StateSucceeded)
	})
	bubble(t, func(t *testing.T) { // likewise after a proven "did not happen": it is committed to
		p := &provider{script: []step{fail(errLost), fail(idempotency.NotSent(errLost))}, looks: []look{says(idempotency.DidNotHappen[payment]())}}
		c := askable(p)
		c.Retry.Attempts = 1
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		time.Sleep(2 * time.Minute)
		for range 3 {
			_, err = w.Do(t.Context(), "k", book)
			requirePending(t, err)
			time.Sleep(10 * time.Second)
		}
	})
}

// T67: one caller is told "not sent", another one's call with the same key charges. What the first may do is documented:
// the same key again, which finds the charge, or Cancel first, which closes it.
func TestNotSentIsNotTheEndOfTheKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(idempotency.NotSent(errLost)), pay}}
		c := blind(p)
		c.Retry.Attempts = 1
		store := newStore()
		one, other := wrap(t, store, c), wrap(t, store, c)
		_, err := one.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
		_, err = other.Do(t.Context(), "k", book)
		require.NoError(t, err)
		res, err := one.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.True(t, res.Replayed)
		require.Len(t, p.sendings(), 2)
	})
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(idempotency.NotSent(errLost)), pay}}
		c := blind(p)
		c.Retry.Attempts = 1
		store := newStore()
		one, other := wrap(t, store, c), wrap(t, store, c)
		_, err := one.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
		_, err = one.Cancel(t.Context(), "k")
		require.NoError(t, err)
		_, err = other.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrCancelled)
		require.Len(t, p.sendings(), 1)
	})
}

// T68: "declined" and "not sent" are told only when they are recorded: see TestTheStoreIsAwayWhenTheOutcomeComes. If the
// record lapses meanwhile, the next process may send again, and must be able to.
func TestARejectionThatIsNotRecordedIsNotTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newStore()
		mine := newFaulty(store)
		p := &provider{script: []step{func(context.Context, attempt, purchase) (payment, error) {
			mine.down()
			return payment{}, idempotency.Rejected("declined", nil)
		}, pay}}
		_, err := wrap(t, mine, keyed(p)).Do(t.Context(), "k", book)
		requireUnsafe(t, err)
		require.ErrorAs(t, err, new(*idempotency.UnrecordedError))
		time.Sleep(time.Minute)
		res, err := wrap(t, store, keyed(p)).Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, paid(book, 1), res.Value, "the first caller must not have paid with a new key meanwhile")
	})
}

// T69: a delayed copy of an Acquire arrives after its record was freed. It is refused, so that recovery has nothing to send.
func TestADelayedCopyOfAnAcquire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newStore()
		mine := newFaulty(store)
		p := &provider{script: []step{fail(idempotency.NotSent(errLost))}}
		w := wrap(t, mine, keyed(p))
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
		_, err = w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
		sent := len(p.sendings())
		for range 3 {
			for _, c := range mine.claims { // the network delivers them once more
				rec, err := store.Acquire(t.Context(), c)
				require.NoError(t, err)
				require.False(t, rec.Owned)
				require.Equal(t, idempotency.StateFree, rec.State)
			}
			time.Sleep(time.Minute)
			_, err = w.Recover(t.Context())
			require.NoError(t, err)
		}
		_, err = w.Status(t.Context(), "k")
		require.ErrorIs(t, err, idempotency.ErrNoRecord)
		require.Len(t, p.sendings(), sent, "brought back from the dead, and sent")
	})
}

// T70: a provider that stores its 500, and says "not found": asking and sending would go on until the key dies. Late
// enough, "did not happen" after a replayed error settles as rejected.
func TestAStoredErrorAndNotFound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{
			script: []step{fail(errors.New("500")), fail(idempotency.Replayed(errors.New("500, stored")))},
			looks:  []look{says(idempotency.DidNotHappen[payment]())},
		}
		c := askable(p)
		c.KeyLife, c.Namespace = 24*time.Hour, "shop-test"
		w := wrap(t, newStore(), c)
		runs(t, w)
		_, err := w.Do(patience(t, 30*time.Second), "k", book)
		requireUnsafe(t, err)
		time.Sleep(5 * time.Minute)
		s := requireState(t, w, "k", idempotency.StateRejected)
		require.Contains(t, s.Rejection.Message, "500, stored")
		require.Len(t, p.sendings(), 2)
		_, err = w.Do(t.Context(), "k", book)
		requireRejected(t, err, "did_not_happen")
	})
}
