package fakepay

import (
	"net/http"
)

// stripeError is an error in Stripe's shape: https://docs.stripe.com/api/errors.
type stripeError struct {
	Type          string      `json:"type"`
	Code          string      `json:"code,omitempty"`
	DeclineCode   string      `json:"decline_code,omitempty"`
	Message       string      `json:"message,omitempty"`
	Param         string      `json:"param,omitempty"`
	Charge        string      `json:"charge,omitempty"`
	PaymentIntent *intentView `json:"payment_intent,omitempty"`
}

type stripeErrorBody struct {
	Error *stripeError `json:"error"`
}

// Types of errors.
const (
	typeAPI         = "api_error"
	typeCard        = "card_error"
	typeIdempotency = "idempotency_error"
	typeInvalid     = "invalid_request_error"
)

// failureOf translates a plain error.
func failureOf(status int, e *Error, op Op) (int, *stripeError) {
	said := &stripeError{Type: typeInvalid, Code: e.Code, Message: e.Message, Param: e.Field}
	if e.Remedy != "" {
		said.Message += "; " + e.Remedy
	}
	switch {
	case e.Code == CodeKeyReused:
		status = http.StatusBadRequest
		said = &stripeError{Type: typeIdempotency, Message: "Keys for idempotent requests can only be used with the same endpoint and the same parameters they were first used with; the key is " + e.Value}
	case e.Code == CodeKeyInUse:
		said.Type, said.Param = typeIdempotency, ""
	case status >= http.StatusInternalServerError:
		said.Type, said.Code = typeAPI, ""
	case e.Code == CodeRateLimited:
		said.Code = "rate_limit"
	case status == http.StatusPaymentRequired:
		said.Type, said.Param = typeCard, ""
		said.Code, said.DeclineCode = declined(e.Code)
	case e.Code == CodeNotFound:
		said.Code = "resource_missing"
	case e.Code == CodeState && op == OpRefund && e.Value == string(Succeeded):
		said.Code, said.Param = "charge_already_refunded", ""
	case e.Code == CodeState:
		said.Code, said.Param = "payment_intent_unexpected_state", ""
	case e.Code == CodeInvalid:
		said.Code = ""
		if e.Field == "amount_cents" {
			said.Param, said.Code = "amount", "amount_too_large"
		}
	}
	if status == http.StatusRequestEntityTooLarge || status == http.StatusMethodNotAllowed {
		status = http.StatusBadRequest
	}
	return status, said
}

// declined returns Stripe's two codes for a decline: https://docs.stripe.com/declines/codes.
func declined(code string) (errorCode, declineCode string) {
	switch code {
	case CodeDeclined:
		return CodeDeclined, "generic_decline"
	case CodeExpiredCard:
		return CodeExpiredCard, ""
	}
	return CodeDeclined, code
}

// The test payment methods of Stripe that mean something, and the sources of the plain API that mean the same. Every other one is
// a good card. The sources themselves are taken, too.
var stripeMethods = map[string]string{
	"pm_card_visa_chargeDeclined":                  SourceDeclined,
	"pm_card_chargeDeclined":                       SourceDeclined,
	"pm_card_visa_chargeDeclinedInsufficientFunds": SourceInsufficientFunds,
	"pm_card_chargeDeclinedInsufficientFunds":      SourceInsufficientFunds,
	"pm_card_visa_chargeDeclinedExpiredCard":       SourceExpiredCard,
	"pm_card_chargeDeclinedExpiredCard":            SourceExpiredCard,
	"pm_usBankAccount_success":                     SourceAccepted,
	"pm_usBankAccount_insufficientFunds":           SourceAcceptedDeclined,
}

func sourceOf(method string) string {
	if source, ok := stripeMethods[method]; ok {
		return source
	}
	return method
}
