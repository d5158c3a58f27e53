package idempotency

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

var (
	errBusy   = errors.New("idempotency: Call.MaxInFlight attempts are under way already")
	errLate   = errors.New("idempotency: the claim ended before the call was sent")
	errKeyOld = errors.New("idempotency: the provider may soon forget the key, it is not sent again")
	errStuck  = errors.New("idempotency: Send did not return when its context ended")
)

// work does what a claim was made for, and ends it. more says that the flight may take another turn.
func (r *run) work(c *claim) (more bool, err error) {
	defer r.e.leases.remove(c)
	defer c.cancel(nil)
	var o Outcome
	switch r.e.next(&c.rec) {
	case stepSend:
		o, more = r.sendAll(c)
	case stepAsk:
		o, more = r.ask(c)
	case stepGiveUp:
		o = r.giveUp(&c.rec)
	default:
		o = r.e.rest(&c.rec, c.rec.Ambiguous, r.e.dueIn(Never, &c.rec))
		o.Message = cmp.Or(o.Message, "the process that made the last attempt has not reported its outcome")
	}
	err = r.settle(c, &o)
	return more && !r.rec.State.Settled(), err
}

// sendAll makes attempts within the policy for as long as section 5 of the design allows them.
func (r *run) sendAll(c *claim) (o Outcome, more bool) {
	e := r.e
	marked := c.rec.Sending
	ambiguous := c.rec.Ambiguous
	replayed := c.rec.ReplayedError
	attempts := 0
	var delay time.Duration
	for {
		if err := r.clear(c, &marked); err != nil {
			if r.lastErr == nil {
				r.lastErr = err
			}
			break
		}
		res := r.attempt(c, c.rec.Attempts+attempts+1)
		r.lastErr = res.err
		if res.ran {
			attempts++
			replayed = res.replayed
		}
		switch res.class {
		case classSucceeded:
			r.live = res.live
			return Outcome{State: StateSucceeded, Value: res.value, Omitted: res.omitted != nil, Message: text(res.omitted), Attempts: attempts}, false
		case classAccepted:
			o = Outcome{State: StateAccepted, Ambiguous: ambiguous || res.resent, Ref: res.accepted.ref, Due: e.dueIn(Never, &c.rec), Attempts: attempts}
			if e.canAsk {
				o.Due = e.dueIn(res.accepted.after, &c.rec)
			}
			return o, false
		case classRejected:
			no := &Rejection{Code: res.rejected.code, Message: res.rejected.Error()}
			if e.settles(no, ambiguous || res.resent) {
				return Outcome{State: StateRejected, Code: no.Code, Message: no.Message, Attempts: attempts}, false
			}
			ambiguous = true
		case classUnknown:
			ambiguous = true
		case classNotSent:
			if res.resent {
				ambiguous = true
			}
		}
		var err error
		delay, err = r.pause(res.err)
		if err != nil || res.stuck {
			break
		}
		if ambiguous && !e.maySendAgain(c.firstSent(time.Now()), replayed) {
			more = true
			break
		}
		if !sleep(delay, c.ctx.Done(), e.closing, r.stop) {
			break
		}
		marked = false // a repetition asks first whether the claim stands and nobody wants it cancelled
	}
	o = e.rest(&c.rec, ambiguous, 0)
	o.ReplayedError = replayed
	o.Attempts = attempts
	o.Message = text(r.lastErr)
	o.Due = e.dueIn(max(delay, e.restFor(c, &o)), &c.rec)
	return o, more
}

// pause asks the policy how long to wait after a failure, or why not to go on.
func (r *run) pause(err error) (delay time.Duration, stop error) {
	stop = guard(func() (err2 error) { // Retry.OnRetry is not ours
		delay, err2 = r.sched.Next(err)
		return err2
	})
	return delay, stop
}

// clear checks, right before a sending, everything that may have changed since the last look.
func (r *run) clear(c *claim, marked *bool) error {
	e := r.e
	now := time.Now()
	if !*marked || !c.standingAt(now) {
		if !e.mark(c) {
			return errLate
		}
		*marked, now = true, time.Now()
	}
	if e.keyLife > 0 && !e.harmless && !e.keyAlive(c.firstSent(now)) {
		return errKeyOld
	}
	if c.ctx.Err() != nil || !c.standingAt(now) {
		return errLate
	}
	return nil
}

