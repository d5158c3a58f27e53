// Command quickstart is the README's code with a provider to try it on: one payment that loses its first answer, and its
// replay.
//
//	go run ./examples/quickstart
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/store/memstore"
)

type order struct {
	ID    string
	Cents int64
	Card  string
}

type receipt struct {
	ID string `json:"id"`
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	provider, bank, stop, err := openBank()
	if err != nil {
		return err
	}
	defer stop()

	// What the call is, and what its provider promises.
	charges, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[order, receipt]{
		Name:      "charge",
		Send:      bank.Charge,
		Namespace: "quickstart",
		KeyLife:   fakepay.DefaultKeyLife, // how long the provider remembers a key
		Lookup:    bank.FindCharge,        // how to ask it what happened, after that
		Settling:  time.Minute,            // how long after a sending it may still take effect
		Timeout:   8 * time.Second,        // of one attempt
		Breaker:   breaker.New(breaker.Config{}),
	})
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- charges.Run(ctx) }() // finishes what its callers did not wait for

	// The key is made with the order, and stored there: however often this order is paid, it is one payment.
	o := order{ID: "order-1", Cents: 49_90, Card: "tok_visa"}
	paymentKey := idempotency.NewKey()
	for range 2 {
		if err := pay(ctx, charges.For("customer-1"), paymentKey, o); err != nil {
			return err
		}
	}

	t := provider.Ledger().Totals
	fmt.Printf("the bank saw %d requests and made %d charge: %d cents\n", t.Attempts[fakepay.OpCharge], t.Charges, t.NetCents)
	return errors.Join(charges.Close(ctx), <-running)
}

func pay(ctx context.Context, charges *idempotency.Wrapper[order, receipt], key string, o order) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // how long this caller waits; the call itself goes on
	defer cancel()
	res, err := charges.Do(ctx, key, o)
	var no *idempotency.Rejection
	switch {
	case err == nil:
		fmt.Printf("paid: %s after %d attempts, replayed: %t\n", res.Value.ID, res.Attempts, res.Replayed)
	case errors.As(err, &no):
		fmt.Println("declined:", no.Code, "(another card is safe, with a new key)")
	case errors.Is(err, idempotency.ErrNotSent):
		fmt.Println("nothing was sent: try again with the same key")
	default:
		fmt.Println("still checking, do not pay again:", err)
		return err
	}
	return nil
}

// bank is a client of the provider.
type bank struct{ url string }

// Charge makes one attempt. Its error says what is certain; whatever is not marked counts as unknown.
func (b bank) Charge(ctx context.Context, a idempotency.Attempt, o order) (r receipt, err error) {
	body, err := json.Marshal(fakepay.ChargeRequest{AmountCents: o.Cents, Currency: "eur", Source: o.Card, Reference: o.ID})
	if err != nil {
		return r, idempotency.NotSent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/charges", bytes.NewReader(body))
	if err != nil {
		return r, idempotency.NotSent(err)
	}
	req.Header.Set(fakepay.KeyHeader, a.Key)
	req.GetBody = nil // or net/http sends a POST with this header again by itself when its connection dies
	var reply struct {
		receipt
		fakepay.ErrorBody
	}
	switch status, err := send(req, &reply); {
	case err != nil:
		return r, err
	case status == http.StatusCreated && reply.ID != "":
		return reply.receipt, nil
	case status == http.StatusPaymentRequired && reply.Error != nil && reply.Error.ChargeID != "":
		return r, idempotency.Rejected(reply.Error.Code, reply.Error)
	default: // also what a proxy says in the bank's place
		return r, fmt.Errorf("the bank answered %d", status)
	}
}

// FindCharge asks what became of a charge.
func (b bank) FindCharge(ctx context.Context, a idempotency.Attempt, _ order) (v idempotency.Verdict[receipt], err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/charges?key="+url.QueryEscape(a.Key), http.NoBody)
	if err != nil {
		return v, err
	}
	var found struct{ Charges []fakepay.Charge }
	switch status, err := send(req, &found); {
	case err != nil:
		return v, err
	case status != http.StatusOK:
		return v, fmt.Errorf("the bank answered %d", status)
	case found.Charges == nil: // not the bank's own words
		return v, errors.New("the bank's answer has no list of charges")
	case len(found.Charges) == 0:
		return idempotency.DidNotHappen[receipt](), nil
	case found.Charges[0].Status == fakepay.Succeeded:
		return idempotency.Happened(receipt{ID: found.Charges[0].ID}), nil
	}
	return idempotency.DontKnow[receipt](), nil
}

func send(req *http.Request, reply any) (status int, err error) {
	res, err := http.DefaultTransport.RoundTrip(req) // the context bounds it
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode, json.NewDecoder(res.Body).Decode(reply)
}

// openBank starts a payment provider on a free port. The reply to the first request for order-1 is lost, after the card
// was charged.
func openBank() (provider *fakepay.Server, client bank, stop func(), err error) {
	provider, err = fakepay.New(fakepay.Config{
		Latency: fakepay.Latency{P50: 100 * time.Millisecond},
		Scripts: map[string][]fakepay.Fault{"order-1": {{Kind: fakepay.ReplyLost}}},
	})
	if err != nil {
		return nil, bank{}, nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, bank{}, nil, err
	}
	server := &http.Server{Handler: provider, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ErrServerClosed, after stop
	}()
	return provider, bank{"http://" + listener.Addr().String()}, func() {
		_ = server.Close()
		<-served
	}, nil
}
