package fakepay_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// The first request of order-7 takes effect, but its answer is lost; what the client takes for a failure is a charge.
func Example() {
	provider, err := fakepay.New(fakepay.Config{
		Mode:    fakepay.Ask, // ignores keys
		Scripts: map[string][]fakepay.Fault{"order-7": {{Kind: fakepay.ReplyLost}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(provider)
	defer server.Close()
	defer func() { _ = provider.Close(context.Background()) }()

	for range 2 {
		body := strings.NewReader(`{"amount_cents": 4200, "currency": "eur", "source": "tok_visa", "reference": "order-7"}`)
		resp, err := http.Post(server.URL+"/charges", "application/json", body)
		if err != nil {
			fmt.Println("no answer: the shop tries again")
			continue
		}
		fmt.Println(resp.Status)
		_ = resp.Body.Close()
	}
	_ = provider.Quiesce(context.Background()) // nothing under way: the ledger is final
	bill := provider.Ledger().For("order-7")
	fmt.Println(bill.Totals.Charges, "charges,", bill.Totals.NetCents, "cents")
	for _, a := range bill.Attempts {
		fmt.Println(a.N, a.Fault, a.Effect, a.Delivered)
	}
	// Output:
	// no answer: the shop tries again
	// 201 Created
	// 2 charges, 8400 cents
	// 1 reply_lost true false
	// 2 none true true
}
