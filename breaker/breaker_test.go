package breaker_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
)

// try makes one call that ends with err, and tells whether it was let through.
func try(t *testing.T, b *breaker.Breaker, err error) (through bool) {
	t.Helper()
	_, got := breaker.Do(t.Context(), b, func(context.Context) (int, error) {
		through = true
		return 0, err
	})
	if through {
		require.ErrorIs(t, got, err, "the call's own error is handed on")
	} else {
		require.ErrorIs(t, got, breaker.ErrOpen)
	}
	return through
}

// changes records what OnStateChange is told.
type changes struct {
	mu   sync.Mutex
	seen []string
}

func (c *changes) hook(from, to breaker.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, from.String()+" > "+to.String())
}

func TestTheLifeOfABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c changes
		b := breaker.New(breaker.Config{MinCalls: 4, OpenFor: time.Minute, Probes: 2, OnStateChange: c.hook})

		assert.True(t, try(t, b, nil))
		assert.True(t, try(t, b, nil))
		assert.True(t, try(t, b, errDown))
		require.Equal(t, breaker.Closed, b.State(), "3 calls are fewer than MinCalls")
		state, counts := b.Snapshot()
		assert.Equal(t, breaker.Closed, state)
		assert.Equal(t, breaker.Counts{Calls: 3, Failures: 1}, counts)

		assert.True(t, try(t, b, errDown))
		require.Equal(t, breaker.Open, b.State(), "2 of 4 is half")
		state, counts = b.Snapshot()
		assert.Equal(t, breaker.Open, state)
		assert.Zero(t, counts)

		time.Sleep(time.Minute - 1)
		assert.False(t, try(t, b, nil))
		time.Sleep(1)
		require.Equal(t, breaker.HalfOpen, b.State())
		assert.True(t, try(t, b, errDown), "the first probe goes out, and fails")
		require.Equal(t, breaker.Open, b.State())
		assert.False(t, try(t, b, nil))

		time.Sleep(time.Minute)
		assert.True(t, try(t, b, nil))
		require.Equal(t, breaker.HalfOpen, b.State(), "one of two probes has succeeded")
		assert.True(t, try(t, b, nil))
		require.Equal(t, breaker.Closed, b.State())
		_, counts = b.Snapshot()
		assert.Zero(t, counts, "it begins with an empty window")

		assert.Equal(t, []string{
			"closed > open", "open > half-open", "half-open > open", "open > half-open", "half-open > closed",
		}, c.seen)
	})
}

func TestHalfOpenLimitsProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{Name: "psp", Probes: 2})
		b.Trip()
		time.Sleep(breaker.DefaultOpenFor)
		one, err := b.Allow()
		require.NoError(t, err)
		_, err = b.Allow()
		require.NoError(t, err)

		_, err = b.Allow()
		require.ErrorIs(t, err, breaker.ErrOpen)
		var open *breaker.OpenError
		require.ErrorAs(t, err, &open)
		assert.Equal(t, breaker.HalfOpen, open.State)
		assert.Zero(t, open.RetryAfter())
		assert.ErrorContains(t, err, `"psp" is half-open`)

		one(nil)
		_, err = b.Allow()
		require.ErrorIs(t, err, breaker.ErrOpen, "a probe that succeeded does not make room for a third")
	})
}

func TestHalfOpenLimitsProbesAmongGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const probes = 3
		b := breaker.New(breaker.Config{Probes: probes})
		for range 50 {
			b.Trip()
			time.Sleep(breaker.DefaultOpenFor)
			var through atomic.Int64
			report := make(chan struct{})
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					_, _ = breaker.Do(t.Context(), b, func(context.Context) (int, error) {
						through.Add(1)
						<-report
						return 0, nil
					})
				})
			}
			synctest.Wait()
			assert.EqualValues(t, probes, through.Load())
			close(report)
			wg.Wait()
			require.Equal(t, breaker.Closed, b.State())
		}
	})
}

func TestOpenErrorSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Config{Name: "psp", OpenFor: time.Minute})
		b.Trip()
		time.Sleep(20 * time.Second)
		_, err := breaker.Do(t.Context(), b, succeed)
		var open *breaker.OpenError
		require.ErrorAs(t, err, &open)
		assert.Equal(t, "psp", open.Name)
		assert.Equal(t, breaker.Open, open.State)
		assert.Equal(t, 40*time.Second, open.RetryAfter())
		assert.EqualError(t, err, `breaker: the call was not made: the breaker "psp" is open for another 40s`)
		time.Sleep(1234567 * time.Nanosecond)
		assert.ErrorContains(t, err, "another 39.999s", "nobody waits for nanoseconds")
		time.Sleep(time.Hour)
		assert.Zero(t, open.RetryAfter())

		assert.Zero(t, (&breaker.OpenError{}).RetryAfter())
		assert.ErrorContains(t, &breaker.OpenError{State: breaker.Open}, "the breaker is open")
	})
}

func TestTripAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c changes
		b := breaker.New(breaker.Config{OpenFor: time.Minute, OnStateChange: c.hook})
		b.Trip()
		time.Sleep(50 * time.Second)
		b.Trip()
		time.Sleep(50 * time.Second)
		assert.Equal(t, breaker.Open, b.State(), "the second Trip began a minute of its own")
		b.Reset()
		assert.True(t, try(t, b, errDown))
		b.Reset()
		_, counts := b.Snapshot()
		assert.Zero(t, counts)
		assert.Equal(t, []string{"closed > open", "open > closed"}, c.seen)
	})
}

func TestOpenForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		b := breaker.New(breaker.Config{OpenFor: math.MaxInt64, ProbeTimeout: math.MaxInt64})
		time.Sleep(time.Hour)
		b.Trip()
		time.Sleep(1e6 * time.Hour)
		assert.False(t, try(t, b, nil))
	})
}

func TestHooksAreCalledOutsideLocks(t *testing.T) {
	for name, c := range map[string]breaker.Config{
		"window":     {MinCalls: 1, OpenFor: 1, ProbeTimeout: 1},
		"last calls": {MinCalls: 1, OpenFor: 1, ProbeTimeout: 1, LastCalls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b *breaker.Breaker
				var c, seen = c, changes{}
				c.OnStateChange = func(from, to breaker.State) {
					seen.hook(from, to)
					b.Snapshot() // on a lock that is held, this would hang
					if done, err := b.Allow(); err == nil {
						done(context.Canceled)
					}
				}
				b = breaker.New(c)
				try(t, b, errDown)
				time.Sleep(1)
				_, err := b.Allow() // a probe, and lost
				require.NoError(t, err)
				time.Sleep(1)
				try(t, b, nil)
				assert.Equal(t, []string{
					"closed > open", "open > half-open", "half-open > open", "open > half-open", "half-open > closed",
				}, seen.seen)
			})
		})
	}
}

