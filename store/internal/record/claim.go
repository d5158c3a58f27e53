package record

import (
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// New returns the record that a claim with Fence zero creates.
func New(now Moment, c *idempotency.Claim) Record {
	r := Record{
		Record:    idempotency.Record{ID: c.ID, State: idempotency.StateFree},
		CreatedAt: now, ChangedAt: now, FirstSentAt: Never, LastSentAt: Never,
	}
	r.describe(now, c)
	r.acquire(now, c)
	return r
}

// Acquire grants the claim if it applies to the record, and reports whether it does. It must be called on a record as it
// is at now.
func (r *Record) Acquire(now Moment, c *idempotency.Claim) bool {
	if c.Fence == 0 || c.Fence != r.Fence || c.Lapsed != r.Lapsed || !r.claimable(now, c.Mode) {
		return false
	}
	if r.State == idempotency.StateFree {
		r.describe(now, c)
	}
	r.acquire(now, c)
	return true
}

// claimable reports whether a claim that names r's fence is granted.
func (r *Record) claimable(now Moment, m idempotency.ClaimMode) bool {
	switch r.State {
	case idempotency.StateFree:
		// A free record whose next step is "never" waits for nothing but a caller.
		return m != idempotency.ClaimRun || r.DueAt <= now || r.DueAt == Never
	case idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned:
		return m == idempotency.ClaimRun && r.DueAt <= now && !r.Notify && !r.Late
	default:
		return false
	}
}

// acquire makes the transition that the claim asks for.
func (r *Record) acquire(now Moment, c *idempotency.Claim) {
	if c.Mode == idempotency.ClaimRun {
		r.claim(now, c.Token, c.Lease, c.Sending)
		return
	}
	r.Fence++ // so that whoever saw the free record cannot claim what it has become
	r.Token = idempotency.Token{}
	if c.Mode == idempotency.ClaimSchedule {
		due := r.DueAt
		r.rest(now, idempotency.StateScheduled)
		if r.DueAt = now; due != Never { // what the provider asked for still holds
			r.DueAt = max(now, due)
		}
		return
	}
	r.rest(now, idempotency.StateCancelled)
	r.mark(now, c.Notify)
}

// AcquireDue claims a record whose next step is due, or takes its claim to notify; its state then stays as it is. It must
// be called on a record as it is at now.
func (r *Record) AcquireDue(now Moment, c *idempotency.DueClaim) {
	if !r.Notify {
		r.claim(now, c.Token, c.Lease, false)
		return
	}
	r.Sending = false
	r.take(now, c.Token, c.Lease)
}

// Extend sets the end of the claim l to d from now, and reports whether it still stands. It must be called on the record
// as it was written, not as it is now: a lapsed claim that nobody took over stands.
func (r *Record) Extend(now Moment, l *idempotency.Lease, d time.Duration, sending bool) bool {
	if !r.owned(l) {
		return false
	}
	switch {
	case r.State != idempotency.StateRunning:
		if sending || r.LeaseEnd == 0 {
			return false
		}
	case sending && r.CancelWanted:
		return false
	case r.fallback() == idempotency.StateCancelled && r.LeaseEnd <= now:
		return false // it has been cancelled, and settled is final
	case sending:
		r.Sending = true
		if r.FirstSentAt == Never {
			r.FirstSentAt = now
		}
	}
	r.LeaseEnd = now.In(d)
	r.DueAt = r.LeaseEnd
	return true
}

// claim makes r running from the state that it rests in.
func (r *Record) claim(now Moment, t idempotency.Token, d time.Duration, sending bool) {
	r.From, r.State = r.State, idempotency.StateRunning
	r.Sending = sending
	if sending && r.FirstSentAt == Never {
		r.FirstSentAt = now
	}
	r.take(now, t, d)
}

func (r *Record) take(now Moment, t idempotency.Token, d time.Duration) {
	r.Lapsed, r.CancelWanted, r.Tell = false, false, false
	r.Fence++
	r.Token = t
	r.LeaseEnd = now.In(d)
	r.DueAt = r.LeaseEnd
}

// describe stores what the claim says of the call itself.
func (r *Record) describe(now Moment, c *idempotency.Claim) {
	// One copy for both: a record has them from beginning to end.
	data := append(append(make([]byte, 0, len(c.Fingerprint)+len(c.Request)), c.Fingerprint...), c.Request...)
	r.Fingerprint, r.Request = data[:len(c.Fingerprint):len(c.Fingerprint)], data[len(c.Fingerprint):]
	r.GiveUpAt = now.In(c.GiveUp)
	r.Retention, r.StubFor = max(c.Retention, 0), max(c.StubFor, 0)
}
