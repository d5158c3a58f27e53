// Package retry runs a call again when it fails, within limits that keep a failing service from being hit harder than
// a healthy one: attempts, delays with jitter, the time left to the caller, the service's own Retry-After, and a
// [Budget] that many callers share.
//
//	res, err := retry.Do(ctx, retry.Policy{}, func(ctx context.Context) (*Quote, error) {
//		return client.Quote(ctx, order)
//	})
//
// # Only what may run twice
//
// Do runs fn again whatever the error, unless [Permanent] marks it. That is right for reads and for calls that carry
// an idempotency key the service honours. An error that leaves open whether the call took effect (a timeout, a reset
// connection, a 5xx) must not be retried for anything else; the idempotency package exists for those calls.
//
// # One layer
//
// Retries multiply: three layers of three attempts make 27 requests out of one when the innermost service is down,
// which is when it can bear them least. Let one layer own the retries, and turn them off in the others: in the SDK
// (MaxNetworkRetries 0 for Stripe's), in the HTTP client, in the queue. Where callers are many, give them one [Budget]:
// it caps retries at a fraction of the calls however the layers are built.
package retry
