package retry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/steadfast-go/steadfast/retry"
)

func ExampleDo() {
	attempt := 0
	quote, err := retry.Do(context.Background(), retry.Policy{Initial: time.Millisecond}, func(context.Context) (string, error) {
		if attempt++; attempt < 3 {
			return "", errors.New("connection refused")
		}
		return "12.50 EUR", nil
	})
	fmt.Println(quote, err, "after", attempt, "attempts")
	// Output: 12.50 EUR <nil> after 3 attempts
}

func ExamplePermanent() {
	errCard := errors.New("no such card")
	_, err := retry.Do(context.Background(), retry.Policy{}, func(context.Context) (string, error) {
		return "", retry.Permanent(errCard)
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, errCard))
	// Output:
	// retry: attempt 1 failed for good: no such card
	// true
}

func ExampleAfter() {
	get := func(context.Context) (string, error) {
		res := &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3600"}}}
		err := fmt.Errorf("status %d", res.StatusCode)
		if d, ok := retry.ParseRetryAfter(res.Header.Get("Retry-After"), time.Now()); ok {
			err = retry.After(d, err)
		}
		return "", err
	}
	_, err := retry.Do(context.Background(), retry.Policy{}, get)
	fmt.Println(err)
	// Output: retry: attempt 1 failed, and the service asks for 1h0m0s, above Policy.Max, 10s: status 429
}

func ExampleParseRetryAfter() {
	now := time.Date(2026, time.July, 1, 12, 0, 0, 0, time.UTC)
	fmt.Println(retry.ParseRetryAfter("120", now))
	fmt.Println(retry.ParseRetryAfter("Wed, 01 Jul 2026 12:00:30 GMT", now))
	fmt.Println(retry.ParseRetryAfter("soon", now))
	// Output:
	// 2m0s true
	// 30s true
	// 0s false
}

func ExampleBudget() {
	// One for all calls to a service: in an outage it gets a tenth more requests, not four times as many.
	policy := retry.Policy{Initial: time.Microsecond, Budget: retry.NewBudget(0.1, 10)}
	requests := 0
	for range 1000 {
		_, _ = retry.Do(context.Background(), policy, func(context.Context) (int, error) {
			requests++
			return 0, errors.New("unavailable")
		})
	}
	fmt.Println(requests, "requests for 1000 calls")
	// Output: 1100 requests for 1000 calls
}

func ExamplePolicy_Schedule() {
	schedule := retry.Policy{Attempts: 3, Jitter: retry.NoJitter}.Schedule()
	for {
		delay, err := schedule.Next(errors.New("unavailable"))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("wait", delay)
	}
	// Output:
	// wait 200ms
	// wait 400ms
	// retry: attempt 3 of 3 failed: unavailable
}

func ExamplePolicy_Delay() {
	p := retry.Policy{Initial: time.Minute, Max: time.Hour, Jitter: retry.NoJitter}
	fmt.Println(p.Delay(1), p.Delay(3), p.Delay(100))
	// Output: 1m0s 4m0s 1h0m0s
}

func ExamplePolicy_Validate() {
	fmt.Println(retry.Policy{Multiplier: 0.5}.Validate())
	// Output: retry: Policy.Multiplier is 0.5: give a finite number of at least 1, or 0 for 2
}
