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
	Attempt  time.Duration // one request: longer than the bank takes on a bad day, since nobody waits for it
	Grace    time.Duration
	Lease    time.Duration // how long a crashed process's calls lie before another one takes them over
	Poll     time.Duration // how often Run looks for work that nobody told it about
	KeyLife  time.Duration
	Settling time.Duration
	GiveUp   time.Duration // after this long an order whose payment cannot be completed is rolled back
	Retry    retry.Policy
	Breaker  breaker.Config
}

// RealTime is the timing of a shop that is in business.
func RealTime() Timing {
	return Timing{
		Wait:     3 * time.Second,
		Attempt:  30 * time.Second,
		Grace:    time.Second,
		Lease:    15 * time.Second,
		Poll:     400 * time.Millisecond,
		KeyLife:  bank.KeyLife,
		Settling: bank.Settling,
		GiveUp:   15 * time.Minute,
		// One attempt a turn: so what happened, and when the next one is due, stands in the database after each of them, for
		// every process and every page to see. Between turns the delays grow from half a second to half a minute.
		Retry: retry.Policy{Attempts: 1, Initial: 500 * time.Millisecond, Max: time.Second},
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
		&t.Wait, &t.Attempt, &t.Grace, &t.Lease, &t.Poll, &t.KeyLife, &t.Settling, &t.GiveUp,
		&t.Retry.Initial, &t.Retry.Max, &t.Breaker.Window, &t.Breaker.OpenFor, &t.Breaker.ProbeTimeout,
	} {
		*d = time.Duration(float64(*d) / times)
	}
	return t
}
