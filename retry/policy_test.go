package retry_test

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/retry"
)

var jitters = []retry.Jitter{retry.FullJitter, retry.EqualJitter, retry.DecorrelatedJitter, retry.NoJitter}

func TestValidateNamesFieldAndValue(t *testing.T) {
	for name, tc := range map[string]struct {
		policy retry.Policy
		says   []string
	}{
		"Initial negative":    {retry.Policy{Initial: -time.Second}, []string{"Initial", "-1s"}},
		"Initial above Max":   {retry.Policy{Initial: time.Minute}, []string{"Initial", "1m0s", "Max", "10s"}},
		"Max negative":        {retry.Policy{Max: -1}, []string{"Max", "-1ns"}},
		"Multiplier NaN":      {retry.Policy{Multiplier: math.NaN()}, []string{"Multiplier", "NaN"}},
		"Multiplier infinite": {retry.Policy{Multiplier: math.Inf(1)}, []string{"Multiplier", "+Inf"}},
		"Multiplier negative": {retry.Policy{Multiplier: -2}, []string{"Multiplier", "-2"}},
		"Multiplier shrinks":  {retry.Policy{Multiplier: 0.5}, []string{"Multiplier", "0.5"}},
		"Elapsed negative":    {retry.Policy{Elapsed: -1}, []string{"Elapsed", "-1ns"}},
		"Jitter unknown":      {retry.Policy{Jitter: 9}, []string{"Jitter", "9"}},
		"Budget ratio NaN":    {retry.Policy{Budget: retry.NewBudget(math.NaN(), 1)}, []string{"Budget", "ratio", "NaN"}},
		"Budget ratio zero":   {retry.Policy{Budget: retry.NewBudget(0, 1)}, []string{"Budget", "ratio", "0"}},
		"Budget ratio high":   {retry.Policy{Budget: retry.NewBudget(1.5, 1)}, []string{"Budget", "ratio", "1.5"}},
		"Budget burst zero":   {retry.Policy{Budget: retry.NewBudget(0.1, 0)}, []string{"Budget", "burst", "0"}},
		"Budget burst high":   {retry.Policy{Budget: retry.NewBudget(0.1, math.MaxInt)}, []string{"Budget", "burst"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.policy.Validate()
			require.Error(t, err)
			for _, part := range tc.says {
				assert.ErrorContains(t, err, part)
			}

			fn, ran := failing(errDown)
			_, got := retry.Do(t.Context(), tc.policy, fn)
			assert.EqualError(t, got, err.Error())
			assert.Zero(t, *ran, "an invalid policy runs nothing")

			s := tc.policy.Schedule()
			_, got = s.Next(errDown)
			assert.ErrorContains(t, got, err.Error())
			assert.ErrorIs(t, got, errDown)

			longest := tc.policy.Max
			if longest <= 0 {
				longest = retry.DefaultMax
			}
			assert.Equal(t, longest, tc.policy.Delay(1), "an invalid policy is a patient one")
		})
	}
	assert.NoError(t, retry.Policy{}.Validate())
	assert.NoError(t, retry.Policy{Attempts: -7}.Validate())
	assert.NoError(t, retry.Policy{Max: time.Millisecond}.Validate(), "the default of Initial gives way to Max")
}

func TestDelayGrowsToMax(t *testing.T) {
	p := retry.Policy{Jitter: retry.NoJitter}
	for n, want := range map[int]time.Duration{
		-1: 200 * time.Millisecond, 0: 200 * time.Millisecond, 1: 200 * time.Millisecond,
		2: 400 * time.Millisecond, 3: 800 * time.Millisecond, 6: 6400 * time.Millisecond,
		7: 10 * time.Second, 8: 10 * time.Second, math.MaxInt: 10 * time.Second,
	} {
		assert.Equal(t, want, p.Delay(n), "Delay(%d)", n)
	}
	p.Max = 50 * time.Millisecond
	assert.Equal(t, p.Max, p.Delay(1))
}

