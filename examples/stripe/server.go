package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stripe/stripe-go/v82"
	"golang.org/x/sync/errgroup"

	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// Served is what a server of ours saw of Stripe's client.
type Served struct {
	Paid     int `json:"paid"`     // payments, as the client was told
	Requests int `json:"requests"` // as they arrived
	Executed int `json:"executed"` // by the handler
	Replayed int `json:"replayed"`
}

// payAtServer pays at a server with idemhttp.Handler, which loses answers: some before and some after the handler has run.
func payAtServer(ctx context.Context, o options) (s Served, err error) {
	var requests, executed, replayed atomic.Int32
	payments := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := executed.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":"pi_%d","object":"payment_intent","amount":4990,"status":"succeeded"}`, n)
	})
	var background sync.WaitGroup
	idempotent, err := idemhttp.Handler(memstore.New(memstore.Config{}), idemhttp.Config{
		Name: "payments", Principal: idemhttp.SingleTenant("demo"), Background: &background,
		Bare: true, // stripe-go sends its key without quotes
	})
	if err != nil {
		return s, err
	}
	inner := idempotent(payments)
	url, stop, err := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dice := rand.New(rand.NewPCG(o.seed, uint64(requests.Add(1)))).Float64()
		if dice < o.faults/2 {
			panic(http.ErrAbortHandler) // the request is lost
		}
		if dice < o.faults {
			inner.ServeHTTP(discard{http.Header{}}, r)
			panic(http.ErrAbortHandler) // its answer is
		}
		inner.ServeHTTP(w, r)
		if w.Header().Get("Idempotent-Replayed") == "true" {
			replayed.Add(1)
		}
	}))
	if err != nil {
		return s, err
	}
	defer func() {
		err = errors.Join(err, stop())
		background.Wait()
	}()

	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	defer transport.CloseIdleConnections()
	const retries = 20 // of which the first few do, nearly always
	api := stripe.NewClient("sk_test_server", stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL: &url, HTTPClient: &http.Client{Transport: transport, Timeout: 10 * time.Second},
		MaxNetworkRetries: stripe.Int64(retries), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})))
	var paid atomic.Int32
	all, paying := errgroup.WithContext(ctx)
	all.SetLimit(o.atOnce)
	for i := range o.payments {
		all.Go(func() error {
			intent, err := api.V1PaymentIntents.Create(paying, &stripe.PaymentIntentCreateParams{
				Amount: stripe.Int64(4990), Currency: stripe.String("eur"), Metadata: map[string]string{"order_id": orderName(i)},
			})
			if err == nil && intent.Status == stripe.PaymentIntentStatusSucceeded {
				paid.Add(1)
			}
			return paying.Err()
		})
	}
	err = all.Wait()
	return Served{Paid: int(paid.Load()), Requests: int(requests.Load()), Executed: int(executed.Load()), Replayed: int(replayed.Load())}, err
}

// discard is a client that has gone.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
