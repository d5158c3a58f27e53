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
)

// T15: the reply to one request is lost. Asked again with the same token, the store says what it did: nothing is sent
// twice, nobody is in the way, and nothing waits for a lease.
func TestLostReplies(t *testing.T) {
	byDo := func(t *testing.T, w *wrapper) {
		res, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, 1, res.Attempts)
	}
	byStart := func(t *testing.T, w *wrapper) {
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		runs(t, w) // its first pass finds the call
		time.Sleep(20 * time.Second)
	}
	byRecover := func(t *testing.T, w *wrapper) {
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		_, err = w.Recover(t.Context())
		require.NoError(t, err)
	}
	rows := []struct {
		op   string
		lost int
		act  func(*testing.T, *wrapper)
	}{
		{"Acquire", 1, byDo},
		{"Acquire", 2, byDo},
		{"Settle", 1, byDo},
		{"Settle", 3, byDo},
		{"Extend", 1, byDo},
		{"Acquire", 1, byStart},
		{"AcquireDue", 1, byStart},
		{"AcquireDue", 2, byStart},
		{"AcquireDue", 1, byRecover},
		{"Extend", 1, byStart},
		{"Settle", 1, byStart},
	}
	for _, row := range rows {
		t.Run(fmt.Sprintf("%d of %s", row.lost, row.op), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var told recorder[settled]
				p := &provider{script: []step{after(time.Second, pay)}}
				mine := newFaulty(newStore())
				mine.only(row.op, row.lost, trouble{after: errDown})
				c := blind(p)
				c.OnSettled = func(_ context.Context, s settled) error { told.add(s); return nil }
				w := wrap(t, mine, c)
				row.act(t, w)
				requireState(t, w, "k", idempotency.StateSucceeded)
				require.Len(t, p.sendings(), 1)
				require.Len(t, told.all(), 1, "OnSettled")
			})
		})
	}
}

// T15: all replies to Acquire are lost. Nothing was sent, so the call must not end as unknown: the claim is given back.
func TestAnAcquireThatIsNeverAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		mine := newFaulty(newStore())
		mine.only("Acquire", 3, trouble{after: errDown})
		w := wrap(t, mine, blind(p))
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrStore)
		require.Empty(t, p.sendings())
		time.Sleep(10 * time.Second)
		_, err = w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Len(t, p.sendings(), 1)
	})
}

// T15: the same, and the process dies while it gives the claim back: what was never sent does not become unknown.
func TestACrashWhileAClaimIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		store := newStore()
		mine := newFaulty(store)
		mine.set(func(op string, n int) trouble {
			if op == "Acquire" && n == 4 {
				return trouble{after: errDown} // the first request that arrives is the one to give the claim back
			}
			return trouble{before: errDown}
		})
		_, err := wrap(t, mine, blind(p)).Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrStore)
		time.Sleep(2 * time.Minute)
		_, err = wrap(t, store, blind(p)).Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Len(t, p.sendings(), 1)
	})
}

// T17: renewals end with the attempt: none is asked for when nothing is under way.
func TestRenewalsEndWithTheAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(2*time.Minute, pay)}}
		mine := newFaulty(newStore())
		c := blind(p)
		c.Timeout = 5 * time.Minute
		w := wrap(t, mine, c)
		_, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		renewed := mine.count("Extend")
		require.InDelta(t, 12, renewed, 2, "a lease of 30 s is renewed every 10 s")
		time.Sleep(time.Hour)
		require.Equal(t, renewed, mine.count("Extend"), "renewals live on after the attempt")
	})
}

// T17: the leases of a process are renewed by one request, however many there are.
func TestLeasesAreRenewedTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mine := newFaulty(newStore())
		c := blind(&provider{script: []step{after(time.Minute, pay)}})
		c.Timeout = 5 * time.Minute
		w := wrap(t, mine, c)
		var waiting []<-chan answered
		for i := range 50 {
			waiting = append(waiting, goDo(t.Context(), w, fmt.Sprint(i), book))
		}
		for _, c := range waiting {
			require.NoError(t, (<-c).err)
		}
		require.LessOrEqual(t, mine.count("Extend"), 7)
	})
}

