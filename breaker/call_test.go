package breaker_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
)

// halfOpen returns a breaker whose next call is a probe.
func halfOpen(c breaker.Config) *breaker.Breaker {
	b := breaker.New(c)
	b.Trip()
	time.Sleep(cmp.Or(c.OpenFor, breaker.DefaultOpenFor))
	return b
}

// T43
func TestAProbeThatNeverReportsDoesNotBlock(t *testing.T) {
	for name, probe := range map[string]func(b *breaker.Breaker, hang chan struct{}){
		"its done is lost": func(b *breaker.Breaker, _ chan struct{}) {
			_, err := b.Allow()
			assert.NoError(t, err)
		},
		"it hangs": func(b *breaker.Breaker, hang chan struct{}) {
			go func() {
				_, _ = breaker.Do(context.Background(), b, func(context.Context) (int, error) { <-hang; return 0, nil })
			}()
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c changes
				b := halfOpen(breaker.Config{ProbeTimeout: 5 * time.Second, OnStateChange: c.hook})
				hang := make(chan struct{})
				probe(b, hang)
				time.Sleep(5*time.Second - 1)
				require.False(t, try(t, b, nil), "the probe still has time")

				time.Sleep(1)
				done, err := b.Allow()
				require.NoError(t, err, "another may go")
				assert.Equal(t, []string{
					"closed > open", "open > half-open", "half-open > open", "open > half-open",
				}, c.seen, "the lost one counts as failed")

				close(hang) // T45: the lost probe comes back with a success
				synctest.Wait()
				require.Equal(t, breaker.HalfOpen, b.State(), "a lost probe says nothing any more")
				require.False(t, try(t, b, nil), "nor does it make room")
				done(nil)
				assert.Equal(t, breaker.Closed, b.State())
			})
		})
	}
}

// T43
func TestAPanicAndGoexitInAProbeAreFailures(t *testing.T) {
	for name, leave := range map[string]func(){
		"panic":  func() { panic("boom") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := halfOpen(breaker.Config{Counts: func(error) bool { return false }})
				var recovered any
				go func() {
					defer func() { recovered = recover() }()
					_, _ = breaker.Do(t.Context(), b, func(context.Context) (int, error) { leave(); return 0, nil })
				}()
				synctest.Wait()
				if name == "panic" {
					assert.Equal(t, "boom", recovered, "the panic goes on")
				}
				assert.Equal(t, breaker.Open, b.State(), "at once, whatever Counts says")
				time.Sleep(breaker.DefaultOpenFor)
				assert.True(t, try(t, b, nil))
				assert.Equal(t, breaker.Closed, b.State())
			})
		})
	}
}

// T43: of several probes, one that is lost fails them all.
func TestOneOfSeveralProbesIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(breaker.Config{Probes: 3, ProbeTimeout: 5 * time.Second})
		_, err := b.Allow()
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.True(t, try(t, b, nil))
		late, err := b.Allow()
		require.NoError(t, err)
		require.False(t, try(t, b, nil))

		time.Sleep(4 * time.Second)
		for range 2 {
			require.True(t, try(t, b, nil))
		}
		late(nil) // T45
		require.Equal(t, breaker.HalfOpen, b.State(), "three new successes are needed")
		require.True(t, try(t, b, nil))
		assert.Equal(t, breaker.Closed, b.State())
	})
}

// T43: the time counts, not whether somebody came by to notice.
func TestAProbeThatReportsTooLateHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpen(breaker.Config{ProbeTimeout: 5 * time.Second})
		done, err := b.Allow()
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		done(nil)
		assert.Equal(t, breaker.Open, b.State())
	})
}

