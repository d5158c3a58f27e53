package shop

import (
	"context"
	"errors"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Await waits until an order's payment has an outcome, but no longer than a customer likes to wait. It takes part in
// making the payment, and leaves it to Run when the time is up.
func (s *Shop) Await(ctx context.Context, customer, order string) error {
	o, err := s.Order(ctx, customer, order)
	if err != nil || !o.State.Pending() {
		return err
	}
	lines, err := s.Lines(ctx, order)
	if err != nil {
		return err
	}
	var card string
	if err := s.db.Row(ctx, "SELECT card FROM shop_payments WHERE id = ?", o.Payment).Scan(&card); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, s.timing.Wait)
	defer cancel()
	for wait.Err() == nil {
		_, err := s.calls.charge.For(customer).Do(wait, o.Payment, paymentFor(o, lines, card))
		var no *idempotency.Rejection
		var later interface{ RetryAfter() time.Duration }
		switch {
		case err == nil, errors.As(err, &no), errors.Is(err, idempotency.ErrCancelled): // there is an outcome
			return nil
		case !errors.As(err, &later): // the store, or this process, cannot say: the call goes on all the same
			return errors.Join(err, s.stillChecking(ctx, o))
		case later.RetryAfter() == 0: // the next step is not ours
			return s.stillChecking(ctx, o)
		}
		sleep(wait, later.RetryAfter())
	}
	return s.stillChecking(ctx, o)
}

// stillChecking writes down that the customer's wait is over, if the payment is not.
func (s *Shop) stillChecking(ctx context.Context, o Order) error {
	_, err := move(context.WithoutCancel(ctx), s.db.Conn, o.ID, Checking) // also if the customer has gone
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
