package retry_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/retry"
)

// T37
func TestBudgetHoldsTheLoadOfAnOutage(t *testing.T) {
	const calls, ratio, burst = 10_000, 0.1, 10
	for name, callers := range map[string]int{"one caller": 1, "100 callers at once": 100} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := retry.Policy{Attempts: 3, Budget: retry.NewBudget(ratio, burst)}
				var requests atomic.Int64
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for range calls / callers {
							_, err := retry.Do(t.Context(), p, func(context.Context) (int, error) {
								requests.Add(1)
								return 0, errDown
							})
							assert.ErrorIs(t, err, errDown)
						}
					})
				}
				wg.Wait()
				assert.LessOrEqual(t, requests.Load(), int64(calls*(1+ratio)), "%d calls that all fail", calls)
				assert.GreaterOrEqual(t, requests.Load(), int64(calls*(1+ratio)*0.99), "the budget is there to be used")
			})
		})
	}
}

// T37: three layers of three attempts make 27 requests; with one budget they stay within it.
func TestBudgetHoldsLayersThatMultiply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		layered := func(p retry.Policy) {
			_, err := retry.Do(t.Context(), p, func(ctx context.Context) (int, error) {
				return retry.Do(ctx, p, func(ctx context.Context) (int, error) {
					return retry.Do(ctx, p, func(context.Context) (int, error) { requests++; return 0, errDown })
				})
			})
			assert.ErrorIs(t, err, errDown)
		}
		layered(retry.Policy{Attempts: 3})
		require.Equal(t, 27, requests)

		requests = 0
		p := retry.Policy{Attempts: 3, Budget: retry.NewBudget(0.1, 10)}
		for range 1000 {
			layered(p)
		}
		assert.Less(t, requests, 1500, "1000 calls that all fail, through three layers, each of which counts as a call")
	})
}

// T37: callers that fail at the same moment do not spend a token twice.
func TestBudgetIsExactAmongGoroutines(t *testing.T) {
	const callers, burst = 8, 20_000
	b := retry.NewBudget(0.001, burst)
	var retries atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			s := retry.Policy{Attempts: retry.Unlimited, Budget: b}.Schedule()
			for {
				if _, err := s.Next(errDown); err != nil {
					return
				}
				retries.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, burst, retries.Load())
}

func TestBudgetStartsFullAndRefillsWithCalls(t *testing.T) {
	b := retry.NewBudget(0.5, 2)
	retries := func(calls int) (n int) {
		for range calls {
			s := retry.Policy{Attempts: retry.Unlimited, Budget: b}.Schedule()
			for {
				if _, err := s.Next(errDown); err != nil {
					require.ErrorIs(t, err, errDown)
					require.ErrorContains(t, err, "budget is empty")
					break
				}
				n++
			}
		}
		return n
	}
	succeed := func(calls int) {
		for range calls {
			retry.Policy{Budget: b}.Schedule()
		}
	}
	assert.Equal(t, 2, retries(1), "the start is full")
	assert.Zero(t, retries(3), "the first burst/ratio calls pay it back")
	assert.Equal(t, 5, retries(10), "then each call is worth its half")
	succeed(100)
	assert.Equal(t, 2, retries(1), "no more than burst is saved up")
}

func TestBudgetIsNotSpentOnRetriesThatDoNotHappen(t *testing.T) {
	p := retry.Policy{Attempts: 2, Budget: retry.NewBudget(0.001, 1)}
	for _, err := range []error{retry.Permanent(errDown), retry.After(p.Delay(1)+retry.DefaultMax, errDown)} {
		fn, _ := failing(err)
		_, got := retry.Do(t.Context(), p, fn)
		require.ErrorIs(t, got, errDown)
	}
	s := p.Schedule()
	_, err := s.Next(errDown)
	require.NoError(t, err, "the one token is still there")
	_, err = s.Next(errDown)
	require.ErrorContains(t, err, "attempt 2 of 2")
}

func TestZeroBudgetAllowsNoRetry(t *testing.T) {
	s := retry.Policy{Budget: &retry.Budget{}}.Schedule()
	_, err := s.Next(errDown)
	assert.ErrorContains(t, err, "budget is empty")
}
