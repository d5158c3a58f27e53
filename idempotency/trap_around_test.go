package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// T37: one layer owns retries: the provider sees as many attempts as the policy says, however many callers wait, and
// however often they come back while the call rests.
func TestAttemptsAtTheProviderAreThePolicys(t *testing.T) {
	for _, attempts := range []int{1, 3, 7} {
		t.Run(fmt.Sprint(attempts), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{after(time.Second, fail(errLost))}}
				c := keyed(p)
				c.Retry.Attempts = attempts
				w := wrap(t, newStore(), c)
				var waiting []<-chan answered
				for range 10 {
					waiting = append(waiting, goDo(t.Context(), w, "k", book))
				}
				for _, c := range waiting {
					requireUnknown(t, (<-c).err)
				}
				require.Len(t, p.sendings(), attempts)
				require.Equal(t, attempts, requireState(t, w, "k", idempotency.StateUnknown).Attempts)
			})
		})
	}
	bubble(t, func(t *testing.T) { // a budget that is shared by calls is respected
		p := &provider{script: []step{fail(idempotency.NotSent(errLost))}}
		c := blind(p)
		c.Retry.Budget = retry.NewBudget(0.1, 1)
		w := wrap(t, newStore(), c)
		for i := range 20 {
			_, err := w.Do(t.Context(), fmt.Sprint(i), book)
			require.ErrorIs(t, err, idempotency.ErrNotSent)
		}
		require.LessOrEqual(t, len(p.sendings()), 23, "retries are a tenth of the calls")
	})
}

// T38: a Retry-After of a day is not obeyed inside a request: the call ends, as what is known.
func TestRetryAfterOfADay(t *testing.T) {
	day := 24 * time.Hour
	for name, row := range map[string]struct {
		err   error
		check func(t *testing.T, err error)
	}{
		"not sent": {retry.After(day, idempotency.NotSent(errLost)), func(t *testing.T, err error) { require.ErrorIs(t, err, idempotency.ErrNotSent) }},
		"unknown":  {retry.After(day, errLost), func(t *testing.T, err error) { requireUnknown(t, err) }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{fail(row.err)}}
				began := time.Now()
				_, err := wrap(t, newStore(), keyed(p)).Do(t.Context(), "k", book)
				row.check(t, err)
				require.ErrorIs(t, err, errLost)
				require.Zero(t, time.Since(began))
				require.Len(t, p.sendings(), 1)
			})
		})
	}
}

// T39: a delay that is longer than the time left is not slept: the call ends at once, with the last error.
func TestADelayThatCannotEndInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(errLost)}}
		c := keyed(p)
		c.Retry.Elapsed = 2 * time.Second // delays of 1 s, 2 s
		began := time.Now()
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		require.ErrorIs(t, err, errLost)
		require.Equal(t, time.Second, time.Since(began))
		require.Len(t, p.sendings(), 2)
	})
	bubble(t, func(t *testing.T) { // a record whose next step is further away than the policy's longest delay
		p := &provider{script: []step{fail(errLost)}}
		c := keyed(p)
		c.Retry.Attempts = 1
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		_, err = w.Settle(t.Context(), "k", idempotency.StillPending[payment](time.Hour))
		require.NoError(t, err)
		began := time.Now()
		_, err = w.Do(t.Context(), "k", book)
		require.Equal(t, time.Hour, requireUnknown(t, err).RetryAfter(), "it says when to come back")
		require.ErrorContains(t, err, errLost.Error(), "the last error is kept")
		require.Zero(t, time.Since(began))
		require.Len(t, p.sendings(), 1, "a record is sent no sooner than its own backoff allows")
	})
}

// T40: a dead context sends nothing and stores nothing.
func TestADeadContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mine := newFaulty(newStore())
		p := &provider{script: []step{pay}}
		w := wrap(t, mine, blind(p))
		why := errors.New("the request was abandoned")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		_, err := w.Do(ctx, "k", book)
		requireUnsafe(t, err)
		require.ErrorIs(t, err, why)
		synctest.Wait()
		require.Zero(t, mine.count("Acquire"))
		require.Empty(t, p.sendings())
		_, err = w.Start(ctx, "k", book)
		requireUnsafe(t, err)
		_, err = w.Status(t.Context(), "k")
		require.ErrorIs(t, err, idempotency.ErrNoRecord)
	})
}

