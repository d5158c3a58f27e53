package memstore

import (
	"math"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// moment is a reading of the store's clock: nanoseconds since the store was made.
type moment int64

const never moment = math.MaxInt64

// in returns the moment d after m. What lies beyond the clock's range never comes.
func (m moment) in(d time.Duration) moment {
	if d > 0 && m > never-moment(d) {
		return never
	}
	return m + moment(d)
}

// until returns how long after now m is: negative once m has passed.
func (m moment) until(now moment) time.Duration {
	if m == never {
		return idempotency.Never
	}
	return time.Duration(m - now)
}

// since returns how long before now m was.
func (m moment) since(now moment) time.Duration {
	if m == never {
		return idempotency.Never
	}
	return time.Duration(now - m)
}

// record is one call. The embedded Record's durations are not used here: the moments stand for them, and view converts.
// A record is a value: transitions are made on a copy, which the shard then puts in the place of the old one.
type record struct {
	idempotency.Record

	token  idempotency.Token // of the last claim; kept after the claim has ended, so that a repetition is recognised
	lease  moment            // end of the claim, also of one to notify; zero if the record is not claimed
	due    moment            // next step of a record that is not running
	tell   bool              // Notify of a cancellation that waits for the claim to end
	giveUp moment

	created   moment
	changed   moment // when it came into the state at rest; settled ones: the settlement
	firstSent moment
	lastSent  moment

	retention time.Duration
	stubFor   time.Duration
}

// at returns the record as it is at now: a claim whose lease has run out reads as what it falls back to. Every method
// of the store decides on this reading; it is written down only by a change that is made to the record.
func (r *record) at(now moment) record {
	v := *r
	if r.State != idempotency.StateRunning || r.lease > now {
		return v
	}
	v.State, v.From, v.Lapsed, v.lease, v.due = r.fallback(), idempotency.StateAbsent, true, 0, r.lease
	v.changed = r.lease
	if r.Sending {
		v.Ambiguous, v.lastSent = true, r.lease
	}
	v.Notify = r.notifies(v.State)
	if v.State == idempotency.StateCancelled {
		// Whoever looks now is told "cancelled", and settled is final: the owner cannot come back.
		v.Lapsed, v.Sending, v.CancelWanted, v.tell = false, false, false, false
		v.token = idempotency.Token{}
	}
	return v
}

// fallback returns the state that a running record falls back to when its lease runs out.
//
// A claim that was never marked as sending returns to where it was made from: "scheduled" for a claim that only asked
// would be sent blindly. An abandoned record stays abandoned, since its caller was told that it is cancelled.
func (r *record) fallback() idempotency.State {
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
func (r *record) notifies(s idempotency.State) bool {
	return (r.Notify || r.tell) && toNotify(s)
}

// toNotify reports whether records in s can carry the mark to notify.
func toNotify(s idempotency.State) bool { return s.Settled() || s == idempotency.StateAbandoned }

// nextStep returns when AcquireDue may take the record if nothing happens before.
func (r *record) nextStep() moment {
	state, due := r.State, r.due
	if state == idempotency.StateRunning {
		state, due = r.fallback(), r.lease
	}
	switch state {
	case idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned:
		return due
	default:
		if r.notifies(state) {
			return due
		}
		return never // a free record is its next caller's business
	}
}

// expires returns when Purge has something to do with the record if nothing happens before.
func (r *record) expires() moment {
	state, since := r.State, r.changed
	if state == idempotency.StateRunning {
		state, since = r.fallback(), r.lease
	}
	switch {
	case state == idempotency.StateFree:
		return since.in(KeepFree)
	case !state.Settled() || r.notifies(state):
		return never
	case r.Expired:
		return since.in(r.retention).in(r.stubFor)
	default:
		return since.in(r.retention)
	}
}

// view returns the record for the caller who presented the token t. It must be called on a record as it is at now.
func (r *record) view(now moment, t idempotency.Token) idempotency.Record {
	v := r.Record
	v.Created = r.created.since(now)
	v.FirstSent = r.firstSent.since(now)
	v.LastSent = r.lastSent.since(now)
	v.SettledAt = idempotency.Never
	if toNotify(r.State) {
		v.SettledAt = r.changed.since(now)
	}
	if r.lease > now {
		v.Lease = r.lease.until(now)
		v.Owned = t != idempotency.Token{} && t == r.token
	}
	v.Due = r.due.until(now)
	v.GiveUp = r.giveUp.until(now)
	return v
}

// claim makes r running from the state that it rests in.
func (r *record) claim(now moment, t idempotency.Token, d time.Duration, sending bool) {
	r.From, r.State = r.State, idempotency.StateRunning
	r.Sending = sending
	if sending && r.firstSent == never {
		r.firstSent = now
	}
	r.take(now, t, d)
}

// claimNotify takes the claim to notify; the state stays as it is.
func (r *record) claimNotify(now moment, t idempotency.Token, d time.Duration) {
	r.Sending = false
	r.take(now, t, d)
}

func (r *record) take(now moment, t idempotency.Token, d time.Duration) {
	r.Lapsed, r.CancelWanted, r.tell = false, false, false
	r.Fence++
	r.token = t
	r.lease = now.in(d)
	r.due = r.lease
}

// rest ends a claim: r comes into state s, and nobody owns it.
func (r *record) rest(now moment, s idempotency.State) {
	r.State, r.From = s, idempotency.StateAbsent
	r.Lapsed, r.Sending, r.CancelWanted, r.tell = false, false, false, false
	r.lease, r.due, r.changed = 0, never, now
	if s == idempotency.StateScheduled {
		r.Started = true
	}
}

// forget removes the traces of sendings that are known to have had no effect.
func (r *record) forget() { r.firstSent, r.lastSent = never, never }

// describe stores what the claim says of the call itself.
func (r *record) describe(now moment, c *idempotency.Claim) {
	// One copy for both: a record has them from beginning to end.
	data := append(append(make([]byte, 0, len(c.Fingerprint)+len(c.Request)), c.Fingerprint...), c.Request...)
	r.Fingerprint, r.Request = data[:len(c.Fingerprint):len(c.Fingerprint)], data[len(c.Fingerprint):]
	r.giveUp = now.in(c.GiveUp)
	r.retention, r.stubFor = max(c.Retention, 0), max(c.StubFor, 0)
}
