package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/retry"
)

var errDown = errors.New("the service is down")

// failing returns a function for Do that always fails with err, and the number of times it ran.
func failing(err error) (fn func(context.Context) (int, error), ran *int) {
	ran = new(int)
	return func(context.Context) (int, error) { *ran++; return *ran, err }, ran
}

func TestDoRetriesUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []retry.Retry
		p := retry.Policy{
			Initial: time.Second, Jitter: retry.NoJitter, Attempts: 5,
			OnRetry: func(r retry.Retry) { seen = append(seen, r) },
		}
		began, n := time.Now(), 0
		got, err := retry.Do(t.Context(), p, func(context.Context) (string, error) {
			if n++; n < 4 {
				return "", errDown
			}
			return "done", nil
		})
		require.NoError(t, err)
		assert.Equal(t, "done", got)
		assert.Equal(t, []retry.Retry{
			{Attempt: 1, Err: errDown, Delay: 1 * time.Second},
			{Attempt: 2, Err: errDown, Delay: 2 * time.Second},
			{Attempt: 3, Err: errDown, Delay: 4 * time.Second},
		}, seen, "OnRetry is told of every wait, and only of waits")
		assert.Equal(t, 7*time.Second, time.Since(began), "Do waits as long as it told OnRetry")
	})
}

func TestDoEndsWhenAttemptsAreUsedUp(t *testing.T) {
	for name, tc := range map[string]struct{ attempts, want int }{
		"the default": {0, retry.DefaultAttempts},
		"one":         {1, 1},
		"three":       {3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fn, ran := failing(errDown)
				got, err := retry.Do(t.Context(), retry.Policy{Attempts: tc.attempts}, fn)
				require.ErrorIs(t, err, errDown)
				assert.ErrorContains(t, err, fmt.Sprintf("attempt %d of %d", tc.want, tc.want))
				assert.Equal(t, tc.want, *ran)
				assert.Equal(t, tc.want, got, "the last attempt's value comes with its error")
			})
		})
	}
}

func TestDoUnlimitedIsBoundedByElapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn, ran := failing(errDown)
		began := time.Now()
		_, err := retry.Do(t.Context(), retry.Policy{
			Initial: time.Second, Multiplier: 1, Jitter: retry.NoJitter,
			Attempts: retry.Unlimited, Elapsed: 10 * time.Second,
		}, fn)
		require.ErrorIs(t, err, errDown)
		assert.ErrorContains(t, err, "Elapsed")
		assert.Equal(t, 11, *ran, "the attempts begin at 0, 1, … 10 s")
		assert.Equal(t, 10*time.Second, time.Since(began), "a delay past Elapsed is not waited for")
	})
}

func TestDoDoesNotRetryPermanentErrors(t *testing.T) {
	for name, err := range map[string]error{
		"marked":           retry.Permanent(io.ErrUnexpectedEOF),
		"marked and deep":  fmt.Errorf("charge: %w", retry.Permanent(io.ErrUnexpectedEOF)),
		"one of a joined":  errors.Join(errDown, retry.Permanent(io.ErrUnexpectedEOF)),
		"and asks to wait": retry.After(time.Second, retry.Permanent(io.ErrUnexpectedEOF)),
	} {
		t.Run(name, func(t *testing.T) {
			fn, ran := failing(err)
			_, got := retry.Do(t.Context(), retry.Policy{}, fn)
			require.ErrorIs(t, got, io.ErrUnexpectedEOF)
			assert.Equal(t, 1, *ran)
		})
	}
	assert.NoError(t, retry.Permanent(nil))
	assert.NoError(t, retry.After(time.Second, nil))
	assert.EqualError(t, retry.Permanent(errDown), errDown.Error())
	assert.EqualError(t, retry.After(time.Second, errDown), errDown.Error())
}

func TestPermanentEndsAnOuterDoToo(t *testing.T) {
	fn, ran := failing(retry.Permanent(errDown))
	_, err := retry.Do(t.Context(), retry.Policy{}, func(ctx context.Context) (int, error) {
		return retry.Do(ctx, retry.Policy{}, fn)
	})
	require.ErrorIs(t, err, errDown)
	assert.Equal(t, 1, *ran)
}

type busy struct{ wait time.Duration }

func (b busy) Error() string             { return "busy" }
func (b busy) RetryAfter() time.Duration { return b.wait }

func TestDoObeysRetryAfter(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want time.Duration
	}{
		"said with After":           {retry.After(3*time.Second, errDown), 3 * time.Second},
		"said by any error":         {fmt.Errorf("quote: %w", busy{3 * time.Second}), 3 * time.Second},
		"as long as Max":            {busy{5 * time.Second}, 5 * time.Second},
		"shorter than the policy's": {busy{time.Millisecond}, time.Second},
		"negative":                  {busy{-time.Hour}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fn, ran := failing(tc.err)
				began := time.Now()
				_, err := retry.Do(t.Context(), retry.Policy{
					Initial: time.Second, Max: 5 * time.Second, Attempts: 2, Jitter: retry.NoJitter,
				}, fn)
				require.Error(t, err)
				assert.Equal(t, 2, *ran)
				assert.Equal(t, tc.want, time.Since(began))
			})
		})
	}
}

