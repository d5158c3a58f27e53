package record

import "github.com/steadfast-go/steadfast/idempotency"

// happened applies a success from outside.
func (r *Record) happened(now Moment, o *idempotency.Outcome) (bool, error) {
	state := r.State
	if state == idempotency.StateRunning && r.From == idempotency.StateAbandoned {
		state = idempotency.StateAbandoned // somebody is only asking about it
	}
	switch state {
	case idempotency.StateRunning, idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown:
		if r.Sending && r.State == idempotency.StateRunning {
			r.LastSentAt = now
		}
		r.fromOutside(now, idempotency.StateSucceeded, o)
		return true, nil
	case idempotency.StateAbandoned:
		if r.Late {
			return false, nil
		}
		ambiguous, replayed := r.Ambiguous, r.ReplayedError
		r.fromOutside(now, idempotency.StateAbandoned, o)
		r.Late, r.Ambiguous, r.ReplayedError = true, ambiguous, replayed
		return true, nil
	case idempotency.StateSucceeded:
		return false, nil
	case idempotency.StateFree:
		return false, idempotency.ErrNoRecord
	default:
		return false, idempotency.ErrConflict
	}
}

// cancel applies a cancellation.
func (r *Record) cancel(now Moment, o *idempotency.Outcome) bool {
	switch r.State {
	case idempotency.StateRunning:
		if r.From == idempotency.StateAbandoned {
			return false // it has been given up, and told: somebody is only asking about it
		}
		r.CancelWanted, r.Tell = true, r.Tell || o.Notify
		return true
	case idempotency.StateFree, idempotency.StateScheduled:
		r.lose()
		r.rest(now, idempotency.StateCancelled)
	case idempotency.StateAccepted, idempotency.StateUnknown:
		r.lose()
		r.rest(now, idempotency.StateAbandoned)
		r.DueAt = now.In(o.Due)
	default:
		return false
	}
	// Nothing has been learned: ambiguity, attempts and sendings stay as they are.
	if o.Message != "" {
		r.Message = o.Message
	}
	r.mark(now, o.Notify)
	return true
}

// judge applies a negative verdict or a hint, which names the fence that it saw.
func (r *Record) judge(now Moment, l *idempotency.Lease, o *idempotency.Outcome) (bool, error) {
	if r.State.Settled() || r.Late {
		switch {
		case o.State == r.State:
			return false, nil
		case o.State.Settled() || o.State == idempotency.StateScheduled:
			return false, idempotency.ErrConflict
		default:
			return false, idempotency.ErrLeaseLost // a hint contradicts nothing, it comes too late
		}
	}
	if l.Fence != r.Fence || r.State == idempotency.StateRunning || r.Lapsed || r.LeaseEnd > now {
		return false, idempotency.ErrLeaseLost
	}
	open := r.State == idempotency.StateAccepted || r.State == idempotency.StateUnknown
	switch {
	case o.State == r.State:
		if !r.Notify {
			r.DueAt = now.In(o.Due)
		}
	case open && o.State == idempotency.StateRejected:
		r.fromOutside(now, o.State, o)
	case open && o.State == idempotency.StateScheduled:
		r.fromOutside(now, o.State, o)
		r.forget()
	case r.State == idempotency.StateAbandoned && o.State == idempotency.StateCancelled:
		r.fromOutside(now, o.State, o)
	default:
		return false, idempotency.ErrLeaseLost // the record is not what the verdict was based on
	}
	return true, nil
}

// fromOutside brings r into state s by a verdict. Whoever held the claim has lost it.
func (r *Record) fromOutside(now Moment, s idempotency.State, o *idempotency.Outcome) {
	tell := r.notifies(s)
	r.lose()
	r.rest(now, s)
	if s == idempotency.StateScheduled {
		r.DueAt = now.In(o.Due)
	}
	r.write(o)
	r.Notify = tell
	r.mark(now, o.Notify)
}

// lose makes every lease of the record worthless.
func (r *Record) lose() { r.Token = idempotency.Token{} }
