package idemhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
	"github.com/steadfast-go/steadfast/store/memstore"
)

type (
	exampleOrder   struct{ Cents int }
	exampleReceipt struct{ ID string }
)

// A provider that declines what is above 100, and answers in Stripe's shape.
func exampleServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var o exampleOrder
		if json.NewDecoder(r.Body).Decode(&o) != nil || r.Header.Get("Idempotency-Key") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if o.Cents > 100_00 {
			w.WriteHeader(http.StatusPaymentRequired)
			_, _ = io.WriteString(w, `{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"Your card has insufficient funds."}}`)
			return
		}
		_, _ = io.WriteString(w, `{"ID":"pi_1","status":"succeeded"}`)
	}))
}

// A call over HTTP: the client knows the wire, Send knows the provider's types, and neither looks at a status.
func Example_client() {
	server := exampleServer()
	defer server.Close()

	stripe := idemhttp.Stripe()
	client := &http.Client{Transport: &idemhttp.Transport{Provider: stripe}}

	charges, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[exampleOrder, exampleReceipt]{
		Name: "charge", Namespace: "shop-example",
		KeyLife: stripe.KeyLife, KeyedErrors: stripe.KeyedErrors,
		Send: idemhttp.Send(func(ctx context.Context, a idempotency.Attempt, o exampleOrder) (r exampleReceipt, err error) {
			body, err := json.Marshal(o)
			if err != nil {
				return r, idempotency.NotSent(err)
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/payment_intents", strings.NewReader(string(body)))
			if err != nil {
				return r, idempotency.NotSent(err)
			}
			res, err := client.Do(req)
			if err != nil {
				return r, err
			}
			defer func() { _ = res.Body.Close() }()
			err = json.NewDecoder(res.Body).Decode(&r)
			return r, err
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	res, err := charges.Do(context.Background(), "order-1", exampleOrder{42_00})
	fmt.Println(res.Value.ID, err)

	_, err = charges.Do(context.Background(), "order-2", exampleOrder{420_00})
	var no *idempotency.Rejection
	fmt.Println(errors.As(err, &no), no.Code)
	// Output:
	// pi_1 <nil>
	// true insufficient_funds
}

// A provider of one's own: the header, what its answers mean, and what it stores.
func ExampleProvider() {
	bank := idemhttp.Provider{
		Name:    "Bank",
		Header:  "X-Request-Key",
		KeyLife: 12 * time.Hour,
		Codes:   []string{"error.code", "state"},
		Message: "error.text",
		Ref:     "payment.id",
		Answers: []idemhttp.Answer{
			{Status: http.StatusConflict, Code: "busy", Means: idemhttp.MeansInProgress},
			{Status: http.StatusUnprocessableEntity, Means: idemhttp.MeansRejected}, // if the bank's own code is in the answer
			{Status: http.StatusCreated, Code: "pending", Means: idemhttp.MeansAccepted},
		},
		Keyed: []string{"no_funds", "card_*"},
	}
	fmt.Println(bank.Validate())
	fmt.Println(bank.KeyedErrors(&idempotency.Rejection{Code: "card_expired"}), bank.KeyedErrors(&idempotency.Rejection{Code: "bad_iban"}))
	bank.Header = "X Request Key"
	fmt.Println(bank.Validate())
	// Output:
	// <nil>
	// true false
	// idemhttp: Provider.Header of "Bank" is "X Request Key": a header's name is made of letters, digits and dashes
}

// A request that has lost its context is refused: without the attempt's key it would be a second payment.
func ExampleTransport() {
	server := exampleServer()
	defer server.Close()
	client := &http.Client{Transport: &idemhttp.Transport{
		Provider: idemhttp.Stripe(),
		Breakers: breaker.NewSet[string](breaker.Config{}, 100), // one per host
	}}
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL, strings.NewReader(`{"Cents":100}`))
	_, err := client.Do(req) //nolint:bodyclose // there is no answer
	fmt.Println(strings.Contains(err.Error(), "the request was not sent: it would change something, and its context carries no attempt"))
	// Output: true
}

// Send turns what the transport saw into what the library asks for.
func ExampleSend() {
	server := exampleServer()
	server.Close() // nobody listens any more
	client := &http.Client{Transport: &idemhttp.Transport{}}

	send := idemhttp.Send(func(ctx context.Context, _ idempotency.Attempt, _ exampleOrder) (exampleReceipt, error) {
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("{}"))
		_, err := client.Do(req) //nolint:bodyclose // there is no answer
		if err != nil {
			err = errors.New("sdk: something went wrong") // SDKs do that
		}
		return exampleReceipt{}, err
	})
	charges, _ := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[exampleOrder, exampleReceipt]{Name: "charge", Send: send})
	_, err := charges.Do(context.Background(), "order-1", exampleOrder{42_00})
	fmt.Println(errors.Is(err, idempotency.ErrNotSent))
	// Output: true
}

// Sub gives a second request of the same attempt a key of its own.
func ExampleSub() {
	seen := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen[r.URL.Path] = r.Header.Get("Idempotency-Key") }))
	defer server.Close()
	client := &http.Client{Transport: &idemhttp.Transport{}}
	request := func(ctx context.Context, path string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path, http.NoBody)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err == nil {
			err = res.Body.Close()
		}
		return err
	}
	a := idempotency.Attempt{Key: "8e03978e-40d5-43dd-bc93-6894a57f9324"}
	_, err := idemhttp.Send(func(ctx context.Context, _ idempotency.Attempt, _ exampleOrder) (r exampleReceipt, err error) {
		if err = request(ctx, "/intents"); err == nil {
			err = request(idemhttp.Sub(ctx, "confirm"), "/intents/pi_1/confirm")
		}
		return r, err
	})(context.Background(), a, exampleOrder{})
	fmt.Println(err, seen["/intents"] == a.Key, seen["/intents/pi_1/confirm"] == a.Sub("confirm"))
	// Output: <nil> true true
}

// Aside is for requests that are no part of the call, such as the one that fetches a token.
func ExampleAside() {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Printf("%s, key %q\n", r.URL.Path, r.Header.Get("Idempotency-Key"))
	}))
	defer server.Close()
	client := &http.Client{Transport: &idemhttp.Transport{}}
	req, _ := http.NewRequestWithContext(idemhttp.Aside(context.Background()), http.MethodPost, server.URL+"/oauth/token", http.NoBody)
	if res, err := client.Do(req); err == nil {
		_ = res.Body.Close()
	}
	// Output: /oauth/token, key ""
}
