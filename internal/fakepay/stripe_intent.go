package fakepay

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

func (p *provider) createIntent(v *visit) *answer {
	in := &intent{
		id: p.newID("pi", v), amount: v.request.charge.AmountCents, currency: strings.ToLower(v.request.charge.Currency), method: v.stripe.method,
		methodTypes: v.stripe.methodTypes, capture: v.request.charge.Capture == nil, metadata: v.stripe.metadata,
		description: v.stripe.description, created: p.date(),
	}
	p.book.intend(in)
	if v.stripe.confirm {
		return p.confirm(v, in)
	}
	return &answer{status: http.StatusOK, body: p.book.viewIntent(in, v.stripe.expand)}
}

func (p *provider) confirmIntent(v *visit) *answer {
	in := p.book.findIntent(v.id)
	if in == nil {
		return noIntent(v.id)
	}
	return p.confirm(v, in)
}

// confirm charges what an intent intends.
func (p *provider) confirm(v *visit, in *intent) *answer {
	method := p.book.give(in, v.stripe.method)
	if method == "" {
		return refuse(http.StatusBadRequest, &Error{
			Code: CodeState, Message: "You cannot confirm this PaymentIntent because it's missing a payment method", Remedy: "give a payment_method",
		})
	}
	plain := v.as(v.id, AmountRequest{})
	plain.request.charge = ChargeRequest{
		AmountCents: in.amount, Currency: in.currency, Source: sourceOf(method), Reference: in.metadata[OrderMetadata], Metadata: in.metadata, Capture: &in.capture,
	}
	return p.book.shown(p.charge(plain, in), in, v.stripe.expand)
}

func (p *provider) captureIntent(v *visit) *answer {
	return p.withCharge(v, func(plain *visit) *answer { return p.book.capture(plain, p.date()) })
}

func (p *provider) cancelIntent(v *visit) *answer {
	in := p.book.findIntent(v.id)
	if in == nil {
		return noIntent(v.id)
	}
	if event, done := p.book.cancelUncharged(in, v.stripe.reason, p.date()); done {
		return &answer{status: http.StatusOK, body: p.book.viewIntent(in, v.stripe.expand), event: event}
	}
	return p.withCharge(v, func(plain *visit) *answer { return p.book.void(plain, p.date(), p.newID("vo", plain)) })
}

// withCharge does something with the charge of an intent.
func (p *provider) withCharge(v *visit, do func(plain *visit) *answer) *answer {
	in := p.book.findIntent(v.id)
	if in == nil {
		return noIntent(v.id)
	}
	charge := p.book.chargeOf(v.id)
	if charge == "" {
		return refuse(http.StatusBadRequest, &Error{Code: CodeState, Message: "the PaymentIntent has no charge yet", Remedy: "confirm it first"})
	}
	return p.book.shown(do(v.as(charge, v.amount)), in, v.stripe.expand)
}

func (p *provider) refundIntent(v *visit) *answer {
	charge := p.book.chargeOf(v.stripe.target)
	if charge == "" {
		return noIntent(v.stripe.target)
	}
	plain := v.as(charge, v.amount)
	a := p.book.refund(plain, p.date(), p.newID("re", v), p.shownKey(v))
	if refund, ok := a.body.(Refund); ok {
		a.body = p.book.viewRefund(refund.ID)
	}
	return a
}

func (p *provider) showIntent(v *visit) *answer {
	in := p.book.findIntent(v.id)
	if in == nil {
		return noIntent(v.id)
	}
	return &answer{status: http.StatusOK, body: p.book.viewIntent(in, v.stripe.expand), chargeID: p.book.chargeOf(v.id)}
}

func (p *provider) showCharge(v *visit) *answer {
	if c := p.book.viewCharge(v.id); c != nil {
		return &answer{status: http.StatusOK, body: c, chargeID: v.id}
	}
	return noIntent(v.id)
}

func (p *provider) showRefund(v *visit) *answer {
	if r := p.book.viewRefund(v.id); r != nil {
		return &answer{status: http.StatusOK, body: r, chargeID: r.Charge}
	}
	return noIntent(v.id)
}

func (p *provider) listIntents(v *visit) *answer {
	s := v.stripe
	data, more, ok := p.book.selectIntents(s.page, s.expand, func(in *intent) bool { return s.page.holds(in.created) })
	if !ok {
		return noIntent(s.page.after)
	}
	return &answer{status: http.StatusOK, body: stripeList{Object: "list", URL: s.endpoint.path, HasMore: more, Data: data}}
}

// searchIntents finds what is old enough to be in the index.
func (p *provider) searchIntents(v *visit) *answer {
	s, indexed := v.stripe, p.date().Add(-p.cfg.SearchLag)
	data, more, ok := p.book.selectIntents(s.page, s.expand, func(in *intent) bool {
		return !in.created.After(indexed) && !slices.ContainsFunc(s.clauses, func(c clause) bool { return !c.fits(in) })
	})
	if !ok {
		return noIntent(s.page.after)
	}
	list := stripeList{Object: "search_result", URL: s.endpoint.path, HasMore: more, Data: data}
	if more {
		list.NextPage = &data[len(data)-1].ID
	}
	return &answer{status: http.StatusOK, body: list}
}

