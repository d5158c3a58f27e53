// Package bank is the shop's client of its payment provider, by Stripe's own SDK. steadfast owns the retries, idemhttp reads the
// answers, and Stripe's published promises decide what may follow an unknown one.
package bank

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v82"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// provider is what Stripe promises: how long it remembers keys, what its answers mean, which of them it stores.
var provider = idemhttp.Stripe()

const (
	// KeyLife is how long an Idempotency-Key is remembered: https://docs.stripe.com/api/idempotent_requests.
	KeyLife = 24 * time.Hour
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
	Card     string // the token of one of Cards
	Hold     bool   `json:",omitempty"` // only reserve the money: Capture takes it
}

// Receipt is what the shop keeps of a charge.
type Receipt struct {
	ChargeID string // of the payment intent
	Cents    int64
	Held     bool `json:",omitempty"` // it is reserved, and has not been taken
}

// The names of what a payment intent carries, so that a webhook, a lookup and the books find their way back.
const (
	metaOrder = "order_id"
	metaScope = "scope"
	metaID    = "id"  // with the scope, names the call
	metaKey   = "key" // the Idempotency-Key: Stripe does not give it back
)

// Client talks to the provider. It never retries: steadfast does, and knows when that is safe.
type Client struct {
	http *http.Client
	api  *stripe.Client
}

// New returns a client for a provider that speaks Stripe's API at a base URL, such as fakepay.
func New(baseURL string) *Client { return connect(baseURL, "sk_test_fakepay") }

// StripeURL is where Stripe is.
const StripeURL = stripe.APIURL

// Stripe returns a client for Stripe itself.
func Stripe(key string) *Client { return connect(StripeURL, key) }

func connect(url, key string) *Client {
	// No timeout here: Call.Timeout ends the context of an attempt. A transport of its own, so that Close can end its
	// connections and nobody else's.
	base := genuine{&http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16}}
	c := &Client{http: &http.Client{Transport: &idemhttp.Transport{Provider: provider, Base: base}}}
	c.api = stripe.NewClient(key, stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL:               &url,
		HTTPClient:        c.http,
		MaxNetworkRetries: stripe.Int64(0),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
	})))
	return c
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// genuine lets no answer through that Stripe has not written: all of its own carry a Request-Id.
type genuine struct{ *http.Transport }

func (g genuine) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := g.Transport.RoundTrip(req)
	if err != nil || res.Header.Get("Request-Id") != "" {
		return res, err
	}
	_ = res.Body.Close()
	return nil, fmt.Errorf("%w: %s", errForeign, res.Status)
}

// Charge makes one attempt to take the money, or to reserve it.
func (c *Client) Charge(ctx context.Context, a idempotency.Attempt, p Payment) (Receipt, error) {
	return idemhttp.Send(c.charge)(ctx, a, p)
}

// charge is written as if nothing could go wrong: what an error means is read from the wire.
func (c *Client) charge(ctx context.Context, a idempotency.Attempt, p Payment) (Receipt, error) {
	params := &stripe.PaymentIntentCreateParams{
		Amount: &p.Cents, Currency: &p.Currency, PaymentMethod: stripe.String(method(p.Card)), Confirm: stripe.Bool(true),
		PaymentMethodTypes: []*string{stripe.String(methodType(p.Card))},
		// The shop has no page for 3-D Secure: a card that wants it is declined.
		ErrorOnRequiresAction: stripe.Bool(true),
		Metadata:              map[string]string{metaOrder: p.Order, metaScope: a.Scope, metaID: a.ID, metaKey: a.Key},
	}
	if p.Hold {
		params.CaptureMethod = stripe.String(string(stripe.PaymentIntentCaptureMethodManual))
	}
	intent, err := c.api.V1PaymentIntents.Create(ctx, params)
	if err != nil {
		return Receipt{}, err
	}
	return receipt(intent)
}