// result is one attempt, classified.
type result struct {
	sent
	marks
	ran    bool // Send was called
	stuck  bool // and has not returned
	resent bool // its request went out more than once
}

// attempt makes one attempt: breaker, bound, timeout, Send. What the first two refuse was not sent.
func (r *run) attempt(c *claim, number int) (res result) {
	e := r.e
	began := time.Now()
	a := e.attemptOf(c, number)
	switch done, err := e.breaker.Allow(); {
	case err != nil:
		res.class, res.err = classNotSent, err
	case e.slots != nil && !e.slots.TryAcquire(1):
		res.class, res.err = classNotSent, errBusy
		done(context.Canceled)
	default:
		res = r.sendOnce(c, a)
		done(verdictForBreaker(c.ctx, &res))
	}
	hook(e.hooks.Attempt, AttemptEvent{ID: r.id, ProviderKey: a.Key, Number: number, Class: res.class.String(), Err: res.err, Took: time.Since(began)})
	return res
}

func (r *run) sendOnce(c *claim, a Attempt) (res result) {
	t := &try[sent]{r: r, a: a, rec: &c.rec, fn: r.e.send, failed: sendFailed, late: (*run).late}
	t.a.resent = &t.resent
	res.ran = true
	out, over := t.run(c)
	if !over {
		res.stuck, res.err = true, errStuck
		return res // t.resent is not ours to read while Send runs
	}
	res.sent, res.resent = out, t.resent
	res.marks = classify(res.err)
	if res.resent && res.class == classNotSent {
		res.class = classUnknown
	}
	return res
}

// verdictForBreaker is what an attempt says about the provider's health: a refusal is an answer, and our own cancelling
// says nothing (T44).
func verdictForBreaker(ctx context.Context, res *result) error {
	switch {
	case res.class == classSucceeded, res.class == classRejected, res.class == classAccepted:
		return nil
	case ctx.Err() != nil:
		return context.Canceled
	}
	return res.err
}

// try is one run of Send or Lookup, code that is not ours, in a goroutine of its own.
type try[T any] struct {
	r       *run
	a       Attempt
	rec     *Record
	fn      func(context.Context, Attempt, *Record) T
	failed  func(error) T // what a panic, Goexit (T10) or a context that ended before fn ran comes back as
	late    func(*run, T) // is told what fn returned after the attempt was over
	resent  bool
	results chan T
}

func sendFailed(err error) sent     { return sent{err: err} }
func lookupFailed(err error) answer { return answer{err: err} }

// run waits for fn, with the attempt's timeout, but no longer than Grace after its context ended: then over is false (T53).
func (t *try[T]) run(c *claim) (out T, over bool) {
	e := t.r.e
	ctx, cancel := context.WithTimeout(c.ctx, e.timeout)
	defer cancel()
	t.results = make(chan T, 1)
	e.owned.Add(1)
	go t.call(ctx)
	select {
	case out = <-t.results:
		return out, true
	case <-ctx.Done():
	}
	grace := time.NewTimer(e.grace)
	defer grace.Stop()
	select {
	case out = <-t.results:
		return out, true
	case <-grace.C:
	}
	hook(e.hooks.Stuck, t.r.id)
	e.owned.Add(1)
	go func() {
		defer e.owned.Done()
		t.late(t.r, <-t.results)
	}()
	return out, false
}

func (t *try[T]) call(ctx context.Context) {
	e := t.r.e
	defer e.owned.Done()
	if e.slots != nil {
		defer e.slots.Release(1)
	}
	growStack(0)
	returned := false
	var v T
	defer func() {
		if !returned {
			v = t.failed(&PanicError{Value: recover(), Stack: debug.Stack()})
		}
		t.results <- v
	}()
	if ctx.Err() != nil {
		v = t.failed(NotSent(errLate))
	} else {
		v = t.fn(ctx, t.a, t.rec)
	}
	returned = true
}

