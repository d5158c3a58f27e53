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

// Start commits and returns; any process drives the call to an end.
func TestStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(time.Second, fail(idempotency.NotSent(errLost))), pay}}
		store := newStore()
		starter, runner := wrap(t, store, blind(p)), wrap(t, store, blind(p))
		began := time.Now()
		s, err := starter.For("tenant").Start(t.Context(), "k", book)
		require.NoError(t, err)
		require.Zero(t, time.Since(began))
		require.Equal(t, idempotency.StateScheduled, s.State)
		require.Equal(t, idempotency.Never, s.FirstSent)
		require.Equal(t, "tenant", s.Scope)
		again, err := starter.For("tenant").Start(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, s, again, "starting it again changes nothing")
		synctest.Wait()
		require.Empty(t, p.sendings())
		runs(t, runner)
		time.Sleep(time.Minute)
		s, err = starter.For("tenant").Start(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, idempotency.StateSucceeded, s.State)
		require.Equal(t, paid(book, 2), s.Value)
		require.Equal(t, 2, s.Attempts)
		require.Equal(t, "tenant", p.sendings()[0].Scope)
	})
}

// Start, and a verdict that makes a step due, wake Run in the same process: nobody waits for Poll.
func TestRunIsWoken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(errLost), pay}}
		c := blind(p)
		c.Poll, c.Retry.Attempts = time.Hour, 1
		w := wrap(t, newStore(), c)
		runs(t, w)
		time.Sleep(time.Minute)
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, p.sendings(), 1)
		time.Sleep(time.Minute)
		_, err = w.Settle(t.Context(), "k", idempotency.DidNotHappen[payment]().AsOf(requireState(t, w, "k", idempotency.StateUnknown)))
		require.NoError(t, err)
		time.Sleep(time.Second)
		requireState(t, w, "k", idempotency.StateSucceeded)
	})
}

// A call that was freed can be started, and is then committed to.
func TestStartAfterNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(idempotency.NotSent(errLost)), fail(idempotency.NotSent(errLost)), fail(idempotency.NotSent(errLost)), fail(idempotency.NotSent(errLost)), pay}}
		w := wrap(t, newStore(), blind(p))
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
		s, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, idempotency.StateScheduled, s.State)
		n, err := w.Recover(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		requireState(t, w, "k", idempotency.StateSucceeded)
	})
}

// Recover makes one pass over all scopes, and waits for it; several processes share the work, no call is driven twice.
func TestSeveralProcessesRecover(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(time.Second, pay)}}
		store := newStore()
		c := blind(p)
		c.Concurrency = 3
		const calls = 40
		var processes []*wrapper
		for range 4 {
			processes = append(processes, wrap(t, store, c))
		}
		for i := range calls {
			_, err := processes[0].For(fmt.Sprint(i%3)).Start(t.Context(), fmt.Sprint(i), book)
			require.NoError(t, err)
		}
		taken := make(chan int, len(processes))
		for _, w := range processes {
			go func() {
				n, _ := w.Recover(context.Background())
				taken <- n
			}()
		}
		total := 0
		for range processes {
			total += <-taken
		}
		require.Equal(t, calls, total)
		require.Len(t, p.sendings(), calls)
		require.LessOrEqual(t, p.most, 12, "Concurrency bounds what a process drives at once")
		list, err := processes[0].List(t.Context(), idempotency.Query{States: []idempotency.State{idempotency.StateSucceeded}})
		require.NoError(t, err)
		require.Len(t, list, calls)
	})
}

// Run goes on when the store fails for a while, and tells the age of the oldest unresolved call.
func TestRunSurvivesTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var oldest recorder[time.Duration]
		p := &provider{script: []step{pay}}
		mine := newFaulty(newStore())
		c := blind(p)
		c.Hooks.Oldest = func(operation string, age time.Duration) {
			if operation == "charge" {
				oldest.add(age)
			}
		}
		w := wrap(t, mine, c)
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		mine.set(func(op string, _ int) trouble {
			if op == "AcquireDue" {
				return trouble{before: errDown}
			}
			return trouble{}
		})
		runs(t, w)
		time.Sleep(10 * time.Minute)
		require.Less(t, mine.count("AcquireDue"), 400, "a store that fails is not hammered")
		require.Empty(t, p.sendings())
		require.GreaterOrEqual(t, oldest.all()[0], time.Hour)
		mine.up()
		time.Sleep(time.Minute)
		requireState(t, w, "k", idempotency.StateSucceeded)
		require.Zero(t, oldest.all()[len(oldest.all())-1], "nothing is unresolved any more")
	})
}

