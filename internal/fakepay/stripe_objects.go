package fakepay

import (
	"maps"
	"slices"
	"time"
)

// The objects of the Stripe API, with the members that mean something here.

type intentView struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	Amount             int64             `json:"amount"`
	AmountCapturable   int64             `json:"amount_capturable"`
	AmountReceived     int64             `json:"amount_received"`
	CanceledAt         *int64            `json:"canceled_at"`
	CancellationReason *string           `json:"cancellation_reason"`
	CaptureMethod      string            `json:"capture_method"`
	ClientSecret       string            `json:"client_secret"`
	ConfirmationMethod string            `json:"confirmation_method"`
	Created            int64             `json:"created"`
	Currency           string            `json:"currency"`
	Description        *string           `json:"description"`
	LastPaymentError   *stripeError      `json:"last_payment_error"`
	LatestCharge       any               `json:"latest_charge"` // an id, or a chargeView where it was to be expanded
	Livemode           bool              `json:"livemode"`
	Metadata           map[string]string `json:"metadata"`
	NextAction         any               `json:"next_action"`
	PaymentMethod      *string           `json:"payment_method"`
	PaymentMethodTypes []string          `json:"payment_method_types"`
	Status             string            `json:"status"`
}

type chargeView struct {
	ID             string            `json:"id"`
	Object         string            `json:"object"`
	Amount         int64             `json:"amount"`
	AmountCaptured int64             `json:"amount_captured"`
	AmountRefunded int64             `json:"amount_refunded"`
	Captured       bool              `json:"captured"`
	Created        int64             `json:"created"`
	Currency       string            `json:"currency"`
	FailureCode    *string           `json:"failure_code"`
	Livemode       bool              `json:"livemode"`
	Metadata       map[string]string `json:"metadata"`
	Paid           bool              `json:"paid"`
	PaymentIntent  *string           `json:"payment_intent"`
	PaymentMethod  string            `json:"payment_method"`
	Refunded       bool              `json:"refunded"`
	Status         string            `json:"status"`
}

type refundView struct {
	ID            string            `json:"id"`
	Object        string            `json:"object"`
	Amount        int64             `json:"amount"`
	Charge        string            `json:"charge"`
	Created       int64             `json:"created"`
	Currency      string            `json:"currency"`
	Metadata      map[string]string `json:"metadata"`
	PaymentIntent *string           `json:"payment_intent"`
	Reason        *string           `json:"reason"`
	Status        string            `json:"status"`
}

type stripeList struct {
	Object   string  `json:"object"`
	URL      string  `json:"url"`
	HasMore  bool    `json:"has_more"`
	NextPage *string `json:"next_page,omitempty"` // of search results
	Data     any     `json:"data"`
}

// stripeEvent is the body of a webhook about a payment intent.
type stripeEvent struct {
	ID              string    `json:"id"`
	Object          string    `json:"object"`
	APIVersion      string    `json:"api_version"`
	Created         int64     `json:"created"`
	Data            eventData `json:"data"`
	Livemode        bool      `json:"livemode"`
	PendingWebhooks int       `json:"pending_webhooks"`
	Type            string    `json:"type"`
}

type eventData struct {
	Object any `json:"object"`
}

// The states of a payment intent: https://docs.stripe.com/payments/paymentintents/lifecycle.
const (
	needsMethod       = "requires_payment_method"
	needsConfirmation = "requires_confirmation"
	needsCapture      = "requires_capture"
	intentProcessing  = "processing"
	intentSucceeded   = "succeeded"
	intentCanceled    = "canceled"
)

// intent is a payment intent. Its charges say in which state it is. It is guarded by the book's lock.
type intent struct {
	id          string
	amount      int64
	currency    string
	method      string // empty after it was declined
	methodTypes []string
	capture     bool
	metadata    map[string]string
	description string
	created     time.Time

	charges  []*account // the last one counts
	canceled time.Time  // without a charge
	reason   string     // of the cancellation
}

