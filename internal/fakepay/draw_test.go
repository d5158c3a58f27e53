package fakepay_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// met is what the requests of each reference met, in their order.
type met map[string][]string

func trade(t *testing.T, seed uint64, speed float64, order []int, together bool, byKey bool) met {
	t.Helper()
	got := make(met)
	bubble(t, func(t *testing.T) {
		mix, err := fakepay.ParseFaults("request_lost=0.1,reply_lost=0.1,reply_late=0.1,lands_late=0.1,duplicate=0.1,error_before=0.1,error_stored=0.1,decline=0.1,accept=0.1")
		require.NoError(t, err)
		b := open(t, fakepay.Config{Seed: seed, Speed: speed, Faults: mix, Latency: fakepay.Latency{P50: 300 * time.Millisecond, P99: 8 * time.Second}})
		var all sync.WaitGroup
		for _, i := range order {
			one := func() {
				for range 3 {
					if name := fmt.Sprint("order-", i); byKey {
						b.pay("", name, "")
					} else {
						b.pay(name, "", "")
					}
				}
			}
			if together {
				all.Go(one)
			} else {
				one()
			}
		}
		all.Wait()
		for _, a := range b.settled().Attempts {
			name := a.Reference + a.Key
			if a.Copy {
				name += " copy"
			}
			took := time.Duration(0)
			if a.Effect && !a.Copy && a.Fault.Kind != fakepay.LandsLate {
				took = (a.EffectAt - a.At).Round(time.Millisecond) // the latency, as far as it shows
			}
			got[name] = append(got[name], fmt.Sprint(a.Fault, " ", a.ChargeID, " ", took))
		}
	})
	return got
}

func TestSameSeedMeansTheSameForEveryOrderWhateverTheInterleaving(t *testing.T) {
	t.Parallel()
	straight := make([]int, 40)
	for i := range straight {
		straight[i] = i
	}
	shuffled := slices.Clone(straight)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, byKey := range []bool{false, true} {
		want := trade(t, 7, 1, straight, false, byKey)
		assert.Equal(t, want, trade(t, 7, 1, shuffled, false, byKey), "another order of arrival")
		assert.Equal(t, want, trade(t, 7, 1, shuffled, true, byKey), "all at once")
		assert.Equal(t, want, trade(t, 7, 1, straight, true, byKey), "all at once, again")
		assert.NotEqual(t, want, trade(t, 8, 1, straight, false, byKey), "another seed")
	}
}

func TestRatesHold(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{Seed: 3, Faults: []fakepay.Fault{{Kind: fakepay.ErrorBefore, Rate: 0.2}, {Kind: fakepay.Unavailable, Rate: 0.3}}})
		count := make(map[int]int)
		for i := range 1000 {
			count[b.pay(fmt.Sprint(i), "", "").status]++
		}
		assert.InDelta(t, 200, count[500], 40)
		assert.InDelta(t, 300, count[503], 45)
	})
}

func TestLatencies(t *testing.T) {
	t.Parallel()
	for text, bounds := range map[string]struct{ p50Low, p50High, p99Low, p99High, most time.Duration }{
		"0s":                       {},
		"800ms":                    {800 * time.Millisecond, 800 * time.Millisecond, 800 * time.Millisecond, 800 * time.Millisecond, 800 * time.Millisecond},
		"100ms..2s":                {900 * time.Millisecond, 1200 * time.Millisecond, 1900 * time.Millisecond, 2 * time.Second, 2 * time.Second},
		"p50=800ms,p99=8s,max=20s": {700 * time.Millisecond, 900 * time.Millisecond, 5 * time.Second, 13 * time.Second, 20 * time.Second},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				l, err := fakepay.ParseLatency(text)
				require.NoError(t, err)
				assert.Equal(t, text, l.String())
				b := open(t, fakepay.Config{Seed: 5, Latency: l})
				var took []time.Duration
				for i := range 500 {
					took = append(took, b.pay(fmt.Sprint(i), "", "").took)
				}
				slices.Sort(took)
				assert.GreaterOrEqual(t, took[250], bounds.p50Low)
				assert.LessOrEqual(t, took[250], bounds.p50High)
				assert.GreaterOrEqual(t, took[495], bounds.p99Low)
				assert.LessOrEqual(t, took[495], bounds.p99High)
				assert.LessOrEqual(t, took[499], bounds.most)
			})
		})
	}
	for _, text := range []string{"x", "-1s", "p99=8s", "p50=2s,p99=1s", "2s..1s", "p42=1s", "1s..x"} {
		_, err := fakepay.ParseLatency(text)
		assert.ErrorContains(t, err, "fakepay: ", text)
	}
}