// T44
func TestTheCallersCancellationDoesNotCount(t *testing.T) {
	canceled := func(b *breaker.Breaker) error {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := breaker.Do(ctx, b, func(context.Context) (int, error) {
			cancel()
			return 0, errDown // as good as any: many clients do not wrap context.Canceled
		})
		return err
	}
	reported := func(b *breaker.Breaker) error {
		done, err := b.Allow()
		if err != nil {
			return err
		}
		done(fmt.Errorf("charge: %w", context.Canceled))
		return errDown
	}
	for name, call := range map[string]func(*breaker.Breaker) error{"Do": canceled, "Allow": reported} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				everything := func(error) bool { return true }
				b := breaker.New(breaker.Config{MinCalls: 1, Counts: everything})
				require.ErrorIs(t, call(b), errDown)
				state, counts := b.Snapshot()
				assert.Equal(t, breaker.Closed, state)
				assert.Zero(t, counts, "neither a failure nor a success")

				b = halfOpen(breaker.Config{Counts: everything})
				for range 3 {
					require.ErrorIs(t, call(b), errDown, "its place is free for the next probe at once")
					require.Equal(t, breaker.HalfOpen, b.State())
				}
				require.True(t, try(t, b, nil))
				assert.Equal(t, breaker.Closed, b.State())
			})
		})
	}
}

// T44: a caller that runs out of time is another matter, and so is one that got its answer anyway.
func TestTheCallersDeadlineCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := breaker.Do(ctx, b, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, counts := b.Snapshot()
		assert.Equal(t, breaker.Counts{Calls: 1, Failures: 1}, counts)

		ctx, cancel = context.WithCancel(t.Context())
		_, err = breaker.Do(ctx, b, func(context.Context) (int, error) { cancel(); return 0, nil })
		require.NoError(t, err)
		_, counts = b.Snapshot()
		assert.Equal(t, breaker.Counts{Calls: 2, Failures: 1}, counts)
	})
}

// T40
func TestADeadContextCallsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errShutdown := errors.New("shutting down")
		for _, cause := range []error{nil, errShutdown} {
			b := halfOpen(breaker.Config{})
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(cause)
			_, err := breaker.Do(ctx, b, func(context.Context) (int, error) { t.Error("called"); return 0, nil })
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, breaker.ErrOpen)
			if cause != nil {
				require.ErrorIs(t, err, cause)
			}
			require.True(t, try(t, b, nil), "no probe was wasted on it")
		}
	})
}

// T45
func TestAResultFromBeforeTheStateChangedIsDropped(t *testing.T) {
	for name, result := range map[string]error{"a failure": errDown, "a success": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New(breaker.Config{MinCalls: 1, Probes: 1})
				start := func() func(error) {
					done, err := b.Allow()
					require.NoError(t, err)
					return done
				}
				early := []func(error){start(), start(), start()}
				b.Trip()
				early[0](result)
				require.Equal(t, breaker.Open, b.State(), "while open")

				time.Sleep(breaker.DefaultOpenFor)
				probe := start()
				early[1](result)
				require.Equal(t, breaker.HalfOpen, b.State(), "while a probe is under way")
				probe(nil)

				early[2](result)
				state, counts := b.Snapshot()
				require.Equal(t, breaker.Closed, state, "closed again")
				assert.Zero(t, counts)
			})
		})
	}
}

func TestDoneCountsOnce(t *testing.T) {
	b := breaker.New(breaker.Config{})
	done, err := b.Allow()
	require.NoError(t, err)
	func() {
		defer done(errDown) // the safety net of somebody who may panic
		done(nil)
	}()
	_, counts := b.Snapshot()
	assert.Equal(t, breaker.Counts{Calls: 1}, counts)

	done, err = b.Allow()
	require.NoError(t, err)
	start := make(chan struct{})
	ended := make(chan struct{})
	for range 4 {
		go func() { <-start; done(nil); ended <- struct{}{} }()
	}
	close(start)
	for range 4 {
		<-ended
	}
	_, counts = b.Snapshot()
	assert.Equal(t, breaker.Counts{Calls: 2}, counts, "also when it is called at once from several goroutines")
}

func TestAClosedBreakerAllocatesNothing(t *testing.T) {
	for _, c := range configs {
		t.Run(c.name, func(t *testing.T) {
			b := breaker.New(c.Config)
			const runs = 1000 // AllocsPerRun rounds down: the race detector makes sync.Pool forget some
			assert.Zero(t, testing.AllocsPerRun(runs, func() { _, _ = breaker.Do(t.Context(), b, succeed) }), "Do")
			assert.Zero(t, testing.AllocsPerRun(runs, func() {
				if done, err := b.Allow(); err == nil {
					done(nil)
				}
			}), "Allow")
			b.Trip()
			assert.Zero(t, testing.AllocsPerRun(runs, func() { _, _ = breaker.Do(t.Context(), b, succeed) }), "Do, open")
		})
	}
}
