package shop

import (
	"context"
	"errors"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// sweep sees to it that something is under way for every order that says so. Start can fail with its commitment made or not
// (the store's reply was lost), and a process can die between the order and Start: nobody can tell then, but starting with
// the same key again is right in any case. It ends with ctx.
func (s *Shop) sweep(ctx context.Context) {
	tick := time.NewTicker(s.timing.Sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, order := range s.orders.paying() {
			if err := s.restart(ctx, order); err != nil {
				s.log.Error("payment not started, will be tried again", "order", order.ID, "err", err)
			}
		}
	}
}

// restart starts an order's payment, unless it was: then it is Run's.
func (s *Shop) restart(ctx context.Context, order Order) error {
	charges := s.calls.charge.For(order.Customer)
	_, err := charges.Status(ctx, order.Payment)
	if !errors.Is(err, idempotency.ErrNoRecord) {
		return err
	}
	_, err = charges.Start(ctx, order.Payment, paymentOf(order, order.Card))
	if errors.Is(err, idempotency.ErrKeyReused) { // a click with another card was faster: that one counts
		return nil
	}
	return err
}
