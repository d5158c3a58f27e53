package retry

import (
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/internal/chance"
)

// Jitter is the way in which delays are spread. With d for the delay that the policy's growth arrives at:
type Jitter uint8

const (
	// FullJitter draws from [0, d). It spreads best, and costs the service least.
	FullJitter Jitter = iota
	// EqualJitter draws from [d/2, d), for callers who want some wait in any case.
	EqualJitter
	// DecorrelatedJitter draws from [Initial, three times the delay before], bounded by Max.
	DecorrelatedJitter
	// NoJitter waits d exactly. Callers that fail together come back together: for tests, and for single callers.
	NoJitter
)

// String returns the name of the constant.
func (j Jitter) String() string {
	switch j {
	case FullJitter:
		return "FullJitter"
	case EqualJitter:
		return "EqualJitter"
	case DecorrelatedJitter:
		return "DecorrelatedJitter"
	case NoJitter:
		return "NoJitter"
	}
	return fmt.Sprintf("Jitter(%d)", uint8(j))
}

// walk yields the delays of a valid policy one after the other.
type walk struct {
	intervals    intervals
	jitter       Jitter
	initial, max time.Duration
	before       time.Duration // the last delay; for DecorrelatedJitter, which has no intervals
}

func newWalk(p Policy) walk {
	w := walk{jitter: p.Jitter, initial: p.initial(), max: p.max()}
	w.before = w.initial
	if w.jitter != DecorrelatedJitter {
		w.intervals = newIntervals(p)
	}
	return w
}

// next never exceeds max, because jitter here only ever shortens.
func (w *walk) next() time.Duration {
	if w.jitter == DecorrelatedJitter {
		high := w.max
		if w.before < w.max/3 { // not 3*before < max, which overflows
			high = 3 * w.before
		}
		w.before = w.initial + chance.Upto(high-w.initial)
		return w.before
	}
	d := w.intervals.next()
	switch w.jitter {
	case FullJitter:
		return chance.Upto(d - 1)
	case EqualJitter:
		return d/2 + chance.Upto(d-d/2-1)
	default:
		return d
	}
}