// T38
func TestDoEndsWhenRetryAfterIsLongerThanMaxOrThanTheTimeLeft(t *testing.T) {
	for name, tc := range map[string]struct {
		policy retry.Policy
		asked  time.Duration
		says   string
	}{
		"longer than Max":           {retry.Policy{Max: 5 * time.Second}, 5*time.Second + 1, "above Policy.Max"},
		"a day, with the defaults":  {retry.Policy{}, 24 * time.Hour, "above Policy.Max"},
		"longer than the deadline":  {retry.Policy{Max: time.Hour}, 31 * time.Second, "the context's deadline"},
		"longer than Elapsed":       {retry.Policy{Max: time.Hour, Elapsed: 20 * time.Second}, 21 * time.Second, "Policy.Elapsed"},
		"the longest that there is": {retry.Policy{Max: time.Hour}, 1<<63 - 1, "above Policy.Max"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				fn, ran := failing(retry.After(tc.asked, errDown))
				began := time.Now()
				_, err := retry.Do(ctx, tc.policy, fn)
				require.ErrorIs(t, err, errDown, "the last error is kept")
				assert.ErrorContains(t, err, tc.says)
				assert.Equal(t, 1, *ran)
				assert.Zero(t, time.Since(began), "nothing is slept")

				var asks interface{ RetryAfter() time.Duration }
				require.ErrorAs(t, err, &asks, "the caller can still read how long the service asked for")
				assert.Equal(t, tc.asked, asks.RetryAfter())
			})
		})
	}
}

// T39
func TestDoDoesNotSleepPastTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		fn, ran := failing(errDown)
		began := time.Now()
		_, err := retry.Do(ctx, retry.Policy{Initial: time.Second, Attempts: 9, Jitter: retry.NoJitter}, fn)
		require.ErrorIs(t, err, errDown)
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "the context has not ended")
		assert.Equal(t, 3, *ran, "attempts at 0, 1 and 3 s; 7 s is too late")
		assert.Equal(t, 3*time.Second, time.Since(began))
	})
}

// T39: at the very deadline is too late as well.
func TestDoDoesNotSleepUntilTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		fn, ran := failing(errDown)
		began := time.Now()
		_, err := retry.Do(ctx, retry.Policy{Initial: time.Second, Jitter: retry.NoJitter}, fn)
		require.ErrorIs(t, err, errDown)
		assert.Equal(t, 1, *ran)
		assert.Zero(t, time.Since(began))
	})
}

var errShutdown = errors.New("the process shuts down")

// T40
func TestDoRunsNothingInADeadContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errShutdown)
	fn, ran := failing(errDown)
	_, err := retry.Do(ctx, retry.Policy{}, fn)
	require.ErrorIs(t, err, errShutdown)
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "not attempted")
	assert.Zero(t, *ran)
}

// T40: also when the context ends during the wait, or during the attempt.
func TestDoEndsWithItsContext(t *testing.T) {
	t.Run("while it waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(errShutdown) })
			fn, ran := failing(errDown)
			began := time.Now()
			_, err := retry.Do(ctx, retry.Policy{Initial: 5 * time.Second, Jitter: retry.NoJitter}, fn)
			require.ErrorIs(t, err, errDown)
			require.ErrorIs(t, err, errShutdown)
			require.ErrorIs(t, err, context.Canceled)
			assert.ErrorContains(t, err, "after attempt 1")
			assert.Equal(t, 1, *ran)
			assert.Equal(t, time.Second, time.Since(began))
		})
	})
	t.Run("while an attempt runs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errShutdown)
			defer cancel()
			_, err := retry.Do(ctx, retry.Policy{}, func(ctx context.Context) (int, error) {
				<-ctx.Done()
				return 0, errDown
			})
			require.ErrorIs(t, err, errDown)
			require.ErrorIs(t, err, errShutdown)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.ErrorContains(t, err, "after attempt 1")
		})
	})
	t.Run("when the wait is over at the same moment", func(t *testing.T) {
		for range 100 { // select takes either of two ready cases
			ctx, cancel := context.WithCancel(t.Context())
			fn, ran := failing(errDown)
			_, err := retry.Do(ctx, retry.Policy{
				Initial: 1, // full jitter makes it 0, so the timer is ready as soon as it is made
				OnRetry: func(retry.Retry) { cancel() },
			}, fn)
			require.ErrorIs(t, err, errDown)
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, 1, *ran)
		}
	})
}

func TestDoRetriesATimeoutThatIsNotTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fn, ran := failing(fmt.Errorf("attempt: %w", context.DeadlineExceeded))
		_, err := retry.Do(t.Context(), retry.Policy{Attempts: 3}, fn)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3, *ran)
	})
}

func TestDoThatSucceedsAllocatesNothing(t *testing.T) {
	p := retry.Policy{Elapsed: time.Minute, Budget: retry.NewBudget(0.1, 10)}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = retry.Do(t.Context(), p, func(context.Context) (int, error) { return 1, nil })
	}))
}
