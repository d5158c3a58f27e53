package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/stripe/stripe-go/v82"
	"golang.org/x/sync/errgroup"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// Books are what the provider's ledger says, beside what the payers were told.
type Books struct {
	ChargedOnce int     `json:"charged_once"`
	Duplicates  int     `json:"duplicates"` // orders that were charged more than once
	Lost        int     `json:"lost"`       // orders that were not charged
	Told        int     `json:"told"`       // payers who were told that they have paid
	Mistold     int     `json:"mistold"`    // payers who were told that it failed, and were charged
	Requests    int     `json:"requests"`   // to charge, as they arrived
	Seconds     float64 `json:"seconds"`
}

// payer pays one order, and says whether it was paid. Its error is one of the program.
type payer func(ctx context.Context, order string) (paid bool, err error)

// payAll pays all orders at a provider, and looks into its ledger. Questions are answered without faults: a list of a thousand payments has
// ten pages, and while a third of them failed it would be worth nothing.
func payAll(ctx context.Context, o options, open func(ctx context.Context, url string) (payer, func() error, error)) (b Books, err error) {
	provider, err := fakepay.New(fakepay.Config{
		Seed: o.seed, Faults: mix(o.faults), SearchLag: attemptTimeout, Latency: fakepay.Latency{P50: 10 * time.Millisecond, P99: 200 * time.Millisecond},
	})
	if err != nil {
		return b, err
	}
	url, stop, err := serve(provider)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, provider.Close(context.WithoutCancel(ctx)), stop()) }()
	pay, end, err := open(ctx, url)
	if err != nil {
		return b, err
	}
	start := time.Now()
	told := make([]bool, o.payments)
	all, paying := errgroup.WithContext(ctx)
	all.SetLimit(o.atOnce)
	for i := range told {
		all.Go(func() (err error) { told[i], err = pay(paying, orderName(i)); return })
	}
	if err := errors.Join(all.Wait(), end()); err != nil {
		return b, err
	}
	b.Seconds = time.Since(start).Seconds()
	if err := provider.Quiesce(ctx); err != nil { // what lands late has landed then
		return b, err
	}
	b.count(provider.Ledger(), told)
	return b, nil
}

func orderName(i int) string { return fmt.Sprintf("order-%d", i+1) }

func (b *Books) count(l fakepay.Ledger, told []bool) {
	charges := make(map[string]int)
	for _, c := range l.Charges {
		if c.Status == fakepay.Succeeded {
			charges[c.Reference]++
		}
	}
	for i, paid := range told {
		n := charges[orderName(i)]
		switch {
		case n == 0:
			b.Lost++
		case n == 1:
			b.ChargedOnce++
		default:
			b.Duplicates++
		}
		switch {
		case paid:
			b.Told++
		case n > 0:
			b.Mistold++
		}
	}
	b.Requests = l.Totals.Attempts[fakepay.OpCharge]
}

// openProtected pays with steadfast around Stripe's client, which is that of the shop: its own retries are off.
func openProtected(ctx context.Context, url string) (payer, func() error, error) {
	client := bank.New(url)
	charges, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[bank.Payment, bank.Receipt]{
		Name: "charge", Namespace: "demo",
		Send:     client.Charge,
		KeyLife:  bank.KeyLife,
		Lookup:   client.FindCharge,
		Settling: 4 * attemptTimeout, // in this world, a request that lands late does so within two
		Timeout:  attemptTimeout, KeyedErrors: bank.StoredByKey,
		Retry: retry.Policy{Initial: 50 * time.Millisecond, Max: time.Second},
	})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	running := make(chan error, 1)
	go func() { running <- charges.Run(ctx) }()
	end := func() error {
		err := charges.Close(ctx)
		cancel()
		client.Close()
		return errors.Join(err, <-running)
	}
	return func(ctx context.Context, order string) (bool, error) {
		// The key is made with the intent. Another one is safe after a definite no, and after nothing else.
		for card := 1; ; card++ {
			key := fmt.Sprintf("%s/%d", order, card)
			err := insist(ctx, charges, key, bank.Payment{Order: order, Cents: 4990, Currency: "eur", Card: "tok_visa"})
			var no *idempotency.Rejection
			if !errors.As(err, &no) {
				return err == nil, err
			}
		}
	}, end, nil
}

// insist asks with the same key until it is known what happened.
func insist(ctx context.Context, charges *idempotency.Wrapper[bank.Payment, bank.Receipt], key string, p bank.Payment) error {
	for {
		_, err := charges.Do(ctx, key, p)
		var later interface{ RetryAfter() time.Duration }
		wait := 100 * time.Millisecond
		switch {
		case errors.Is(err, idempotency.ErrNotSent):
		case errors.As(err, &later):
			wait = min(max(later.RetryAfter(), wait), time.Second)
		default:
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// openBare pays as the SDK's own examples do: with its retries on, which re-use the random key of their call. When that is not enough the
// program tries again, as programs do.
func openBare(_ context.Context, url string) (payer, func() error, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	api := stripe.NewClient("sk_test_bare", stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL:           &url,
		HTTPClient:    &http.Client{Transport: transport, Timeout: attemptTimeout},
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})))
	pay := func(ctx context.Context, order string) (bool, error) {
		const tries = 5
		for range tries {
			_, err := api.V1PaymentIntents.Create(ctx, &stripe.PaymentIntentCreateParams{
				Amount: stripe.Int64(4990), Currency: stripe.String("eur"), PaymentMethod: stripe.String("pm_card_visa"), Confirm: stripe.Bool(true),
				PaymentMethodTypes: []*string{stripe.String("card")}, Metadata: map[string]string{fakepay.OrderMetadata: order},
			})
			if err == nil || ctx.Err() != nil {
				return err == nil, ctx.Err()
			}
		}
		return false, nil
	}
	return pay, func() error { transport.CloseIdleConnections(); return nil }, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// serve serves on a free port of the loopback.
func serve(h http.Handler) (url string, stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() error {
		err := server.Close()
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	}, nil
}
