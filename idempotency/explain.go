package idempotency

import (
	"cmp"
	"errors"
	"time"
)

// explain turns what is known into the error that callers get; nil for a success. err is what kept the flight from going on.
func (r *run) explain(err error) error {
	if err != nil && !(r.worked && errors.Is(err, ErrStore)) { // ErrStore says that nothing was sent
		return err
	}
	return r.e.explain(&r.rec, cmp.Or(err, r.lastErr))
}

func (e *engine) explain(rec *Record, cause error) error {
	switch rec.State {
	case StateSucceeded:
		switch {
		case rec.Omitted:
			return ErrValueOmitted
		case rec.Expired:
			return ErrExpired
		}
		return nil
	case StateRejected:
		return &Rejection{Code: rec.Code, Message: rec.Message}
	case StateCancelled:
		return ErrCancelled
	case StateFree:
		if cause == nil && rec.Message != "" { // not this time, but the last
			cause = errors.New(rec.Message)
		}
		after := asked(cause)
		if rec.Due != Never {
			after = max(rec.Due, after)
		}
		return &notSentYet{after: after, hidden: hidden{cause}}
	case StateAbsent, StateUnknown, StateAbandoned:
		after := time.Duration(0)
		if e.next(rec) != stepHold && rec.Due != Never {
			after = max(rec.Due, e.poll)
		}
		if rec.Late {
			cause = errHappenedLate
		}
		if cause == nil && rec.Message != "" {
			cause = errors.New(rec.Message)
		}
		return &UnknownError{ID: rec.ID, State: rec.State, after: after, hidden: hidden{cause}}
	default:
		after := e.poll
		if rec.State != StateRunning && rec.Due != Never {
			after = max(rec.Due, e.poll)
		}
		return &PendingError{ID: rec.ID, State: rec.State, after: after, hidden: hidden{cause}}
	}
}

var errHappenedLate = errors.New("it happened after it was given up, and must be compensated for")

// notSentYet is ErrNotSent with its reason, and how long nobody will send the call.
type notSentYet struct {
	after time.Duration
	hidden
}

func (e *notSentYet) Error() string        { return ErrNotSent.Error() + e.text() }
func (e *notSentYet) Is(target error) bool { return target == ErrNotSent || e.hidden.Is(target) }

// RetryAfter is how long a repetition would be told the same; [retry.Do] waits for it.
func (e *notSentYet) RetryAfter() time.Duration { return e.after }
