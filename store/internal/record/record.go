// Package record is one call as stores keep it, and what may become of it: the transitions of DESIGN section 4, as pure
// functions of a record, the store's clock and what was asked. Stores that decide in Go share it, and so decide alike.
//
// A Record is a value. A transition is made on a copy, which the store then writes down in the place of the old one, under
// whatever it locks records with. The clock must be read under that lock: a reading from before may be older than what
// another caller has written meanwhile.
package record

import (
	"math"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// KeepFree is how long a free record, whose only claim ended with "not sent", is kept before Purge removes it. Until
// then its fence refuses a delayed copy of an earlier Acquire.
const KeepFree = time.Hour

// Moment is a reading of the store's clock: nanoseconds since whatever the store counts from.
type Moment int64

// Never is the moment that does not come.
const Never Moment = math.MaxInt64

// In returns the moment d after m. What lies beyond the clock's range never comes.
func (m Moment) In(d time.Duration) Moment {
	if d > 0 && m > Never-Moment(d) {
		return Never
	}
	return m + Moment(d)
}

// Until returns how long after now m is: negative once m has passed.
func (m Moment) Until(now Moment) time.Duration {
	if m == Never {
		return idempotency.Never
	}
	return time.Duration(m - now)
}

// Since returns how long before now m was.
func (m Moment) Since(now Moment) time.Duration {
	if m == Never {
		return idempotency.Never
	}
	return time.Duration(now - m)
}

// Record is one call. The embedded Record's durations, and its Owned and Lapsed, are not used here: the moments stand for
// them, and View converts.
type Record struct {
	idempotency.Record

	Token    idempotency.Token // of the last claim; kept after the claim has ended, so that a repetition is recognised
	LeaseEnd Moment            // end of the claim, also of one to notify; zero if the record is not claimed
	DueAt    Moment            // next step of a record that is not running
	Tell     bool              // Notify of a cancellation that waits for the claim to end
	GiveUpAt Moment

	CreatedAt   Moment
	ChangedAt   Moment // when it came into the state at rest; settled ones: the settlement
	FirstSentAt Moment
	LastSentAt  Moment

	Retention time.Duration
	StubFor   time.Duration
}

// At returns the record as it is at now: a claim whose lease has run out reads as what it falls back to. Stores decide on
// this reading; it is written down only by a change that is made to the record.
func (r *Record) At(now Moment) Record {
	v := *r
	if r.State != idempotency.StateRunning || r.LeaseEnd > now {
		return v
	}
	v.State, v.From, v.Lapsed, v.LeaseEnd, v.DueAt = r.fallback(), idempotency.StateAbsent, true, 0, r.LeaseEnd
	v.ChangedAt = r.LeaseEnd
	if r.Sending {
		v.Ambiguous, v.LastSentAt = true, r.LeaseEnd
	}
	v.Notify = r.notifies(v.State)
	if v.State == idempotency.StateCancelled {
		// Whoever looks now is told "cancelled", and settled is final: the owner cannot come back.
		v.Lapsed, v.Sending, v.CancelWanted, v.Tell = false, false, false, false
		v.Token = idempotency.Token{}
	}
	return v
}

// fallback returns the state that a running record falls back to when its lease runs out.
//
// A claim that was never marked as sending returns to where it was made from: "scheduled" for a claim that only asked
// would be sent blindly. An abandoned record stays abandoned, since its caller was told that it is cancelled.
func (r *Record) fallback() idempotency.State {
	state := r.From
	if r.Sending && r.From != idempotency.StateAbandoned {
		state = idempotency.StateUnknown
	}
	if r.CancelWanted {
		state = cancelled(state)
	}
	return state
}

// cancelled returns what a wanted cancellation makes of a state at rest.
func cancelled(s idempotency.State) idempotency.State {
	switch s {
	case idempotency.StateFree, idempotency.StateScheduled:
		return idempotency.StateCancelled
	case idempotency.StateUnknown, idempotency.StateAccepted:
		return idempotency.StateAbandoned
	default:
		return s
	}
}

// notifies reports whether the record's mark to notify, or that of a waiting cancellation, holds in state s.
func (r *Record) notifies(s idempotency.State) bool {
	return (r.Notify || r.Tell) && ToNotify(s)
}

// ToNotify reports whether records in s can carry the mark to notify.
func ToNotify(s idempotency.State) bool { return s.Settled() || s == idempotency.StateAbandoned }

// NextStep returns when AcquireDue may take the record if nothing happens before.
func (r *Record) NextStep() Moment {
	state, due := r.State, r.DueAt
	if state == idempotency.StateRunning {
		state, due = r.fallback(), r.LeaseEnd
	}
	switch state {
	case idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned:
		return due
	default:
		if r.notifies(state) {
			return due
		}
		return Never // a free record is its next caller's business
	}
}

// Expires returns when Purge has something to do with the record if nothing happens before.
func (r *Record) Expires() Moment {
	state, since := r.State, r.ChangedAt
	if state == idempotency.StateRunning {
		state, since = r.fallback(), r.LeaseEnd
	}
	switch {
	case state == idempotency.StateFree:
		return since.In(KeepFree)
	case !state.Settled() || r.notifies(state):
		return Never
	case r.Expired:
		return since.In(r.Retention).In(r.StubFor)
	default:
		return since.In(r.Retention)
	}
}

// View returns the record for the caller who presented the token t. It must be called on a record as it is at now.
func (r *Record) View(now Moment, t idempotency.Token) idempotency.Record {
	v := r.Record
	v.Created = r.CreatedAt.Since(now)
	v.FirstSent = r.FirstSentAt.Since(now)
	v.LastSent = r.LastSentAt.Since(now)
	v.SettledAt = idempotency.Never
	if ToNotify(r.State) {
		v.SettledAt = r.ChangedAt.Since(now)
	}
	if r.LeaseEnd > now {
		v.Lease = r.LeaseEnd.Until(now)
		v.Owned = t != idempotency.Token{} && t == r.Token
	}
	v.Due = r.DueAt.Until(now)
	v.GiveUp = r.GiveUpAt.Until(now)
	return v
}

// Purge makes the step of retention that a record is due for (see Expires). It reports whether the record is to be
// removed; otherwise value and request are gone. It must be called on a record as it is now.
func (r *Record) Purge() (remove bool) {
	if r.Expired || r.State == idempotency.StateFree {
		return true
	}
	r.Value, r.Request, r.Expired = nil, nil, true
	return false
}

// owned reports whether the lease names the record's last claim.
func (r *Record) owned(l *idempotency.Lease) bool {
	return l.Token != idempotency.Token{} && l.Token == r.Token && l.Fence == r.Fence
}
