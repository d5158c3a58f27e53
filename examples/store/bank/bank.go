// Package bank is the shop's client of its payment provider. It knows HTTP and the provider's promises, and turns every
// reply into what steadfast asks for: what is certain, and nothing else.
package bank

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

// errForeign is an answer that the provider did not write: a proxy, a load balancer or a captive portal did. It says
// nothing about money, whatever its status is.
var errForeign = errors.New("bank: the answer is not the provider's own")

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
		if charge.ID == "" {
			return Receipt{}, errForeign
		}
		if res.StatusCode == http.StatusAccepted {
			const firstLook = 5 * time.Second
			return Receipt{}, idempotency.Accepted(charge.ID, firstLook)
		}
		return receipt(charge), nil
	}

	refused, err := problem(res)
	if err != nil {
		return Receipt{}, later(res, err)
	}
	switch {
	case res.StatusCode == http.StatusPaymentRequired && refused.ChargeID != "", // a decline names the charge that was declined
		res.StatusCode == http.StatusBadRequest && refused.Code == fakepay.CodeInvalid:
		err = idempotency.Rejected(refused.Code, refused)
	case res.StatusCode == http.StatusTooManyRequests && refused.Code == fakepay.CodeRateLimited: // documented as "no effect"
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

// StoredByKey is for Call.KeyedErrors: the declines that the provider documents as stored under the key and replayed, so
// that one of them is the answer to every request that was sent with it. What is not listed (a malformed request, which is
// refused before the key is looked at; a code that is new) answers only the request that it came for.
func StoredByKey(no *idempotency.Rejection) bool {
	switch no.Code {
	case fakepay.CodeDeclined, fakepay.CodeInsufficientFunds, fakepay.CodeExpiredCard:
		return true
	}
	return false
}

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
		if err == nil && charge.ID != a.Ref {
			err = errForeign
		}
		return []fakepay.Charge{charge}, err
	}
	list, err := get[fakepay.ChargeList](ctx, c, "/charges?key="+url.QueryEscape(a.Key))
	if err == nil && list.Charges == nil { // the provider says [] when there is none
		err = errForeign
	}
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
		refused, err := problem(res)
		if err != nil {
			return v, err
		}
		return v, refused
	}
	err = json.NewDecoder(res.Body).Decode(&v)
	return v, err
}

func receipt(charge fakepay.Charge) Receipt {
	return Receipt{ChargeID: charge.ID, Cents: charge.AmountCents}
}

// problem reads an error's body. What the provider did not write is errForeign.
func problem(res *http.Response) (*fakepay.Error, error) {
	var body fakepay.ErrorBody
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || body.Error == nil || body.Error.Code == "" {
		return nil, fmt.Errorf("%w: %s", errForeign, res.Status)
	}
	return body.Error, nil
}

// later adds the reply's Retry-After to an error.
func later(res *http.Response, err error) error {
	if d, ok := retry.ParseRetryAfter(res.Header.Get("Retry-After"), time.Now()); ok {
		return retry.After(d, err)
	}
	return err
}
