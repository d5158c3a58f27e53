// Package idemhttp carries idempotency over HTTP, in both directions.
//
// # Client
//
// [Transport] is the http.RoundTripper of the client with which a call's Send talks to its provider, and [Send] goes around
// that function. Together they put the attempt's provider key where the [Provider] wants it, see what became of every request
// on the wire, read what the answer means, and turn it into what package idempotency asks of an error: rejected, accepted, not
// sent, or unknown. [Stripe], [StripeV2], [Adyen], [PayPal], [Square], [Checkout] and [Draft] describe providers; your own is a
// struct of a few lines.
//
//	stripe := idemhttp.Stripe()
//	client := &http.Client{Transport: &idemhttp.Transport{Provider: stripe}}
//
//	charges, err := idempotency.Wrap(store, idempotency.Call[Order, Receipt]{
//		Name: "charge", Namespace: "shop-prod",
//		KeyLife: stripe.KeyLife, KeyedErrors: stripe.KeyedErrors,
//		Send: idemhttp.Send(func(ctx context.Context, a idempotency.Attempt, o Order) (Receipt, error) {
//			return charge(ctx, client, o) // an SDK, or net/http: its errors are read here, and its requests by the Transport
//		}),
//	})
//
// What it cannot know stays unknown. Nothing is called not sent unless every request of the attempt ended before it had a
// connection, and no answer counts as a refusal that the provider has not written itself.
//
// # Server
//
// [Handler] is middleware that executes each request with an Idempotency-Key once and replays its response to repetitions, after
// draft-ietf-httpapi-idempotency-key-header (07): 400 without a key, 422 for another request with the same key, 409 while the first is
// under way, each as a [Problem].
//
//	idempotent, err := idemhttp.Handler(store, idemhttp.Config{
//		Name:      "api",
//		Principal: func(r *http.Request) (string, error) { return account(r.Context()), nil },
//		Docs:      "https://api.example.com/idempotency", // where Specification is served
//	})
//	mux.Handle("POST /charges", authenticate(idempotent(charges)))
//
// A handler that answers 5xx, panics or dies leaves an outcome that nobody knows. It is not executed again on a guess: the handler says what
// it knows ([SetEffect]), or somebody finds out ([Config.Call]).
//
// A request that certainly had no effect ([EffectNone]) gives its key back: the next request with it is executed, the same one or a
// corrected one. Here this package deviates from the rule that a key which comes back with other input is refused in every
// state. The rule protects an effect from being mistaken for another's, and there is none; a client whose request was refused for a typing mistake may keep
// its key, as with Stripe, which does not store what fails validation either. A request that comes again late, after the corrected one, is
// refused (422): the key is the corrected one's then. Use EffectDone for refusals that shall stand.
package idemhttp