// A call that was given up and turned out to have happened stays abandoned for ever; it is answered, and rings no alarm.
func TestOldestLeavesOutWhatIsAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var oldest recorder[time.Duration]
		c := blind(&provider{script: []step{fail(errLost)}})
		c.Hooks.Oldest = func(_ string, age time.Duration) { oldest.add(age) }
		w := wrap(t, newStore(), c)
		for _, key := range []string{"late", "open"} {
			_, err := w.Do(t.Context(), key, book)
			requireUnknown(t, err)
			_, err = w.Cancel(t.Context(), key)
			requireUnknown(t, err)
			time.Sleep(time.Hour)
		}
		_, err := w.Settle(t.Context(), "late", idempotency.Happened(payment{ID: "p"}))
		require.NoError(t, err)
		runs(t, w)
		synctest.Wait()
		require.Equal(t, time.Hour, oldest.all()[0], "the age of the one that is still open")
	})
}

// GiveUp: a call that was never sent is cancelled, another is abandoned and still asked about; nothing is sent afterwards.
func TestGiveUp(t *testing.T) {
	rows := []struct {
		name  string
		steps []step
		looks []look
		state idempotency.State
		late  bool
	}{
		{"never sent", []step{fail(idempotency.NotSent(errLost))}, []look{says(idempotency.DontKnow[payment]())}, idempotency.StateCancelled, false},
		{"unknown, nobody knows", []step{fail(errLost)}, []look{says(idempotency.DontKnow[payment]())}, idempotency.StateAbandoned, false},
		{"unknown, it did happen", []step{fail(errLost)}, []look{func(_ context.Context, a attempt, _ purchase) (verdict, error) {
			if time.Since(a.FirstSent) < 2*time.Hour {
				return verdict{}, errDown
			}
			return idempotency.Happened(payment{ID: "late"}), nil
		}}, idempotency.StateAbandoned, true},
		{"unknown, it did not", []step{fail(errLost)}, []look{func(_ context.Context, a attempt, _ purchase) (verdict, error) {
			if time.Since(a.FirstSent) < 2*time.Hour {
				return idempotency.DontKnow[payment](), nil
			}
			return idempotency.DidNotHappen[payment](), nil
		}}, idempotency.StateCancelled, false},
		{"accepted", []step{fail(idempotency.Accepted("ch_1", 24*time.Hour))}, []look{says(idempotency.DontKnow[payment]())}, idempotency.StateAbandoned, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var told recorder[settled]
				p := &provider{script: row.steps, looks: row.looks}
				c := askable(p)
				c.GiveUp, c.Poll = time.Hour, 10*time.Second
				c.OnSettled = func(_ context.Context, s settled) error { told.add(s); return nil }
				w := wrap(t, newStore(), c)
				_, err := w.Start(t.Context(), "k", book)
				require.NoError(t, err)
				runs(t, w)
				time.Sleep(59 * time.Minute)
				s := requireAny(t, w)
				require.False(t, s.State.Settled())
				require.InDelta(t, time.Minute, s.GiveUp, float64(time.Second))
				require.Empty(t, told.all())
				time.Sleep(2 * time.Minute)
				sent := len(p.sendings())
				time.Sleep(3 * time.Hour)
				require.Len(t, p.sendings(), sent, "sent after it was given up")
				s = requireState(t, w, "k", row.state)
				require.Equal(t, row.late, s.Late)
				_, err = w.Do(t.Context(), "k", book)
				if row.state == idempotency.StateCancelled {
					require.ErrorIs(t, err, idempotency.ErrCancelled)
				} else {
					requireUnknown(t, err)
				}
				last := told.all()[len(told.all())-1]
				require.Equal(t, row.state, last.State)
				require.Equal(t, row.late, last.Late)
				changes := 1
				if row.late || row.name == "unknown, it did not" {
					changes = 2
				}
				require.Len(t, told.all(), changes, "OnSettled is told every change once: %v", told.all())
			})
		})
	}
}

