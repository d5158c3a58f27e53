// A user's program, compiled and run against the published form of the module, with README's code beside it: see .ci/run.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	sent := 0
	charges, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[Order, Receipt]{
		Name: "charge",
		Send: func(_ context.Context, a idempotency.Attempt, _ Order) (Receipt, error) {
			sent++
			if sent == 1 {
				return Receipt{}, errors.New("the reply was lost")
			}
			return Receipt{ID: "ch_1 for " + a.Key}, nil
		},
		Namespace: "shop-ci",
		KeyLife:   24 * time.Hour,
		Retry:     retry.Policy{Initial: time.Millisecond},
		Breaker:   breaker.New(breaker.Config{}),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 2 {
		res, err := charges.For("customer-1").Do(ctx, "payment-1", Order{Cents: 4999})
		if err != nil {
			return err
		}
		fmt.Println(res.Value.ID, "replayed:", res.Replayed, "sent:", sent)
	}
	if sent != 2 {
		return fmt.Errorf("sent %d times, want 2: once lost, once answered, and the second Do replays", sent)
	}
	if err := charges.Close(ctx); err != nil {
		return err
	}
	return readme(ctx, memstore.New(memstore.Config{}), bank{}, Order{Customer: "customer-1", PaymentKey: idempotency.NewKey(), Cents: 4999})
}
