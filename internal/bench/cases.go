package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/sony/gobreaker/v2"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

const (
	modBackoff   = "github.com/cenkalti/backoff/v4"
	modGobreaker = "github.com/sony/gobreaker/v2"
	modFailsafe  = "github.com/failsafe-go/failsafe-go"
)

var errDown = errors.New("down")

// must stops a measurement that measures nothing: a call that was expected to succeed did not.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: a call under measurement failed:", err)
		os.Exit(2)
	}
}

func contests() []contest {
	return []contest{
		{
			name: "retry: success at once", maxRatio: 0.5, maxAllocs: 0,
			ours: oursRetry,
			peer: peerRetry, what: "backoff/v4, fresh policy", modules: []string{modBackoff},
		},
		{
			name: "breaker: closed, time window", maxRatio: 0.6, maxAllocs: 0,
			ours: oursClosed(serial),
			peer: peerClosed(serial), what: "gobreaker v2, rolling window", modules: []string{modGobreaker},
		},
		{
			name: "breaker: closed, in parallel", scales: true, maxAllocs: 0,
			ours: oursClosed(parallel),
			peer: peerClosed(parallel), what: "gobreaker v2, rolling window", modules: []string{modGobreaker},
		},
		{
			name: "breaker: open", maxRatio: 0.5, maxAllocs: 0,
			ours: oursOpen,
			peer: peerOpen, what: "gobreaker v2", modules: []string{modGobreaker},
		},
		{
			name: "retry + breaker + timeout", maxRatio: 0.55, maxAllocs: 6,
			ours: oursComposed,
			peer: peerComposed, what: "failsafe-go", modules: []string{modFailsafe},
		},
		{
			name: "replay, raw codec", maxNs: 300, maxAllocs: 2,
			ours: replay(wrapped[[]byte](idempotency.Raw, rawReceipt), rawOrder),
			peer: replay(handmadeRaw, rawOrder), what: handmadeIs, modules: handmadeOf,
		},
		{
			name: "fresh call, raw codec", maxNs: 4000, maxAllocs: 25,
			ours: fresh(wrapped[[]byte](idempotency.Raw, rawReceipt), rawOrder),
			peer: fresh(handmadeRaw, rawOrder), what: handmadeIs, modules: handmadeOf,
		},
		{
			name: "fresh call, JSON", maxNs: 6000, maxAllocs: 35,
			ours: fresh(wrapped[order](idempotency.JSON, aReceipt), anOrder),
			peer: fresh(handmadeJSON, anOrder), what: handmadeIs, modules: handmadeOf,
		},
	}
}

// The function that is called: it returns at once, and cannot be optimised away since it is called through a variable.
var answer = func(context.Context) (int, error) { return 42, nil }

func oursRetry(int) (func(int), func()) {
	ctx := context.Background()
	return serial(func() {
		_, err := retry.Do(ctx, retry.Policy{}, answer)
		must(err)
	}), nil
}

// backoff/v4's values keep state, so each call needs one of its own.
func peerRetry(int) (func(int), func()) {
	op := func() (int, error) { return answer(context.Background()) }
	return serial(func() {
		_, err := backoff.RetryWithData(op, backoff.NewExponentialBackOff())
		must(err)
	}), nil
}

func oursClosed(spread func(func()) func(int)) side {
	return func(int) (func(int), func()) {
		ctx := context.Background()
		b := breaker.New(breaker.Config{Window: 10 * time.Second})
		return spread(func() {
			_, err := breaker.Do(ctx, b, answer)
			must(err)
		}), nil
	}
}

func peerClosed(spread func(func()) func(int)) side {
	return func(int) (func(int), func()) {
		op := func() (int, error) { return answer(context.Background()) }
		b := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second})
		return spread(func() {
			_, err := b.Execute(op)
			must(err)
		}), nil
	}
}

func oursOpen(int) (func(int), func()) {
	ctx := context.Background()
	b := breaker.New(breaker.Config{Window: 10 * time.Second, OpenFor: time.Hour})
	b.Trip()
	return serial(func() {
		if _, err := breaker.Do(ctx, b, answer); err == nil {
			must(errors.New("an open breaker let a call through"))
		}
	}), nil
}

func peerOpen(int) (func(int), func()) {
	op := func() (int, error) { return answer(context.Background()) }
	b := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{
		Interval: 10 * time.Second, BucketPeriod: time.Second, Timeout: time.Hour,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.TotalFailures > 0 },
	})
	if _, err := b.Execute(func() (int, error) { return 0, errDown }); !errors.Is(err, errDown) {
		must(errors.New("the peer's breaker did not trip"))
	}
	return serial(func() {
		if _, err := b.Execute(op); err == nil {
			must(errors.New("an open breaker let a call through"))
		}
	}), nil
}

func oursComposed(int) (func(int), func()) {
	ctx := context.Background()
	b := breaker.New(breaker.Config{Window: 10 * time.Second})
	limited := func(ctx context.Context) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return answer(ctx)
	}
	attempt := func(ctx context.Context) (int, error) { return breaker.Do(ctx, b, limited) }
	return serial(func() {
		_, err := retry.Do(ctx, retry.Policy{}, attempt)
		must(err)
	}), nil
}

func peerComposed(int) (func(int), func()) {
	ctx := context.Background()
	all := failsafe.With[int](
		retrypolicy.NewBuilder[int]().WithBackoff(100*time.Millisecond, 10*time.Second).WithJitterFactor(0.5).Build(),
		circuitbreaker.NewBuilder[int]().WithFailureRateThreshold(0.5, 10, 10*time.Second).Build(),
		timeout.New[int](time.Minute),
	)
	op := func(e failsafe.Execution[int]) (int, error) { return answer(e.Context()) }
	return serial(func() {
		_, err := all.WithContext(ctx).GetWithExecution(op)
		must(err)
	}), nil
}