// List pages through everything; States and scopes restrict it.
func TestList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay, fail(errLost), fail(idempotency.Rejected("declined", nil)), fail(idempotency.NotSent(errLost))}}
		c := blind(p)
		c.Retry.Attempts = 1
		w := wrap(t, newStore(), c)
		for i, scope := range []string{"a", "b", "b", "c"} {
			_, _ = w.For(scope).Do(t.Context(), fmt.Sprint(i), book)
			time.Sleep(time.Minute)
		}
		names := func(list []status, err error) (names []string) {
			require.NoError(t, err)
			for _, s := range list {
				names = append(names, s.Scope+s.Key+" "+s.State.String())
			}
			return names
		}
		require.Equal(t, []string{"a0 succeeded", "b1 unknown", "b2 rejected"}, names(w.List(t.Context(), idempotency.Query{})), "what was freed is as good as absent")
		require.Equal(t, []string{"b1 unknown", "b2 rejected"}, names(w.For("b").List(t.Context(), idempotency.Query{})))
		require.Equal(t, []string{"b1 unknown"}, names(w.List(t.Context(), idempotency.Query{States: []idempotency.State{idempotency.StateUnknown}})))
		require.Equal(t, []string{"a0 succeeded"}, names(w.List(t.Context(), idempotency.Query{OldestFirst: true, N: 1})))
		var pages []string
		for after := (idempotency.ID{}); ; {
			list, err := w.List(t.Context(), idempotency.Query{After: after, N: 1})
			page := names(list, err)
			if len(page) == 0 {
				break
			}
			pages = append(pages, page...)
			after = idempotency.ID{Scope: list[0].Scope, Key: list[0].Key}
		}
		require.Equal(t, []string{"a0 succeeded", "b1 unknown", "b2 rejected"}, pages)
		list, err := w.List(t.Context(), idempotency.Query{})
		require.NoError(t, err)
		require.Equal(t, paid(book, 1), list[0].Value)
		require.Equal(t, errLost.Error(), list[1].Message, "what went wrong, for people")
		require.Equal(t, 1, list[1].Attempts)
		require.Equal(t, 3*time.Minute, list[1].Age)
		require.Equal(t, 3*time.Minute, list[1].LastSent)
		require.Equal(t, 2*time.Minute, list[2].Settled)
		require.Equal(t, "declined", list[2].Rejection.Code)
		_, err = w.List(t.Context(), idempotency.Query{N: 1001})
		require.Error(t, err)
	})
}

// Close lets attempts under way end, hands everything else over, and leaves no goroutine.
func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T) { // an attempt ends, its repetition is somebody else's
		p := &provider{script: []step{after(5*time.Second, fail(errLost)), pay}}
		store := newStore()
		w := wrap(t, store, keyed(p))
		waiting := goDo(t.Context(), w, "k", book)
		time.Sleep(time.Second)
		began := time.Now()
		require.NoError(t, w.Close(t.Context()))
		require.Equal(t, 4*time.Second, time.Since(began))
		requireUnknown(t, (<-waiting).err)
		other := wrap(t, store, keyed(p))
		s := requireState(t, other, "k", idempotency.StateUnknown)
		require.Zero(t, s.Due-max(s.Due, 0), "it is due in its backoff, not in a lease")
		require.Less(t, s.Due, 10*time.Second)
		_, err := other.Do(t.Context(), "k", book)
		require.NoError(t, err)
	})
	bubble(t, func(t *testing.T) { // the context of Close ends first
		p := &provider{script: []step{after(5*time.Second, pay)}}
		w := wrap(t, newStore(), blind(p))
		waiting := goDo(t.Context(), w, "k", book)
		time.Sleep(time.Second)
		err := w.Close(patience(t, time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "charge")
		require.NoError(t, (<-waiting).err, "it goes on")
		require.NoError(t, w.Close(t.Context()))
	})
	bubble(t, func(t *testing.T) { // who polls for another process's call is let go
		store := newStore()
		p := &provider{script: []step{after(7*time.Second, pay)}}
		owner := goDo(t.Context(), wrap(t, store, blind(p)), "k", book)
		synctest.Wait()
		w := wrap(t, store, blind(p))
		waiting := goDo(t.Context(), w, "k", book)
		time.Sleep(time.Second)
		require.NoError(t, w.Close(t.Context()))
		requirePending(t, (<-waiting).err)
		require.NoError(t, (<-owner).err)
	})
	bubble(t, func(t *testing.T) { // Run ends, with what it has under way
		p := &provider{script: []step{after(5*time.Second, pay)}}
		w := wrap(t, newStore(), blind(p))
		runs(t, w)
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		time.Sleep(3 * time.Second)
		require.Len(t, p.sendings(), 1)
		require.NoError(t, w.Close(t.Context()))
		requireState(t, w, "k", idempotency.StateSucceeded)
	})
	bubble(t, func(t *testing.T) { // an outcome that the store does not take is offered until SettleFor is over
		p := &provider{script: []step{pay}}
		mine := newFaulty(newStore())
		w := wrap(t, mine, blind(p))
		mine.set(func(op string, _ int) trouble {
			if op == "Settle" {
				return trouble{before: errDown}
			}
			return trouble{}
		})
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorAs(t, err, new(*idempotency.UnrecordedError))
		require.Error(t, w.Close(patience(t, time.Minute)))
		mine.up()
		require.NoError(t, w.Close(t.Context()))
		requireState(t, w, "k", idempotency.StateSucceeded)
	})
}

// Run's end: ctx ends, no new attempt is begun, what is under way ends.
func TestRunHandsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(5*time.Second, fail(errLost)), pay}}
		store := newStore()
		w := wrap(t, store, keyed(p))
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		time.Sleep(3 * time.Second)
		cancel(errors.New("shutdown"))
		require.NoError(t, <-ended)
		require.Len(t, p.sendings(), 1)
		requireState(t, w, "k", idempotency.StateUnknown)
		_, err = w.Recover(t.Context())
		require.NoError(t, err)
	})
}
