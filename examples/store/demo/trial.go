package demo

import (
	"context"
	"errors"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// How long things take in both worlds, in demo time.
const (
	picking    = 400 * time.Millisecond
	delivering = 300 * time.Millisecond
	bankLimit  = 30 * time.Second // what both shops give the bank for an answer
	longest    = 4 * time.Minute  // of a trial: nothing here needs as much
	look       = 250 * time.Millisecond
)

// trial is one customer at one shop, with a bank, a warehouse and a post office of its own. Every connection in it is real.
type trial struct {
	plan plan
	pace pace
	line *timeline

	provider  *fakepay.Server
	warehouse *warehouse.Warehouse
	mail      *mail.Office
}

// runTrial sends a customer to a shop, waits until nothing moves any more, and counts.
func runTrial(ctx context.Context, p plan, speed pace, line *timeline, axe axe, build builder) (Result, error) {
	ctx, cancel := speed.within(ctx, longest)
	defer cancel()
	t := &trial{plan: p, pace: speed, line: line}
	t.warehouse = warehouse.New(speed.real(picking), line.sent)
	t.mail = mail.New(speed.real(delivering), line.delivered)
	p.bank.Speed, p.bank.OnAttempt, p.bank.OnEvent = float64(speed), line.attempt, line.effect
	var err error
	if t.provider, err = fakepay.New(p.bank); err != nil {
		return Result{}, err
	}
	line.keep(t.books)
	err = t.visit(ctx, axe, build(t))
	// Late answers and late effects count, too.
	err = errors.Join(err, t.provider.Quiesce(ctx), t.provider.Close(ctx))
	line.finish()
	if err != nil {
		return Result{}, err
	}
	return t.count(), nil
}

// visit lets the customer buy, and the shop work until it has nothing more to do, while the axe may fall.
func (t *trial) visit(ctx context.Context, axe axe, open opener) error {
	h, err := t.openHouse(ctx, open)
	if err != nil {
		return err
	}
	quiet, crashed := make(chan struct{}), make(chan error, 1)
	go func() { crashed <- h.underThe(ctx, axe, quiet) }()

	customer, err := newCustomer(t.plan.habits, t.pace, t.line, h.url())
	if err == nil {
		customer.mayFail = t.line.killed
		err = customer.buy(ctx)
	}
	err = errors.Join(err, h.idle(ctx))
	close(quiet)
	return errors.Join(err, <-crashed, h.close(ctx))
}

func (t *trial) books() Books {
	return Books{Ledger: t.provider.Ledger().For(order), Parcels: t.warehouse.Parcels(order), Inbox: t.mail.Inbox(address)}
}

// count asks everybody but the shop.
func (t *trial) count() Result {
	seen := t.line.snapshot()
	totals := seen.Books.Ledger.Totals
	r := Result{
		Attempts:      totals.Attempts[fakepay.OpCharge],
		Charges:       totals.Charges,
		Refunds:       totals.Refunds,
		Parcels:       seen.Books.Parcels,
		Emails:        len(seen.Books.Inbox),
		Told:          seen.Told,
		FirstAnswerMS: seen.First.Milliseconds(),
	}
	owed := int64(0)
	if r.Parcels > 0 {
		owed = t.plan.item.Cents
	}
	r.OverchargedCents = max(totals.NetCents-owed, 0)
	return r
}
