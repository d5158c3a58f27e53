package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/naive"
	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/store/memstore"
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
	bank      *server
	warehouse *warehouse.Warehouse
	mail      *mail.Office
}

// premises are a shop, as a trial sees it.
type premises struct {
	handler http.Handler
	// finish returns when the shop has nothing more to do and is closed.
	finish func(context.Context) error
}

// runTrial sends a customer to a shop, waits until nothing moves any more, and counts.
func runTrial(ctx context.Context, p plan, speed pace, line *timeline, open func(*trial) (premises, error)) (Result, error) {
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
	if t.bank, err = serve(ctx, t.provider); err != nil {
		return Result{}, err
	}
	err = t.visit(ctx, open)
	// Late answers and late effects count, too.
	err = errors.Join(err, t.provider.Quiesce(ctx), t.provider.Close(ctx), t.bank.stop(ctx))
	line.finish()
	if err != nil {
		return Result{}, err
	}
	return t.count(), nil
}

func (t *trial) visit(ctx context.Context, open func(*trial) (premises, error)) error {
	premises, err := open(t)
	if err != nil {
		return err
	}
	shop, err := serve(ctx, premises.handler)
	if err != nil {
		return errors.Join(err, premises.finish(ctx))
	}
	customer, err := newCustomer(t.plan.habits, t.pace, t.line, shop.url)
	if err == nil {
		err = customer.buy(ctx)
	}
	return errors.Join(err, shop.stop(ctx), premises.finish(ctx))
}

func openNaive(t *trial) (premises, error) {
	s := naive.New(naive.Config{
		BankURL: t.bank.url, Warehouse: t.warehouse, Mail: t.mail,
		Timeout: t.pace.real(bankLimit), Pause: t.pace.real(time.Second),
	})
	return premises{s.Handler(), func(context.Context) error { // its work ends with its handlers
		s.Close()
		return nil
	}}, nil
}

func openProtected(t *trial) (premises, error) {
	timing := shop.RealTime()
	timing.Attempt = bankLimit
	s, err := shop.New(shop.Config{
		Store: memstore.New(memstore.Config{}), Bank: bank.New(t.bank.url), Warehouse: t.warehouse, Mail: t.mail,
		Timing: timing.Faster(float64(t.pace)),
	})
	if err != nil {
		return premises{}, err
	}
	return premises{s.Handler(), func(ctx context.Context) error {
		return errors.Join(t.idle(ctx, s), s.Close(ctx))
	}}, nil
}

// idle waits until the shop has done all that it has to.
func (t *trial) idle(ctx context.Context, s *shop.Shop) error {
	for {
		n, err := s.UnderWay(ctx)
		if err != nil || n == 0 {
			return err
		}
		if err := t.pace.sleep(ctx, look); err != nil {
			return fmt.Errorf("demo: the shop has still %d things to do after %v: %w", n, longest, err)
		}
	}
}

// count asks everybody but the shop.
func (t *trial) count() Result {
	ledger, seen := t.provider.Ledger().For(order), t.line.snapshot()
	r := Result{
		Attempts:      ledger.Totals.Attempts[fakepay.OpCharge],
		Charges:       ledger.Totals.Charges,
		Refunds:       ledger.Totals.Refunds,
		Parcels:       t.warehouse.Parcels(order),
		Emails:        len(t.mail.Inbox(address)),
		Told:          seen.told,
		FirstAnswerMS: seen.first.Milliseconds(),
	}
	owed := int64(0)
	if r.Parcels > 0 {
		owed = t.plan.item.Cents
	}
	r.OverchargedCents = max(ledger.Totals.NetCents-owed, 0)
	return r
}
