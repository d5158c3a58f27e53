package kill

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/retry"
)

// What the providers promise, and keep.
const (
	settling  = 2 * time.Second        // a request may take effect so long after it was sent
	landsLate = 300 * time.Millisecond // and does, at the latest
	lease     = time.Second
)

// order is what a call asks for. It follows from the key: so all processes ask for the same.
type order struct {
	Cents int64
	Card  string
}

type receipt struct{ ChargeID string }

func orderOf(key string) order {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	o := order{Cents: 100 + int64(h.Sum32()%1000), Card: "tok_good"}
	switch h.Sum32() >> 8 % 20 {
	case 0:
		o.Card = fakepay.SourceDeclined
	case 1:
		o.Card = fakepay.SourceAccepted
	case 2:
		o.Card = fakepay.SourceAcceptedDeclined
	}
	return o
}

// modes are the three kinds of providers. Each is a call of its own.
var modes = []fakepay.Mode{fakepay.Keys, fakepay.Ask, fakepay.None}

func operation(m fakepay.Mode) string { return "charge " + string(m) }

// provider is what the documentation of fakepay says, in the words of idemhttp.
var provider = idemhttp.Provider{
	Name: "fakepay", Header: fakepay.KeyHeader, KeyLife: fakepay.DefaultKeyLife,
	Codes: []string{"error.code"}, Message: "error.message", Ref: "id",
	Answers: []idemhttp.Answer{
		{Status: http.StatusPaymentRequired, Means: idemhttp.MeansRejected},
		{Status: http.StatusAccepted, Means: idemhttp.MeansAccepted},
		{Status: http.StatusConflict, Code: fakepay.CodeKeyInUse, Means: idemhttp.MeansInProgress},
		{Status: http.StatusTooManyRequests, Code: fakepay.CodeRateLimited, Means: idemhttp.MeansUntouched},
	},
	Replayed: fakepay.ReplayedHeader,
	Keyed:    []string{fakepay.CodeDeclined, fakepay.CodeInsufficientFunds, fakepay.CodeExpiredCard},
}

// client asks one provider.
type client struct {
	url  string
	http *http.Client
}

func newClient(base string) *client {
	return &client{base, &http.Client{Transport: &idemhttp.Transport{
		Provider: provider, Base: &http.Transport{MaxIdleConnsPerHost: 32},
	}}}
}

// call is the call to a provider of a mode, with what that promises and no more.
func (c *client) call(m fakepay.Mode) idempotency.Call[order, receipt] {
	call := idempotency.Call[order, receipt]{
		Name: operation(m), Send: idemhttp.Send(c.charge),
		Timeout: 1500 * time.Millisecond, Grace: 200 * time.Millisecond, Lease: lease, Poll: 100 * time.Millisecond,
		Retry: retry.Policy{Initial: 20 * time.Millisecond, Max: 200 * time.Millisecond},
	}
	if m == fakepay.Keys {
		call.Namespace, call.KeyLife, call.KeyedErrors = "torture", provider.KeyLife, provider.KeyedErrors
	}
	if m != fakepay.None {
		call.Lookup, call.Settling = c.find, settling
	}
	return call
}

func (c *client) charge(ctx context.Context, a idempotency.Attempt, o order) (r receipt, err error) {
	body, err := json.Marshal(fakepay.ChargeRequest{AmountCents: o.Cents, Currency: "EUR", Source: o.Card, Reference: a.ID})
	if err != nil {
		return r, idempotency.NotSent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/charges", bytes.NewReader(body))
	if err != nil {
		return r, idempotency.NotSent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return r, err
	}
	defer func() { _ = res.Body.Close() }()
	var charge fakepay.Charge
	if err := json.NewDecoder(res.Body).Decode(&charge); err != nil {
		return r, err
	}
	if charge.ID == "" {
		return r, errors.New("kill: the answer names no charge")
	}
	return receipt{charge.ID}, nil
}

// find asks what became of a charge, by the reference that it was sent with.
func (c *client) find(ctx context.Context, a idempotency.Attempt, _ order) (v idempotency.Verdict[receipt], err error) {
	var list fakepay.ChargeList
	if err := get(ctx, c.http, c.url+"/charges?reference="+url.QueryEscape(a.ID), &list); err != nil {
		return v, err
	}
	if list.Charges == nil {
		return v, errors.New("kill: the answer is no list")
	}
	v = idempotency.DidNotHappen[receipt]()
	for _, charge := range list.Charges {
		switch charge.Status {
		case fakepay.Succeeded:
			return idempotency.Happened(receipt{charge.ID}), nil
		case fakepay.Processing:
			return idempotency.StillPending[receipt](landsLate), nil
		default:
			v = idempotency.Declined[receipt](cmp.Or(charge.Code, string(charge.Status)), nil)
		}
	}
	return v, nil
}

func get(ctx context.Context, client *http.Client, from string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("kill: %s: %s", from, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}
