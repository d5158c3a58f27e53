package retry

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// intervals are the delays of a policy before jitter. This file alone knows backoff/v4, so that it can be exchanged.
//
// Used of it is the exponential growth, which is careful about overflow. Not used: its jitter, which exceeds
// MaxInterval by up to half of it; its MaxElapsedTime and its clock, because the loop here reads the clock only when the
// policy asks for it; its Retry, which allocates for calls that succeed. Its values hold the walk's position and are
// not safe to share: each walk has one of its own, by value.
type intervals struct{ b backoff.ExponentialBackOff }

func newIntervals(p Policy) intervals {
	i := intervals{backoff.ExponentialBackOff{
		InitialInterval: p.initial(),
		MaxInterval:     p.max(),
		Multiplier:      p.multiplier(),
		Clock:           noClock{},
	}}
	i.b.Reset() // it starts at zero otherwise
	return i
}

// next is at least 1 and at most the policy's Max, also near the end of int64.
func (i *intervals) next() time.Duration { return i.b.NextBackOff() }

// noClock saves the two clock readings that NextBackOff would make for a MaxElapsedTime that is not set.
type noClock struct{}

func (noClock) Now() time.Time { return time.Time{} }
