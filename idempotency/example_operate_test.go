package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// Recover makes one pass over what is due: what was started, what a process left behind when it crashed, what is unknown.
// A service lets Run do that, again and again.
func ExampleWrapper_Recover() {
	charges := exampleCharges(nil)
	defer func() { _ = charges.Close(context.Background()) }()

	ctx := context.Background()
	for n := range 2 {
		if _, err := charges.Start(ctx, fmt.Sprint("k-", n), exampleOrder{Cents: 100}); err != nil {
			panic(err)
		}
	}
	n, err := charges.Recover(ctx)
	fmt.Println(n, "calls,", err)
	// Output:
	// the bank charges 100
	// the bank charges 100
	// 2 calls, <nil>
}

// List shows what nobody knows yet.
func ExampleWrapper_List() {
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.KeyLife = 0
		c.Send = func(context.Context, idempotency.Attempt, exampleOrder) (exampleReceipt, error) {
			return exampleReceipt{}, errors.New("gateway timeout")
		}
	})
	defer func() { _ = charges.Close(context.Background()) }()

	ctx := context.Background()
	_, _ = charges.For("customer-7").Do(ctx, "order-1", exampleOrder{Number: "o-1"})
	list, err := charges.List(ctx, idempotency.Query{States: idempotency.Unresolved(), OldestFirst: true, N: 100})
	for _, s := range list {
		fmt.Println(s.Scope, s.Key, s.State, s.Message)
	}
	fmt.Println(err)
	// Output:
	// customer-7 order-1 unknown gateway timeout
	// <nil>
}

// For keeps customers apart: the same key of another one is another call.
func ExampleWrapper_For() {
	charges := exampleCharges(nil)
	defer func() { _ = charges.Close(context.Background()) }()

	ctx := context.Background()
	for _, customer := range []string{"customer-7", "customer-8"} {
		res, err := charges.For(customer).Do(ctx, "order-1", exampleOrder{Number: "order-1 of " + customer, Cents: 100})
		fmt.Println(res.Value.ID, err)
	}
	// Output:
	// the bank charges 100
	// receipt of order-1 of customer-7 <nil>
	// the bank charges 100
	// receipt of order-1 of customer-8 <nil>
}

// Status says where a call stands, and changes nothing.
func ExampleWrapper_Status() {
	charges := exampleCharges(nil)
	defer func() { _ = charges.Close(context.Background()) }()

	ctx := context.Background()
	if _, err := charges.Start(ctx, "k-1", exampleOrder{}); err != nil {
		panic(err)
	}
	status, err := charges.Status(ctx, "k-1")
	fmt.Println(status.State, status.Attempts, err)
	_, err = charges.Status(ctx, "k-2")
	fmt.Println(errors.Is(err, idempotency.ErrNoRecord))
	// Output:
	// scheduled 0 <nil>
	// true
}

// Fingerprint leaves out what may differ between two submissions of one form.
func ExampleCall_fingerprint() {
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.Fingerprint = func(o exampleOrder) any { return o.Cents }
	})
	defer func() { _ = charges.Close(context.Background()) }()

	ctx := context.Background()
	for _, o := range []exampleOrder{{"first", 100}, {"again", 100}, {"other", 200}} {
		res, err := charges.Do(ctx, "k-1", o)
		fmt.Println(res.Value.ID, res.Replayed, errors.Is(err, idempotency.ErrKeyReused))
	}
	// Output:
	// the bank charges 100
	// receipt of first false false
	// receipt of first true false
	//  false true
}

// Raw keeps bytes as they are, where requests and answers are encoded already.
func ExampleCodec() {
	echo, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[[]byte, []byte]{
		Name: "echo", Codec: idempotency.Raw,
		Send: func(_ context.Context, _ idempotency.Attempt, in []byte) ([]byte, error) { return in, nil },
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = echo.Close(context.Background()) }()

	res, err := echo.Do(context.Background(), "k-1", []byte("\x00\xff"))
	fmt.Printf("%q %v\n", res.Value, err)
	// Output: "\x00\xff" <nil>
}

// KeyFrom makes the same key of the same parts, in every process and for ever. NewKey makes a random one.
func ExampleKeyFrom() {
	fmt.Println(idempotency.KeyFrom("refund", "ch_1"))
	fmt.Println(idempotency.KeyFrom("refund", "ch_1") == idempotency.KeyFrom("refundch_", "1"))
	fmt.Println(len(idempotency.NewKey()))
	// Output:
	// a7f9c55b-7e01-5f73-8e34-444adefc64dd
	// false
	// 36
}

// Sub is for a second request within one attempt: it has a key of its own, which is the same in every attempt.
func ExampleAttempt_Sub() {
	confirm := ""
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.Send = func(_ context.Context, a idempotency.Attempt, _ exampleOrder) (exampleReceipt, error) {
			again := a.Sub("confirm") == confirm
			confirm = a.Sub("confirm")
			fmt.Println("attempt", a.Number, a.Key != confirm, again)
			if a.Number == 1 {
				return exampleReceipt{}, errors.New("timeout")
			}
			return exampleReceipt{}, nil
		}
	})
	defer func() { _ = charges.Close(context.Background()) }()

	_, err := charges.Do(context.Background(), "k-1", exampleOrder{})
	fmt.Println(err)
	// Output:
	// attempt 1 true false
	// attempt 2 true true
	// <nil>
}

// LogHooks tells a slog.Logger what happens. A service that counts sets fields of its own beside, or instead.
func ExampleLogHooks() {
	still := func(_ []string, a slog.Attr) slog.Attr { // times differ from run to run
		switch a.Key {
		case slog.TimeKey, "took", "age", "provider_key":
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: still}))
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.Hooks = idempotency.LogHooks(logger)
	})
	defer func() { _ = charges.Close(context.Background()) }()

	_, err := charges.For("customer-7").Do(context.Background(), "order-1", exampleOrder{Cents: 100})
	fmt.Println(err)
	// Output:
	// the bank charges 100
	// level=DEBUG msg=attempt operation=charge scope=customer-7 key=order-1 number=1 class=succeeded error=<nil>
	// level=INFO msg="call is succeeded" operation=charge scope=customer-7 key=order-1 attempts=1
	// <nil>
}