func (p *provider) listRefunds(v *visit) *answer {
	data, more, ok := p.book.selectRefunds(v.stripe.page, v.stripe.target)
	if !ok {
		return noIntent(v.stripe.page.after)
	}
	return &answer{status: http.StatusOK, body: stripeList{Object: "list", URL: v.stripe.endpoint.path, HasMore: more, Data: data}}
}

func noIntent(id string) *answer {
	return refuse(http.StatusNotFound, &Error{
		Code: CodeNotFound, Message: "No such object: '" + id + "'", Field: "id", Value: id, Remedy: "use an id that was answered",
	})
}

func (p *provider) date() time.Time { return p.clock.date(p.clock.now()) }

// What follows holds the book's lock.

func (b *book) intend(in *intent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.intents = append(b.intents, in)
	b.intentByID[in.id] = in
}

func (b *book) findIntent(id string) *intent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.intentByID[id]
}

// give replaces the payment method of an intent, if there is one to replace it with, and returns what it is then.
func (b *book) give(in *intent, method string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if method != "" && (in.status() == needsMethod || in.status() == needsConfirmation) {
		in.method = method
	}
	return in.method
}

// confirmable is why an intent cannot be charged, or nil.
func (in *intent) confirmable() *answer {
	if s := in.status(); s != needsConfirmation {
		return refuse(http.StatusBadRequest, &Error{
			Code: CodeState, Message: "You cannot confirm this PaymentIntent because it has a status of " + s, Field: "status", Value: s,
			Remedy: "confirm one that requires_confirmation",
		})
	}
	return nil
}

// cancelUncharged cancels an intent for which no money was taken, reserved or asked for.
func (b *book) cancelUncharged(in *intent, reason string, now time.Time) (*Event, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch in.status() {
	case needsMethod, needsConfirmation:
	case needsCapture: // its charge is released
		in.reason = reason
		return nil, false
	default:
		return nil, false
	}
	in.canceled, in.reason = now, reason
	e := &Event{ID: newID("evt", 0, 0, in.id, string(IntentCanceled)), Type: IntentCanceled, Created: now, Charge: Charge{
		AmountCents: in.amount, Currency: in.currency, Reference: in.metadata[OrderMetadata], Metadata: withoutNull(in.metadata), Intent: in.id, Created: in.created,
	}}
	e.stripe = in.tell(e, nil)
	return e, true
}

// shown makes a Stripe answer of a plain one.
func (b *book) shown(a *answer, in *intent, expand []string) *answer {
	view := b.viewIntent(in, expand)
	if a.status/100 == 2 {
		a.body = view
	} else {
		a.intent = view
	}
	return a
}

func (b *book) viewIntent(in *intent, expand []string) *intentView {
	b.mu.Lock()
	defer b.mu.Unlock()
	return in.view(expand)
}

func (b *book) viewCharge(id string) *chargeView {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.byID[id]; a != nil {
		return a.stripeView()
	}
	return nil
}

func (b *book) viewRefund(id string) *refundView {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.refunds {
		if r.ID == id {
			return b.byID[r.ChargeID].refundView(r)
		}
	}
	return nil
}

// chargeOf returns the id of the charge that an id stands for: that of a charge, or of an intent.
func (b *book) chargeOf(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.account(id); a != nil {
		return a.ID
	}
	return ""
}

// account finds a charge by its own id, or by that of its intent.
func (b *book) account(id string) *account {
	if in := b.intentByID[id]; in != nil {
		return in.latest()
	}
	return b.byID[id]
}

// selectIntents returns a page, newest first, and false if there is nothing to begin after.
func (b *book) selectIntents(p page, expand []string, fits func(*intent) bool) (data []*intentView, more, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var inner []string
	for _, property := range expand {
		inner = append(inner, strings.TrimPrefix(property, "data."))
	}
	data, begun := []*intentView{}, p.after == ""
	for _, in := range slices.Backward(b.intents) {
		switch {
		case !begun:
			begun = in.id == p.after
		case !fits(in):
		case len(data) == p.limit:
			return data, true, true
		default:
			data = append(data, in.view(inner))
		}
	}
	return data, false, begun
}

func (b *book) selectRefunds(p page, of string) (data []*refundView, more, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var charges []*account
	if in := b.intentByID[of]; in != nil {
		charges = in.charges
	} else if a := b.byID[of]; a != nil {
		charges = []*account{a}
	}
	data, begun := []*refundView{}, p.after == ""
	for _, r := range slices.Backward(b.refunds) {
		a := b.byID[r.ChargeID]
		switch {
		case !begun:
			begun = r.ID == p.after
		case !p.holds(r.Created) || of != "" && !slices.Contains(charges, a):
		case len(data) == p.limit:
			return data, true, true
		default:
			data = append(data, a.refundView(r))
		}
	}
	return data, false, begun
}
