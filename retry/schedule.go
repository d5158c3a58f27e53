package retry

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Schedule is one call's walk through a [Policy], for loops that cannot hand their body to [Do]. It is a value: it
// allocates nothing before the first failure, and a copy walks on by itself. It is not safe for concurrent use. Get it
// from [Policy.Schedule]; the zero value is that of the zero Policy.
type Schedule struct {
	policy  Policy
	began   time.Time // set only when the policy bounds Elapsed
	failed  int
	walk    walk
	walking bool // whether walk is set: it is made at the first failure
}

// Schedule begins a call: Elapsed counts from here, and Budget is credited with one call.
func (p Policy) Schedule() Schedule {
	s := Schedule{policy: p}
	if p.Elapsed > 0 {
		s.began = time.Now()
	}
	if p.Budget != nil {
		p.Budget.credit()
	}
	return s
}

// Next takes the error of the attempt that just failed. It returns how long to wait before the next one, or, if there
// shall be none, an error that says why and wraps err: attempts or time used up, err is permanent, the service asks
// for a longer wait than Max, the budget is empty, or the policy is invalid.
//
// A delay carried by err (see [After]) is obeyed where it is longer than the policy's own. Next calls OnRetry before
// it returns a delay.
func (s *Schedule) Next(err error) (time.Duration, error) {
	return s.next(err, math.MaxInt64)
}

// next refuses delays longer than left, the time that the caller has.
func (s *Schedule) next(err error, left time.Duration) (time.Duration, error) {
	if err == nil {
		return 0, errors.New("retry: Next was called without an error: there is nothing to retry")
	}
	p := &s.policy
	if invalid := p.Validate(); invalid != nil {
		return 0, fmt.Errorf("%w; the call failed: %w", invalid, err)
	}
	s.failed++
	if isPermanent(err) {
		return 0, fmt.Errorf("retry: attempt %d failed for good: %w", s.failed, err)
	}
	if limit := p.attempts(); limit > 0 && s.failed >= limit {
		return 0, fmt.Errorf("retry: attempt %d of %d failed: %w", s.failed, limit, err)
	}

	if !s.walking {
		s.walk, s.walking = newWalk(*p), true
	}
	delay := s.walk.next()
	if asked, ok := askedFor(err); ok && asked > delay {
		if asked > p.max() {
			return 0, fmt.Errorf("retry: attempt %d failed, and the service asks for %v, above Policy.Max, %v: %w", s.failed, asked, p.max(), err)
		}
		delay = asked
	}

	if p.Elapsed > 0 {
		if rest := p.Elapsed - time.Since(s.began); delay > rest {
			return 0, fmt.Errorf("retry: attempt %d failed, and the next one, due in %v, would begin after Policy.Elapsed, %v: %w", s.failed, delay, p.Elapsed, err)
		}
	}
	if delay > left {
		return 0, fmt.Errorf("retry: attempt %d failed, and the next one, due in %v, would begin after the context's deadline: %w", s.failed, delay, err)
	}
	// Last, so that only retries which do happen are paid for.
	if p.Budget != nil && !p.Budget.spend() {
		return 0, fmt.Errorf("retry: attempt %d failed, and the retry budget is empty: %w", s.failed, err)
	}
	if p.OnRetry != nil {
		p.OnRetry(Retry{Attempt: s.failed, Err: err, Delay: delay})
	}
	return delay, nil
}
