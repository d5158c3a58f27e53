// Command webhook shows a payment whose outcome is unknown, and that is settled by the provider's webhook, which overtakes the answer: the
// provider charges at once, and takes half a minute to say so.
//
//	go run ./examples/webhook
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/stripe/stripe-go/v82"
	"github.com/stripe/stripe-go/v82/webhook"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/store/memstore"
)

const secret = "whsec_demo" // what the provider signs with

type order struct{ Cents int64 }

type receipt struct{ ID string }

// charges are the shop's payments.
type charges = idempotency.Wrapper[order, receipt]

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	// The shop's side: the calls, and where it listens.
	var provider *httptest.Server
	told := make(chan struct{})
	tell := sync.OnceFunc(func() { close(told) }) // a store without transactions may have it told again
	client := &http.Client{Transport: &idemhttp.Transport{Provider: idemhttp.Stripe(), Base: &http.Transport{}}}
	defer client.CloseIdleConnections()
	paying, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[order, receipt]{
		Name: "charge", Namespace: "webhook-demo",
		Send: idemhttp.Send(func(ctx context.Context, a idempotency.Attempt, o order) (receipt, error) {
			return charge(ctx, client, provider.URL, a, o)
		}),
		Timeout: 3 * time.Second,
		OnSettled: func(_ context.Context, s idempotency.Settled[order, receipt]) error {
			_, _ = fmt.Fprintf(out, "%s's %s is %s: the customer is told, the goods are sent\n", s.Scope, s.Key, s.State)
			tell()
			return nil
		},
	})
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- paying.Run(ctx) }() // finishes what nobody waits for, and tells what was settled
	defer func() { err = errors.Join(err, paying.Close(context.WithoutCancel(ctx)), <-running) }()
	left := make(chan struct{}) // closed when the customer has been answered: the story is told in this order on a slow machine too
	shop := httptest.NewServer(after(left, hook(paying, out)))
	defer shop.Close()

	// The provider's.
	bank, err := fakepay.New(fakepay.Config{
		Faults:  []fakepay.Fault{{Kind: fakepay.ReplyLate, Rate: 1, Delay: 30 * time.Second}},
		Webhook: fakepay.Webhook{URL: shop.URL, Secret: secret, Delay: fakepay.Latency{P50: 1500 * time.Millisecond}},
	})
	if err != nil {
		return err
	}
	provider = httptest.NewServer(bank)
	defer provider.Close()
	defer func() { err = errors.Join(err, bank.Close(context.WithoutCancel(ctx))) }()

	// Nobody answers in time. It may have happened or not, so it is not sent again: whatever comes next, the customer does not pay twice.
	_, err = paying.For("ada").Do(ctx, "payment-1", order{49_90})
	var unknown *idempotency.UnknownError
	if !errors.As(err, &unknown) {
		return fmt.Errorf("the outcome should be unknown: %w", err)
	}
	_, _ = fmt.Fprintln(out, "the customer reads: we are checking your payment, please do not pay again")
	close(left)

	select {
	case <-told:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	res, err := paying.For("ada").Do(ctx, "payment-1", order{49_90}) // from an old tab, say
	if err != nil {
		return err
	}
	t := bank.Ledger().Totals
	_, _ = fmt.Fprintf(out, "asked again: paid, replayed: %t; the bank has seen %d request and made %d charge\n", res.Replayed, t.Attempts[fakepay.OpCharge], t.Charges)
	return nil
}

// charge makes one attempt. The metadata leads the webhook back to the call.
func charge(ctx context.Context, client *http.Client, url string, a idempotency.Attempt, o order) (receipt, error) {
	api := stripe.NewClient("sk_test_demo", stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL: &url, HTTPClient: client,
		MaxNetworkRetries: stripe.Int64(0), // one layer owns the retries
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
	})))
	intent, err := api.V1PaymentIntents.Create(ctx, &stripe.PaymentIntentCreateParams{
		Amount: &o.Cents, Currency: stripe.String("eur"), PaymentMethod: stripe.String("pm_card_visa"), Confirm: stripe.Bool(true),
		PaymentMethodTypes: []*string{stripe.String("card")}, Metadata: map[string]string{"scope": a.Scope, "id": a.ID},
	})
	if err != nil {
		return receipt{}, err
	}
	return receipt{intent.ID}, nil
}

// after keeps requests waiting until the channel is closed.
func after(open <-chan struct{}, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-open:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// hook takes the provider's events. Whatever it cannot take down now it leaves to the provider, which sends it again.
func hook(paying *charges, out io.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, "the event broke off, or is too large", http.StatusBadRequest)
			return
		}
		event, err := webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), secret)
		var intent stripe.PaymentIntent
		if err != nil || json.Unmarshal(event.Data.Raw, &intent) != nil {
			http.Error(w, "this is no event of the provider", http.StatusBadRequest)
			return
		}
		scope, id := intent.Metadata["scope"], intent.Metadata["id"]
		if event.Type != stripe.EventTypePaymentIntentSucceeded || id == "" { // "failed" may speak of an earlier attempt: a reason to ask, no answer
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = fmt.Fprintf(out, "the webhook says %s\n", event.Type)
		_, err = paying.For(scope).Settle(r.Context(), id, idempotency.Happened(receipt{intent.ID}))
		if err != nil && !errors.Is(err, idempotency.ErrNoRecord) && !errors.Is(err, idempotency.ErrConflict) { // those would stay: hooks are told of them
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
