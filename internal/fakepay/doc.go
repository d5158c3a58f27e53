// Package fakepay is a payment provider that does not exist: an HTTP server with a ledger of its own, which is the only
// truth about money in tests and demos, and with all the ways in which real providers and networks fail.
//
// # Time
//
// Every duration in this package is provider time. [Config.Speed] says how many provider seconds pass in a real one; only
// the timestamps of webhook signatures are real time, since a receiver checks them against its own clock.
// Latency is what a request spends before it takes effect; [ReplyLate] holds a reply back after the effect. Requests take
// effect whether or not their client is still there.
//
// # Determinism
//
// What a request meets (fault, latency, identifiers) follows from the seed, the operation, the reference (or, where there
// is none, the key) and how many requests of that kind came before it. The order in which different references arrive changes nothing.
//
// # HTTP API
//
//	POST /charges                    Idempotency-Key; {amount_cents, currency, source, reference, metadata, capture}
//	GET  /charges/{id}
//	GET  /charges?reference=|key=    look up; also from=, to= (RFC 3339), after= (an id), limit=
//	POST /charges/{id}/capture       {amount_cents}  (none: all of it)
//	POST /charges/{id}/refund        {amount_cents, reference}  (none: the rest)
//	POST /charges/{id}/void
//
// 201 is done, 202 accepted and decided later, 402 a decline, 400 bad input, 409 a key in progress, 422 a key that came
// back with another request. Bodies are [Charge], [Refund], [ChargeList], and {"error": [Error]}.
// The header Fakepay-Fault, in the syntax of [ParseFault], says what this one request meets.
// The source tells what the bank says: tok_declined, tok_insufficient_funds, tok_expired_card; tok_accepted and
// tok_accepted_declined are decided later; every other one is good.
//
// # Stripe
//
// Beside that, over the same ledger, keys, faults and scripts, it speaks a part of Stripe's API v1 (forms in, Stripe's JSON out), so that
// Stripe's own clients pay here:
//
//	POST /v1/payment_intents                  amount, currency, payment_method, confirm, capture_method, metadata[…], description
//	POST /v1/payment_intents/{id}/confirm     payment_method
//	POST /v1/payment_intents/{id}/capture     amount_to_capture
//	POST /v1/payment_intents/{id}/cancel      cancellation_reason
//	GET  /v1/payment_intents, …/{id}          limit, starting_after, created[gte] and so on
//	GET  /v1/payment_intents/search           query: clauses about metadata, status, currency, amount, created, joined by AND; limit, page
//	POST /v1/refunds                          payment_intent or charge; amount, reason, metadata[…]
//	GET  /v1/refunds, …/{id}, /v1/charges/{id}
//
// Any key that begins with sk_test_ is good. Every confirmation that is not refused is a [Charge] in the ledger, whose Intent names the payment intent,
// and whose reference is metadata[order_id]. The test payment methods of Stripe that are declined are declined here: those of insufficient
// funds, expired cards and generic declines; pm_usBankAccount_success is decided later. expand[] takes latest_charge.
//
// Idempotency is that of Stripe v1 (https://docs.stripe.com/api/idempotent_requests): a key that comes back with other parameters or at another
// endpoint is a 400 idempotency_error, one that is in use 409 idempotency_key_in_use; what was answered once execution began is
// replayed with Idempotent-Replayed and Original-Request for KeyLife, declines and stored 500s too; what fails validation is not stored.
// Every answer has a Request-Id. Stripe-Should-Retry says false with a replayed 500, and true with a key in use.
// An answer's status is that of Stripe: 200 also for what is decided later.
//
// Webhooks about payment intents have Stripe's body and Stripe-Signature: payment_intent.succeeded, payment_intent.payment_failed,
// payment_intent.amount_capturable_updated, payment_intent.canceled, charge.refunded. The other events that Stripe sends tell nothing new, and are left out.
//
// Searching finds an intent [Config.SearchLag] after it was made, as with Stripe, whose index lags up to a minute behind; listing and retrieving find it at once.
//
// # Control
//
// For whoever runs the test, and never subject to faults:
//
//	GET  /_ledger                    [Ledger]
//	GET  /_attempts?reference=       []Attempt
//	GET  /_faults, PUT /_faults      [Conditions]; members that are left out stay as they are
//	POST /_outage                    {"for": "30s", "fault": "unavailable"}; without "for", the outage ends
//	POST /_charges/{id}/decide       {"code": ""}: succeeded, or declined with that code; the id may be a payment intent's
//	POST /_reset                     everything as it was after New
//
// Attempts are counted as they arrive, also those that the client's own net/http resends when a kept-alive connection is
// cut under a POST with an Idempotency-Key.
//
// The ledger keeps everything until Reset: this is a fake for tests, not a server for months.
package fakepay
