package shop

import (
	"context"
	"fmt"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// What follows when a call has come to an end, whoever learned of it and however long it took. Each of these functions runs
// in the transaction that settles the call: the order moves, what follows is started, and the outcome is recorded, all
// together or not at all.

func (s *Shop) chargeSettled(ctx context.Context, c idempotency.Settled[bank.Payment, bank.Receipt]) error {
	db := s.db.In(sqlstore.Tx(ctx))
	switch {
	case c.Late: // the order was rolled back long ago
		return s.reverse(ctx, c.Scope, bank.Later{Order: c.In.Order, Receipt: c.Value})
	case c.State == idempotency.StateSucceeded:
		if err := endPayment(ctx, db, c.Key, true); err != nil {
			return err
		}
		if c.Value.Held { // the warehouse gets to it when the money is there
			_, err := s.calls.capture.For(c.Scope).Start(ctx, c.In.Order, bank.Later{Order: c.In.Order, Receipt: c.Value})
			return err
		}
		return s.paid(ctx, db, c.Scope, c.In.Order)
	case c.State == idempotency.StateRejected:
		return s.declined(ctx, db, c)
	default: // cancelled before it was sent, or given up while nobody knows
		return s.rolledBack(ctx, db, c.Scope, c.In.Order)
	}
}

func (s *Shop) captureSettled(ctx context.Context, c idempotency.Settled[bank.Later, bank.Receipt]) error {
	db := s.db.In(sqlstore.Tx(ctx))
	switch {
	case c.Late:
		return s.reverse(ctx, c.Scope, bank.Later{Order: c.In.Order, Receipt: c.Value})
	case c.State == idempotency.StateSucceeded:
		return s.paid(ctx, db, c.Scope, c.In.Order)
	case c.State == idempotency.StateAbandoned: // nobody knows yet whether to refund or to release: the bank is still asked
		return s.rolledBack(ctx, db, c.Scope, c.In.Order)
	}
	if err := s.rolledBack(ctx, db, c.Scope, c.In.Order); err != nil {
		return err
	}
	return s.reverse(ctx, c.Scope, c.In)
}

// paid is the only way to a parcel.
func (s *Shop) paid(ctx context.Context, db database.Conn, customer, order string) error {
	if err := mustMove(ctx, db, order, Paid); err != nil {
		return err
	}
	_, err := s.calls.ship.For(customer).Start(ctx, order, parcel{order})
	return err
}

func (s *Shop) declined(ctx context.Context, db database.Conn, c idempotency.Settled[bank.Payment, bank.Receipt]) error {
	order := c.In.Order
	if err := mustMove(ctx, db, order, Declined); err != nil {
		return err
	}
	if err := endPayment(ctx, db, c.Key, false); err != nil {
		return err
	}
	if err := returnStock(ctx, db, order); err != nil {
		return err
	}
	// The old key is settled for ever: another card is another intent.
	_, err := db.Exec(ctx, "UPDATE shop_orders SET decline = ?, payment = ? WHERE id = ?", c.Rejection.Code, idempotency.NewKey(), order)
	if err != nil {
		return err
	}
	return s.write(ctx, db, c.Scope, order, "declined", c.Key)
}

// rolledBack cancels an order whose payment could not be completed. It may be told twice: given up first, and certain later.
func (s *Shop) rolledBack(ctx context.Context, db database.Conn, customer, order string) error {
	moved, err := move(ctx, db, order, Cancelled)
	if err != nil || !moved {
		return err
	}
	if err := returnStock(ctx, db, order); err != nil {
		return err
	}
	return s.write(ctx, db, customer, order, "cancelled", order)
}

// reverse gives back what was taken, or releases what was reserved: once, however often it is said.
func (s *Shop) reverse(ctx context.Context, customer string, charge bank.Later) error {
	what := "refund"
	if charge.Held {
		what = "void"
	}
	_, err := s.calls.refund.For(customer).Start(ctx, idempotency.KeyFrom(what, charge.ChargeID), charge)
	return err
}

// reversePaid gives back what was paid for an order that cannot be sent.
func (s *Shop) reversePaid(ctx context.Context, db database.Conn, customer, order string) error {
	o, err := orderOf(ctx, db, customer, order, "")
	if err != nil {
		return err
	}
	charge, err := s.calls.charge.For(customer).Status(ctx, o.Payment)
	if err != nil {
		return err
	}
	charge.Value.Held = false // it was captured before the warehouse was asked
	return s.reverse(ctx, customer, bank.Later{Order: order, Receipt: charge.Value})
}

func (s *Shop) refundSettled(ctx context.Context, c idempotency.Settled[bank.Later, bank.Receipt]) error {
	if c.State != idempotency.StateSucceeded && !c.Late {
		s.log.Error("a refund was refused, or given up: somebody must see to it", "order", c.In.Order, "charge", c.In.ChargeID, "state", c.State)
		return nil
	}
	db := s.db.In(sqlstore.Tx(ctx))
	if err := mustMove(ctx, db, c.In.Order, Refunded); err != nil {
		return err
	}
	return s.write(ctx, db, c.Scope, c.In.Order, "refunded", c.In.ChargeID)
}

func (s *Shop) parcelSettled(ctx context.Context, c idempotency.Settled[parcel, tracking]) error {
	db := s.db.In(sqlstore.Tx(ctx))
	switch {
	case c.State == idempotency.StateSucceeded, c.Late:
	case c.State == idempotency.StateRejected, c.State == idempotency.StateCancelled: // it will never leave
		return s.reversePaid(ctx, db, c.Scope, c.In.Order)
	default:
		s.log.Error("nobody knows whether a parcel has left: somebody must see to it", "order", c.In.Order, "state", c.State)
		return nil
	}
	if err := mustMove(ctx, db, c.In.Order, Shipped); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, "UPDATE shop_orders SET tracking = ? WHERE id = ?", c.Value.Number, c.In.Order); err != nil {
		return err
	}
	return s.write(ctx, db, c.Scope, c.In.Order, "shipped", c.In.Order)
}

// endPayment writes down what the bank said. A payment that was declined no longer stands in the way of another one.
func endPayment(ctx context.Context, db database.Conn, payment string, succeeded bool) error {
	free := ", live = NULL"
	if succeeded {
		free = ""
	}
	n, err := db.Exec(ctx, "UPDATE shop_payments SET ended = ?"+free+" WHERE id = ?", now(), payment)
	if err == nil && n != 1 {
		err = fmt.Errorf("shop: payment %s is not in the books", payment)
	}
	return err
}
