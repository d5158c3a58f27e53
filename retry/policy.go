package retry

import (
	"fmt"
	"math"
	"time"
)

// Defaults of the fields of [Policy].
const (
	DefaultInitial    = 200 * time.Millisecond
	DefaultMax        = 10 * time.Second
	DefaultMultiplier = 2.0
	DefaultAttempts   = 4
)

// Unlimited as [Policy.Attempts] retries until something else ends the call: Elapsed, the context, a permanent error.
const Unlimited = -1

// Policy says how often and how patiently a call is retried. The zero value is sound: four attempts, about 0.2, 0.4 and
// 0.8 s apart at most.
//
// A Policy is a plain value that no method changes: copy it, and share it between goroutines, as you like. (Budget is
// shared by all copies, which is its purpose.)
type Policy struct {
	// Initial is the delay before the second attempt, before jitter. Zero means [DefaultInitial], or Max if that is shorter.
	Initial time.Duration

	// Max bounds every delay, jitter included. It is also the longest Retry-After that is obeyed: a service that asks
	// for more ends the call at once. Zero means [DefaultMax].
	Max time.Duration

	// Multiplier is the growth of the delay from one attempt to the next, at least 1. Zero means [DefaultMultiplier].
	// DecorrelatedJitter has a growth of its own and ignores it.
	Multiplier float64

	// Attempts bounds the attempts in all, the first one included. Zero means [DefaultAttempts]; a negative number,
	// such as [Unlimited], means no bound.
	Attempts int

	// Elapsed bounds the time from the beginning of the first attempt to the beginning of the last: a delay that would
	// end later is not waited for. It does not cut a running attempt short; a context's deadline does. Zero means no bound.
	Elapsed time.Duration

	// Jitter spreads the delays, so that callers who failed together do not come back together. Zero means [FullJitter].
	Jitter Jitter

	// Budget, if not nil, is asked for every retry; share one among all callers of a service.
	Budget *Budget

	// OnRetry, if not nil, is called before each wait, on the goroutine of the call. A hook that is slow delays the call.
	OnRetry func(Retry)
}

// Retry tells [Policy.OnRetry] about an attempt that failed and will be followed by another.
type Retry struct {
	Attempt int           // the attempt that failed, counted from 1
	Err     error         // its error, as it was returned
	Delay   time.Duration // the time until the next attempt
}

// Validate reports the first field that makes no sense: its name, its value, and what to set instead. [Do] and
// [Schedule.Next] return the same error, Do before it has run anything.
func (p Policy) Validate() error {
	switch {
	case p.Initial < 0:
		return fmt.Errorf("retry: Policy.Initial is %v: give a positive duration, or 0 for %v", p.Initial, DefaultInitial)
	case p.Max < 0:
		return fmt.Errorf("retry: Policy.Max is %v: give a positive duration, or 0 for %v", p.Max, DefaultMax)
	case p.Initial > p.max():
		return fmt.Errorf("retry: Policy.Initial is %v, above Policy.Max, %v: raise Max or lower Initial", p.Initial, p.max())
	case p.Multiplier != 0 && !(p.Multiplier >= 1 && p.Multiplier <= math.MaxFloat64): // written so that NaN fails
		return fmt.Errorf("retry: Policy.Multiplier is %v: give a finite number of at least 1, or 0 for %v", p.Multiplier, DefaultMultiplier)
	case p.Elapsed < 0:
		return fmt.Errorf("retry: Policy.Elapsed is %v: give a positive duration, or 0 for no bound", p.Elapsed)
	case p.Jitter > NoJitter:
		return fmt.Errorf("retry: Policy.Jitter is %v: give FullJitter, EqualJitter, DecorrelatedJitter or NoJitter", p.Jitter)
	case p.Budget != nil && p.Budget.err != nil:
		return p.Budget.err
	}
	return nil
}

// Delay returns a delay to wait after n failed attempts, jitter included: what a fresh walk through the policy would
// come to. It is for callers that keep n but no [Schedule], such as a queue whose attempts outlive the process. It
// knows nothing of Attempts, Elapsed, Budget and Retry-After.
//
// The result is never negative and never above Max. An n below 1 counts as 1; from 1000 on, delays no longer grow. An
// invalid policy waits for Max, or for [DefaultMax] where Max is itself invalid.
func (p Policy) Delay(n int) time.Duration {
	if p.Validate() != nil {
		return p.max()
	}
	w := newWalk(p)
	d := w.next()
	for range min(n, 1000) - 1 {
		d = w.next()
	}
	return d
}

func (p Policy) initial() time.Duration {
	if p.Initial > 0 {
		return p.Initial
	}
	return min(DefaultInitial, p.max())
}

func (p Policy) max() time.Duration {
	if p.Max > 0 {
		return p.Max
	}
	return DefaultMax
}

func (p Policy) multiplier() float64 {
	if p.Multiplier != 0 {
		return p.Multiplier
	}
	return DefaultMultiplier
}

func (p Policy) attempts() int {
	if p.Attempts != 0 {
		return p.Attempts
	}
	return DefaultAttempts
}
