package fakepay

import (
	"fmt"
	"time"
)

// Headers of the HTTP API.
const (
	KeyHeader       = "Idempotency-Key"
	ReplayedHeader  = "Idempotent-Replayed" // "true" on an answer that was stored under the key
	FaultHeader     = "Fakepay-Fault"       // what this request meets, in the syntax of ParseFault
	SignatureHeader = "Fakepay-Signature"   // on webhooks, for Verify
)

// Status is the state of a charge.
type Status string

// The states of a charge. Processing ends in Succeeded, Authorized or Declined, Authorized in Succeeded or Voided.
const (
	Processing Status = "processing" // accepted, decided later
	Authorized Status = "authorized" // reserved, not captured
	Succeeded  Status = "succeeded"  // captured
	Declined   Status = "declined"
	Voided     Status = "voided"
)

// Source tokens with a meaning; every other token is a good card.
const (
	SourceDeclined          = "tok_declined"
	SourceInsufficientFunds = "tok_insufficient_funds"
	SourceExpiredCard       = "tok_expired_card"
	SourceAccepted          = "tok_accepted"          // 202, succeeds later
	SourceAcceptedDeclined  = "tok_accepted_declined" // 202, is declined later
)

// Codes of errors, in Error.Code. The first three are declines.
const (
	CodeDeclined          = "card_declined"
	CodeInsufficientFunds = "insufficient_funds"
	CodeExpiredCard       = "expired_card"
	CodeInvalid           = "invalid_request"        // 400, 413
	CodeState             = "invalid_state"          // 400: the charge is not in a state for this
	CodeNotFound          = "not_found"              // 404
	CodeNotAllowed        = "not_allowed"            // 405
	CodeKeyInUse          = "idempotency_key_in_use" // 409: the first request with the key is not over
	CodeKeyReused         = "idempotency_key_reused" // 422: the key came with another request
	CodeRateLimited       = "rate_limited"           // 429, with Retry-After
	CodeInternal          = "internal_error"         // 500
	CodeUnavailable       = "unavailable"            // 503
)

// ChargeRequest is the body of POST /charges.
type ChargeRequest struct {
	AmountCents int64             `json:"amount_cents"` // 1 to MaxAmountCents
	Currency    string            `json:"currency"`     // three small or capital letters
	Source      string            `json:"source"`       // a token that stands for a card
	Reference   string            `json:"reference,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Capture     *bool             `json:"capture,omitempty"` // nil: true
}

// AmountRequest is the body of capture and refund; zero means all that is left. A refund may have a reference of its own.
type AmountRequest struct {
	AmountCents int64  `json:"amount_cents,omitempty"`
	Reference   string `json:"reference,omitempty"`
}

// Charge is one charge, as it is now.
type Charge struct {
	ID            string            `json:"id"`
	Status        Status            `json:"status"`
	AmountCents   int64             `json:"amount_cents"`
	CapturedCents int64             `json:"captured_cents"`
	RefundedCents int64             `json:"refunded_cents"`
	Currency      string            `json:"currency"`
	Source        string            `json:"source"`
	Reference     string            `json:"reference,omitempty"`
	Key           string            `json:"key,omitempty"` // only in mode Keys
	Metadata      map[string]string `json:"metadata,omitempty"`
	Code          string            `json:"code,omitempty"`   // why it was declined
	Created       time.Time         `json:"created"`          // provider time
	Intent        string            `json:"intent,omitempty"` // the payment intent that it belongs to, if it came by the Stripe API
}

// Refund is money given back.
type Refund struct {
	ID          string    `json:"id"`
	ChargeID    string    `json:"charge_id"`
	AmountCents int64     `json:"amount_cents"`
	Reference   string    `json:"reference,omitempty"`
	Key         string    `json:"key,omitempty"`
	Created     time.Time `json:"created"`

	reason   string // of the Stripe API
	metadata map[string]string
}

// ChargeList is a page of charges, oldest first. If HasMore, the next page comes after the last ID.
type ChargeList struct {
	Charges []Charge `json:"charges"`
	HasMore bool     `json:"has_more"`
}

// Error is what the provider says when it does not do what it was asked. Its body is {"error": Error}.
type Error struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Field    string `json:"field,omitempty"`     // what is wrong with the input,
	Value    string `json:"value,omitempty"`     // what it was,
	Remedy   string `json:"remedy,omitempty"`    // and what to do
	ChargeID string `json:"charge_id,omitempty"` // the declined charge
}

// ErrorBody is the body of every answer that is an error.
type ErrorBody struct {
	Error *Error `json:"error"`
}

func (e *Error) Error() string {
	s := "fakepay: " + e.Code + ": " + e.Message
	if e.Field != "" {
		s += fmt.Sprintf(" (%s is %q)", e.Field, e.Value)
	}
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// EventType says what happened.
type EventType string

// The events that webhooks tell.
const (
	ChargeAuthorized EventType = "charge.authorized"
	ChargeSucceeded  EventType = "charge.succeeded"
	ChargeDeclined   EventType = "charge.declined"
	ChargeVoided     EventType = "charge.voided"
	ChargeRefunded   EventType = "charge.refunded"
	IntentCanceled   EventType = "intent.canceled" // before there was a charge
)

// Event is the body of a webhook, unless it is about a payment intent: then the body is Stripe's. A duplicate and a retry carry
// the ID of the first.
type Event struct {
	ID      string    `json:"id"`
	Type    EventType `json:"type"`
	Created time.Time `json:"created"`
	Charge  Charge    `json:"charge"` // as it was right after
	Refund  *Refund   `json:"refund,omitempty"`

	stripe *stripeEvent // the body, if the charge belongs to an intent
}
