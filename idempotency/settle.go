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
func (r *run) settle(c *claim, o *Outcome) error {
	e := r.e
	// A call that is asked about stays abandoned again and again; that is told once.
	o.Notify = e.onSettled != nil && (r.rec.From != StateAbandoned || o.State != StateAbandoned)
	e.leases.remove(c) // T17: a renewal that is under way finds the claim settled, which is no loss
	err := r.record(&c.lease, o, c)
	if err != nil && isRuling(err) {
		hook(e.hooks.LeaseLost, r.id)
		return r.overtaken(o, err)
	}
	if err == nil && r.rec.Notify && r.rec.Owned && (r.rec.State.Settled() || r.rec.State == StateAbandoned) {
		e.notify(r.base(), &c.lease, r.rec)
	}
	return err
}

// overtaken is settling after somebody else has taken over, or settled. A success is told as a verdict (T7); anything else
// only concerned an attempt that no longer counts.
func (r *run) overtaken(o *Outcome, err error) error {
	live := r.live
	r.live = nil // what is recorded is the outcome, for this caller too
	if o.State == StateSucceeded {
		err := r.succeeded(o)
		if err != nil || r.rec.Omitted {
			r.live = live
		}
		return err
	}
	if errors.Is(err, ErrNoRecord) {
		r.rec = Record{ID: r.id}
	}
	if o.State == StateRejected && r.rec.State.Settled() && r.rec.State != StateRejected {
		r.conflict(o, ErrConflict)
	}
	return nil
}

// succeeded records a success that no claim stands behind: of an owner that lost its claim, or that came after its attempt
// was over.
func (r *run) succeeded(o *Outcome) error {
	o.Notify = r.e.onSettled != nil
	err := r.record(&Lease{ID: r.id}, o, nil)
	if err != nil && isRuling(err) {
		r.conflict(o, err)
		r.rec = r.known(o)
	}
	r.e.hint()
	return err
}

func (r *run) conflict(o *Outcome, err error) {
	hook(r.e.hooks.Conflict, ConflictEvent{ID: r.id, Recorded: recorded(r.rec), Claimed: o.State, Value: o.Value, Code: o.Code, Err: err})
}

// known is an outcome as a record, for callers that are told although it is not recorded.
func (r *run) known(o *Outcome) Record {
	return Record{ID: r.id, State: o.State, SettledAt: Never, Value: o.Value, Omitted: o.Omitted, Code: o.Code, Message: o.Message, Ref: o.Ref}
}

// record writes an outcome, for as long as it takes or SettleFor allows. While the store fails the claim c, if there is
// one, is renewed again.
func (r *run) record(l *Lease, o *Outcome, c *claim) error {
	e := r.e
	o.NotifyIn = e.leaseFor
	began := time.Now()
	err := e.settleOnce(r.base(), l, o, &r.rec)
	if err != nil && !isRuling(err) {
		if c != nil {
			e.leases.add(c)
		}
		err = r.recordLater(l, o, err)
	}
	switch {
	case err != nil:
	case l.Token == Token{}:
		e.reportMoved(&r.rec, began)
	default:
		e.reportSettled(&r.rec)
	}
	return err
}

// recordLater goes on trying after the store has failed. Callers are told after unrecordedAfter.
func (r *run) recordLater(l *Lease, o *Outcome, err error) error {
	e := r.e
	unrecorded := &UnrecordedError{ID: r.id, State: o.State, hidden: hidden{err}}
	known := r.known(o)
	live := r.live
	tell := time.AfterFunc(unrecordedAfter, func() { r.flight.publish(&known, false, live, unrecorded) })
	defer tell.Stop()
	for n, deadline := 1, time.Now().Add(e.settleFor); ; n++ {
		left := time.Until(deadline)
		if left <= 0 {
			hook(e.hooks.Unrecorded, UnrecordedEvent{ID: r.id, Outcome: *o, Err: err})
			r.rec = known
			return unrecorded
		}
		sleep(min(e.backoff(n), left))
		if err = e.settleOnce(r.base(), l, o, &r.rec); err == nil || isRuling(err) {
			return err
		}
	}
}

// settleOnce asks the store once. Where it has transactions, OnSettled takes part in this one.
func (e *engine) settleOnce(base context.Context, l *Lease, o *Outcome, rec *Record) error {
	if e.tx == nil {
		return e.askSettle(base, l, o, rec)
	}
	refused, err := e.settleTx(base, l, o, rec)
	if refused == nil {
		return err
	}
	// T51: the outcome stands by itself, and Run tells it again.
	hook2(e.hooks.NotifyError, l.ID, refused)
	alone := *o
	alone.NotifyIn = e.recovery.Delay(1)
	err = e.askSettle(base, l, &alone, rec)
	rec.Owned = false // the claim to notify is left to run out
	return err
}

// settleTx settles, and tells OnSettled, in one transaction. refused is OnSettled's own error; nothing was settled then.
func (e *engine) settleTx(base context.Context, l *Lease, o *Outcome, rec *Record) (refused, err error) {
	settled, err := op(base, e, "SettleTx", func(ctx context.Context) (Record, error) {
		rec, err := e.tx.SettleTx(ctx, *l, *o, func(ctx context.Context, rec Record) error {
			if refused = guard(func() error { return e.onSettled(ctx, &rec) }); refused == nil {
				refused = ctx.Err() // it took too long: the transaction cannot be committed any more
			}
			return refused
		})
		if refused != nil {
			err = nil // not the store's failure
		}
		return rec, err
	})
	*rec = settled
	return refused, err
}

// notify tells OnSettled, under the claim to notify, and clears the mark: in one transaction, where the store has them.
// What fails is told again by Run.
func (e *engine) notify(base context.Context, l *Lease, rec Record) {
	o := Outcome{State: rec.State, Due: Never}
	if rec.State == StateAbandoned && !rec.Late && e.canAsk {
		o.Due = e.askAgain(&rec)
	}
	var err error
	switch {
	case e.tx != nil:
		marked := o
		marked.Notify = true // for the transaction to clear
		var ignored Record
		if err, _ = e.settleTx(base, l, &marked, &ignored); err == nil {
			return // told; or the store failed, and it is told again when the claim has run out
		}
	case e.onSettled != nil:
		ctx, cancel := context.WithTimeout(base, e.leaseFor)
		err = guard(func() error { return e.onSettled(ctx, &rec) })
		cancel()
	}
	if err != nil {
		hook2(e.hooks.NotifyError, rec.ID, err)
		o.Notify, o.NotifyIn = true, e.askAgain(&Record{LastSent: rec.SettledAt})
	}
	// If this fails the mark stays, and OnSettled is told once more when the claim has run out.
	_ = e.askSettle(base, l, &o, &rec)
}

// late is called with what a Send returned after its attempt was over. Only a success is more than what is known already.
func (r *run) late(s sent) {
	if s.err == nil {
		r.cameLate(&Outcome{State: StateSucceeded, Value: s.value, Omitted: s.omitted != nil, Message: text(s.omitted)})
	}
}

// lateAnswer is the same for a Lookup.
func (r *run) lateAnswer(a answer) {
	if a.kind == happened {
		r.cameLate(&Outcome{State: StateSucceeded, Value: a.value, Omitted: a.omitted != nil, Message: text(a.omitted)})
	}
}

func (r *run) cameLate(o *Outcome) {
	after := &run{}
	after.begin(r.values, r.e, r.id, nil)
	_ = after.succeeded(o)
}
