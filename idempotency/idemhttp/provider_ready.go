package idemhttp

import (
	"net/http"
	"time"
)

// The ready providers. Each says where its values come from; the pages were read in stored copies in November 2026, not live,
// save those marked "not read", whose values are common knowledge and wait to be checked.
// "Unpublished" means that the provider's pages do not say, and then nothing is promised: a KeyLife of zero, or unknown. Check
// what your contract says, and the API version that you use, before you rely on any of it.

// Stripe describes Stripe's API v1.
//
//   - Key, its length, "at least 24 hours", what is stored: https://docs.stripe.com/api/idempotent_requests
//   - What is stored once execution began, 500 included; that rate limiting comes before it, and authentication:
//     https://docs.stripe.com/error-low-level
//   - Statuses and types of errors: https://docs.stripe.com/api/errors; codes (not read): https://docs.stripe.com/error-codes,
//     https://docs.stripe.com/declines/codes
//   - processing, requires_action: https://docs.stripe.com/payments/paymentintents/lifecycle
//
// A success whose status is processing or requires_action is accepted; where that is the end of it for you, take those two
// Answers out. A key that came with other parameters (idempotency_error) is unknown: the call that it belongs to may have
// happened. Only declines of cards are taken for stored errors: of the others, those that fail validation are not stored, and the
// answer does not say which did.
func Stripe() Provider {
	return Provider{
		Name:    "Stripe",
		Header:  "Idempotency-Key",
		MaxKey:  255,
		KeyLife: 24 * time.Hour,
		Codes:   []string{"error.decline_code", "error.code", "error.type", "status"},
		Message: "error.message",
		Ref:     "id",
		Answers: []Answer{
			{http.StatusConflict, "idempotency_key_in_use", MeansInProgress},
			{http.StatusBadRequest, "idempotency_error", MeansUnknown},
			{http.StatusTooManyRequests, "lock_timeout", MeansUnknown},
			{http.StatusTooManyRequests, "rate_limit", MeansUntouched},
			{http.StatusUnauthorized, "", MeansUntouched},
			{http.StatusForbidden, "", MeansUntouched},
			{http.StatusPaymentRequired, "card_error", MeansRejected},
			{http.StatusBadRequest, "invalid_request_error", MeansRejected},
			{http.StatusBadRequest, "card_error", MeansRejected},
			{http.StatusNotFound, "invalid_request_error", MeansRejected},
			{http.StatusOK, "processing", MeansAccepted},
			{http.StatusOK, "requires_action", MeansAccepted},
		},
		Replayed: "Idempotent-Replayed",
		Keyed: []string{
			"authentication_required", "card_declined", "card_not_supported", "card_velocity_exceeded", "currency_not_supported", "do_not_honor",
			"do_not_try_again", "duplicate_transaction", "expired_card", "fraudulent", "generic_decline", "incorrect_cvc", "incorrect_number",
			"incorrect_pin", "incorrect_zip", "insufficient_funds", "invalid_account", "invalid_amount", "invalid_cvc", "invalid_expiry_month",
			"invalid_expiry_year", "invalid_number", "issuer_not_available", "lost_card", "merchant_blacklist", "new_account_information_available",
			"no_action_taken", "not_permitted", "pickup_card", "pin_try_exceeded", "processing_error", "restricted_card", "revocation_of_all_authorizations",
			"revocation_of_authorization", "security_violation", "service_not_allowed", "stolen_card", "stop_payment_order", "transaction_not_allowed",
			"try_again_later", "withdrawal_count_limit_exceeded",
		},
	}
}

// StripeV2 describes Stripe's API v2. Its keys live for 30 days, and failed work is driven again when its request comes again, so that
// no error is a stored one: https://docs.stripe.com/error-low-level, https://docs.stripe.com/api/idempotent_requests; more (not read)
// in https://docs.stripe.com/api-v2-overview. Which of its errors are final is unpublished: all are unknown, save a rate limit.
// Add what you know of the APIs that you use.
func StripeV2() Provider {
	return Provider{
		Name:    "Stripe v2",
		Header:  "Idempotency-Key",
		MaxKey:  255,
		KeyLife: 30 * 24 * time.Hour,
		Codes:   []string{"error.code", "error.type"},
		Message: "error.message",
		Answers: []Answer{
			{http.StatusConflict, "idempotency_key_in_use", MeansInProgress},
			{http.StatusTooManyRequests, "rate_limit", MeansUntouched},
		},
	}
}

