package bank

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/stripe/stripe-go/v82"
	"github.com/stripe/stripe-go/v82/webhook"

	"github.com/steadfast-go/steadfast/idempotency"
)

// WebhookPath is where the shop listens to the provider.
const WebhookPath = "/webhooks/stripe"

const maxEvent = 64 << 10

// Webhook returns the handler of the provider's events: what became of a payment, whether or not its answer arrived. settle is given the
// call, and what is known of it.
//
// An event is answered with 503 for as long as it cannot be taken down, since the provider then sends it again.
func Webhook(secret string, settle func(ctx context.Context, scope, id string, v idempotency.Verdict[Receipt]) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
		if err != nil {
			http.Error(w, "the event is too large, or broke off", http.StatusBadRequest)
			return
		}
		event, err := webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), secret)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var intent stripe.PaymentIntent
		if event.Data == nil || json.Unmarshal(event.Data.Raw, &intent) != nil || intent.Metadata[metaID] == "" {
			w.WriteHeader(http.StatusNoContent) // not about a payment of ours
			return
		}
		verdict, known := verdictOf(event.Type, &intent)
		if known {
			err = settle(r.Context(), intent.Metadata[metaScope], intent.Metadata[metaID], verdict)
		}
		switch {
		case err == nil, errors.Is(err, idempotency.ErrNoRecord), errors.Is(err, idempotency.ErrConflict): // told to the hooks: again, it would be no truer
			w.WriteHeader(http.StatusNoContent)
		default: // the call is running and its answer comes first, or the database cannot be reached
			http.Error(w, "later", http.StatusServiceUnavailable)
		}
	})
}

// verdictOf says what an event means. A negative one is a hint only, since it may speak of an earlier attempt.
func verdictOf(event stripe.EventType, intent *stripe.PaymentIntent) (v idempotency.Verdict[Receipt], known bool) {
	switch event {
	case stripe.EventTypePaymentIntentSucceeded, stripe.EventTypePaymentIntentAmountCapturableUpdated,
		stripe.EventTypePaymentIntentPaymentFailed, stripe.EventTypePaymentIntentCanceled:
		return judge([]*stripe.PaymentIntent{intent}).ForRef(intent.ID), true
	}
	return v, false
}