// T18: a process sleeps past its lease between the claim and the sending; it asks again whether the claim stands. What the
// bubble cannot show is a machine that is suspended: its two clocks are one. This shows that the lease is checked at all.
func TestAProcessThatSleepsPastItsLease(t *testing.T) {
	sleepers := map[string]func(*faulty){
		"after Acquire": func(s *faulty) { s.only("Acquire", 1, trouble{stall: 10 * time.Minute}) },
	}
	for name, pause := range sleepers {
		t.Run(name+", another process took over", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newStore()
				mine := newFaulty(store)
				pause(mine)
				p := &provider{script: []step{pay}}
				slow := goDo(t.Context(), wrap(t, mine, keyed(p)), "k", book)
				time.Sleep(time.Minute)
				res, err := wrap(t, store, keyed(p)).Do(t.Context(), "k", book)
				require.NoError(t, err)
				got := <-slow
				require.NoError(t, got.err)
				require.Equal(t, res.Value, got.Value)
				require.Len(t, p.sendings(), 1, "it sent without a claim")
			})
		})
		t.Run(name+", nobody took over", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				mine := newFaulty(newStore())
				pause(mine)
				p := &provider{script: []step{pay}}
				_, err := wrap(t, mine, keyed(p)).Do(t.Context(), "k", book)
				require.NoError(t, err)
				require.Equal(t, 1, mine.count("Extend"), "the claim is confirmed before the sending")
				require.Len(t, p.sendings(), 1)
			})
		})
		t.Run(name+", it was cancelled", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newStore()
				mine := newFaulty(store)
				pause(mine)
				p := &provider{script: []step{pay}}
				slow := goDo(t.Context(), wrap(t, mine, blind(p)), "k", book)
				time.Sleep(time.Second)
				_, err := wrap(t, store, blind(p)).Cancel(t.Context(), "k")
				requirePending(t, err)
				require.ErrorIs(t, (<-slow).err, idempotency.ErrCancelled, "its owner knows that it was never sent")
				require.Empty(t, p.sendings())
			})
		})
	}
}

// T19: the first caller's end is nobody else's.
func TestTheFirstCallerLeavesAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(5*time.Second, pay)}}
		w := wrap(t, newStore(), blind(p))
		ctx, cancel := context.WithCancel(t.Context())
		first := goDo(ctx, w, "k", book)
		synctest.Wait()
		second := goDo(t.Context(), w, "k", book)
		time.Sleep(time.Second)
		cancel()
		requirePending(t, (<-first).err)
		got := <-second
		require.NoError(t, got.err)
		require.Equal(t, paid(book, 1), got.Value)
	})
	bubble(t, func(t *testing.T) { // the attempt sees the caller's values, and neither its end nor its deadline
		type key struct{}
		var value any
		var deadline time.Time
		c := blind(&provider{script: []step{func(ctx context.Context, a attempt, in purchase) (payment, error) {
			value = ctx.Value(key{})
			deadline, _ = ctx.Deadline()
			return pay(ctx, a, in)
		}}})
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "trace"), time.Second)
		defer cancel()
		_, err := wrap(t, newStore(), c).Do(ctx, "k", book)
		require.NoError(t, err)
		require.Equal(t, "trace", value)
		require.Equal(t, time.Now().Add(c.Timeout), deadline, "the attempt is bounded by Timeout alone")
	})
}

