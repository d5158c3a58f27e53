package idempotency

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
)

var (
	errBusy   = errors.New("idempotency: Call.MaxInFlight attempts are under way already")
	errLate   = errors.New("idempotency: the claim ended before the call was sent")
	errKeyOld = errors.New("idempotency: the provider may soon forget the key, it is not sent again")
	errStuck  = errors.New("idempotency: Send did not return when its context ended")

	errNoAnswer = errors.New("idempotency: the provider has no answer yet")
)

// work does what a claim was made for, and ends it. more says that the policy allows the flight another turn, with a claim
// of its own.
func (r *run) work(c *claim) (more bool, err error) {
	defer r.e.leases.remove(c)
	defer c.cancel(nil)
	var o Outcome
	switch todo := r.e.next(&r.rec); {
	case (todo == stepSend || todo == stepAsk) && r.e.isStuck(r.id):
		// What an earlier attempt may still send, nobody can ask about; and no other may run beside it.
		r.lastErr = errStuck
		o = r.restAfter(c, sending{ambiguous: r.rec.Ambiguous, replayed: r.rec.ReplayedError}, r.e.timeout)
	case todo == stepSend:
		o, more = r.sendAll(c)
	case todo == stepAsk:
		o, more = r.ask(c)
	case todo == stepGiveUp:
		o = r.giveUp(&r.rec)
	default:
		o = r.e.rest(&r.rec, r.rec.Ambiguous, r.e.dueIn(Never, &r.rec))
		if o.State == StateUnknown {
			o.Message = cmp.Or(o.Message, "the process that made the last attempt has not reported its outcome")
		}
	}
	err = r.settle(c, &o)
	return more && !r.rec.State.Settled(), err
}

// sending is what a claim's attempts have come to so far.
type sending struct {
	attempts  int
	ambiguous bool // one of them, or one before the claim, may have had an effect
	replayed  bool // the last answer was a stored error, or a rejection that could not be believed
	code      string
}

// sendAll makes attempts within the policy, for as long as section 5 of the design allows them.
func (r *run) sendAll(c *claim) (o Outcome, more bool) {
	e := r.e
	if r.sched == nil && (e.policy.Budget != nil || e.policy.Elapsed > 0) { // these count from the first attempt, and what succeeds
		r.schedule()
	}
	s := sending{ambiguous: r.rec.Ambiguous, replayed: r.rec.ReplayedError}
	marked := r.rec.Sending
	for {
		if err := r.clear(c, &marked); err != nil {
			if r.lastErr == nil {
				r.lastErr = err
			}
			return r.restAfter(c, s, 0), false
		}
		res := r.attempt(c, r.rec.Attempts+s.attempts+1)
		if o, settled := r.judge(&s, &res); settled {
			return o, false
		}
		delay, err := r.pause(res.err)
		switch {
		case err != nil, res.stuck: // enough, for now
			return r.restAfter(c, s, asked(res.err)), false
		case s.ambiguous && !e.maySendAgain(c.firstSent(time.Now()), s.replayed): // the flight may ask
			return r.restAfter(c, s, delay), true
		case !sleep(delay, c.ctx.Done(), e.closing, r.stop):
			return r.restAfter(c, s, delay), false
		}
		marked = false // a repetition asks first whether the claim stands and nobody wants it cancelled
	}
}

