package shop

import (
	"context"
	"errors"
	"fmt"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/idempotency"
)

// namespace keeps this shop's provider keys apart from those of a staging system on the same accounts. It never changes.
const namespace = "demo-shop"

// parcel is what the warehouse is asked for.
type parcel struct {
	Order string
	Email string
}

// tracking is what it answers.
type tracking struct{ Number string }

// calls are the shop's external calls: what each provider promises decides what steadfast may do.
type calls struct {
	charge *idempotency.Wrapper[bank.Payment, bank.Receipt]
	ship   *idempotency.Wrapper[parcel, tracking]
	mail   *idempotency.Wrapper[mail.Message, struct{}]
}

func (s *Shop) wrap(store idempotency.Store, t Timing) (c calls, err error) {
	// Money. The bank remembers keys for a day; after that it can be asked.
	c.charge, err = idempotency.Wrap(store, idempotency.Call[bank.Payment, bank.Receipt]{
		Name:        "charge",
		Namespace:   namespace,
		Scoped:      true,
		Send:        s.bank.Charge,
		KeyLife:     t.KeyLife,
		KeyedErrors: bank.StoredByKey,
		Lookup:      s.bank.FindCharge,
		Settling:    t.Settling,
		Timeout:     t.Attempt,
		Grace:       t.Grace,
		Lease:       t.Lease,
		Poll:        t.Poll,
		Retry:       t.Retry,
		Breaker:     s.breaker,
		OnSettled:   s.chargeSettled,
	})
	if err != nil {
		return c, err
	}
	// A parcel. It costs as much as money when it is sent twice, so it is never Harmless; the warehouse remembers keys.
	c.ship, err = idempotency.Wrap(store, idempotency.Call[parcel, tracking]{
		Name:      "ship",
		Namespace: namespace,
		Scoped:    true,
		Send: func(ctx context.Context, a idempotency.Attempt, p parcel) (tracking, error) {
			number, err := s.warehouse.Ship(ctx, a.Key, p.Order)
			return tracking{number}, err
		},
		KeyLife:   t.KeyLife,
		Timeout:   t.Attempt,
		Grace:     t.Grace,
		Lease:     t.Lease,
		Poll:      t.Poll,
		Retry:     t.Retry,
		OnSettled: s.parcelSettled,
	})
	if err != nil {
		return c, err
	}
	// An e-mail: rather twice than never. Its key is its Message-ID, so that most readers see it once.
	c.mail, err = idempotency.Wrap(store, idempotency.Call[mail.Message, struct{}]{
		Name:      "mail",
		Namespace: namespace,
		Scoped:    true,
		Harmless:  true,
		Send: func(ctx context.Context, a idempotency.Attempt, m mail.Message) (struct{}, error) {
			m.ID = a.Key
			return struct{}{}, s.mail.Send(ctx, m)
		},
		Timeout: t.Attempt,
		Grace:   t.Grace,
		Lease:   t.Lease,
		Poll:    t.Poll,
		Retry:   t.Retry,
	})
	return c, err
}

// chargeSettled is told of every payment that has come to an end, whoever learned of it and however long it took. It is
// told at least once, so everything in it can be done again: Start with the same key starts nothing new.
func (s *Shop) chargeSettled(ctx context.Context, c idempotency.Settled[bank.Payment, bank.Receipt]) error {
	switch c.State {
	case idempotency.StateSucceeded:
		order, err := s.orders.change(c.In.Order, Paid, func(*Order) {})
		if errors.Is(err, errMove) { // told again: it is shipped by now
			return nil
		}
		if err != nil {
			return err
		}
		_, err = s.calls.ship.For(c.Scope).Start(ctx, order.ID, parcel{order.ID, order.Email})
		return err

	case idempotency.StateRejected:
		order, err := s.orders.get(c.In.Order, c.Scope)
		if err != nil || order.Payment != c.Key { // told again: the customer pays with another card by now
			return err
		}
		// The customer may have gone: the page alone would not tell.
		m := mail.Message{
			To: order.Email, Status: "declined", Subject: "Your card was declined",
			Text: "Nothing was charged. Your order " + order.ID + " is saved: please choose another card.",
		}
		if _, err := s.calls.mail.For(c.Scope).Start(ctx, idempotency.KeyFrom("declined", c.Key), m); err != nil {
			return err
		}
		_, err = s.orders.change(order.ID, Declined, func(o *Order) {
			o.Decline = c.Rejection.Code
			o.Payment = idempotency.NewKey() // the old one is settled for ever; another card is a new intent
		})
		return err
	}
	// Nothing here cancels payments or gives them up, which would have to be handled: a late success is to be refunded.
	return fmt.Errorf("shop: payment %s of %s ended %v, which this shop does not do", c.Key, c.In.Order, c.State)
}

// parcelSettled is told when a parcel has left.
func (s *Shop) parcelSettled(ctx context.Context, c idempotency.Settled[parcel, tracking]) error {
	if c.State != idempotency.StateSucceeded {
		return fmt.Errorf("shop: parcel of %s ended %v: somebody must see to it", c.In.Order, c.State)
	}
	m := mail.Message{
		To: c.In.Email, Status: "shipped", Subject: "Your order is on its way",
		Text: "We have received your payment. Your parcel is " + c.Value.Number + ".",
	}
	if _, err := s.calls.mail.For(c.Scope).Start(ctx, idempotency.KeyFrom("shipped", c.Key), m); err != nil {
		return err
	}
	_, err := s.orders.change(c.In.Order, Shipped, func(o *Order) { o.Tracking = c.Value.Number })
	return err
}

// paused says whether the bank is left alone for a while, because it fails.
func (s *Shop) paused() bool { return s.breaker.State() != breaker.Closed }
