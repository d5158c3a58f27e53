package bank

import (
	"context"
	"iter"
	"time"

	"github.com/stripe/stripe-go/v82"

	"github.com/steadfast-go/steadfast/idempotency"
)

// list yields the payment intents made since a moment, the newest first, page by page.
func (c *Client) list(ctx context.Context, since time.Time) iter.Seq2[*stripe.PaymentIntent, error] {
	params := &stripe.PaymentIntentListParams{ListParams: stripe.ListParams{Limit: stripe.Int64(100)}}
	params.AddExpand("data.latest_charge")
	if !since.IsZero() {
		params.CreatedRange = &stripe.RangeQueryParams{GreaterThanOrEqual: since.Unix()}
	}
	return iter.Seq2[*stripe.PaymentIntent, error](c.api.V1PaymentIntents.List(ctx, params))
}

// List yields the provider's own list of charges, for idempotency's Reconcile.
func (c *Client) List(ctx context.Context) iter.Seq2[idempotency.Entry, error] {
	return func(yield func(idempotency.Entry, error) bool) {
		for intent, err := range c.list(ctx, time.Time{}) {
			if err != nil {
				yield(idempotency.Entry{}, err)
				return
			}
			if !yield(entry(intent), nil) {
				return
			}
		}
	}
}

func entry(intent *stripe.PaymentIntent) idempotency.Entry {
	meta := intent.Metadata
	return idempotency.Entry{
		ProviderKey: meta[metaKey], Scope: meta[metaScope], Key: meta[metaID], Ref: intent.ID,
		// One that was released, or given back, did happen: that it was undone is another call's affair.
		Happened: intent.LatestCharge != nil && intent.LatestCharge.Paid,
		Time:     time.Unix(intent.Created, 0),
	}
}

// FindByOrder asks what became of one payment of an order, for an operator who knows no provider key. said is the answer
// in words.
func (c *Client) FindByOrder(ctx context.Context, order, payment string) (v idempotency.Verdict[Receipt], said string, err error) {
	ours, err := c.find(ctx, time.Time{}, map[string]string{metaOrder: order, metaID: payment})
	if err != nil {
		return v, "", err
	}
	said = "The bank knows nothing of it."
	if len(ours) > 0 {
		said = "The bank says: " + string(ours[0].Status) + "."
	}
	return judge(ours), said, nil
}