// receipt is that of an intent whose money was taken or reserved.
func receipt(intent *stripe.PaymentIntent) (Receipt, error) {
	r := Receipt{ChargeID: intent.ID, Cents: intent.Amount, Held: intent.Status == stripe.PaymentIntentStatusRequiresCapture}
	if intent.ID == "" || !r.Held && intent.Status != stripe.PaymentIntentStatusSucceeded {
		return r, fmt.Errorf("bank: payment intent %q is %q", intent.ID, intent.Status)
	}
	return r, nil
}

// StoredByKey is for Call.KeyedErrors: the declines that the provider stores under the key and replays.
func StoredByKey(no *idempotency.Rejection) bool { return provider.KeyedErrors(no) }

// FindCharge asks what became of a charge: by the provider's id for it, or by the key.
func (c *Client) FindCharge(ctx context.Context, a idempotency.Attempt, p Payment) (idempotency.Verdict[Receipt], error) {
	var found []*stripe.PaymentIntent
	var err error
	if a.Ref != "" {
		var intent *stripe.PaymentIntent
		intent, err = c.retrieve(ctx, a.Ref)
		found = append(found, intent)
	} else {
		found, err = c.find(ctx, a.FirstSent, map[string]string{metaOrder: p.Order, metaKey: a.Key})
	}
	if err != nil {
		return idempotency.DontKnow[Receipt](), err
	}
	return judge(found), nil
}

// judge says what all intents of one payment mean.
func judge(intents []*stripe.PaymentIntent) idempotency.Verdict[Receipt] {
	verdict := idempotency.DidNotHappen[Receipt]()
	for _, intent := range intents {
		if r, err := receipt(intent); err == nil {
			return idempotency.Happened(r)
		}
		switch why := intent.LastPaymentError; {
		case intent.Status == stripe.PaymentIntentStatusCanceled: // released by somebody at the bank: nothing was taken, or will be
			verdict = idempotency.Declined[Receipt](string(intent.Status), nil)
		case intent.Status == stripe.PaymentIntentStatusRequiresPaymentMethod && why != nil:
			verdict = idempotency.Declined[Receipt](cmp.Or(string(why.DeclineCode), string(why.Code)), nil)
		default:
			const nextLook = 5 * time.Second
			return idempotency.StillPending[Receipt](nextLook)
		}
	}
	return verdict
}

func (c *Client) retrieve(ctx context.Context, id string) (*stripe.PaymentIntent, error) {
	params := &stripe.PaymentIntentRetrieveParams{}
	params.AddExpand("latest_charge")
	intent, err := c.api.V1PaymentIntents.Retrieve(ctx, id, params)
	if err == nil && intent.ID != id {
		err = errForeign
	}
	return intent, err
}

// indexLag is how far Stripe's search may be behind on a bad day: https://docs.stripe.com/search#data-freshness says an hour.
const indexLag = 2 * time.Hour

// clockSkew is how far the provider's clock may be from ours.
const clockSkew = time.Minute

// find returns the intents whose metadata are these, made since about then. What the search does not know yet is in the list: if it
// is in neither, it did not happen.
func (c *Client) find(ctx context.Context, since time.Time, metadata map[string]string) (found []*stripe.PaymentIntent, err error) {
	var clauses []string
	for name, value := range metadata {
		clauses = append(clauses, fmt.Sprintf("metadata['%s']:'%s'", name, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)))
	}
	params := &stripe.PaymentIntentSearchParams{SearchParams: stripe.SearchParams{Query: strings.Join(clauses, " AND ")}}
	for intent, err := range c.api.V1PaymentIntents.Search(ctx, params) {
		if err != nil {
			return nil, err
		}
		found = append(found, intent)
	}
	if len(found) > 0 {
		return found, nil
	}
	if indexed := time.Now().Add(-indexLag); since.Before(indexed) {
		since = indexed
	}
	for intent, err := range c.list(ctx, since.Add(-clockSkew)) {
		if err != nil {
			return nil, err
		}
		if holds(intent.Metadata, metadata) {
			found = append(found, intent)
		}
	}
	return found, nil
}

func holds(all, some map[string]string) bool {
	for name, value := range some {
		if all[name] != value {
			return false
		}
	}
	return true
}