// attemptOf is what Send and Lookup are told.
func (e *engine) attemptOf(c *claim, number int) Attempt {
	a := Attempt{
		Key:       providerKey(e.namespace, c.rec.ID).String(),
		Scope:     c.rec.ID.Scope,
		ID:        c.rec.ID.Key,
		Number:    number,
		FirstSent: c.began,
		Ref:       c.rec.Ref,
	}
	if c.rec.FirstSent != Never {
		a.FirstSent = c.began.Add(-c.rec.FirstSent)
	}
	if c.rec.Ambiguous {
		a.Ref = "" // T65
	}
	return a
}

// ask asks the provider what became of the call.
func (r *run) ask(c *claim) (o Outcome, more bool) {
	e := r.e
	began := time.Now()
	if e.slots != nil && !e.slots.TryAcquire(1) {
		return e.rest(&c.rec, c.rec.Ambiguous, e.dueIn(e.askAgain(&c.rec), &c.rec)), false
	}
	a := e.attemptOf(c, c.rec.Attempts)
	t := &try[answer]{r: r, a: a, rec: &c.rec, fn: e.lookup, failed: lookupFailed, late: func(*run, answer) {}}
	ans, over := t.run(c)
	if !over {
		ans.err = errStuck
	}
	if ans.err != nil {
		ans.kind = dontKnow
		r.lastErr = ans.err
	}
	believed := ans.kind == happened || e.believes(ans.kind, &c.rec)
	hook(e.hooks.Asked, AskedEvent{ID: r.id, Verdict: ans.kind.String(), Believed: believed, Err: ans.err, Took: time.Since(began)})

	if ans.kind == happened {
		return Outcome{State: StateSucceeded, Value: ans.value, Omitted: ans.omitted != nil, Message: text(ans.omitted)}, false
	}
	negative := ans.kind == declined || ans.kind == didNotHappen
	if negative && believed {
		return e.negative(&c.rec, &ans), true
	}
	again := e.askAgain(&c.rec)
	switch {
	case ans.kind == stillPending:
		again = max(ans.after, e.recovery.Initial)
	case negative: // T4: a request may still be on its way; ask when it cannot be
		again = max(again, e.settling-c.rec.LastSent)
	}
	if next, err := r.pause(ans.err); err == nil {
		again, more = max(again, next), true
	}
	o = e.rest(&c.rec, c.rec.Ambiguous, e.dueIn(again, &c.rec))
	if ans.err != nil {
		o.Message = text(ans.err)
	}
	return o, more
}

// negative is what a believed "no" makes of a record. Nothing was, or will be, done by what was sent so far.
func (e *engine) negative(rec *Record, ans *answer) Outcome {
	no := Outcome{State: StateRejected, Code: ans.code, Message: ans.message}
	switch base := rec.base(); {
	case base == StateAbandoned:
		return Outcome{State: StateCancelled, Code: ans.code, Message: ans.message}
	case ans.kind == declined:
		return no
	case base == StateAccepted:
		no.Code, no.Message = "did_not_happen", "the provider had accepted the call, and does not know it any more"
		return no
	case rec.ReplayedError: // T70: it would be repeated for as long as the key lives
		no.Code, no.Message = "did_not_happen", rec.Message
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
func (e *engine) restFor(c *claim, o *Outcome) time.Duration {
	switch {
	case o.State == StateFree:
		return 0 // its caller decides
	case o.State == StateScheduled, e.maySendAgain(c.firstSent(time.Now()), o.ReplayedError):
		return e.recovery.Delay(max(c.rec.Attempts+o.Attempts, 1))
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
	return d/2 + rand.N(d/2+1)
}

// dueIn brings a next step forward to the give-up time, unless the call has been given up already.
func (e *engine) dueIn(d time.Duration, rec *Record) time.Duration {
	if rec.base() != StateAbandoned {
		d = min(d, rec.GiveUp)
	}
	return max(d, 0)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	const most = 1000
	if len(s) > most {
		s = s[:most]
	}
	return s
}