// T20: every caller gets a value of its own, and Send a request of its own.
func TestNobodySharesAMutableValue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type basket struct{ Items []string }
		c := idempotency.Call[*basket, *basket]{Name: "charge", Send: func(_ context.Context, _ attempt, in *basket) (*basket, error) {
			time.Sleep(time.Second)
			in.Items[0] = "changed by Send"
			return &basket{Items: []string{"out"}}, nil
		}}
		w := wrap(t, newStore(), c)
		in := &basket{Items: []string{"in"}}
		out := make(chan *basket, 4)
		for range 4 {
			go func() {
				res, err := w.Do(context.Background(), "k", in)
				if err == nil {
					out <- res.Value
				}
			}()
		}
		for range 4 {
			v := <-out
			require.Equal(t, "out", v.Items[0])
			v.Items[0] = "changed by a caller"
		}
		require.Equal(t, "in", in.Items[0])
		for range 2 {
			res, err := w.Do(t.Context(), "k", in)
			require.NoError(t, err)
			require.Equal(t, "out", res.Value.Items[0])
			res.Value.Items[0] = "changed by a caller"
		}
	})
	bubble(t, func(t *testing.T) { // the caller leaves and uses its buffer for something else
		mine := newFaulty(newStore())
		mine.only("Acquire", 1, trouble{before: errDown})
		var sent recorder[string]
		kept := []byte("value")
		c := idempotency.Call[[]byte, []byte]{Name: "charge", Codec: idempotency.Raw, Send: func(_ context.Context, _ attempt, in []byte) ([]byte, error) {
			sent.add(string(in))
			in[0] = '?'
			return kept, nil
		}}
		w := wrap(t, mine, c)
		buffer := []byte("pay 42")
		_, err := w.Do(patience(t, time.Millisecond), "k", buffer)
		require.ErrorAs(t, err, new(*idempotency.PendingError))
		copy(buffer, "pay 99")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"pay 42"}, sent.all(), "the caller's buffer was read after Do had returned")
		copy(kept, "VALUE")
		res, err := w.Do(t.Context(), "k", []byte("pay 42"))
		require.NoError(t, err)
		require.Equal(t, "value", string(res.Value), "what Send returned was kept instead of stored")
		res.Value[0] = '?'
		res, err = w.Do(t.Context(), "k", []byte("pay 42"))
		require.NoError(t, err)
		require.Equal(t, "value", string(res.Value))
	})
}

// T21: callers with other input never get somebody else's result, also while the call is under way in this process.
func TestOtherInputNeverJoins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(5*time.Second, pay)}}
		w := wrap(t, newStore(), blind(p))
		right := goDo(t.Context(), w, "k", book)
		synctest.Wait()
		_, err := w.Do(t.Context(), "k", lamp)
		require.ErrorIs(t, err, idempotency.ErrKeyReused)
		require.NoError(t, (<-right).err)
		require.Len(t, p.sendings(), 1)
	})
	bubble(t, func(t *testing.T) { // both at once: one of the two is refused
		for i := range 20 {
			p := &provider{script: []step{after(time.Second, pay)}}
			w := wrap(t, newStore(), blind(p))
			a, b := goDo(t.Context(), w, fmt.Sprint(i), book), goDo(t.Context(), w, fmt.Sprint(i), lamp)
			x, y := <-a, <-b
			require.NotEqual(t, errors.Is(x.err, idempotency.ErrKeyReused), errors.Is(y.err, idempotency.ErrKeyReused))
			require.Len(t, p.sendings(), 1)
		}
	})
}

// T22: a thousand waiters, one poller; and it slows down.
func TestOnePollerPerKeyAndProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(time.Minute, pay)}}
		c := blind(p)
		c.Timeout = 5 * time.Minute
		store := newStore()
		owner := goDo(t.Context(), wrap(t, store, c), "k", book)
		synctest.Wait()
		mine := newFaulty(store)
		w := wrap(t, mine, c)
		var waiting []<-chan answered
		for range 1000 {
			waiting = append(waiting, goDo(t.Context(), w, "k", book))
		}
		for _, c := range append(waiting, owner) {
			require.NoError(t, (<-c).err)
		}
		require.Equal(t, 1, mine.count("Acquire"))
		require.LessOrEqual(t, mine.count("Get"), 130, "polls of a call that took a minute; Poll is 1 s")
		require.Len(t, p.sendings(), 1)
	})
}

