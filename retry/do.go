package retry

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Do runs fn until it succeeds, or p or ctx ends the call. It returns what the last attempt returned; an error is
// wrapped to say why there was no further attempt, and errors.Is and errors.As find the attempt's own error in it.
//
// A context that is over runs nothing, at the first attempt and at every other; the error then also wraps ctx's error
// and its cause. A delay that ctx's deadline does not leave time for is not waited for: the call ends at once, with the
// last error. An invalid policy runs nothing either, see [Policy.Validate].
//
// A call that succeeds at once costs no allocation. Do is safe for concurrent use, with the same policy too. A panic
// in fn is not caught.
func Do[T any](ctx context.Context, p Policy, fn func(ctx context.Context) (T, error)) (T, error) {
	var value T
	if err := p.Validate(); err != nil {
		return value, err
	}
	if ctx.Err() != nil {
		return value, ended(ctx, 0, nil)
	}
	s := p.Schedule()
	for {
		var err error
		if value, err = fn(ctx); err == nil {
			return value, nil
		}
		if err := s.wait(ctx, err); err != nil {
			return value, err
		}
	}
}

// wait returns nil when it is time for the next attempt.
func (s *Schedule) wait(ctx context.Context, failure error) error {
	if ctx.Err() != nil {
		return ended(ctx, s.failed+1, failure)
	}
	left := time.Duration(math.MaxInt64)
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline) - 1 // an attempt that begins at the deadline is too late
	}
	delay, err := s.next(failure, left)
	if err != nil {
		return err
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	// Asked whichever of the two came first: when both were ready, select may have taken the timer.
	if ctx.Err() != nil {
		return ended(ctx, s.failed, failure)
	}
	return nil
}

// ended is the error of a call that its context ended after so many attempts. The cause alone would hide
// context.Canceled from a caller who looks for it, so both are wrapped.
func ended(ctx context.Context, attempts int, failure error) error {
	return &contextError{attempts: attempts, err: ctx.Err(), cause: context.Cause(ctx), failure: failure}
}

type contextError struct {
	attempts   int
	err, cause error
	failure    error // of the last attempt; nil if there was none
}

func (e *contextError) Error() string {
	if e.failure == nil {
		return fmt.Sprintf("retry: not attempted, the context was over: %v", e.cause)
	}
	return fmt.Sprintf("retry: the context ended (%v) after attempt %d failed: %v", e.cause, e.attempts, e.failure)
}

func (e *contextError) Unwrap() []error {
	if e.failure == nil {
		return []error{e.err, e.cause}
	}
	return []error{e.failure, e.err, e.cause}
}
