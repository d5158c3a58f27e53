// Package town is whom the shop calls: a bank, a warehouse and a mail server, each behind real connections, as far as they
// are not somewhere else.
package town

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// Config says where they are. What is empty is started.
type Config struct {
	Bank, Warehouse string // URLs
	SMTP            string // host:port

	// For those that are started.
	Latency, Faults string // of the bank, as fakepay reads them
	Picking         string // how long the warehouse takes
	Webhook, Secret string // where the bank tells what it has done, and what it signs with; empty: nowhere
}

// Town is where they are.
type Town struct {
	Bank, Warehouse, SMTP string
	// Mailbox is what has arrived at the mail server that was started, and text messages.
	Mailbox *mail.Mailbox

	Provider *fakepay.Server      // the bank that was started, or nil
	Parcels  *warehouse.Warehouse // the warehouse that was started, or nil

	closers []func(context.Context) error
}

// Open starts what is to be started.
func Open(c Config) (*Town, error) {
	t := &Town{Bank: c.Bank, Warehouse: c.Warehouse, SMTP: c.SMTP, Mailbox: mail.NewMailbox()}
	if err := errors.Join(t.openBank(c), t.openWarehouse(c), t.openMail()); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (t *Town) openBank(c Config) (err error) {
	if t.Bank != "" {
		return nil
	}
	config := fakepay.Config{ReplayErrors: true, DecideAfter: 10 * time.Second}
	config.Webhook.URL, config.Webhook.Secret = c.Webhook, c.Secret
	var latencyErr, faultsErr error
	config.Latency, latencyErr = fakepay.ParseLatency(c.Latency)
	config.Faults, faultsErr = fakepay.ParseFaults(c.Faults)
	if err := errors.Join(latencyErr, faultsErr); err != nil {
		return err
	}
	if t.Provider, err = fakepay.New(config); err != nil {
		return err
	}
	t.closers = append(t.closers, t.Provider.Close)
	t.Bank, err = t.serve(t.Provider)
	return err
}

func (t *Town) openWarehouse(c Config) (err error) {
	if t.Warehouse != "" {
		return nil
	}
	picking := time.Duration(0)
	if c.Picking != "" {
		if picking, err = time.ParseDuration(c.Picking); err != nil {
			return fmt.Errorf("town: the warehouse's time is %q: %w", c.Picking, err)
		}
	}
	t.Parcels = warehouse.New(picking, nil)
	t.Warehouse, err = t.serve(t.Parcels.Handler())
	return err
}

func (t *Town) openMail() error {
	if t.SMTP != "" {
		return nil
	}
	sink, err := mail.ListenSMTP("127.0.0.1:0", t.Mailbox)
	if err != nil {
		return err
	}
	t.SMTP = sink.Address
	t.closers = append(t.closers, func(context.Context) error { return sink.Close() })
	return nil
}

// serve serves on a free port of the loopback.
func (t *Town) serve(h http.Handler) (url string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.closers = append(t.closers, func(context.Context) error {
		err := server.Close()
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	})
	return "http://" + listener.Addr().String(), nil
}

const closeFor = 5 * time.Second

// Close ends what was started.
func (t *Town) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeFor)
	defer cancel()
	var errs []error
	for _, end := range t.closers {
		errs = append(errs, end(ctx))
	}
	return errors.Join(errs...)
}