// T22: who polls for another process's call stops when its last caller has left.
func TestPollingEndsWithItsCallers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := blind(&provider{script: []step{after(time.Hour, pay)}})
		c.Timeout = 2 * time.Hour
		store := newStore()
		owner := goDo(t.Context(), wrap(t, store, c), "k", book)
		synctest.Wait()
		mine := newFaulty(store)
		w := wrap(t, mine, c)
		for range 3 {
			_, err := w.Do(patience(t, 10*time.Second), "k", book)
			requirePending(t, err)
			time.Sleep(time.Second)
			polled := mine.count("Get")
			time.Sleep(10 * time.Minute)
			require.Equal(t, polled, mine.count("Get"), "it polls although nobody waits")
		}
		require.NoError(t, (<-owner).err)
	})
}

// T23: a call with its own key from inside its own Send, directly or through others, is refused.
func TestReentrantCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newStore()
		var w, other *wrapper
		var inside, another, through, asked error
		p := &provider{}
		p.script = []step{func(ctx context.Context, a attempt, in purchase) (payment, error) {
			_, inside = w.Do(ctx, "k", in)
			_, another = w.Do(ctx, "k2", in)
			_, through = other.Do(ctx, "k", in)
			return payment{}, errLost
		}, pay}
		p.looks = []look{func(ctx context.Context, _ attempt, in purchase) (verdict, error) {
			_, asked = w.Do(ctx, "k", in)
			return idempotency.Happened(payment{ID: "found"}), nil
		}}
		w = wrap(t, store, askable(p))
		nested := blind(&provider{script: []step{func(ctx context.Context, _ attempt, in purchase) (payment, error) {
			_, err := w.Do(context.WithoutCancel(ctx), "k", in)
			return payment{}, err
		}}})
		nested.Name = "ship"
		other = wrap(t, store, nested)
		began := time.Now()
		_, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.ErrorIs(t, inside, idempotency.ErrReentrant)
		require.ErrorIs(t, through, idempotency.ErrReentrant, "found through another call")
		require.ErrorIs(t, asked, idempotency.ErrReentrant, "Lookup is part of the call too")
		require.NoError(t, another, "another key is another call")
		require.Less(t, time.Since(began), time.Minute)
	})
}

// T24: two tenants, or two operations, never meet on one key; nor do keys that differ in case or spaces.
func TestTenantsNeverMeet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newStore()
		p := &provider{script: []step{after(time.Second, pay)}}
		charge, refund := blind(p), blind(p)
		refund.Name = "refund"
		c, r := wrap(t, store, charge), wrap(t, store, refund)
		callers := []<-chan answered{
			goDo(t.Context(), c, "k", purchase{Item: "0"}),
			goDo(t.Context(), c.For("a"), "k", purchase{Item: "1"}),
			goDo(t.Context(), c.For("b"), "k", purchase{Item: "2"}),
			goDo(t.Context(), c.For("B"), "k", purchase{Item: "3"}),
			goDo(t.Context(), c.For("b "), "k", purchase{Item: "4"}),
			goDo(t.Context(), c.For("b"), "K", purchase{Item: "5"}),
			goDo(t.Context(), c.For("b"), "k ", purchase{Item: "6"}),
			goDo(t.Context(), c.For("bk"), "\x00", purchase{Item: "7"}),
			goDo(t.Context(), r.For("b"), "k", purchase{Item: "8"}),
		}
		keys := map[string]bool{}
		for i, caller := range callers {
			got := <-caller
			require.NoError(t, got.err)
			require.Equal(t, fmt.Sprintf("%d #1", i), got.Value.ID)
		}
		for _, s := range p.sendings() {
			keys[s.Key] = true
		}
		require.Len(t, keys, len(callers), "provider keys")
		list, err := c.For("b").List(t.Context(), idempotency.Query{})
		require.NoError(t, err)
		require.Len(t, list, 3, "a scope lists its own")
		list, err = c.List(t.Context(), idempotency.Query{})
		require.NoError(t, err)
		require.Len(t, list, 8, "an operation lists its own")
	})
}