// T44: what an attempt says about the provider's health: its failures count; an answer, and our own cancelling, do not.
func TestWhatTheBreakerIsTold(t *testing.T) {
	rows := []struct {
		name string
		step step
		want breaker.State
	}{
		{"success", pay, breaker.Closed},
		{"rejected", fail(idempotency.Rejected("declined", nil)), breaker.Closed},
		{"accepted", fail(idempotency.Accepted("ch_1", time.Hour)), breaker.Closed},
		{"an error", fail(errLost), breaker.Open},
		{"not sent", fail(idempotency.NotSent(errLost)), breaker.Open},
		{"a timeout of ours", lost, breaker.Open},
		{"a panic", panics("boom"), breaker.Open},
		{"a Send that is stuck", deaf(time.Minute, pay), breaker.Open},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := breaker.New(breaker.Config{MinCalls: 3, FailureRate: 0.5})
				c := blind(&provider{script: []step{row.step}})
				c.Breaker, c.Retry.Attempts = b, 1
				w := wrap(t, newStore(), c)
				var waiting []<-chan answered
				for i := range 3 {
					waiting = append(waiting, goDo(t.Context(), w, fmt.Sprint(i), book))
				}
				for _, c := range waiting {
					<-c
				}
				require.Equal(t, row.want, b.State())
			})
		})
	}
	t.Run("callers that leave, and leases that are lost", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := breaker.New(breaker.Config{LastCalls: 100, MinCalls: 3, FailureRate: 0.1})
			mine := newFaulty(newStore())
			mine.set(func(op string, _ int) trouble {
				if op == "Extend" {
					return trouble{before: errDown}
				}
				return trouble{}
			})
			c := blind(&provider{script: []step{func(ctx context.Context, _ attempt, _ purchase) (payment, error) {
				<-ctx.Done()
				return payment{}, errLost // many clients hide why
			}}})
			c.Breaker, c.Timeout, c.Retry.Attempts = b, time.Hour, 1
			w := wrap(t, mine, c)
			for i := range 5 {
				_, err := w.Do(patience(t, time.Second), fmt.Sprint(i), book)
				requirePending(t, err)
			}
			time.Sleep(time.Minute)
			requireState(t, w, "0", idempotency.StateUnknown)
			state, counts := b.Snapshot()
			require.Equal(t, breaker.Closed, state)
			require.Zero(t, counts.Failures, "our own cancelling is not the provider's failure")
		})
	})
}

// An open breaker refuses before anything is sent: the key is free, the same one may be tried again.
func TestAnOpenBreaker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		c := blind(p)
		c.Breaker = breaker.New(breaker.Config{Name: "psp", OpenFor: time.Minute})
		c.Breaker.Trip()
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
		require.ErrorIs(t, err, breaker.ErrOpen)
		var open *breaker.OpenError
		require.ErrorAs(t, err, &open, "it says how long to wait")
		require.Empty(t, p.sendings())
		time.Sleep(time.Minute)
		_, err = w.Do(t.Context(), "k", book)
		require.NoError(t, err)
	})
}

// MaxInFlight: one attempt too many is not sent; the same key may be tried again.
func TestMaxInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(5*time.Second, pay)}}
		c := blind(p)
		c.MaxInFlight, c.Retry.Attempts = 2, 1
		w := wrap(t, newStore(), c)
		var waiting []<-chan answered
		for i := range 5 {
			waiting = append(waiting, goDo(t.Context(), w, fmt.Sprint(i), book))
			synctest.Wait()
		}
		refused := 0
		for _, c := range waiting {
			if got := <-c; got.err != nil {
				require.ErrorIs(t, got.err, idempotency.ErrNotSent)
				require.ErrorContains(t, got.err, "MaxInFlight", "it says which bound")
				refused++
			}
		}
		require.Equal(t, 3, refused)
		require.Equal(t, 2, p.most)
		for i := range 5 {
			_, err := w.Do(t.Context(), fmt.Sprint(i), book)
			require.NoError(t, err, "the places are free again")
		}
	})
}

// MaxInFlight: a Send that is stuck keeps its place until it returns, since it still burdens the provider.
func TestAStuckSendKeepsItsPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{deaf(time.Minute, fail(errLost)), pay}}
		c := blind(p)
		c.MaxInFlight, c.Retry.Attempts = 1, 1
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "stuck", book)
		requireUnknown(t, err)
		_, err = w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
		time.Sleep(time.Minute)
		_, err = w.Do(t.Context(), "k", book)
		require.NoError(t, err)
	})
}
