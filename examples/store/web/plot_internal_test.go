package web

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/shop"
)

// The labels of the plot's lines can be read, however close the lines are.
func TestLatencyLabels(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, c := range []struct {
		name string
		took []time.Duration
		want []string
	}{
		{"one", []time.Duration{612 * ms}, []string{"median 612 ms"}},
		{"the same", slices.Repeat([]time.Duration{2 * time.Second}, 40), []string{"median 2.0 s"}},
		{"fast", append(slices.Repeat([]time.Duration{7 * ms}, 18), 9*ms, 9*ms), []string{"median 7 ms", "p95 9 ms"}},
		{"faster than that", append(slices.Repeat([]time.Duration{300 * time.Microsecond}, 18), ms, ms), []string{"median under 1 ms", "p95 1 ms"}},
		{"about a second", []time.Duration{999 * ms, 999*ms + 600*time.Microsecond}, []string{"median 1.0 s"}},
		{"close", append(slices.Repeat([]time.Duration{600 * ms}, 18), 650*ms, 650*ms), []string{"median 600 ms", "p95 650 ms"}},
		{"twice as slow", append(slices.Repeat([]time.Duration{600 * ms}, 18), 1300*ms, 1300*ms), []string{"median 600 ms", "p95 1.3 s"}},
		{"far", append(slices.Repeat([]time.Duration{5 * ms}, 18), time.Minute, 2*time.Minute), []string{"median 5 ms", "p95 2 min"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var attempts []shop.Attempt
			for _, took := range c.took {
				attempts = append(attempts, shop.Attempt{Operation: "charge", Class: "succeeded", Took: took})
			}
			rules := plotLatency(attempts).Rules
			var texts []string
			for _, r := range rules {
				texts = append(texts, r.Text)
			}
			require.Equal(t, c.want, texts)
			for _, letter := range []float64{12, 18} { // of shop.css: on a desktop, and on a telephone
				var feet []float64 // of the labels
				for _, r := range rules {
					feet = append(feet, r.Y+r.DY*letter)
				}
				slices.Sort(feet)
				for i := range feet {
					assert.LessOrEqual(t, feet[i], plotHeight+1.2*letter, "it would lie on what follows")
					if i > 0 {
						assert.GreaterOrEqual(t, feet[i]-feet[i-1], 1.2*letter, "one label lies over the other")
					}
				}
			}
		})
	}
}
