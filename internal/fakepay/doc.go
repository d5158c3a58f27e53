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
// For whoever runs the test, and never subject to faults:
//
//	GET  /_ledger                    [Ledger]
//	GET  /_attempts?reference=       []Attempt
//	GET  /_faults, PUT /_faults      [Conditions]; members that are left out stay as they are
//	POST /_outage                    {"for": "30s", "fault": "unavailable"}; without "for", the outage ends
//	POST /_charges/{id}/decide       {"code": ""}: succeeded, or declined with that code
//	POST /_reset                     everything as it was after New
//
// Attempts are counted as they arrive, also those that the client's own net/http resends when a kept-alive connection is
// cut under a POST with an Idempotency-Key.
//
// The ledger keeps everything until Reset: this is a fake for tests, not a server for months.
package fakepay
