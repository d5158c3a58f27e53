package demo_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/demo"
)

// Both shops are killed in the middle of a payment. The protected one charges once all the same.
func TestKilledShops(t *testing.T) {
	for scenario, change := range map[string]demo.Change{
		"happy":       {Kill: 2 * time.Second, Latency: 20 * time.Second},
		"slow":        {Kill: 2 * time.Second},
		"timeouts":    {Kill: 2 * time.Second, Latency: 20 * time.Second},
		"doubleclick": {Kill: 2 * time.Second, Latency: 20 * time.Second},
	} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			// A busy machine may be late with the request, or with the axe: less so where both have more time.
			for _, at := range []float64{speed, speed / 4, slowly} {
				o, naive := show(t, scenario, change, at)
				require.True(t, o.Killed, "%v after the click the payment is under way", change.Kill)
				checkProtected(t, o, t.Name())
				assert.Empty(t, o.Broken())
				if cutOff(naive) {
					assert.Positive(t, o.Naive.OverchargedCents, "the naive shop forgets the order, and the customer pays again or gets nothing")
					return
				}
				t.Logf("at %v demo seconds a second the kill did not fall between a request and its answer: %+v", at, naive.Events)
			}
			t.Fatal("the kill never fell between a request and its answer")
		})
	}
}

// cutOff reports whether the bank has a request from before the kill whose answer has reached nobody.
func cutOff(s demo.Snapshot) bool {
	open := map[int]bool{}
	killed := false
	for _, e := range s.Events {
		switch e.Kind {
		case demo.Arrived:
			open[e.N] = !killed
		case demo.Answered:
			delete(open, e.N)
		case demo.Killed:
			killed = true
		}
	}
	return killed && slices.Contains(slices.Collect(maps.Values(open)), true)
}

func TestKilledBetweenTwoClicks(t *testing.T) {
	t.Parallel()
	o, _ := show(t, "doubleclick", demo.Change{Kill: 100 * time.Millisecond}, speed)
	checkProtected(t, o, t.Name())
	assert.Empty(t, o.Broken())
}

func TestChangedDays(t *testing.T) {
	t.Parallel()
	o, _ := show(t, "doubleclick", demo.Change{Latency: 4 * time.Second, Lost: demo.MaxLost, Failing: demo.MaxFailing}, speed)
	checkProtected(t, o, t.Name())
	assert.Greater(t, o.Protected.Attempts, 1, "seed 1 meets a fault: nearly every request does")
}

func TestBadChanges(t *testing.T) {
	t.Parallel()
	happy := demo.Scenarios()[0]
	for _, c := range []struct {
		change demo.Change
		want   string
	}{
		{demo.Change{Latency: -1}, "Change.Latency is -1ns"},
		{demo.Change{Lost: 2}, "Change.Lost is 2"},
		{demo.Change{Failing: -1}, "Change.Failing is -1"},
		{demo.Change{Kill: time.Hour}, "Change.Kill is 1h0m0s"},
	} {
		_, err := demo.NewStage(happy, 1, speed, c.change)
		require.ErrorContains(t, err, c.want)
	}
	_, err := demo.NewStage(happy, 1, 0, demo.Change{})
	require.ErrorContains(t, err, "the speed is 0")
}

func show(t *testing.T, scenario string, c demo.Change, at float64) (demo.Outcome, demo.Snapshot) {
	t.Helper()
	scenarios, err := demo.Select(scenario)
	require.NoError(t, err)
	stage, err := demo.NewStage(scenarios[0], 1, at, c)
	require.NoError(t, err)
	o, err := stage.Show(t.Context())
	if errors.Is(err, context.DeadlineExceeded) && at > slowly { // a demo second was too short for this machine
		t.Logf("%s, at %v demo seconds a second: %v: again, slowly", scenario, at, err)
		return show(t, scenario, c, slowly)
	}
	require.NoError(t, err)
	<-stage.Over()
	return o, stage.Look().Naive
}
