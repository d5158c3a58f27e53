package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

type exampleOrder struct {
	Number string
	Cents  int
}

type exampleReceipt struct{ ID string }

// exampleCharges is what the examples have in common: a bank that remembers keys for a day, and charges everybody.
func exampleCharges(change func(*idempotency.Call[exampleOrder, exampleReceipt])) *idempotency.Wrapper[exampleOrder, exampleReceipt] {
	call := idempotency.Call[exampleOrder, exampleReceipt]{
		Name:      "charge",
		Namespace: "example",
		KeyLife:   24 * time.Hour,
		Send: func(_ context.Context, _ idempotency.Attempt, o exampleOrder) (exampleReceipt, error) {
			fmt.Println("the bank charges", o.Cents)
			return exampleReceipt{ID: "receipt of " + o.Number}, nil
		},
	}
	if change != nil {
		change(&call)
	}
	w, err := idempotency.Wrap(memstore.New(memstore.Config{}), call)
	if err != nil {
		panic(err)
	}
	return w
}

func ExampleWrapper_Do() {
	charges := exampleCharges(nil)
	defer func() { _ = charges.Close(context.Background()) }()

	order := exampleOrder{Number: "o-1", Cents: 4200}
	key := idempotency.KeyFrom("payment", order.Number) // made with the order, stored with it
	for range 2 {
		res, err := charges.For("customer-7").Do(context.Background(), key, order)
		fmt.Println(res.Value.ID, "replayed:", res.Replayed, err)
	}
	// Output:
	// the bank charges 4200
	// receipt of o-1 replayed: false <nil>
	// receipt of o-1 replayed: true <nil>
}

// What a failure of Send means is said by the error that it returns.
func ExampleRejected() {
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.Send = func(context.Context, idempotency.Attempt, exampleOrder) (exampleReceipt, error) {
			return exampleReceipt{}, idempotency.Rejected("card_declined", errors.New("the card has expired"))
		}
	})
	defer func() { _ = charges.Close(context.Background()) }()

	_, err := charges.Do(context.Background(), "k-1", exampleOrder{Number: "o-2"})
	var no *idempotency.Rejection
	fmt.Println(errors.As(err, &no), no.Code)
	// Output: true card_declined
}

// An error that nobody marked leaves the outcome unknown. Here the bank neither remembers keys nor can be asked, so that
// only a person can find out.
func ExampleWrapper_Settle() {
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.KeyLife = 0
		c.Send = func(context.Context, idempotency.Attempt, exampleOrder) (exampleReceipt, error) {
			return exampleReceipt{}, errors.New("connection reset")
		}
	})
	defer func() { _ = charges.Close(context.Background()) }()

	ctx, order := context.Background(), exampleOrder{Number: "o-3"}
	_, err := charges.Do(ctx, "k-1", order)
	var unknown *idempotency.UnknownError
	fmt.Println("unknown:", errors.As(err, &unknown))

	_, err = charges.Settle(ctx, "k-1", idempotency.Happened(exampleReceipt{ID: "found by telephone"}))
	fmt.Println("settled:", err)

	res, err := charges.Do(ctx, "k-1", order)
	fmt.Println(res.Value.ID, err)
	// Output:
	// unknown: true
	// settled: <nil>
	// found by telephone <nil>
}

// Start commits to a call; Run, in any process, makes it.
func ExampleWrapper_Start() {
	done := make(chan struct{})
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.OnSettled = func(_ context.Context, s idempotency.Settled[exampleOrder, exampleReceipt]) error {
			fmt.Println(s.In.Number, "is", s.State)
			close(done)
			return nil
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = charges.Run(ctx) }()

	status, err := charges.Start(ctx, "k-1", exampleOrder{Number: "o-4", Cents: 100})
	fmt.Println(status.State, err)
	<-done
	_ = charges.Close(ctx)
	// Unordered output:
	// scheduled <nil>
	// the bank charges 100
	// o-4 is succeeded
}

// Cancel closes a key for good, also one that nobody has used yet.
func ExampleWrapper_Cancel() {
	charges := exampleCharges(nil)
	defer func() { _ = charges.Close(context.Background()) }()

	status, err := charges.Cancel(context.Background(), "k-1")
	fmt.Println(status.State, err)
	_, err = charges.Do(context.Background(), "k-1", exampleOrder{Number: "o-5"})
	fmt.Println(errors.Is(err, idempotency.ErrCancelled))
	// Output:
	// cancelled <nil>
	// true
}

// Reconcile finds what only one side knows of.
func ExampleWrapper_Reconcile() {
	charges := exampleCharges(nil)
	defer func() { _ = charges.Close(context.Background()) }()

	ctx := context.Background()
	if _, err := charges.Do(ctx, "k-1", exampleOrder{Number: "o-6", Cents: 100}); err != nil {
		panic(err)
	}
	list := []idempotency.Entry{{Key: "k-2", Ref: "ch_9", Happened: true, Time: time.Now()}}
	for d, err := range charges.Reconcile(ctx, idempotency.Reconciliation{
		From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour),
		Entries: func(yield func(idempotency.Entry, error) bool) {
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
		},
	}) {
		fmt.Println(d.Key, "is", d.Kind, err)
	}
	// Output:
	// the bank charges 100
	// k-1 is missing at the provider <nil>
	// k-2 is missing here <nil>
}
