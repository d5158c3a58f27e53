package fakepay

import (
	"cmp"
	"net/http"
)

// Headers and values of the Stripe API.
const (
	StripeSignatureHeader = "Stripe-Signature" // on webhooks about payment intents
	StripeVersion         = "2025-08-27.basil" // of the API, and of events
)

// OrderMetadata is the name of the metadata in which a payment intent carries what the plain API calls its reference.
const OrderMetadata = "order_id"

// stripeEndpoint is one of the Stripe API's. What it does it does by making a plain request of a Stripe one, and a Stripe object of
// the plain answer: money moves in one place.
type stripeEndpoint struct {
	method, path string
	op           Op
	read         func(q *request, f *form)
	do           func(p *provider, v *visit) *answer
}

func stripeEndpoints() []stripeEndpoint {
	return []stripeEndpoint{
		{http.MethodPost, "/v1/payment_intents", OpIntent, readIntent, (*provider).createIntent},
		{http.MethodGet, "/v1/payment_intents", OpList, readIntentList, (*provider).listIntents},
		{http.MethodGet, "/v1/payment_intents/search", OpLookup, readSearch, (*provider).searchIntents},
		{http.MethodGet, "/v1/payment_intents/{id}", OpGet, readNothing, (*provider).showIntent},
		{http.MethodPost, "/v1/payment_intents/{id}/confirm", OpCharge, readConfirm, (*provider).confirmIntent},
		{http.MethodPost, "/v1/payment_intents/{id}/capture", OpCapture, readCapture, (*provider).captureIntent},
		{http.MethodPost, "/v1/payment_intents/{id}/cancel", OpVoid, readCancel, (*provider).cancelIntent},
		{http.MethodPost, "/v1/refunds", OpRefund, readRefund, (*provider).refundIntent},
		{http.MethodGet, "/v1/refunds", OpList, readRefundList, (*provider).listRefunds},
		{http.MethodGet, "/v1/refunds/{id}", OpGet, readNothing, (*provider).showRefund},
		{http.MethodGet, "/v1/charges/{id}", OpGet, readNothing, (*provider).showCharge},
	}
}

func (p *provider) stripeRoutes(mux *http.ServeMux) {
	for _, e := range stripeEndpoints() {
		mux.HandleFunc(e.method+" "+e.path, func(w http.ResponseWriter, r *http.Request) {
			q := &request{op: e.op, id: r.PathValue("id"), stripe: &stripeRequest{endpoint: e}}
			wrong := q.readStripe(w, r)
			if q.reference == "" {
				q.reference = p.book.reference(q.about())
			}
			p.begin(w, r, q, wrong)
		})
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		q := &request{op: OpGet, stripe: &stripeRequest{}}
		p.begin(w, r, q, refuse(http.StatusNotFound, &Error{
			Code: CodeNotFound, Message: "Unrecognized request URL (" + r.Method + ": " + r.URL.Path + ").", Remedy: "see the package comment of fakepay",
		}))
	})
}

// about is the id of what a request is about.
func (q *request) about() string {
	if q.id != "" || q.stripe == nil {
		return q.id
	}
	return q.stripe.target
}

// performStripe does what a Stripe request asks for.
func (p *provider) performStripe(v *visit) *answer {
	if p.cfg.Mode == None && !v.op.writes() {
		return refuse(http.StatusNotFound, &Error{Code: CodeNotFound, Message: "this provider answers no questions", Remedy: "ask its operator"})
	}
	a := v.stripe.endpoint.do(p, v)
	if a.status/100 == 2 {
		a.status = http.StatusOK
	}
	return a
}

// as is the plain request that does what a Stripe request asks for.
func (v *visit) as(charge string, amount AmountRequest) *visit {
	q := *v.request
	q.id, q.amount = charge, amount
	plain := *v
	plain.request = &q
	return &plain
}

// present puts an answer into the form of the API that was asked. What is stored under a key is the answer before that.
func (p *provider) present(v *visit, a *answer) *answer {
	if v.stripe == nil || a == nil {
		return a
	}
	out := *a
	out.header = http.Header{"Request-Id": {p.requestID(v)}, "Stripe-Version": {StripeVersion}}
	if v.key != "" && v.op.writes() {
		out.header.Set(KeyHeader, v.key)
	}
	if a.replayed && a.origin != "" {
		out.header.Set("Original-Request", a.origin)
	}
	body, failed := a.body.(ErrorBody)
	if !failed {
		return &out
	}
	var e *stripeError
	out.status, e = failureOf(a.status, body.Error, v.op)
	if a.intent != nil {
		e.Charge, e.PaymentIntent = a.chargeID, a.intent
	}
	out.code, out.body = cmp.Or(e.DeclineCode, e.Code, e.Type), stripeErrorBody{e}
	switch {
	case a.replayed && out.status >= http.StatusInternalServerError:
		out.header.Set("Stripe-Should-Retry", "false") // it would be the same again
	case body.Error.Code == CodeKeyInUse:
		out.header.Set("Stripe-Should-Retry", "true")
	}
	return &out
}

func (p *provider) requestID(v *visit) string {
	return newID("req", p.cfg.Seed, v.attempt.N)
}
