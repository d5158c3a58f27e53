// Package bank is the shop's client of its payment provider. It knows HTTP and the provider's promises, and turns every
// reply into what steadfast asks for: what is certain, and nothing else.
package bank

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/retry"
)

// What the provider promises. Look these up in your provider's documentation, and write down where.
const (
	// KeyLife is how long an Idempotency-Key is remembered.
	KeyLife = fakepay.DefaultKeyLife
	// Settling is how long after it was sent a request may still take effect.
	Settling = time.Minute
)

// codeInvalid is the code of a request that the provider refused before it looked at the key.
const codeInvalid = fakepay.CodeInvalid

// Payment is what a charge asks for. It is stored with the call: a card number must never be in it, only the provider's
// token for one.
type Payment struct {
	Order    string
	Cents    int64
	Currency string
	Card     string // the provider's token
}

// Receipt is what the shop keeps of a charge.
type Receipt struct {
	ChargeID string
	Cents    int64
}

// Client talks to the provider. It never retries: steadfast does, and knows when that is safe.
type Client struct {
	url  string
	http *http.Client
}

// New returns a client for the provider at a base URL.
func New(baseURL string) *Client {
	// No timeout here: Call.Timeout ends the context of an attempt. A transport of its own, so that Close can end its
	// connections and nobody else's.
	return &Client{url: baseURL, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Charge makes one attempt to take the money.
func (c *Client) Charge(ctx context.Context, a idempotency.Attempt, p Payment) (Receipt, error) {
	body, err := json.Marshal(fakepay.ChargeRequest{
		AmountCents: p.Cents, Currency: p.Currency, Source: p.Card, Reference: p.Order,
		Metadata: map[string]string{"scope": a.Scope, "id": a.ID}, // a webhook finds its way back by these
	})
	if err != nil {
		return Receipt{}, idempotency.NotSent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/charges", bytes.NewReader(body))
	if err != nil {
		return Receipt{}, idempotency.NotSent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(fakepay.KeyHeader, a.Key)
	// With an Idempotency-Key, net/http sends a POST again by itself when a kept-alive connection dies under it. The
	// attempts are ours to make and to count: without GetBody it cannot.
	req.GetBody = nil

	res, err := c.http.Do(req)
	if err != nil {
		return Receipt{}, err // sent or not, who knows: unknown
	}
	defer func() { _ = res.Body.Close() }()
	return c.read(res)
}

// read says what a reply means.
func (c *Client) read(res *http.Response) (Receipt, error) {
	switch res.StatusCode {
	case http.StatusCreated, http.StatusAccepted:
		var charge fakepay.Charge
		if err := json.NewDecoder(res.Body).Decode(&charge); err != nil {
			return Receipt{}, err // it broke off: unknown
		}
		if res.StatusCode == http.StatusAccepted {
			const firstLook = 5 * time.Second
			return Receipt{}, idempotency.Accepted(charge.ID, firstLook)
		}
		return receipt(charge), nil
	}

	refused := problem(res)
	var err error
	switch res.StatusCode {
	case http.StatusPaymentRequired, http.StatusBadRequest: // a definite no
		err = idempotency.Rejected(refused.Code, refused)
	case http.StatusTooManyRequests: // documented as "no effect"
		err = idempotency.NotSent(later(res, refused))
	default:
		// 409 (the first request with this key is still at work), 5xx, and whatever nobody thought of: unknown. The same
		// key will find out.
		err = later(res, refused)
	}
	if res.Header.Get(fakepay.ReplayedHeader) != "" {
		err = idempotency.Replayed(err)
	}
	return Receipt{}, err
}

// StoredByKey is for Call.KeyedErrors: declines are stored under the key and replayed, so a decline is the answer to every
// request that was sent with it. A malformed request is refused before the key is looked at.
func StoredByKey(no *idempotency.Rejection) bool { return no.Code != codeInvalid }

// FindCharge asks what became of a charge: by the provider's id for it, or by the key.
func (c *Client) FindCharge(ctx context.Context, a idempotency.Attempt, _ Payment) (idempotency.Verdict[Receipt], error) {
	charges, err := c.find(ctx, a)
	if err != nil {
		return idempotency.DontKnow[Receipt](), err
	}
	verdict := idempotency.DidNotHappen[Receipt]()
	for _, charge := range charges {
		switch charge.Status {
		case fakepay.Processing:
			const nextLook = 5 * time.Second
			return idempotency.StillPending[Receipt](nextLook), nil
		case fakepay.Declined:
			verdict = idempotency.Declined[Receipt](charge.Code, nil)
		default:
			return idempotency.Happened(receipt(charge)), nil
		}
	}
	return verdict, nil
}

func (c *Client) find(ctx context.Context, a idempotency.Attempt) ([]fakepay.Charge, error) {
	if a.Ref != "" {
		charge, err := get[fakepay.Charge](ctx, c, "/charges/"+url.PathEscape(a.Ref))
		return []fakepay.Charge{charge}, err
	}
	list, err := get[fakepay.ChargeList](ctx, c, "/charges?key="+url.QueryEscape(a.Key))
	return list.Charges, err
}

func get[T any](ctx context.Context, c *Client, path string) (v T, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, http.NoBody)
	if err != nil {
		return v, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return v, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return v, problem(res)
	}
	err = json.NewDecoder(res.Body).Decode(&v)
	return v, err
}

func receipt(charge fakepay.Charge) Receipt {
	return Receipt{ChargeID: charge.ID, Cents: charge.AmountCents}
}

// problem reads an error's body, which a proxy in between may have written: then only the status is known.
func problem(res *http.Response) *fakepay.Error {
	var body fakepay.ErrorBody
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || body.Error == nil {
		return &fakepay.Error{Code: fmt.Sprintf("http_%d", res.StatusCode), Message: "the provider answered " + res.Status}
	}
	return body.Error
}

// later adds the reply's Retry-After to an error.
func later(res *http.Response, err error) error {
	if d, ok := retry.ParseRetryAfter(res.Header.Get("Retry-After"), time.Now()); ok {
		return retry.After(d, err)
	}
	return err
}