func TestAnInvalidConfigRefusesEveryCall(t *testing.T) {
	for name, tc := range map[string]struct {
		config breaker.Config
		says   []string
	}{
		"Window negative":        {breaker.Config{Window: -1}, []string{"Window", "-1ns"}},
		"Window tiny":            {breaker.Config{Window: 5}, []string{"Window", "5ns", "1ms"}},
		"LastCalls negative":     {breaker.Config{LastCalls: -1}, []string{"LastCalls", "-1"}},
		"LastCalls huge":         {breaker.Config{LastCalls: math.MaxInt}, []string{"LastCalls", "1000000"}},
		"two windows":            {breaker.Config{LastCalls: 5, Window: time.Second}, []string{"Window", "1s", "LastCalls", "5"}},
		"FailureRate NaN":        {breaker.Config{FailureRate: math.NaN()}, []string{"FailureRate", "NaN"}},
		"FailureRate in percent": {breaker.Config{FailureRate: 50}, []string{"FailureRate", "50"}},
		"FailureRate negative":   {breaker.Config{FailureRate: -0.5}, []string{"FailureRate", "-0.5"}},
		"SlowCall negative":      {breaker.Config{SlowCall: -1}, []string{"SlowCall", "-1ns"}},
		"SlowRate infinite":      {breaker.Config{SlowRate: math.Inf(1)}, []string{"SlowRate", "+Inf"}},
		"SlowRate alone":         {breaker.Config{SlowRate: 0.5}, []string{"SlowRate", "0.5", "SlowCall"}},
		"MinCalls negative":      {breaker.Config{MinCalls: -1}, []string{"MinCalls", "-1"}},
		"MinCalls out of reach":  {breaker.Config{MinCalls: 11, LastCalls: 10}, []string{"MinCalls", "11", "LastCalls", "10"}},
		"OpenFor negative":       {breaker.Config{OpenFor: -1}, []string{"OpenFor", "-1ns"}},
		"Probes negative":        {breaker.Config{Probes: -1}, []string{"Probes", "-1"}},
		"Probes huge":            {breaker.Config{Probes: math.MaxInt}, []string{"Probes", "1000"}},
		"ProbeTimeout negative":  {breaker.Config{ProbeTimeout: -1}, []string{"ProbeTimeout", "-1ns"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.config.Validate()
			require.Error(t, err)
			for _, part := range tc.says {
				assert.ErrorContains(t, err, part)
			}
			refusesEverything(t, breaker.New(tc.config), err.Error())
		})
	}
	assert.NoError(t, breaker.Config{}.Validate())
	assert.NoError(t, breaker.New(breaker.Config{LastCalls: 5}).Validate(), "the default of MinCalls gives way to LastCalls")
}

func TestTheZeroBreakerRefusesEveryCall(t *testing.T) {
	refusesEverything(t, new(breaker.Breaker), "not made by breaker.New")
}

func refusesEverything(t *testing.T, b *breaker.Breaker, says string) {
	t.Helper()
	_, err := breaker.Do(t.Context(), b, func(context.Context) (int, error) { t.Error("called"); return 0, nil })
	require.ErrorContains(t, err, says)
	assert.NotErrorIs(t, err, breaker.ErrOpen, "the service has done nothing wrong")
	done, err := b.Allow()
	require.ErrorContains(t, err, says)
	done(nil)
	require.ErrorContains(t, b.Validate(), says)

	b.Trip()
	b.Reset()
	state, counts := b.Snapshot()
	assert.Equal(t, breaker.Open, state)
	assert.Zero(t, counts)
}

func TestTheNilBreakerLetsEverythingThrough(t *testing.T) {
	var b *breaker.Breaker
	for range 100 {
		_, err := breaker.Do(t.Context(), b, fail)
		require.ErrorIs(t, err, errDown)
	}
	done, err := b.Allow()
	require.NoError(t, err)
	done(errDown)
	b.Trip()
	b.Reset()
	assert.NoError(t, b.Validate())
	state, _ := b.Snapshot()
	assert.Equal(t, breaker.Closed, state)
}

func TestCountsDecidesWhatIsAFailure(t *testing.T) {
	errDeclined := errors.New("declined")
	b := breaker.New(breaker.Config{
		LastCalls: 10, MinCalls: 4, FailureRate: 1,
		Counts: func(err error) bool { return !errors.Is(err, errDeclined) },
	})
	try(t, b, errDeclined)
	try(t, b, errDown)
	_, counts := b.Snapshot()
	assert.Equal(t, breaker.Counts{Calls: 2, Failures: 1}, counts)
}

func TestStateString(t *testing.T) {
	assert.Equal(t, "closed open half-open unknown",
		breaker.Closed.String()+" "+breaker.Open.String()+" "+breaker.HalfOpen.String()+" "+breaker.State(9).String())
}
