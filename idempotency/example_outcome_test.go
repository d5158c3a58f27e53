package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// A bank that can be asked: the answer is lost, and found again.
func ExampleCall_lookup() {
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.KeyLife = 0 // it does not remember keys
		c.Settling = time.Minute
		c.Retry = retry.Policy{Initial: time.Millisecond}
		c.Send = func(context.Context, idempotency.Attempt, exampleOrder) (exampleReceipt, error) {
			fmt.Println("the bank charges, and its answer is lost")
			return exampleReceipt{}, errors.New("connection reset")
		}
		c.Lookup = func(_ context.Context, a idempotency.Attempt, _ exampleOrder) (idempotency.Verdict[exampleReceipt], error) {
			fmt.Println("the bank is asked about", a.ID)
			return idempotency.Happened(exampleReceipt{ID: "ch_1"}), nil
		}
	})
	defer func() { _ = charges.Close(context.Background()) }()

	res, err := charges.Do(context.Background(), "order-7", exampleOrder{Number: "o-7"})
	fmt.Println(res.Value.ID, err)
	// Output:
	// the bank charges, and its answer is lost
	// the bank is asked about order-7
	// ch_1 <nil>
}

// What certainly had no effect is tried again, after the time that the provider asks for.
func ExampleNotSent() {
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.Send = func(_ context.Context, a idempotency.Attempt, _ exampleOrder) (exampleReceipt, error) {
			if a.Number == 1 {
				return exampleReceipt{}, idempotency.NotSent(retry.After(time.Millisecond, errors.New("429 Too Many Requests")))
			}
			return exampleReceipt{ID: fmt.Sprint("charged by attempt ", a.Number)}, nil
		}
	})
	defer func() { _ = charges.Close(context.Background()) }()

	res, err := charges.Do(context.Background(), "k-1", exampleOrder{Number: "o-8"})
	fmt.Println(res.Value.ID, err)
	// Output: charged by attempt 2 <nil>
}

// A provider that has accepted a call, and decides later, is asked by its own number for it: by Run or, here, by Recover.
func ExampleAccepted() {
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.Settling = time.Minute
		c.Send = func(context.Context, idempotency.Attempt, exampleOrder) (exampleReceipt, error) {
			return exampleReceipt{}, idempotency.Accepted("ch_1", 0) // 202, "processing"
		}
		c.Lookup = func(_ context.Context, a idempotency.Attempt, _ exampleOrder) (idempotency.Verdict[exampleReceipt], error) {
			return idempotency.Happened(exampleReceipt{ID: "receipt of " + a.Ref}), nil
		}
	})
	defer func() { _ = charges.Close(context.Background()) }()

	ctx, order := context.Background(), exampleOrder{Number: "o-9"}
	_, err := charges.Do(ctx, "k-1", order)
	var pending *idempotency.PendingError
	fmt.Println(errors.As(err, &pending), pending.State)

	n, err := charges.Recover(ctx)
	fmt.Println(n, err)
	res, err := charges.Do(ctx, "k-1", order)
	fmt.Println(res.Value.ID, err)
	// Output:
	// true accepted
	// 1 <nil>
	// receipt of ch_1 <nil>
}

// A webhook says what became of a call that was accepted.
func ExampleDeclined() {
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.Send = func(context.Context, idempotency.Attempt, exampleOrder) (exampleReceipt, error) {
			return exampleReceipt{}, idempotency.Accepted("ch_1", 0)
		}
	})
	defer func() { _ = charges.Close(context.Background()) }()

	ctx, order := context.Background(), exampleOrder{Number: "o-10"}
	_, err := charges.Do(ctx, "k-1", order)
	var pending *idempotency.PendingError
	fmt.Println(errors.As(err, &pending), pending.State)

	_, err = charges.Settle(ctx, "k-1", idempotency.Declined[exampleReceipt]("insufficient_funds", nil).ForRef("ch_1"))
	fmt.Println(err)
	_, err = charges.Do(ctx, "k-1", order)
	var no *idempotency.Rejection
	fmt.Println(errors.As(err, &no), no.Code)
	// Output:
	// true accepted
	// <nil>
	// true insufficient_funds
}

// "It did not happen" counts as of what was seen before the provider was asked. The call may then be sent again.
func ExampleVerdict_AsOf() {
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.KeyLife, c.Settling = 0, time.Millisecond // a bank that loses requests, and hardly delays them
		c.Send = func(_ context.Context, a idempotency.Attempt, _ exampleOrder) (exampleReceipt, error) {
			if a.Number == 1 {
				return exampleReceipt{}, errors.New("timeout")
			}
			return exampleReceipt{ID: "ch_2"}, nil
		}
	})
	defer func() { _ = charges.Close(context.Background()) }()

	ctx, order := context.Background(), exampleOrder{Number: "o-11"}
	_, err := charges.Do(ctx, "k-1", order)
	var unknown *idempotency.UnknownError
	fmt.Println("unknown:", errors.As(err, &unknown))

	seen, err := charges.Status(ctx, "k-1")
	for err == nil && seen.LastSent < time.Millisecond { // too young to be judged
		seen, err = charges.Status(ctx, "k-1")
	}
	fmt.Println(seen.State, err)
	// Now somebody looks at the bank's own pages: there is no such charge.
	now, err := charges.Settle(ctx, "k-1", idempotency.DidNotHappen[exampleReceipt]().AsOf(seen))
	fmt.Println(now.State, err)

	res, err := charges.Do(ctx, "k-1", order)
	fmt.Println(res.Value.ID, err)
	// Output:
	// unknown: true
	// unknown <nil>
	// scheduled <nil>
	// ch_2 <nil>
}

// Do waits no longer than its context. The attempt goes on, and whoever asks with the same key gets what came of it.
func ExamplePendingError() {
	ctx, leave := context.WithCancel(context.Background())
	answered := make(chan struct{})
	charges := exampleCharges(func(c *idempotency.Call[exampleOrder, exampleReceipt]) {
		c.Send = func(context.Context, idempotency.Attempt, exampleOrder) (exampleReceipt, error) {
			leave() // the customer has waited long enough
			<-answered
			return exampleReceipt{ID: "ch_1"}, nil
		}
	})
	defer func() { _ = charges.Close(context.Background()) }()

	order := exampleOrder{Number: "o-12"}
	_, err := charges.Do(ctx, "k-1", order)
	var pending *idempotency.PendingError
	fmt.Println("still working on it:", errors.As(err, &pending))

	close(answered)
	res, err := charges.Do(context.Background(), "k-1", order)
	fmt.Println(res.Value.ID, err)
	// Output:
	// still working on it: true
	// ch_1 <nil>
}

// Marked tells what a provider's client has said already from what Send is still to judge.
func ExampleMarked() {
	fmt.Println(idempotency.Marked(idempotency.NotSent(errors.New("429 Too Many Requests"))))
	fmt.Println(idempotency.Marked(errors.New("400 Bad Request")))
	// Output:
	// true
	// false
}