// Adyen describes Adyen's payments API (Checkout).
//
//   - Key, its length, scope and life, the header for transient errors, error 704:
//     https://docs.adyen.com/development-resources/api-idempotency. That page has said "a minimum of 31 days", and 7 days elsewhere and at other
//     times: KeyLife is the shorter one. Keys are not shared between regions: a call must stay in one.
//   - Statuses: https://docs.adyen.com/development-resources/response-handling; resultCode:
//     https://docs.adyen.com/online-payments/payment-result-codes
//
// The numbers of refusal reasons are not read: https://docs.adyen.com/development-resources/refusal-reasons. Which refusals are stored under the key is unpublished, beyond that every processed request is answered with its first
// response: so those with the status 200 are (by their refusalReasonCode, which is a number).
func Adyen() Provider {
	return Provider{
		Name:    "Adyen",
		Header:  "Idempotency-Key",
		MaxKey:  64,
		KeyLife: 7 * 24 * time.Hour,
		Codes:   []string{"refusalReasonCode", "errorCode", "resultCode"},
		Message: "message",
		Ref:     "pspReference",
		Answers: []Answer{
			{0, "704", MeansInProgress},
			{http.StatusOK, "Refused", MeansRejected},
			{http.StatusOK, "Cancelled", MeansRejected},
			{http.StatusOK, "Error", MeansUnknown},
			{http.StatusOK, "Pending", MeansAccepted},
			{http.StatusOK, "Received", MeansAccepted},
			{http.StatusOK, "RedirectShopper", MeansAccepted},
			{http.StatusOK, "IdentifyShopper", MeansAccepted},
			{http.StatusOK, "ChallengeShopper", MeansAccepted},
			{http.StatusOK, "PresentToShopper", MeansAccepted},
			{http.StatusAccepted, "", MeansAccepted},
			{http.StatusUnauthorized, "", MeansUntouched},
			{http.StatusForbidden, "", MeansUntouched},
			{http.StatusBadRequest, "", MeansRejected},
			{http.StatusUnprocessableEntity, "", MeansRejected},
		},
		Transient: "Transient-Error",
		Keyed: []string{
			"2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "26",
			"27", "28", "29", "31", "32", "33", "34", "35", "36", "37", "38", "39", "40", "41", "42", "43", "44", "45", "46",
		},
	}
}

// PayPal describes PayPal's REST APIs (Orders and Payments v2).
//
//   - Key: https://developer.paypal.com/api/rest/reference/idempotency. Not all APIs take it, and how long it is stored stands
//     in each API's own reference: KeyLife is unpublished here; set it.
//   - Statuses and names of errors: https://developer.paypal.com/api/rest/responses/
//   - INSTRUMENT_DECLINED, the statuses of captures (not read): https://developer.paypal.com/docs/api/orders/v2/,
//     https://developer.paypal.com/docs/api/payments/v2/
//
// A second request while the first is at work "might fail", in a way that is unpublished. A repetition is answered with the latest
// status, not with the first answer: no refusal is taken for a stored one. A 422 other than a decline is unknown,
// since it may be the echo of an earlier request (ORDER_ALREADY_CAPTURED).
func PayPal() Provider {
	return Provider{
		Name:    "PayPal",
		Header:  "PayPal-Request-Id",
		Codes:   []string{"details.0.issue", "name", "error", "status", "purchase_units.0.payments.captures.0.status"},
		Message: "message",
		Ref:     "id",
		Answers: []Answer{
			{http.StatusUnprocessableEntity, "INSTRUMENT_DECLINED", MeansRejected},
			{http.StatusBadRequest, "INVALID_REQUEST", MeansRejected},
			{http.StatusUnauthorized, "", MeansUntouched},
			{http.StatusForbidden, "NOT_AUTHORIZED", MeansUntouched},
			{http.StatusTooManyRequests, "RATE_LIMIT_REACHED", MeansUntouched},
			{http.StatusAccepted, "", MeansAccepted},
			{http.StatusCreated, "DECLINED", MeansRejected},
			{http.StatusCreated, "FAILED", MeansUnknown},
			{http.StatusCreated, "PENDING", MeansAccepted},
			{http.StatusCreated, "PAYER_ACTION_REQUIRED", MeansAccepted},
			{http.StatusOK, "PAYER_ACTION_REQUIRED", MeansAccepted},
		},
	}
}