// judge says what an attempt means: the outcome, if it is one, or what it adds to s.
func (r *run) judge(s *sending, res *result) (o Outcome, settled bool) {
	e := r.e
	r.lastErr = res.err
	if res.ran {
		s.attempts++
		s.replayed, s.code = res.replayed, ""
	}
	ambiguous := s.ambiguous || res.resent // two sendings are ambiguous before their answer is read
	switch res.class {
	case classSucceeded:
		r.live = res.live
		return Outcome{State: StateSucceeded, Value: res.value, Omitted: res.omitted != nil, Message: text(res.omitted), Attempts: s.attempts}, true
	case classAccepted:
		ref := res.accepted.ref
		if cut(ref, MaxKey) != ref {
			ref = "" // it cannot be kept as it is; the key finds the call as well
		}
		o = Outcome{State: StateAccepted, Ambiguous: ambiguous, Ref: ref, Due: e.dueIn(Never, &r.rec), Attempts: s.attempts}
		if e.canAsk {
			o.Due = e.dueIn(res.accepted.after, &r.rec)
		}
		return o, true
	case classRejected:
		no := &Rejection{Code: cut(res.rejected.code, MaxKey), Message: text(res.rejected)}
		if e.settles(no, ambiguous) {
			return Outcome{State: StateRejected, Code: no.Code, Message: no.Message, Attempts: s.attempts}, true
		}
		s.ambiguous = true
		if e.canAsk { // it would only be repeated: the provider can say what became of the call
			s.replayed, s.code = true, no.Code
		}
	case classUnknown:
		s.ambiguous = true
	case classNotSent:
		s.ambiguous = ambiguous
	}
	return o, false
}

// restAfter is the outcome of a claim that ends without one: the record rests at least for that long.
func (r *run) restAfter(c *claim, s sending, delay time.Duration) Outcome {
	o := r.e.rest(&r.rec, s.ambiguous, 0)
	o.ReplayedError = s.replayed
	o.Code = cmp.Or(s.code, o.Code)
	o.Attempts = s.attempts
	o.Message = text(r.lastErr)
	o.Due = r.e.dueIn(max(delay, r.restFor(c, &o)), &r.rec)
	return o
}

// maxAsked bounds the Retry-After that is obeyed between turns.
const maxAsked = time.Hour

// asked is how long the provider asked to be left alone: longer than the policy waits, or the call would go on.
func asked(err error) time.Duration {
	var after interface{ RetryAfter() time.Duration }
	if errors.As(err, &after) {
		return min(after.RetryAfter(), maxAsked)
	}
	return 0
}

// pause asks the policy how long to wait after a failure, or why not to go on.
func (r *run) pause(err error) (delay time.Duration, stop error) {
	if r.sched == nil {
		r.schedule()
	}
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
	a := r.attemptOf(c, number)
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
	t := &try[sent]{r: r, a: a, request: r.rec.Request, fn: r.e.send, failed: sendFailed, late: (*run).late}
	t.a.resent = &t.resent
	res.ran = true
	out, over := t.run(c)
	if !over {
		res.stuck, res.err = true, errStuck
		return res // t.resent is not ours to read while Send runs
	}
	res.sent, res.resent = out, t.resent
	res.marks = classify(res.err)
	return res
}

// verdictForBreaker is what an attempt says about the provider's health: a refusal is an answer, and our own cancelling
// says nothing (T44).
func verdictForBreaker(ctx context.Context, res *result) error {
	switch {
	case res.class == classSucceeded, res.class == classRejected, res.class == classAccepted:
		return nil
	case ctx.Err() != nil, res.local:
		return context.Canceled
	}
	return res.err
}

// attemptOf is what Send and Lookup are told.
func (r *run) attemptOf(c *claim, number int) Attempt {
	a := Attempt{
		Key:       providerKey(r.e.namespace, r.rec.ID).String(),
		Scope:     r.rec.ID.Scope,
		ID:        r.rec.ID.Key,
		Number:    number,
		FirstSent: c.began,
		Ref:       r.rec.Ref,
	}
	if r.rec.FirstSent != Never {
		a.FirstSent = c.began.Add(-r.rec.FirstSent)
	}
	if r.rec.Ambiguous {
		a.Ref = "" // T65
	}
	return a
}

// maxText bounds a message as it is stored, in bytes.
const maxText = 1000

// text is an error's text as it is stored: bounded, and valid in any database.
func text(err error) string {
	if err == nil {
		return ""
	}
	s := ""
	_ = guard(func() error { s = err.Error(); return nil })
	return cut(s, maxText)
}

func cut(s string, most int) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s[:min(len(s), most)], "\x00", ""), "")
}
