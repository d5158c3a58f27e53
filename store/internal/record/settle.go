package record

import (
	"bytes"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Settle returns what the outcome makes of the record, which comes as it was written, and reports whether that is a
// change that the store has to write down. Beside an error comes the record as it is at now.
func (r *Record) Settle(now Moment, l *idempotency.Lease, o *idempotency.Outcome) (next Record, changed bool, err error) {
	next = r.At(now)
	switch {
	case l.Token != idempotency.Token{}:
		changed, err = r.settleOwn(now, &next, l, o)
	case o.State == idempotency.StateSucceeded:
		changed, err = next.happened(now, o)
	case o.State == idempotency.StateCancelled && l.Fence == 0:
		changed = next.cancel(now, o)
	default:
		changed, err = next.judge(now, l, o)
	}
	return next, changed, err
}

// Told clears the mark to notify, with the claim to: whoever had to be told has been. An abandoned record that is still
// asked about is due after what the outcome says.
func (r *Record) Told(now Moment, o *idempotency.Outcome) {
	r.Notify, r.LeaseEnd, r.DueAt = false, 0, Never
	if r.State == idempotency.StateAbandoned && !r.Late {
		r.DueAt = now.In(o.Due)
	}
}

// settleOwn ends the claim l. The record as it is now comes in next, and the settled one goes out.
func (r *Record) settleOwn(now Moment, next *Record, l *idempotency.Lease, o *idempotency.Outcome) (bool, error) {
	if !next.owned(l) {
		return false, idempotency.ErrLeaseLost
	}
	if r.State != idempotency.StateRunning {
		if !next.Notify || o.State != next.State {
			return false, nil // it has been settled before
		}
		next.Notify, next.LeaseEnd, next.DueAt = false, 0, Never
		if next.State == idempotency.StateAbandoned {
			next.DueAt = now.In(o.Due)
		}
		next.markFor(now, o)
		return true, nil
	}
	// The lease may have run out, but nobody took over: the claim itself counts, not what it would have fallen back to.
	*next = *r
	next.settle(now, o)
	return true, nil
}

func (r *Record) settle(now Moment, o *idempotency.Outcome) {
	state, forgets := o.State, o.State == idempotency.StateFree || o.State == idempotency.StateScheduled
	if state == idempotency.StateFree && r.Started {
		state = idempotency.StateScheduled // committed to is never freed
	}
	if r.CancelWanted {
		state = cancelled(state)
	}
	late := r.From == idempotency.StateAbandoned && state == idempotency.StateSucceeded
	if late {
		state = idempotency.StateAbandoned // its caller was told that it is cancelled
	}
	sent, tell := r.Sending, r.notifies(state)
	r.rest(now, state)
	if !state.Settled() && !late {
		r.DueAt = now.In(o.Due)
	}
	if forgets {
		r.forget()
	} else if sent {
		r.LastSentAt = now
	}
	r.write(o)
	r.Late = r.Late || late
	r.Notify = tell
	r.markFor(now, o)
}

// rest ends a claim: r comes into state s, and nobody owns it.
func (r *Record) rest(now Moment, s idempotency.State) {
	r.State, r.From = s, idempotency.StateAbsent
	r.Lapsed, r.Sending, r.CancelWanted, r.Tell = false, false, false, false
	r.LeaseEnd, r.DueAt, r.ChangedAt = 0, Never, now
	if s == idempotency.StateScheduled {
		r.Started = true
	}
}

// forget removes the traces of sendings that are known to have had no effect.
func (r *Record) forget() { r.FirstSentAt, r.LastSentAt = Never, Never }

// write stores what the outcome says.
func (r *Record) write(o *idempotency.Outcome) {
	r.Ambiguous, r.ReplayedError, r.Omitted = o.Ambiguous, o.ReplayedError, o.Omitted
	r.Attempts += o.Attempts
	r.Value = bytes.Clone(o.Value)
	if o.Ref != "" {
		r.Ref = o.Ref
	}
	r.Code, r.Message = o.Code, o.Message
}

// mark adds the mark to notify, due at once. A mark that is there stays: nobody has been told yet.
func (r *Record) mark(now Moment, notify bool) {
	r.Notify = (r.Notify || notify) && ToNotify(r.State)
	if r.Notify {
		r.DueAt = now
	}
}

// markFor adds the mark to notify and leaves the claim to notify with the owner.
func (r *Record) markFor(now Moment, o *idempotency.Outcome) {
	r.mark(now, o.Notify)
	if r.Notify && o.Notify && o.NotifyIn > 0 {
		r.LeaseEnd = now.In(o.NotifyIn)
		r.DueAt = r.LeaseEnd
	}
}