func (in *intent) latest() *account {
	if len(in.charges) == 0 {
		return nil
	}
	return in.charges[len(in.charges)-1]
}

func (in *intent) status() string {
	a := in.latest()
	switch {
	case !in.canceled.IsZero(), a != nil && a.Status == Voided:
		return intentCanceled
	case in.method == "":
		return needsMethod
	case a == nil || a.Status == Declined:
		return needsConfirmation
	case a.Status == Processing:
		return intentProcessing
	case a.Status == Authorized:
		return needsCapture
	}
	return intentSucceeded
}

func (in *intent) view(expand []string) *intentView {
	v := &intentView{
		ID: in.id, Object: "payment_intent", Amount: in.amount, CaptureMethod: "automatic_async", ClientSecret: in.id + "_secret_fake",
		ConfirmationMethod: "automatic", Created: in.created.Unix(), Currency: in.currency, Description: textOrNull(in.description),
		Metadata: withoutNull(in.metadata), PaymentMethod: textOrNull(in.method), PaymentMethodTypes: in.methodTypes, Status: in.status(),
		CancellationReason: textOrNull(in.reason),
	}
	if !in.capture {
		v.CaptureMethod = "manual"
	}
	if !in.canceled.IsZero() {
		at := in.canceled.Unix()
		v.CanceledAt = &at
	}
	a := in.latest()
	if a == nil {
		return v
	}
	v.AmountReceived, v.LatestCharge = a.CapturedCents, a.ID
	if a.Status == Authorized {
		v.AmountCapturable = a.AmountCents
	}
	if a.Status == Declined {
		_, v.LastPaymentError = failureOf(402, &Error{Code: a.Code, Message: "the card was declined"}, OpCharge)
		v.LastPaymentError.Charge = a.ID
	}
	if slices.Contains(expand, "latest_charge") {
		v.LatestCharge = a.stripeView()
	}
	return v
}

func (a *account) stripeView() *chargeView {
	v := &chargeView{
		ID: a.ID, Object: "charge", Amount: a.AmountCents, AmountCaptured: a.CapturedCents, AmountRefunded: a.RefundedCents,
		Captured: a.CapturedCents > 0, Created: a.Created.Unix(), Currency: a.Currency, Metadata: withoutNull(a.Metadata),
		Paid: a.Status == Succeeded || a.Status == Authorized || a.Status == Voided, PaymentMethod: a.Source,
		Refunded: a.RefundedCents > 0 && a.RefundedCents == a.CapturedCents, Status: "succeeded", PaymentIntent: textOrNull(a.Intent),
	}
	switch a.Status {
	case Processing:
		v.Status = "pending"
	case Declined:
		code, _ := declined(a.Code)
		v.Status, v.FailureCode = "failed", &code
	}
	return v
}

func (a *account) refundView(r Refund) *refundView {
	return &refundView{
		ID: r.ID, Object: "refund", Amount: r.AmountCents, Charge: a.ID, Created: r.Created.Unix(), Currency: a.Currency,
		Metadata: withoutNull(r.metadata), PaymentIntent: textOrNull(a.Intent), Reason: textOrNull(r.reason), Status: "succeeded",
	}
}

// tell is the Stripe event for an event about a charge of an intent.
func (in *intent) tell(e *Event, a *account) *stripeEvent {
	s := &stripeEvent{ID: e.ID, Object: "event", APIVersion: StripeVersion, Created: e.Created.Unix(), PendingWebhooks: 1}
	switch e.Type {
	case ChargeRefunded:
		s.Type, s.Data.Object = "charge.refunded", a.stripeView()
		return s
	case ChargeAuthorized:
		s.Type = "payment_intent.amount_capturable_updated"
	case ChargeDeclined:
		s.Type = "payment_intent.payment_failed"
	case ChargeVoided, IntentCanceled:
		s.Type = "payment_intent.canceled"
	default:
		s.Type = "payment_intent.succeeded"
	}
	s.Data.Object = in.view(nil)
	return s
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// withoutNull copies metadata. In JSON it is an object, also where there is none.
func withoutNull(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}