// Square describes Square's Payments API. Its key goes into the body.
//
//   - Key: https://developer.squareup.com/docs/build-basics/common-api-patterns/idempotency; its length, 45, stands with
//     CreatePayment (read in the SDK's documentation): https://developer.squareup.com/reference/square/payments-api/create-payment. How long it is remembered, and what a
//     request meets whose first one is at work, are unpublished. A repetition gets the response of the first successful one: no
//     refusal is taken for a stored one.
//   - Errors: https://developer.squareup.com/docs/build-basics/general-considerations/handling-errors,
//     https://developer.squareup.com/reference/square/enums/ErrorCategory
//   - Statuses of payments: https://developer.squareup.com/docs/payments-api/additional-payment-considerations
//
// Since KeyLife is zero, nothing is sent twice; CancelPaymentByIdempotencyKey settles what stays unknown.
func Square() Provider {
	return Provider{
		Name:    "Square",
		Field:   "idempotency_key",
		MaxKey:  45,
		Codes:   []string{"errors.0.code", "errors.0.category", "payment.status", "refund.status"},
		Message: "errors.0.detail",
		Ref:     "payment.id",
		Answers: []Answer{
			{0, "IDEMPOTENCY_KEY_REUSED", MeansUnknown},
			{http.StatusTooManyRequests, "RATE_LIMITED", MeansUntouched},
			{http.StatusUnauthorized, "AUTHENTICATION_ERROR", MeansUntouched},
			{http.StatusForbidden, "AUTHENTICATION_ERROR", MeansUntouched},
			{http.StatusBadRequest, "INVALID_REQUEST_ERROR", MeansRejected},
			{http.StatusBadRequest, "PAYMENT_METHOD_ERROR", MeansRejected},
			{http.StatusPaymentRequired, "PAYMENT_METHOD_ERROR", MeansRejected},
			{http.StatusOK, "FAILED", MeansRejected},
			{http.StatusOK, "PENDING", MeansAccepted},
		},
	}
}

// Checkout describes Checkout.com's payments API.
//
//   - Key, 24 hours, what is stored (answers with 2xx only), 429 while the first request is at work, and the advice to wait 30 s:
//     https://www.checkout.com/docs/payments/manage-payments/retry-a-payment. Older copies of that page give the sandbox 120 seconds. Only the endpoints listed there take a key.
//   - Response codes: https://www.checkout.com/docs/resources/codes/response-codes; status:
//     https://www.checkout.com/docs/payments/accept-payments/accept-a-payment-using-the-api
//
// A decline comes with 201, so it is stored; its code is the response_code.
func Checkout() Provider {
	return Provider{
		Name:    "Checkout.com",
		Header:  "Cko-Idempotency-Key",
		KeyLife: 24 * time.Hour,
		Codes:   []string{"error_codes.0", "response_code", "error_type", "status"},
		Message: "response_summary",
		Ref:     "id",
		Answers: []Answer{
			{http.StatusTooManyRequests, "", MeansInProgress},
			{http.StatusUnauthorized, "", MeansUntouched},
			{http.StatusUnprocessableEntity, "", MeansRejected},
			{http.StatusCreated, "Declined", MeansRejected},
			{http.StatusCreated, "Pending", MeansAccepted},
			{http.StatusAccepted, "", MeansAccepted},
		},
		Keyed: []string{"20*", "30*", "40*"},
	}
}

// Draft describes servers that follow draft-ietf-httpapi-idempotency-key-header, such as those of this package's other half:
// the key in quotes, 409 while the first request is at work, 422 for a key that came with another request, problem
// details as answers (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/, sections 2.1 and 2.7). The draft leaves open
// how long keys live, and what other answers mean: set KeyLife to what the server publishes, and add its Answers.
func Draft() Provider {
	return Provider{
		Name:    "",
		Header:  "Idempotency-Key",
		Quoted:  true,
		Codes:   []string{"type"},
		Message: "detail",
		Answers: []Answer{
			{http.StatusConflict, "", MeansInProgress},
			{http.StatusUnprocessableEntity, "", MeansUnknown},
			{http.StatusAccepted, "", MeansAccepted},
		},
	}
}
