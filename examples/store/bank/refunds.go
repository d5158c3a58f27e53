package bank

import (
	"context"

	"github.com/stripe/stripe-go/v82"

	"github.com/steadfast-go/steadfast/idempotency"
)

// FindReverse asks whether a charge has been given back. The shop gives back all of it, once: so the charge itself says.
func (c *Client) FindReverse(ctx context.Context, _ idempotency.Attempt, l Later) (idempotency.Verdict[Receipt], error) {
	intent, err := c.retrieve(ctx, l.ChargeID)
	switch {
	case err != nil:
		return idempotency.DontKnow[Receipt](), err
	case intent.Status == stripe.PaymentIntentStatusCanceled, intent.LatestCharge != nil && intent.LatestCharge.Refunded:
		return idempotency.Happened(l.Receipt), nil
	default:
		return idempotency.DidNotHappen[Receipt](), nil
	}
}