// T41
func TestJitterStaysWithinItsRange(t *testing.T) {
	const initial, top = 100 * time.Millisecond, 350 * time.Millisecond // Max is in the middle of a doubling
	for _, tc := range []struct {
		jitter    retry.Jitter
		low, high []time.Duration // of the delays after attempts 1, 2 and 9
	}{
		{retry.FullJitter, []time.Duration{0, 0, 0}, []time.Duration{initial, 2 * initial, top}},
		{retry.EqualJitter, []time.Duration{initial / 2, initial, top / 2}, []time.Duration{initial, 2 * initial, top}},
		{retry.DecorrelatedJitter, []time.Duration{initial, initial, initial}, []time.Duration{3 * initial, top, top}},
		{retry.NoJitter, []time.Duration{initial, 2 * initial, top}, []time.Duration{initial, 2 * initial, top}},
	} {
		t.Run(tc.jitter.String(), func(t *testing.T) {
			p := retry.Policy{Initial: initial, Max: top, Jitter: tc.jitter}
			for i, n := range []int{1, 2, 9} {
				low, high := time.Duration(math.MaxInt64), time.Duration(0)
				for range 2000 {
					d := p.Delay(n)
					low, high = min(low, d), max(high, d)
				}
				span := tc.high[i] - tc.low[i]
				assert.GreaterOrEqual(t, low, tc.low[i], "Delay(%d)", n)
				assert.LessOrEqual(t, high, tc.high[i], "Delay(%d)", n)
				assert.LessOrEqual(t, low, tc.low[i]+span/10, "Delay(%d) comes near the low end of its range", n)
				assert.GreaterOrEqual(t, high, tc.high[i]-span/10, "Delay(%d) comes near the high end of its range", n)
			}
		})
	}
}

// T41: for any valid policy, of a nanosecond or of centuries.
func FuzzDelay(f *testing.F) {
	f.Add(int64(0), int64(0), 0.0, uint8(0), 1)
	f.Add(int64(1), int64(math.MaxInt64), 1.0000001, uint8(2), 1000)
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), math.MaxFloat64, uint8(0), 3)
	f.Add(int64(math.MaxInt64/3), int64(math.MaxInt64), 3.0, uint8(3), 3)
	f.Add(int64(7), int64(3), math.NaN(), uint8(200), -5)
	f.Fuzz(func(t *testing.T, initial, longest int64, multiplier float64, jitter uint8, n int) {
		p := retry.Policy{
			Initial: time.Duration(initial), Max: time.Duration(longest), Multiplier: multiplier,
			Jitter: retry.Jitter(jitter), Attempts: retry.Unlimited,
		}
		most := p.Max
		if most <= 0 {
			most = retry.DefaultMax
		}
		d := p.Delay(n)
		require.True(t, 0 <= d && d <= most, "%+v waits %v", p, d)
		s := p.Schedule()
		for range min(max(n, 1), 100) {
			d, err := s.Next(errDown)
			require.Equal(t, p.Validate() != nil, err != nil)
			require.True(t, 0 <= d && d <= most, "%+v waits %v", p, d)
		}
	})
}

// T41: a product that reached 2^63 would be negative as a Duration, and jitter would panic.
func TestDelayNearTheEndOfInt64(t *testing.T) {
	for range 1000 {
		m := 1 + 3*rand.Float64()
		p := retry.Policy{
			Initial: time.Duration(math.Nextafter((1<<63)/m, 0)), Max: math.MaxInt64, Multiplier: m,
			Jitter: jitters[rand.IntN(len(jitters))],
		}
		for n := range 4 {
			require.GreaterOrEqual(t, p.Delay(n), time.Duration(0), "%+v after %d attempts", p, n)
		}
	}
}

// T42: run with -race.
func TestPoliciesMayBeShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := retry.Policy{Budget: retry.NewBudget(1, 1000)}
		shared := &p
		before := p
		var wg sync.WaitGroup
		for i := range 16 {
			shared := *shared
			shared.Jitter = jitters[i%len(jitters)]
			wg.Go(func() {
				for range 5 {
					_, err := retry.Do(t.Context(), p, func(context.Context) (int, error) { return 0, errDown })
					assert.ErrorIs(t, err, errDown)
					_, err = retry.Do(t.Context(), shared, func(context.Context) (int, error) { return 0, nil })
					assert.NoError(t, err)
					p.Delay(3)
				}
			})
		}
		wg.Wait()
		assert.Equal(t, before.Budget, p.Budget)
		p.Budget, before.Budget = nil, nil
		assert.Equal(t, before, p, "no call leaves a trace in the policy")
	})
}

func TestScheduleIsAValue(t *testing.T) {
	p := retry.Policy{Jitter: retry.NoJitter}
	one := p.Schedule()
	_, err := one.Next(errDown)
	require.NoError(t, err)
	two := one
	for _, s := range []*retry.Schedule{&one, &two} {
		d, err := s.Next(errDown)
		require.NoError(t, err)
		assert.Equal(t, 400*time.Millisecond, d, "a copy goes on from where it was made, alone")
	}

	var zero retry.Schedule
	_, err = zero.Next(errDown)
	assert.NoError(t, err, "the zero Schedule is that of the zero Policy")
	_, err = zero.Next(nil)
	assert.ErrorContains(t, err, "nothing to retry")
}
