// Package shop is a web shop that is honest when payments are slow: it charges once, tells its customers what it knows,
// and finishes what it began, whether or not anybody waits for it.
//
// Read pay in pages.go first, then calls.go.
package shop

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/idempotency"
)

// Config is what a shop needs. All of it but Orders and Log is required.
type Config struct {
	Store     idempotency.Store
	Orders    *Orders // nil: none yet
	Bank      *bank.Client
	Warehouse *warehouse.Warehouse
	Mail      *mail.Office
	Timing    Timing
	Log       *slog.Logger // nil: no log
}

// Shop is the shop. Serve Handler, and Close it in the end.
type Shop struct {
	bank      *bank.Client
	warehouse *warehouse.Warehouse
	mail      *mail.Office
	breaker   *breaker.Breaker
	timing    Timing
	log       *slog.Logger

	orders *Orders
	calls  calls

	stop context.CancelFunc // ends the runners and the sweeper
	runs sync.WaitGroup
}

// New opens a shop. Until Close, it works off what is due.
func New(c Config) (*Shop, error) {
	s := &Shop{
		bank:      c.Bank,
		warehouse: c.Warehouse,
		mail:      c.Mail,
		breaker:   breaker.New(c.Timing.Breaker),
		timing:    c.Timing,
		log:       c.Log,
		orders:    c.Orders,
	}
	if s.orders == nil {
		s.orders = NewOrders()
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.calls, err = s.wrap(c.Store, c.Timing); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for _, run := range []func(context.Context) error{s.calls.charge.Run, s.calls.ship.Run, s.calls.mail.Run} {
		s.runs.Go(func() {
			if err := run(ctx); err != nil {
				s.log.Error("recovery has ended", "err", err)
			}
		})
	}
	s.runs.Go(func() { s.sweep(ctx) })
	return s, nil
}

// Handler serves the shop's pages.
func (s *Shop) Handler() http.Handler { return s.routes() }

// UnderWay counts what the shop has still to do: calls that are not settled, and orders that wait for one.
func (s *Shop) UnderWay(ctx context.Context) (int, error) {
	unsettled := idempotency.Query{States: []idempotency.State{
		idempotency.StateScheduled, idempotency.StateRunning, idempotency.StateAccepted, idempotency.StateUnknown,
	}}
	charges, chargeErr := s.calls.charge.List(ctx, unsettled)
	parcels, shipErr := s.calls.ship.List(ctx, unsettled)
	mails, mailErr := s.calls.mail.List(ctx, unsettled)
	return s.orders.underWay() + len(charges) + len(parcels) + len(mails), errors.Join(chargeErr, shipErr, mailErr)
}

// Close ends the shop: calls under way end or are left to whoever opens it on the same store.
func (s *Shop) Close(ctx context.Context) error {
	s.stop()
	err := errors.Join(s.calls.charge.Close(ctx), s.calls.ship.Close(ctx), s.calls.mail.Close(ctx))
	if err == nil {
		s.runs.Wait() // they end with stop, and with their wrappers
	}
	s.bank.Close()
	return err
}
