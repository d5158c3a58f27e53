package idempotency

import (
	"cmp"
	"context"
	"errors"
	"time"
)

// cancel closes a key.
func (e *engine) cancel(ctx context.Context, id ID) (Record, error) {
	if err := e.begin(); err != nil {
		return Record{}, err
	}
	defer e.owned.Done()
	o := Outcome{State: StateCancelled, Due: Never}
	if e.canAsk {
		o.Due = e.askAgain(&Record{}) // an abandoned call is still asked about
	}
	began := time.Now()
	rec, err := e.outside(ctx, Lease{ID: id}, o)
	if errors.Is(err, ErrNoRecord) {
		err = e.claim(ctx, &Claim{
			ID: id, Mode: ClaimTombstone, Token: newToken(), Notify: e.onSettled != nil,
			GiveUp: Never, Retention: e.retention, StubFor: e.stubFor,
		}, &rec)
		switch {
		case err != nil:
		case rec.State == StateCancelled:
			e.reportMoved(&rec, began)
		default: // somebody was faster
			rec, err = e.outside(ctx, Lease{ID: id}, o)
		}
	}
	return rec, err
}

// outside settles what no claim stands behind, and tries again while the store fails: the same verdict twice is one.
func (e *engine) outside(ctx context.Context, l Lease, o Outcome) (rec Record, err error) {
	o.Notify = e.onSettled != nil
	began := time.Now()
	for n := 1; n <= acquireTries; n++ {
		if err = e.settleOnce(ctx, &l, &o, &rec); err == nil || isRuling(err) || isFinal(err) || ctx.Err() != nil {
			break
		}
		if !sleep(e.backoff(n), ctx.Done(), e.closing) {
			break
		}
	}
	if err == nil {
		e.reportMoved(&rec, began)
		e.hint()
	}
	return rec, err
}

// reportMoved tells the hook of a transition by a verdict, unless the record was there before.
func (e *engine) reportMoved(rec *Record, began time.Time) {
	if rec.SettledAt <= time.Since(began) || rec.State == StateScheduled {
		e.reportSettled(rec)
	}
}

func (e *engine) reportSettled(rec *Record) {
	hook(e.hooks.Settled, SettledEvent{ID: rec.ID, State: rec.State, Late: rec.Late, Attempts: rec.Attempts, Age: rec.Created})
}

// verdict applies an answer from outside.
func (e *engine) verdict(ctx context.Context, id ID, ans answer, seen *asOf, ref string) (Record, error) {
	if err := e.begin(); err != nil {
		return Record{}, err
	}
	defer e.owned.Done()
	if ans.kind == happened {
		rec, err := e.outside(ctx, Lease{ID: id}, Outcome{State: StateSucceeded, Value: ans.value, Omitted: ans.omitted != nil, Message: text(ans.omitted), Due: Never})
		if err != nil && isRuling(err) {
			hook(e.hooks.Conflict, ConflictEvent{ID: id, Recorded: recorded(rec), Claimed: StateSucceeded, Value: ans.value, Err: err})
		}
		return rec, err
	}
	rec, err := e.get(ctx, id)
	if err != nil {
		if ans.kind != dontKnow && errors.Is(err, ErrNoRecord) {
			hook(e.hooks.Conflict, ConflictEvent{ID: id, Claimed: ans.claims(), Code: ans.code, Err: err})
		}
		return rec, err
	}
	o, applies := e.weigh(&rec, &ans, seen, ref)
	switch {
	case !applies && (rec.State.Settled() || rec.Late):
		return e.contradict(rec, ans)
	case !applies: // a call runs, or has not been sent: there is nothing to apply it to now
		return rec, &PendingError{ID: id, State: rec.State, after: e.poll}
	}
	if negative := ans.kind == declined || ans.kind == didNotHappen; negative && o.State == rec.State && !e.canAsk {
		return rec, &PendingError{ID: id, State: rec.State, after: e.poll, hidden: hidden{errNoBasis}}
	}
	rec, err = e.outside(ctx, Lease{ID: id, Fence: rec.Fence}, o)
	switch {
	case errors.Is(err, ErrLeaseLost): // it has moved on since: whoever asked must ask again
		return rec, &PendingError{ID: id, State: rec.State, after: e.poll, hidden: hidden{err}}
	case errors.Is(err, ErrConflict):
		return e.contradict(rec, ans)
	}
	return rec, err
}

// claims is the state that a verdict speaks of.
func (a *answer) claims() State {
	switch a.kind {
	case happened:
		return StateSucceeded
	case stillPending:
		return StateAccepted
	}
	return StateRejected
}

// recorded is a record's state as callers know it: a free one is none.
func recorded(rec Record) State {
	if rec.State == StateFree {
		return StateAbsent
	}
	return rec.State
}

var errNoBasis = errors.New("a negative verdict counts only AsOf a status that was read before the provider was asked")

// weigh says what a verdict that is not positive makes of a record; only one at rest can be judged.
func (e *engine) weigh(rec *Record, ans *answer, seen *asOf, ref string) (o Outcome, applies bool) {
	resting := !rec.Lapsed && !rec.Late && (rec.State == StateAccepted || rec.State == StateUnknown || rec.State == StateAbandoned)
	if !resting {
		return o, false
	}
	hint := e.rest(&Record{From: rec.State, Ambiguous: rec.Ambiguous, ReplayedError: rec.ReplayedError, Code: rec.Code, Message: rec.Message}, rec.Ambiguous, 0)
	if ans.kind != declined && ans.kind != didNotHappen {
		hint.Due = e.dueIn(ans.after, rec)
		return hint, true
	}
	named := ans.kind == declined && ref != "" && rec.State == StateAccepted && rec.Ref == ref && !rec.Ambiguous // T64
	quiet := seen != nil && !seen.lapsed && seen.fence == rec.Fence && seen.state == rec.State && seen.lastSent >= cmp.Or(e.settling, minKeyMargin)
	if named || quiet {
		return e.negative(rec, ans), true
	}
	return hint, seen == nil // one that says what it is based on, where that does not hold, is no hint either
}

// contradict reports a verdict that is not what was recorded; one that agrees is no error.
func (e *engine) contradict(rec Record, ans answer) (Record, error) {
	switch ans.kind {
	case declined, didNotHappen:
		if rec.State == StateRejected || rec.State == StateCancelled {
			return rec, nil
		}
		hook(e.hooks.Conflict, ConflictEvent{ID: rec.ID, Recorded: rec.State, Claimed: StateRejected, Code: ans.code, Err: ErrConflict})
		return rec, ErrConflict
	}
	return rec, nil
}
