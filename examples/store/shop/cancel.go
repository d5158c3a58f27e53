package shop

import (
	"context"
	"database/sql"
	"errors"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Cancel closes an order that has not been paid. A payment that may have reached the bank is given up: nothing more is sent,
// the order is rolled back, and should the charge turn up, it is given back. While a request is with the bank nobody can
// say how it ends, so the order waits for that.
func (s *Shop) Cancel(ctx context.Context, customer, order string) error {
	o, err := s.Order(ctx, customer, order)
	switch {
	case err != nil:
		return err
	case o.State.Pending():
		_, err = s.calls.charge.For(customer).Cancel(ctx, o.Payment)
		var pending *idempotency.PendingError
		var unknown *idempotency.UnknownError
		var declined *idempotency.Rejection
		switch {
		case errors.As(err, &pending), errors.As(err, &unknown), errors.As(err, &declined), errors.Is(err, idempotency.ErrConflict):
			return nil // the page says what came of it
		}
		return err
	}
	return s.db.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		db := s.db.In(tx)
		o, err := orderOf(ctx, db, customer, order, db.Lock())
		if err != nil || o.State.Pending() { // paid for again meanwhile, with another card: the page says so
			return err
		}
		_, err = move(ctx, db, order, Cancelled) // its goods went back when the card was declined
		return err
	})
}
