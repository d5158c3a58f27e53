package fakepay

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// perform does what a request asks for: the one place where requests move money.
func (p *provider) perform(v *visit) *answer {
	b, now := p.book, p.date()
	if v.op.writes() && v.op != OpCharge && v.op != OpIntent && v.fault.Kind == Decline {
		return refuse(http.StatusPaymentRequired, &Error{Code: declineCode(v.fault), Message: string(v.op) + " was declined", ChargeID: v.id})
	}
	if v.stripe != nil {
		return p.performStripe(v)
	}
	switch v.op {
	case OpCharge:
		return p.charge(v, nil)
	case OpCapture:
		return b.capture(v, now)
	case OpRefund:
		return b.refund(v, now, p.newID("re", v), p.shownKey(v))
	case OpVoid:
		return b.void(v, now, p.newID("vo", v))
	}
	return p.tellAbout(v)
}

func (p *provider) newID(prefix string, v *visit) string {
	copyMark := ""
	if v.copy {
		copyMark = "copy"
	}
	return newID(prefix, p.cfg.Seed, v.n, v.subject(), copyMark)
}

// shownKey is the key as far as the provider cares for it.
func (p *provider) shownKey(v *visit) string {
	if p.cfg.Mode != Keys {
		return ""
	}
	return v.key
}

func declineCode(f Fault) string {
	if f.Code != "" {
		return f.Code
	}
	return CodeDeclined
}

// decision is what the bank says to a new charge.
type decision struct {
	status Status // Succeeded, Declined, or Processing until after
	code   string // of the decline, also of one that comes later
	after  time.Duration
}

func (p *provider) ask(v *visit) decision {
	later := v.fault.delay(p.cfg.DecideAfter)
	switch v.fault.Kind {
	case Decline:
		return decision{status: Declined, code: declineCode(v.fault)}
	case Accept:
		return decision{status: Processing, code: v.fault.Code, after: later}
	}
	switch v.request.charge.Source {
	case SourceDeclined:
		return decision{status: Declined, code: CodeDeclined}
	case SourceInsufficientFunds:
		return decision{status: Declined, code: CodeInsufficientFunds}
	case SourceExpiredCard:
		return decision{status: Declined, code: CodeExpiredCard}
	case SourceAccepted:
		return decision{status: Processing, after: later}
	case SourceAcceptedDeclined:
		return decision{status: Processing, code: CodeDeclined, after: later}
	}
	return decision{status: Succeeded}
}

// charge takes or reserves money, for an intent if there is one.
func (p *provider) charge(v *visit, of *intent) *answer {
	in, d := v.request.charge, p.ask(v)
	a := &account{
		Charge: Charge{
			ID: p.newID("ch", v), Status: Processing, AmountCents: in.AmountCents, Currency: strings.ToLower(in.Currency),
			Source: in.Source, Reference: in.Reference, Key: p.shownKey(v), Metadata: maps.Clone(in.Metadata), Created: p.date(),
		},
		capture: in.Capture == nil || *in.Capture,
		intent:  of,
	}
	charge, event, refused := p.book.open(a, d)
	if refused != nil {
		return refused
	}
	if d.status == Processing && d.after > 0 {
		p.later(d.after, func() {
			// Somebody may have decided by hand in the meantime: the first decision stands.
			_ = p.decide(charge.ID, d.code)
		})
	}
	if charge.Status == Declined {
		refused := refuse(http.StatusPaymentRequired, &Error{
			Code: charge.Code, Message: "the card was declined", Remedy: "use another card, with a new key", ChargeID: charge.ID,
		})
		refused.event = event
		return refused
	}
	status := http.StatusCreated
	if charge.Status == Processing {
		status = http.StatusAccepted
	}
	return &answer{status: status, body: charge, chargeID: charge.ID, effect: true, event: event}
}

// open enters a charge into the books, decided or not. Of two that would charge one intent, the second is refused.
func (b *book) open(a *account, d decision) (c Charge, event *Event, refused *answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.intent != nil {
		if refused := a.intent.confirmable(); refused != nil {
			return c, nil, refused
		}
		a.Intent = a.intent.id
		a.intent.charges = append(a.intent.charges, a)
	}
	b.charges = append(b.charges, a)
	b.byID[a.ID] = a
	if d.status != Processing {
		event = a.decide(d.code, a.Created)
	}
	return a.view(), event, nil
}

// decide moves a charge out of Processing.
func (a *account) decide(code string, now time.Time) *Event {
	switch {
	case code != "":
		a.Status, a.Code = Declined, code
		if a.intent != nil {
			a.intent.method = "" // it takes another one
		}
		return a.event(ChargeDeclined, now, "")
	case !a.capture:
		a.Status = Authorized
		return a.event(ChargeAuthorized, now, "")
	}
	a.Status, a.CapturedCents = Succeeded, a.AmountCents
	return a.event(ChargeSucceeded, now, "")
}

