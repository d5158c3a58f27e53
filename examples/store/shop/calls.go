package shop

import (
	"context"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/idempotency"
)

// namespace keeps this shop's provider keys apart from those of a staging system on the same accounts. It never changes.
const namespace = "demo-shop"

// chargeCall is the name of the only call that webhooks tell of.
const chargeCall = "charge"

// parcel is what the warehouse is asked for.
type parcel struct{ Order string }

// tracking is what it answers.
type tracking struct{ Number string }

// calls are the shop's external calls: what each provider promises decides what steadfast may do.
type calls struct {
	charge  *idempotency.Wrapper[bank.Payment, bank.Receipt]
	capture *idempotency.Wrapper[bank.Later, bank.Receipt]
	refund  *idempotency.Wrapper[bank.Later, bank.Receipt]
	ship    *idempotency.Wrapper[parcel, tracking]
	mail    *idempotency.Wrapper[mail.Message, struct{}]
}

func (s *Shop) wrap() (c calls, err error) {
	// Money. The bank remembers keys for a day; after that it can be asked.
	charge := common[bank.Payment, bank.Receipt](s, chargeCall)
	charge.Send = s.bank.Charge
	charge.KeyLife, charge.KeyedErrors = s.timing.KeyLife, bank.StoredByKey
	charge.Lookup, charge.Settling = s.bank.FindCharge, s.timing.Settling
	charge.GiveUp = s.timing.GiveUp
	charge.Breaker = s.breaker
	charge.OnSettled = s.chargeSettled
	if c.charge, err = idempotency.Wrap(s.store, charge); err != nil {
		return c, err
	}

	// Taking what was reserved, and giving back.
	capture := common[bank.Later, bank.Receipt](s, "capture")
	capture.Send, capture.OnSettled = s.bank.Capture, s.captureSettled
	capture.KeyLife, capture.KeyedErrors = s.timing.KeyLife, bank.StoredByKey
	capture.Lookup, capture.Settling = s.bank.FindCapture, s.timing.Settling
	capture.GiveUp = s.timing.GiveUp
	if c.capture, err = idempotency.Wrap(s.store, capture); err != nil {
		return c, err
	}
	refund := common[bank.Later, bank.Receipt](s, "refund")
	refund.Send, refund.OnSettled = s.bank.Reverse, s.refundSettled
	refund.KeyLife = s.timing.KeyLife
	refund.Lookup, refund.Settling = s.bank.FindReverse, s.timing.Settling
	if c.refund, err = idempotency.Wrap(s.store, refund); err != nil {
		return c, err
	}

	// A parcel. It costs as much as money when it is sent twice, so it is never Harmless; the warehouse remembers keys.
	ship := common[parcel, tracking](s, "ship")
	ship.Send = func(ctx context.Context, a idempotency.Attempt, p parcel) (tracking, error) {
		number, err := s.warehouse.Ship(ctx, a.Key, p.Order)
		return tracking{number}, err
	}
	ship.KeyLife, ship.OnSettled = s.timing.KeyLife, s.parcelSettled
	ship.Settling = s.timing.Settling // it cannot be asked; a person can
	if c.ship, err = idempotency.Wrap(s.store, ship); err != nil {
		return c, err
	}

	// A message: rather twice than never. Its key is its Message-ID, so that most readers see it once.
	message := common[mail.Message, struct{}](s, "mail")
	message.Send = func(ctx context.Context, a idempotency.Attempt, m mail.Message) (struct{}, error) {
		m.ID = a.Key
		return struct{}{}, s.senders[m.Channel].Send(ctx, m)
	}
	message.Harmless = true
	c.mail, err = idempotency.Wrap(s.store, message)
	return c, err
}

// common is what all calls share. Every key belongs to a customer.
func common[In, Out any](s *Shop, name string) idempotency.Call[In, Out] {
	return idempotency.Call[In, Out]{
		Name:      name,
		Namespace: namespace,
		Scoped:    true,
		Timeout:   s.timing.Attempt,
		Grace:     s.timing.Grace,
		Lease:     s.timing.Lease,
		Poll:      s.timing.Poll,
		Retry:     s.timing.Retry,
		Hooks:     s.hooks(),
		// What Run drives at once.
		Concurrency: 32,
	}
}
