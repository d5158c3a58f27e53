package retry

import (
	"fmt"
	"sync/atomic"
)

// Budget caps the retries of many callers at a fraction of their calls, so that an outage is not answered with a
// multiple of the usual load. Backoff does not do that: it only moves the retries.
//
// It is a bucket of tokens: a call adds ratio, a retry takes one. It starts full, but on credit: the first burst/ratio
// calls pay the start back. After n calls there have been no more retries than the larger of burst and ratio*n.
//
// Share one Budget among all policies that speak to the same service; it is safe for concurrent use, and while it is
// full, calls only read it. Make it with [NewBudget]; the zero value allows no retry at all.
type Budget struct {
	tokens atomic.Int64 // in units of 1/token
	debt   atomic.Int64 // in the same units: what is left of the credit at the start
	ratio  int64
	burst  int64
	err    error
}

// token is the fixed point: fractions down to a billionth, and a burst of a billion, fit an int64.
const token = 1_000_000_000

// NewBudget returns a Budget that allows ratio retries per call, and up to burst retries that were saved up. The ratio
// is above 0 and at most 1, the burst at least 1 and at most a billion; 0.1 and 10 suit many services. Other values
// make a budget that [Policy.Validate], and so [Do], reports.
func NewBudget(ratio float64, burst int) *Budget {
	b := &Budget{}
	switch {
	case !(ratio > 0 && ratio <= 1): // written so that NaN fails
		b.err = fmt.Errorf("retry: the ratio of Policy.Budget is %v: give retries per call, above 0 and at most 1, such as 0.1", ratio)
	case burst < 1 || burst > token:
		b.err = fmt.Errorf("retry: the burst of Policy.Budget is %d: give a number of retries from 1 to %d, such as 10", burst, token)
	default:
		b.ratio = max(int64(ratio*token), 1)
		b.burst = int64(burst) * token
		b.tokens.Store(b.burst)
		b.debt.Store(b.burst)
	}
	return b
}

// credit adds what one call is worth.
func (b *Budget) credit() {
	if b.debt.Load() > 0 && b.debt.Add(-b.ratio) >= 0 {
		return
	}
	for {
		have := b.tokens.Load()
		if have >= b.burst {
			return // the usual case, and only a read: callers do not contend for the cache line
		}
		if b.tokens.CompareAndSwap(have, min(have+b.ratio, b.burst)) {
			return
		}
	}
}

// spend takes the token of one retry, if there is one.
func (b *Budget) spend() bool {
	for {
		have := b.tokens.Load()
		if have < token {
			return false
		}
		if b.tokens.CompareAndSwap(have, have-token) {
			return true
		}
	}
}
