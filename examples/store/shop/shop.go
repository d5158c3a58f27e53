// Package shop is a web shop's business: baskets, orders, stock, and the external calls that make them real. It charges
// once, ships once, says what it knows, and finishes what it began, whether or not anybody waits for it, also if the
// process is killed at any moment. Package web shows it to customers.
//
// Read Submit in checkout.go first, then calls.go and settled.go.
package shop

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// Warehouse sends a parcel for an order, and returns its tracking number: one parcel for each key.
type Warehouse interface {
	Ship(ctx context.Context, key, order string) (tracking string, err error)
}

// Config is what a shop needs. All of it but Texts, Log and Number is required.
type Config struct {
	DB        *database.DB
	Bank      *bank.Client
	Warehouse Warehouse
	Mail      mail.Sender
	Texts     mail.Sender // nil: no text messages are sent
	Timing    Timing
	Log       *slog.Logger  // nil: no log
	Number    func() string // names a new order; nil: at random
}

// Shop is the shop. It is safe for concurrent use, and any number of them may share a database.
type Shop struct {
	db        *database.DB
	store     *sqlstore.Store
	bank      *bank.Client
	warehouse Warehouse
	senders   map[mail.Channel]mail.Sender
	breaker   *breaker.Breaker
	timing    Timing
	log       *slog.Logger
	number    func() string

	calls    calls
	news     *news
	meter    *meter
	estimate estimator

	stop context.CancelFunc // ends the runners
	runs sync.WaitGroup
}

// Open opens a shop. Until Close, it works off what is due, whoever began it.
func Open(ctx context.Context, c Config) (*Shop, error) {
	s := &Shop{
		db:        c.DB,
		bank:      c.Bank,
		warehouse: c.Warehouse,
		senders:   map[mail.Channel]mail.Sender{mail.Email: c.Mail, mail.Text: c.Texts},
		breaker:   breaker.New(c.Timing.Breaker),
		timing:    c.Timing,
		log:       c.Log,
		number:    c.Number,
		news:      newNews(),
		meter:     newMeter(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.number == nil {
		s.number = newNumber
	}
	var err error
	s.store, err = sqlstore.New(c.DB.Pool, sqlstore.Config{Warn: func(message string) { s.log.Warn(message) }})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.store.Migrate(ctx), migrate(ctx, s.db)); err != nil {
		return nil, err
	}
	if s.calls, err = s.wrap(); err != nil {
		return nil, err
	}
	s.run()
	return s, nil
}

func (s *Shop) run() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for _, run := range []func(context.Context) error{
		s.calls.charge.Run, s.calls.capture.Run, s.calls.refund.Run, s.calls.ship.Run, s.calls.mail.Run,
	} {
		s.runs.Go(func() {
			if err := run(ctx); err != nil {
				s.log.Error("recovery has ended", "err", err)
			}
		})
	}
}

// UnderWay counts what the shop has still to do: calls that are not settled, and orders that wait for one.
func (s *Shop) UnderWay(ctx context.Context) (int, error) {
	n, err := s.ordersUnderWay(ctx)
	if err != nil {
		return 0, err
	}
	backlog, err := s.store.Backlog(ctx)
	for _, calls := range backlog {
		if calls.State != idempotency.StateAbandoned {
			n += int(calls.Calls)
		}
	}
	return n, err
}

// Close ends the shop: calls under way end, or are left to whoever opens it on the same database.
func (s *Shop) Close(ctx context.Context) error {
	s.stop()
	err := errors.Join(s.calls.charge.Close(ctx), s.calls.capture.Close(ctx), s.calls.refund.Close(ctx), s.calls.ship.Close(ctx), s.calls.mail.Close(ctx))
	if err == nil {
		s.runs.Wait() // they end with stop, and with their wrappers
	}
	s.bank.Close()
	return err
}
