package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/breaker"
)

func Example() {
	b := breaker.New(breaker.Config{Name: "payments", MinCalls: 3})
	for range 3 {
		_, err := breaker.Do(context.Background(), b, func(context.Context) (string, error) {
			return "", errors.New("503 Service Unavailable")
		})
		fmt.Println(err)
	}
	_, err := breaker.Do(context.Background(), b, func(context.Context) (string, error) {
		panic("not reached")
	})
	fmt.Println(errors.Is(err, breaker.ErrOpen), b.State())
	// Output:
	// 503 Service Unavailable
	// 503 Service Unavailable
	// 503 Service Unavailable
	// true open
}

func ExampleBreaker_Allow() {
	b := breaker.New(breaker.Config{})
	done, err := b.Allow()
	if err != nil {
		fmt.Println("not sent:", err)
		return
	}
	defer done(errors.New("panicked")) // counts only if the next one is not reached
	done(nil)
	_, counts := b.Snapshot()
	fmt.Printf("%+v\n", counts)
	// Output: {Calls:1 Failures:0 Slow:0}
}

func ExampleConfig_counts() {
	errDeclined := errors.New("card declined")
	b := breaker.New(breaker.Config{
		LastCalls:   20,
		FailureRate: 0.25,
		SlowCall:    2 * time.Second,
		Counts:      func(err error) bool { return !errors.Is(err, errDeclined) },
	})
	for range 20 {
		_, _ = breaker.Do(context.Background(), b, func(context.Context) (string, error) { return "", errDeclined })
	}
	fmt.Println(b.State())
	// Output: closed
}

func ExampleConfig_Validate() {
	fmt.Println(breaker.Config{FailureRate: 50}.Validate())
	// Output: breaker: Config.FailureRate is 50: give a share above 0 and at most 1, or 0 for 0.5
}

func ExampleOpenError() {
	b := breaker.New(breaker.Config{Name: "payments", OpenFor: time.Minute})
	b.Trip()
	_, err := b.Allow()
	var open *breaker.OpenError
	if errors.As(err, &open) {
		fmt.Println(open.Name, "may be tried again within a minute:", open.RetryAfter() <= time.Minute)
	}
	// Output: payments may be tried again within a minute: true
}

func ExampleSet() {
	hosts := breaker.NewSet[string](breaker.Config{}, 1000)
	hosts.Get("eu.example.com").Trip()
	fmt.Println(hosts.Get("eu.example.com").State(), hosts.Get("us.example.com").State())
	// Output: open closed
}
