package breaker_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
)

func TestTheTimeWindowForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{Window: 10 * time.Second, MinCalls: 1000})
		for i, want := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10} {
			try(t, b, errDown)
			_, counts := b.Snapshot()
			require.Equal(t, breaker.Counts{Calls: want, Failures: want}, counts, "after %d s", i)
			time.Sleep(time.Second)
		}
		_, counts := b.Snapshot()
		assert.Equal(t, 9, counts.Calls, "without any call, too")
		time.Sleep(time.Hour)
		_, counts = b.Snapshot()
		assert.Zero(t, counts)
		try(t, b, nil)
		_, counts = b.Snapshot()
		assert.Equal(t, breaker.Counts{Calls: 1}, counts)
	})
}

func TestTheCountWindowForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{LastCalls: 4, FailureRate: 0.75, SlowCall: time.Second, SlowRate: 1})
		for _, tc := range []struct {
			err  error
			took time.Duration
			want breaker.Counts
		}{
			{errDown, 0, breaker.Counts{Calls: 1, Failures: 1}},
			{errDown, time.Second, breaker.Counts{Calls: 2, Failures: 2, Slow: 1}},
			{nil, time.Second, breaker.Counts{Calls: 3, Failures: 2, Slow: 2}},
			{nil, 0, breaker.Counts{Calls: 4, Failures: 2, Slow: 2}},
			{nil, 0, breaker.Counts{Calls: 4, Failures: 1, Slow: 2}},
			{nil, 0, breaker.Counts{Calls: 4, Failures: 0, Slow: 1}},
			{nil, 0, breaker.Counts{Calls: 4}},
		} {
			_, err := breaker.Do(t.Context(), b, func(context.Context) (int, error) { time.Sleep(tc.took); return 0, tc.err })
			require.ErrorIs(t, err, tc.err)
			_, counts := b.Snapshot()
			require.Equal(t, tc.want, counts)
			time.Sleep(time.Hour)
		}
		for range 3 {
			require.True(t, try(t, b, errDown))
		}
		assert.Equal(t, breaker.Open, b.State(), "3 of the last 4")
	})
}

func TestSlowCallsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{Window: time.Hour, SlowCall: time.Second, SlowRate: 0.4, MinCalls: 5, OpenFor: time.Minute})
		took := func(d time.Duration) {
			_, err := breaker.Do(t.Context(), b, func(context.Context) (int, error) { time.Sleep(d); return 0, nil })
			require.NoError(t, err)
		}
		for range 3 {
			took(time.Second - 1)
		}
		took(time.Second)
		require.Equal(t, breaker.Closed, b.State())
		took(time.Second)
		require.Equal(t, breaker.Open, b.State(), "2 of 5 were slow, though they succeeded")

		time.Sleep(time.Minute)
		took(time.Second)
		require.Equal(t, breaker.Open, b.State(), "a slow probe has failed")
		time.Sleep(time.Minute)
		took(time.Second - 1)
		require.Equal(t, breaker.Closed, b.State())
	})
}

func TestEverySlowSuccessIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{Window: time.Hour, SlowCall: time.Second, MinCalls: 2})
		for i := range 20 {
			_, err := breaker.Do(t.Context(), b, func(context.Context) (int, error) {
				if i >= 10 {
					time.Sleep(time.Second)
				}
				return 0, nil
			})
			require.NoError(t, err)
			want := breaker.Closed
			if i == 19 {
				want = breaker.Open
			}
			require.Equal(t, want, b.State(), "%d of %d were slow", i-9, i+1)
		}
	})
}

func TestASuccessThatCompletesMinCallsOpens(t *testing.T) {
	for _, c := range []breaker.Config{{MinCalls: 4}, {MinCalls: 4, LastCalls: 10}} {
		b := breaker.New(c)
		try(t, b, errDown)
		try(t, b, errDown)
		try(t, b, errDown)
		require.Equal(t, breaker.Closed, b.State())
		try(t, b, nil)
		assert.Equal(t, breaker.Open, b.State(), "3 of 4 failed")
	}
}

// Whatever the order, the breaker agrees with a plain count of what went through it, after every single call.
func TestTheConditionIsJudgedByTheCallThatCompletesIt(t *testing.T) {
	for _, lastCalls := range []int{0, 1000} {
		for range 300 {
			rate, minCalls := 0.05+0.9*rand.Float64(), 1+rand.IntN(30)
			b := breaker.New(breaker.Config{FailureRate: rate, MinCalls: minCalls, LastCalls: lastCalls})
			share := rand.Float64()
			for calls, failures := 1, 0; calls <= 60; calls++ {
				var err error
				if rand.Float64() < share {
					err = errDown
					failures++
				}
				require.True(t, try(t, b, err))
				want := breaker.Closed
				if calls >= minCalls && float64(failures) >= rate*float64(calls) {
					want = breaker.Open
				}
				require.Equal(t, want, b.State(), "%d of %d failed; limit %v of at least %d", failures, calls, rate, minCalls)
				if want == breaker.Open {
					break
				}
			}
		}
	}
}

// The same among goroutines: results that are counted at once on different shards are all seen by the last of them.
func TestConcurrentResultsOpenInTime(t *testing.T) {
	const callers = 8
	for _, c := range []breaker.Config{
		{MinCalls: callers, FailureRate: 1},
		{MinCalls: callers, FailureRate: 0.5},
		{MinCalls: callers, LastCalls: callers},
	} {
		for range 300 {
			b := breaker.New(c)
			var wg sync.WaitGroup
			for i := range callers {
				done, err := b.Allow()
				require.NoError(t, err)
				wg.Go(func() {
					if c.FailureRate == 0.5 && i%2 == 0 {
						done(nil)
					} else {
						done(errDown)
					}
				})
			}
			wg.Wait()
			require.Equal(t, breaker.Open, b.State(), "all %d results are in", callers)
		}
	}
}

func TestNoResultIsLostAmongGoroutines(t *testing.T) {
	const callers, each = 8, 2000
	for _, c := range []breaker.Config{{Window: time.Hour}, {LastCalls: 100_000}} {
		c.FailureRate = 1
		b := breaker.New(c)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for j := range each {
					if (i+j)%4 == 0 {
						_, _ = breaker.Do(t.Context(), b, fail)
					} else {
						_, _ = breaker.Do(t.Context(), b, succeed)
					}
				}
			})
		}
		wg.Wait()
		_, counts := b.Snapshot()
		assert.Equal(t, breaker.Counts{Calls: callers * each, Failures: callers * each / 4}, counts)
	}
}