func (a *account) event(t EventType, now time.Time, refundID string) *Event {
	e := &Event{ID: newID("evt", 0, 0, a.ID, string(t), refundID), Type: t, Created: now, Charge: a.view()}
	if a.intent != nil {
		e.stripe = a.intent.tell(e, a)
	}
	return e
}

func (b *book) decide(chargeID, code string, now time.Time) (*Event, *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.account(chargeID)
	if a == nil {
		return nil, noCharge(chargeID)
	}
	if a.Status != Processing {
		return nil, wrongState(a, "decide it", "decide charges that are processing")
	}
	return a.decide(code, now), nil
}

func (b *book) capture(v *visit, now time.Time) *answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.byID[v.id]
	if a == nil {
		return refuse(http.StatusNotFound, noCharge(v.id))
	}
	if a.Status != Authorized {
		return refuse(http.StatusBadRequest, wrongState(a, "capture it", "capture charges that are authorized, once"))
	}
	amount := v.amount.AmountCents
	if amount == 0 {
		amount = a.AmountCents
	}
	if amount > a.AmountCents {
		return refuse(http.StatusBadRequest, tooMuch(amount, a.AmountCents, a.ID))
	}
	a.Status, a.CapturedCents = Succeeded, amount
	return &answer{status: http.StatusCreated, body: a.view(), chargeID: a.ID, effect: true, event: a.event(ChargeSucceeded, now, "")}
}

func (b *book) refund(v *visit, now time.Time, id, key string) *answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.byID[v.id]
	if a == nil {
		return refuse(http.StatusNotFound, noCharge(v.id))
	}
	left := a.CapturedCents - a.RefundedCents
	if a.Status != Succeeded || left == 0 {
		return refuse(http.StatusBadRequest, wrongState(a, "refund it", "refund charges that are captured and not wholly refunded"))
	}
	amount := v.amount.AmountCents
	if amount == 0 {
		amount = left
	}
	if amount > left {
		return refuse(http.StatusBadRequest, tooMuch(amount, left, a.ID))
	}
	a.RefundedCents += amount
	refund := Refund{ID: id, ChargeID: a.ID, AmountCents: amount, Reference: v.amount.Reference, Key: key, Created: now}
	if v.stripe != nil {
		refund.reason, refund.metadata = v.stripe.reason, v.stripe.metadata
	}
	b.refunds = append(b.refunds, refund)
	event := a.event(ChargeRefunded, now, id)
	event.Refund = &refund
	return &answer{status: http.StatusCreated, body: refund, chargeID: a.ID, effect: true, event: event}
}

func (b *book) void(v *visit, now time.Time, id string) *answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.byID[v.id]
	if a == nil {
		return refuse(http.StatusNotFound, noCharge(v.id))
	}
	if a.Status != Authorized {
		return refuse(http.StatusBadRequest, wrongState(a, "void it", "void charges that are authorized; refund those that are captured"))
	}
	a.Status = Voided
	b.voids = append(b.voids, Void{ID: id, ChargeID: a.ID, Created: now})
	return &answer{status: http.StatusCreated, body: a.view(), chargeID: a.ID, effect: true, event: a.event(ChargeVoided, now, "")}
}

// tellAbout answers questions.
func (p *provider) tellAbout(v *visit) *answer {
	if p.cfg.Mode == None && v.op == OpGet {
		return refuse(http.StatusNotFound, &Error{Code: CodeNotFound, Message: "this provider answers no questions", Remedy: "ask its operator"})
	}
	if p.cfg.Mode == None {
		return refuse(http.StatusMethodNotAllowed, &Error{Code: CodeNotAllowed, Message: "this provider answers no questions", Remedy: "ask its operator"})
	}
	if v.op == OpGet {
		c, ok := p.book.find(v.id)
		if !ok {
			return refuse(http.StatusNotFound, noCharge(v.id))
		}
		return &answer{status: http.StatusOK, body: c, chargeID: c.ID}
	}
	if p.cfg.Mode == Ask && v.list.key != "" {
		// An empty list would say "it did not happen" about something that nobody wrote down.
		return refuse(http.StatusBadRequest, invalid("key", v.list.key, "this provider ignores keys: ask by reference"))
	}
	page, ok := p.book.list(v.list)
	if !ok {
		return refuse(http.StatusBadRequest, invalid("after", v.list.after, "use the id of a charge of an earlier page"))
	}
	return &answer{status: http.StatusOK, body: page}
}

func noCharge(id string) *Error {
	return &Error{Code: CodeNotFound, Message: "there is no such charge", Field: "id", Value: id, Remedy: "use the id of a charge that was answered"}
}

func wrongState(a *account, what, remedy string) *Error {
	return &Error{
		Code: CodeState, Message: "the charge is in no state to " + what, Field: "status", Value: string(a.Status), Remedy: remedy, ChargeID: a.ID,
	}
}

func tooMuch(amount, left int64, chargeID string) *Error {
	e := invalid("amount_cents", amount, fmt.Sprintf("use at most %d", left))
	e.ChargeID = chargeID
	return e
}
