package idempotency

import (
	"context"
	"errors"
	"time"
)

// unrecordedAfter is how long callers wait for a known outcome to be recorded before they are told that it is not.
const unrecordedAfter = 2 * time.Second

// settle ends a claim with its outcome. Nothing that reached us is lost: not with the caller's context, not with the lease
// (fence and token decide), not while the store is away (P4, T8, T9, T26).
func (r *run) settle(c *claim, o Outcome) (Record, error) {
	e := r.e
	// A call that is asked about stays abandoned again and again; that is told once.
	o.Notify = e.onSettled != nil && (c.rec.From != StateAbandoned || o.State != StateAbandoned)
	e.leases.remove(c) // T17: a renewal that is under way finds the claim settled, which is no loss
	rec, err := r.record(c.lease, o, func() { e.leases.add(c) })
	switch {
	case err == nil:
		if rec.Notify && rec.Owned && (rec.State.Settled() || rec.State == StateAbandoned) {
			e.notify(r.base(), c.lease, rec)
		}
		return rec, nil
	case isRuling(err):
		hook(e.hooks.LeaseLost, r.id)
		return r.overtaken(o, rec, err)
	}
	return rec, err
}

// overtaken is settling after somebody else has taken over, or settled. A success is told as a verdict (T7); anything else
// only concerned an attempt that no longer counts.
func (r *run) overtaken(o Outcome, rec Record, err error) (Record, error) {
	live := r.live
	r.live = nil // what is recorded is the outcome, for this caller too
	if o.State == StateSucceeded {
		rec, err = r.succeeded(o)
		if err != nil || rec.Omitted {
			r.live = live
		}
		return rec, err
	}
	if errors.Is(err, ErrNoRecord) {
		return Record{ID: r.id}, nil
	}
	if o.State == StateRejected && rec.State.Settled() && rec.State != StateRejected {
		r.conflict(rec.State, o, ErrConflict)
	}
	return rec, nil
}

// succeeded records a success that no claim stands behind: of an owner that lost its claim, or that came after its attempt
// was over.
func (r *run) succeeded(o Outcome) (Record, error) {
	o.Notify = r.e.onSettled != nil
	rec, err := r.record(Lease{ID: r.id}, o, func() {})
	if err != nil && isRuling(err) {
		r.conflict(recorded(rec), o, err)
		return Record{ID: r.id, State: StateSucceeded, Value: o.Value, Omitted: o.Omitted}, err
	}
	r.e.hint()
	return rec, err
}

func (r *run) conflict(recorded State, o Outcome, err error) {
	hook(r.e.hooks.Conflict, ConflictEvent{ID: r.id, Recorded: recorded, Claimed: o.State, Value: o.Value, Code: o.Code, Err: err})
}

// record writes an outcome, for as long as it takes or SettleFor allows. Callers are told after unrecordedAfter. failing is
// called when the first try has failed.
func (r *run) record(l Lease, o Outcome, failing func()) (Record, error) {
	e := r.e
	o.NotifyIn = e.leaseFor
	began := time.Now()
	for n := 1; ; n++ {
		rec, err := e.settleOnce(r.base(), l, o)
		if err == nil {
			hook(e.hooks.Settled, SettledEvent{ID: r.id, State: rec.State, Attempts: rec.Attempts, Age: rec.Created})
			return rec, nil
		}
		if isRuling(err) {
			return rec, err
		}
		unrecorded := &UnrecordedError{ID: r.id, State: o.State, hidden: hidden{err}}
		known := Record{ID: r.id, State: o.State, SettledAt: Never, Value: o.Value, Omitted: o.Omitted, Code: o.Code, Message: o.Message, Ref: o.Ref}
		passed := time.Since(began)
		if passed >= e.settleFor {
			hook(e.hooks.Unrecorded, UnrecordedEvent{ID: r.id, Outcome: o, Err: err})
			return known, unrecorded
		}
		if n == 1 {
			failing()
			tell := time.AfterFunc(unrecordedAfter-passed, func() { r.flight.publish(known, false, r.live, unrecorded) })
			defer tell.Stop()
		}
		sleep(min(e.backoff(n), e.settleFor-passed))
	}
}

// settleOnce asks the store once. Where it has transactions, OnSettled takes part in this one.
func (e *engine) settleOnce(base context.Context, l Lease, o Outcome) (Record, error) {
	if e.tx == nil {
		return op(base, e, "Settle", func(ctx context.Context) (Record, error) { return e.store.Settle(ctx, l, o) })
	}
	var refused error // by OnSettled; not the store's failure
	rec, err := op(base, e, "SettleTx", func(ctx context.Context) (Record, error) {
		rec, err := e.tx.SettleTx(ctx, l, o, func(ctx context.Context, rec Record) error {
			refused = guard(func() error { return e.onSettled(ctx, &rec) })
			return refused
		})
		if refused != nil {
			err = nil
		}
		return rec, err
	})
	if refused == nil {
		return rec, err
	}
	// T51: the outcome stands by itself, and Run tells it again.
	hook2(e.hooks.NotifyError, l.ID, refused)
	o.NotifyIn = e.recovery.Delay(1)
	rec, err = op(base, e, "Settle", func(ctx context.Context) (Record, error) { return e.store.Settle(ctx, l, o) })
	rec.Owned = false // the claim to notify is left to run out
	return rec, err
}

// notify tells OnSettled, under the claim to notify, and clears the mark. What fails is told again by Run.
func (e *engine) notify(base context.Context, l Lease, rec Record) {
	var err error
	if e.onSettled != nil {
		ctx, cancel := context.WithTimeout(base, e.leaseFor)
		err = guard(func() error { return e.onSettled(ctx, &rec) })
		cancel()
	}
	o := Outcome{State: rec.State, Due: Never}
	if rec.State == StateAbandoned && !rec.Late && e.canAsk {
		o.Due = e.askAgain(&rec)
	}
	if err != nil {
		hook2(e.hooks.NotifyError, rec.ID, err)
		o.Notify, o.NotifyIn = true, e.askAgain(&Record{LastSent: rec.SettledAt})
	}
	// If this fails the mark stays, and OnSettled is told once more when the claim has run out.
	_, _ = op(base, e, "Settle", func(ctx context.Context) (Record, error) { return e.store.Settle(ctx, l, o) })
}

// late is called with what a Send returned after its attempt was over.
func (r *run) late(s sent) {
	after := &run{e: r.e, id: r.id, detached: detached{values: r.values, id: r.id}}
	if s.err == nil {
		_, _ = after.succeeded(Outcome{State: StateSucceeded, Value: s.value, Omitted: s.omitted != nil, Message: text(s.omitted), Attempts: 0})
	}
}
