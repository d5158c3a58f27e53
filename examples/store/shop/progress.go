package shop

import (
	"context"
	"errors"
	"time"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
)

// Progress is all that is known about an order at one moment: what its page shows.
type Progress struct {
	Order
	Lines    []Line
	Estimate Estimate
	Paused   bool // the bank fails, and is left alone for a while

	Began    time.Time     // when the payment was committed to
	Elapsed  time.Duration // how long it has been under way, or took
	Attempts int           // that have come to an end
	Asking   bool          // another one is under way
	Next     time.Duration // until the next one
	Held     bool          // the money is reserved, and will be taken
	Final    bool          // nothing more happens by itself
}

// Progress returns what is known about a customer's order.
func (s *Shop) Progress(ctx context.Context, customer, order string) (p Progress, err error) {
	if p.Order, err = s.Order(ctx, customer, order); err != nil {
		return p, err
	}
	if p.Lines, err = s.Lines(ctx, order); err != nil {
		return p, err
	}
	if !p.State.Pending() {
		p.Final, err = s.final(ctx, p.Order)
		return p, err
	}
	if p.Estimate, err = s.Estimate(ctx); err != nil {
		return p, err
	}
	var began int64
	if err := s.db.Row(ctx, "SELECT began FROM shop_payments WHERE id = ?", p.Payment).Scan(&began); err != nil {
		return p, err
	}
	p.Began = time.UnixMicro(began)
	p.Elapsed = time.Since(p.Began)
	p.Paused = s.breaker.State() != breaker.Closed
	status, err := s.calls.charge.For(customer).Status(ctx, p.Payment)
	if err != nil { // a detail: the order is known, and the next look shows more
		if !errors.Is(err, idempotency.ErrNoRecord) {
			s.log.Warn("a payment's details cannot be shown", "order", order, "err", err)
		}
		return p, nil
	}
	p.Attempts, p.Held = status.Attempts, status.State == idempotency.StateSucceeded
	p.Asking = status.State == idempotency.StateRunning
	if !p.Asking && status.Due != idempotency.Never {
		p.Next = max(status.Due, 0)
	}
	return p, nil
}

// final says whether an order stays as it is, unless its customer does something. One that was cancelled does not as long
// as a charge for it may turn up, or is on its way back.
func (s *Shop) final(ctx context.Context, o Order) (bool, error) {
	switch o.State {
	case Shipped, Refunded, Declined:
		return true, nil
	case Cancelled:
	default:
		return false, nil
	}
	charge, err := s.calls.charge.For(o.Customer).Status(ctx, o.Payment)
	if errors.Is(err, idempotency.ErrNoRecord) { // declined before, and then cancelled: its next payment was never made
		return true, nil
	}
	return charge.State == idempotency.StateCancelled || charge.State == idempotency.StateRejected, err
}

// Follow returns a channel that receives when there may be news for a customer, until end is called. What happens in other
// processes is not heard of: look now and then all the same. It is not ok where too many follow already.
func (s *Shop) Follow(customer string) (fresh <-chan struct{}, end func(), ok bool) {
	return s.news.follow(customer)
}

// Patience is how long Await waits.
func (s *Shop) Patience() time.Duration { return s.timing.Wait }
