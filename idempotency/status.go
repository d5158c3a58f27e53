package idempotency

import (
	"context"
	"time"
)

// Status is where a call stands, as it was when the store was asked.
type Status[Out any] struct {
	Scope string
	Key   string
	State State
	// Value is set in StateSucceeded, and with Late.
	Value Out
	// Rejection is set in StateRejected.
	Rejection *Rejection
	// Ambiguous says that an attempt ended unknown and nothing has proven since that it had no effect.
	Ambiguous bool
	// CancelWanted says that the call was cancelled while an attempt was under way.
	CancelWanted bool
	// Late says that an abandoned call turned out to have happened.
	Late bool
	// Omitted says that the value could not be stored, Expired that it is no longer kept.
	Omitted bool
	Expired bool
	// Attempts counts the attempts that were reported.
	Attempts int
	// Ref is the provider's id of an accepted call.
	Ref string
	// Message is the last error, for people.
	Message string
	// Age, FirstSent, LastSent and Settled are how long ago the call was made, first and last may have been sent, and
	// settled; Never for what has not happened.
	Age       time.Duration
	FirstSent time.Duration
	LastSent  time.Duration
	Settled   time.Duration
	// Due is the time until the next step, zero or less if it is due, and Never if there is none. GiveUp is the time until
	// the call is given up.
	Due    time.Duration
	GiveUp time.Duration

	fence  uint64
	lapsed bool
}

func (w *Wrapper[In, Out]) status(rec Record) (Status[Out], error) {
	s := Status[Out]{
		Scope: rec.ID.Scope, Key: rec.ID.Key, State: rec.State,
		Ambiguous: rec.Ambiguous, CancelWanted: rec.CancelWanted, Late: rec.Late, Omitted: rec.Omitted, Expired: rec.Expired,
		Attempts: rec.Attempts, Ref: rec.Ref, Message: rec.Message,
		Age: rec.Created, FirstSent: rec.FirstSent, LastSent: rec.LastSent, Settled: rec.SettledAt,
		Due: rec.Due, GiveUp: rec.GiveUp,
		fence: rec.Fence, lapsed: rec.Lapsed,
	}
	if rec.State == StateRejected {
		s.Rejection = &Rejection{Code: rec.Code, Message: rec.Message}
	}
	if hasValue(&rec) {
		var err error
		s.Value, err = decode[Out](w.call.Codec, rec.ID, rec.Value)
		return s, err
	}
	return s, nil
}

// get reads a record; to callers a free one is none.
func (e *engine) get(ctx context.Context, id ID) (Record, error) {
	rec, err := op(ctx, e, "Get", func(ctx context.Context) (Record, error) { return e.store.Get(ctx, id) })
	if err == nil && rec.State == StateFree {
		err = ErrNoRecord
	}
	return rec, err
}
