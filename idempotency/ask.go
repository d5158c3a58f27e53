package idempotency

import (
	"cmp"
	"time"

	"github.com/steadfast-go/steadfast/internal/chance"
)

// ask asks the provider what became of the call.
func (r *run) ask(c *claim) (o Outcome, more bool) {
	e := r.e
	began := time.Now()
	if e.slots != nil && !e.slots.TryAcquire(1) {
		return e.rest(&r.rec, r.rec.Ambiguous, e.dueIn(e.askAgain(&r.rec), &r.rec)), false
	}
	a := r.attemptOf(c, r.rec.Attempts)
	t := &try[answer]{r: r, a: a, request: r.rec.Request, fn: e.lookup, failed: lookupFailed, late: (*run).lateAnswer}
	ans, over := t.run(c)
	if !over {
		ans.err = errStuck
	}
	if ans.err != nil {
		ans.kind = dontKnow
		r.lastErr = ans.err
	}
	believed := ans.kind == happened || e.believes(ans.kind, &r.rec)
	hook(e.hooks.Asked, AskedEvent{ID: r.id, Verdict: ans.kind.String(), Believed: believed, Err: ans.err, Took: time.Since(began)})

	if ans.kind == happened {
		return Outcome{State: StateSucceeded, Value: ans.value, Omitted: ans.omitted != nil, Message: text(ans.omitted)}, false
	}
	negative := ans.kind == declined || ans.kind == didNotHappen
	if negative && believed {
		return e.negative(&r.rec, &ans), true
	}
	again := e.askAgain(&r.rec)
	switch {
	case ans.kind == stillPending:
		again = max(ans.after, e.recovery.Initial)
	case negative: // T4: a request may still be on its way; ask when it cannot be
		again = max(again, e.settling-r.rec.LastSent)
	}
	again = max(again, asked(ans.err))
	if next, err := r.pause(cmp.Or(ans.err, errNoAnswer)); err == nil {
		again, more = max(again, next), true
	}
	o = e.rest(&r.rec, r.rec.Ambiguous, e.dueIn(again, &r.rec))
	if ans.err != nil {
		o.Message = text(ans.err)
	}
	return o, more
}

// negative is what a believed "no" makes of a record. Nothing was, or will be, done by what was sent so far.
func (e *engine) negative(rec *Record, ans *answer) Outcome {
	code, message := cut(ans.code, MaxKey), cut(ans.message, maxText)
	no := Outcome{State: StateRejected, Code: code, Message: message}
	switch base := rec.base(); {
	case base == StateAbandoned:
		return Outcome{State: StateCancelled, Code: code, Message: message}
	case ans.kind == declined:
		return no
	case base == StateAccepted:
		no.Code, no.Message = "did_not_happen", "the provider had accepted the call, and does not know it any more"
		return no
	case rec.ReplayedError: // T70: it would be repeated for as long as the key lives
		no.Code, no.Message = cmp.Or(rec.Code, "did_not_happen"), rec.Message
		return no
	}
	return Outcome{State: StateScheduled, Message: rec.Message}
}

// giveUp is what becomes of a call whose give-up time has passed.
func (r *run) giveUp(rec *Record) Outcome {
	o := Outcome{State: StateCancelled, Message: rec.Message}
	if base := rec.base(); base != StateScheduled {
		o = r.e.rest(rec, rec.Ambiguous, Never)
		o.State = StateAbandoned
		if r.e.canAsk {
			o.Due = r.e.askAgain(rec)
		}
	}
	return o
}

// restFor is how long a record rests between two turns: until it makes sense to ask, or by the policy's delay, which grows
// with the attempts made so far.
func (r *run) restFor(c *claim, o *Outcome) time.Duration {
	e := r.e
	switch {
	case o.State == StateFree:
		return 0 // its caller decides
	case o.State == StateScheduled, e.maySendAgain(c.firstSent(time.Now()), o.ReplayedError):
		return e.recovery.Delay(max(r.rec.Attempts+o.Attempts, 1))
	case e.canAsk:
		return e.askAgain(&Record{})
	}
	return Never
}

// askAgain grows with the time since the last sending, so that a provider that stays silent is asked ever less.
func (e *engine) askAgain(rec *Record) time.Duration {
	quiet := rec.LastSent
	if quiet == Never {
		quiet = rec.Created
	}
	d := min(max(quiet/2, e.recovery.Initial), e.recovery.Max)
	return chance.Half(d)
}

// dueIn brings a next step forward to the give-up time, unless the call has been given up already.
func (e *engine) dueIn(d time.Duration, rec *Record) time.Duration {
	if rec.base() != StateAbandoned {
		d = min(d, rec.GiveUp)
	}
	return max(d, 0)
}
