package retry

import (
	"errors"
	"time"
)

// Permanent marks err as one that another attempt would not cure. [Do] and [Schedule.Next] end at it; errors.Is and
// errors.As see err through the mark, and its text is unchanged. The mark counts wherever it stands in an error's tree,
// so it also ends the calls of an outer Do. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

func isPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// After adds to err that the next attempt is to come no sooner than after d, as a service's Retry-After says (see
// [ParseRetryAfter]). Its text is unchanged. After(d, nil) is nil; a d below zero counts as zero.
//
// Any error with a method RetryAfter() time.Duration says the same, such as *breaker.OpenError. Where a tree of errors
// holds several, the one that errors.As finds first counts.
func After(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &afterError{max(d, 0), err}
}

type afterError struct {
	d   time.Duration
	err error
}

func (e *afterError) Error() string             { return e.err.Error() }
func (e *afterError) Unwrap() error             { return e.err }
func (e *afterError) RetryAfter() time.Duration { return e.d }

func askedFor(err error) (time.Duration, bool) {
	var a interface{ RetryAfter() time.Duration }
	if errors.As(err, &a) {
		return a.RetryAfter(), true
	}
	return 0, false
}
