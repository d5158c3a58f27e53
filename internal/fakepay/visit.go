package fakepay

import (
	"net/http"
	"time"
)

// visit is one request on its way through the provider. What it meets decides which of the steps happen: arrive, execute,
// reply or lose.
type visit struct {
	*request
	encounter
	copy    bool // the second arrival of a Duplicate
	attempt *Attempt
}

// answer is what the provider says, or would say if the connection lived.
type answer struct {
	status     int
	body       any // Charge, Refund, ChargeList, ErrorBody, or an object of the Stripe API
	code       string
	chargeID   string
	retryAfter time.Duration
	replayed   bool
	origin     string      // the request that a stored answer was made for
	header     http.Header // of the Stripe API, as is
	intent     *intentView // that a decline is about
	effect     bool        // told apart from a replay by effect, its only reader
	event      *Event      // what happened
}

func refuse(status int, e *Error) *answer {
	return &answer{status: status, body: ErrorBody{e}, code: e.Code, chargeID: e.ChargeID}
}

// serve takes a request from its arrival to its reply.
func (p *provider) serve(w http.ResponseWriter, r *http.Request, q *request, own *Fault) {
	v := p.arrive(q, p.conditions.meet(q, p.clock.now(), own), false)
	switch v.fault.Kind {
	case RequestLost, Reset:
		p.lose(w, r, v)
		return
	case LandsLate:
		p.later(v.fault.delay(DefaultDelay), func() { p.land(v) })
		p.hang(r, v)
		cut(w, v.fault.cut())
		return
	case Duplicate:
		if v.fault.Delay > 0 {
			p.later(v.fault.Delay, func() { p.landCopy(v) })
		} else {
			defer p.later(0, func() { p.landCopy(v) })
		}
	}

	a := p.present(v, p.answer(v))
	if a == nil { // Close or Reset came in between
		p.lose(w, r, v)
		return
	}
	p.noteAnswer(v, a)
	switch v.fault.Kind {
	case ReplyLost:
		p.lose(w, r, v)
		return
	case ReplyLate:
		if !p.clock.sleep(v.fault.delay(DefaultDelay), p.activity.done) {
			p.lose(w, r, v)
			return
		}
	}
	p.reply(w, r, v, a)
}

// answer finds out what to say, and lets the request have its effect. It returns nil when everything is over.
func (p *provider) answer(v *visit) *answer {
	if a := v.turnedAway(); a != nil {
		// No work, no latency, unless this request was told to have it.
		if v.fault.Latency > 0 && !p.clock.sleep(v.fault.Latency, p.activity.done) {
			return nil
		}
		return a
	}
	a := p.execute(v, v.latency)
	if a != nil && v.fault.Kind == ErrorAfter {
		failed := internalError(v.fault)
		failed.chargeID = a.chargeID
		return failed
	}
	return a
}

// turnedAway returns the answer to a request that does not get as far as the key, or nil.
func (v *visit) turnedAway() *answer {
	switch f := v.fault; f.Kind {
	case ErrorBefore:
		return internalError(f)
	case Unavailable:
		a := refuse(f.status(http.StatusServiceUnavailable), &Error{
			Code: CodeUnavailable, Message: "the provider is not available", Remedy: "send the same request again later",
		})
		a.retryAfter = f.Delay
		return a
	case RateLimited:
		a := refuse(http.StatusTooManyRequests, &Error{
			Code: CodeRateLimited, Message: "too many requests", Remedy: "send the same request again after Retry-After",
		})
		a.retryAfter = f.delay(time.Second)
		return a
	case KeyInUse:
		return refuse(http.StatusConflict, keyInUse(v.key))
	}
	return nil
}

func internalError(f Fault) *answer {
	return refuse(f.status(http.StatusInternalServerError), &Error{
		Code: CodeInternal, Message: "something went wrong on our side; it may have taken effect or not", Remedy: "find out before you start anew",
	})
}

// execute works off a request under its key. The latency passes while the key is in use and before the effect.
func (p *provider) execute(v *visit, latency time.Duration) *answer {
	keyed := p.cfg.Mode == Keys && v.key != "" && v.op.writes()
	if keyed {
		if a := p.keyring.claim(v.key, v.print(), p.clock.now()); a != nil {
			if v.fault.Latency > 0 && !p.clock.sleep(v.fault.Latency, p.activity.done) {
				return nil
			}
			return a
		}
	}
	if !p.clock.sleep(latency, p.activity.done) {
		return nil
	}
	a := p.effect(v)
	if keyed {
		var stored *answer
		if p.stores(v, a) {
			stored, a.origin = a, p.requestID(v)
		}
		p.keyring.settle(v.key, stored)
	}
	return a
}

// effect lets the request take effect, and tells of it at once: a webhook may overtake the reply.
func (p *provider) effect(v *visit) *answer {
	if v.fault.Kind == ErrorStored {
		return internalError(v.fault)
	}
	a := p.perform(v)
	now := p.clock.now()
	if a.effect {
		p.book.note(v.attempt, func(t *Attempt) { t.Effect, t.EffectAt = true, now })
	}
	p.emit(a.event)
	a.event = nil
	if v.fault.Kind == ErrorStoredAfter {
		failed := internalError(v.fault)
		failed.chargeID = a.chargeID
		return failed
	}
	return a
}

// stores reports whether an answer is kept under its key. What was refused before any work is not, as with Stripe.
func (p *provider) stores(v *visit, a *answer) bool {
	switch {
	case a.status < 300:
		return true
	case a.status == http.StatusPaymentRequired:
		return p.cfg.ReplayErrors || v.stripe != nil
	}
	return v.fault.Kind == ErrorStored || v.fault.Kind == ErrorStoredAfter
}

// land is the arrival of a request whose client was cut off long ago.
func (p *provider) land(v *visit) {
	if a := p.present(v, p.execute(v, 0)); a != nil {
		p.noteAnswer(v, a)
	}
	p.finish(v, false)
}

// landCopy is the second arrival of a request. It meets nothing of its own, and nobody reads its answer.
func (p *provider) landCopy(first *visit) {
	again := encounter{fault: Fault{Kind: Duplicate}, n: first.n}
	p.land(p.arrive(first.request, again, true))
}

func (p *provider) arrive(q *request, e encounter, isCopy bool) *visit {
	v := &visit{request: q, encounter: e, copy: isCopy}
	v.attempt = p.book.arrive(Attempt{
		Op: q.op, At: p.clock.now(), Key: q.key, Reference: q.reference, ChargeID: q.id, Occurrence: e.n, Copy: isCopy, Fault: e.fault,
	})
	p.tell(p.book.note(v.attempt, func(*Attempt) {}))
	return v
}

func (p *provider) noteAnswer(v *visit, a *answer) {
	p.book.note(v.attempt, func(t *Attempt) {
		t.Status, t.Code, t.Replayed = a.status, a.code, a.replayed
		if a.chargeID != "" {
			t.ChargeID = a.chargeID
		}
	})
}

func (p *provider) finish(v *visit, delivered bool) {
	now := p.clock.now()
	p.tell(p.book.note(v.attempt, func(t *Attempt) { t.Delivered, t.Done, t.DoneAt = delivered, true, now }))
}

func (p *provider) tell(a Attempt) {
	if p.cfg.OnAttempt != nil {
		p.cfg.OnAttempt(a)
	}
}
