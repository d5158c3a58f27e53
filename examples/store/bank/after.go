package bank

import (
	"context"

	"github.com/stripe/stripe-go/v82"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// Later is what is asked for about a charge that was made.
type Later struct {
	Order string
	Receipt
}

// Capture takes money that was reserved.
func (c *Client) Capture(ctx context.Context, a idempotency.Attempt, l Later) (Receipt, error) {
	return idemhttp.Send(func(ctx context.Context, _ idempotency.Attempt, l Later) (Receipt, error) {
		intent, err := c.api.V1PaymentIntents.Capture(ctx, l.ChargeID, nil)
		if err != nil {
			return Receipt{}, err
		}
		return receipt(intent)
	})(ctx, a, l)
}

// FindCapture asks whether money that was reserved has been taken.
func (c *Client) FindCapture(ctx context.Context, _ idempotency.Attempt, l Later) (idempotency.Verdict[Receipt], error) {
	intent, err := c.retrieve(ctx, l.ChargeID)
	if err != nil {
		return idempotency.DontKnow[Receipt](), err
	}
	switch intent.Status {
	case stripe.PaymentIntentStatusSucceeded:
		taken := l.Receipt
		taken.Held = false
		return idempotency.Happened(taken), nil
	case stripe.PaymentIntentStatusRequiresCapture:
		return idempotency.DidNotHappen[Receipt](), nil
	case stripe.PaymentIntentStatusCanceled: // it never will be
		return idempotency.Declined[Receipt](string(intent.Status), nil), nil
	default:
		return idempotency.DontKnow[Receipt](), nil
	}
}

// Reverse gives a charge back: it refunds what was taken, and releases what was only reserved.
func (c *Client) Reverse(ctx context.Context, a idempotency.Attempt, l Later) (Receipt, error) {
	return idemhttp.Send(c.reverse)(ctx, a, l)
}

func (c *Client) reverse(ctx context.Context, _ idempotency.Attempt, l Later) (Receipt, error) {
	var id string
	var err error
	if l.Held {
		var intent *stripe.PaymentIntent
		intent, err = c.api.V1PaymentIntents.Cancel(ctx, l.ChargeID, nil)
		id = intent.ID
	} else {
		var refund *stripe.Refund
		refund, err = c.api.V1Refunds.Create(ctx, &stripe.RefundCreateParams{
			PaymentIntent: &l.ChargeID, Metadata: map[string]string{metaOrder: l.Order},
		})
		id = refund.ID
	}
	if err == nil && id == "" {
		err = errForeign
	}
	return l.Receipt, err
}
