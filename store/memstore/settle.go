package memstore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/steadfast-go/steadfast/idempotency"
)

// errGone is what an owner is told whose record has been removed: its lease is lost, and there is no record.
var errGone = fmt.Errorf("%w: %w", idempotency.ErrLeaseLost, idempotency.ErrNoRecord)

// Settle implements idempotency.Store.
func (s *Store) Settle(
	ctx context.Context, l idempotency.Lease, o idempotency.Outcome,
) (idempotency.Record, error) {
	if err := checkOutcome(ctx, &l, &o); err != nil {
		return idempotency.Record{}, err
	}
	sh, hash := s.shard(&l.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.find(hash, &l.ID)
	if e == nil {
		if l.Token != (idempotency.Token{}) {
			return idempotency.Record{}, errGone
		}
		return idempotency.Record{}, idempotency.ErrNoRecord
	}
	now := s.now()
	r := e.at(now)
	var changed bool
	var err error
	switch {
	case l.Token != idempotency.Token{}:
		changed, err = e.settleOwn(now, &r, &l, &o)
	case o.State == idempotency.StateSucceeded:
		changed, err = r.happened(now, &o)
	case o.State == idempotency.StateCancelled && l.Fence == 0:
		changed = r.cancel(now, &o)
	default:
		changed, err = r.judge(now, &l, &o)
	}
	if changed {
		sh.put(e, &r)
	}
	return r.view(now, l.Token), err
}

// settleOwn ends the claim l. The record as it is now comes in r, and the settled one goes out.
func (e *entry) settleOwn(now moment, r *record, l *idempotency.Lease, o *idempotency.Outcome) (bool, error) {
	if !r.owned(l) {
		return false, idempotency.ErrLeaseLost
	}
	if e.State != idempotency.StateRunning {
		if !r.Notify || o.State != r.State {
			return false, nil // it has been settled before
		}
		r.Notify, r.lease, r.due = false, 0, never
		if r.State == idempotency.StateAbandoned {
			r.due = now.in(o.Due)
		}
		r.markFor(now, o)
		return true, nil
	}
	// The lease may have run out, but nobody took over: the claim itself counts, not what it would have fallen back to.
	*r = e.record
	r.settle(now, o)
	return true, nil
}

func (r *record) settle(now moment, o *idempotency.Outcome) {
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
		r.due = now.in(o.Due)
	}
	if forgets {
		r.forget()
	} else if sent {
		r.lastSent = now
	}
	r.write(o)
	r.Late = r.Late || late
	r.Notify = tell
	r.markFor(now, o)
}

// write stores what the outcome says.
func (r *record) write(o *idempotency.Outcome) {
	r.Ambiguous, r.ReplayedError, r.Omitted = o.Ambiguous, o.ReplayedError, o.Omitted
	r.Attempts += o.Attempts
	r.Value = bytes.Clone(o.Value)
	if o.Ref != "" {
		r.Ref = o.Ref
	}
	r.Code, r.Message = o.Code, o.Message
}

// mark adds the mark to notify, due at once. A mark that is there stays: nobody has been told yet.
func (r *record) mark(now moment, notify bool) {
	r.Notify = (r.Notify || notify) && toNotify(r.State)
	if r.Notify {
		r.due = now
	}
}

// markFor adds the mark to notify and leaves the claim to notify with the owner.
func (r *record) markFor(now moment, o *idempotency.Outcome) {
	r.mark(now, o.Notify)
	if r.Notify && o.Notify && o.NotifyIn > 0 {
		r.lease = now.in(o.NotifyIn)
		r.due = r.lease
	}
}

// happened applies a success from outside.
func (r *record) happened(now moment, o *idempotency.Outcome) (bool, error) {
	state := r.State
	if state == idempotency.StateRunning && r.From == idempotency.StateAbandoned {
		state = idempotency.StateAbandoned // somebody is only asking about it
	}
	switch state {
	case idempotency.StateRunning, idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown:
		if r.Sending && r.State == idempotency.StateRunning {
			r.lastSent = now
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
func (r *record) cancel(now moment, o *idempotency.Outcome) bool {
	switch r.State {
	case idempotency.StateRunning:
		r.CancelWanted, r.tell = true, r.tell || o.Notify
		return true
	case idempotency.StateFree, idempotency.StateScheduled:
		r.lose()
		r.rest(now, idempotency.StateCancelled)
	case idempotency.StateAccepted, idempotency.StateUnknown:
		r.lose()
		r.rest(now, idempotency.StateAbandoned)
		r.due = now.in(o.Due)
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
func (r *record) judge(now moment, l *idempotency.Lease, o *idempotency.Outcome) (bool, error) {
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
	if l.Fence != r.Fence || r.State == idempotency.StateRunning || r.Lapsed || r.lease > now {
		return false, idempotency.ErrLeaseLost
	}
	open := r.State == idempotency.StateAccepted || r.State == idempotency.StateUnknown
	switch {
	case o.State == r.State:
		if !r.Notify {
			r.due = now.in(o.Due)
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
func (r *record) fromOutside(now moment, s idempotency.State, o *idempotency.Outcome) {
	tell := r.notifies(s)
	r.lose()
	r.rest(now, s)
	if s == idempotency.StateScheduled {
		r.due = now.in(o.Due)
	}
	r.write(o)
	r.Notify = tell
	r.mark(now, o.Notify)
}

// lose makes every lease of the record worthless.
func (r *record) lose() { r.token = idempotency.Token{} }
