package shop

import (
	"time"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/retry"
)

// Timing holds every duration of the shop, so that the demo can run it faster. A shop of your own has constants.
type Timing struct {
	Wait     time.Duration // how long a customer looks at "Paying…"
	Attempt  time.Duration // one request to the bank: longer than it takes on a bad day, since nobody waits for it
	Grace    time.Duration
	Lease    time.Duration // how long a crashed process's payments lie before another one takes them over
	Poll     time.Duration // how often Run looks for work that nobody told it about
	Sweep    time.Duration // how often payments are looked for that the store may not have heard of
	KeyLife  time.Duration
	Settling time.Duration
	Retry    retry.Policy
	Breaker  breaker.Config
}

// RealTime is the timing of a shop that is in business.
func RealTime() Timing {
	return Timing{
		Wait:     3 * time.Second,
		Attempt:  30 * time.Second,
		Grace:    time.Second,
		Lease:    30 * time.Second,
		Poll:     time.Second,
		Sweep:    5 * time.Second,
		KeyLife:  bank.KeyLife,
		Settling: bank.Settling,
		Retry:    retry.Policy{Initial: 500 * time.Millisecond, Max: 10 * time.Second},
		Breaker: breaker.Config{
			Name:     "bank",
			Window:   30 * time.Second,
			MinCalls: 3, // a small shop: three payments in half a minute are many
			OpenFor:  10 * time.Second,
			// A probe is an attempt, and may take as long.
			ProbeTimeout: 40 * time.Second,
		},
	}
}

// Faster returns the timing of a world that runs so many times as fast.
func (t Timing) Faster(times float64) Timing {
	for _, d := range []*time.Duration{
		&t.Wait, &t.Attempt, &t.Grace, &t.Lease, &t.Poll, &t.Sweep, &t.KeyLife, &t.Settling,
		&t.Retry.Initial, &t.Retry.Max, &t.Breaker.Window, &t.Breaker.OpenFor, &t.Breaker.ProbeTimeout,
	} {
		*d = time.Duration(float64(*d) / times)
	}
	return t
}
