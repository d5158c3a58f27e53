package fakepay_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// stripeSaid is what a client of the Stripe API got.
type stripeSaid struct {
	lost   bool
	status int
	header http.Header
	stripeObject
	Error struct {
		Type, Code    string
		DeclineCode   string `json:"decline_code"`
		Param         string
		Charge        string
		PaymentIntent stripeObject `json:"payment_intent"`
	}
}

type stripeObject struct {
	ID             string
	Object         string
	Status         string
	Amount         int64
	AmountReceived int64 `json:"amount_received"`
	LatestCharge   any   `json:"latest_charge"`
	PaymentIntent  string
	Metadata       map[string]string
	HasMore        bool   `json:"has_more"`
	NextPage       string `json:"next_page"`
	Data           []stripeObject
}

func (s stripeSaid) replayed() bool { return s.header.Get(fakepay.ReplayedHeader) == "true" }

// stripe sends a form; pairs are its parameters.
func (b *bank) stripe(method, path, key, fault string, pairs ...string) (s stripeSaid) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	target, body := "http://bank"+path, io.Reader(http.NoBody)
	if method == http.MethodPost {
		body = strings.NewReader(values.Encode())
	} else if len(values) > 0 {
		target += "?" + values.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	require.NoError(b.t, err)
	req.Header.Set("Authorization", "Bearer sk_test_1")
	if key != "" {
		req.Header.Set(fakepay.KeyHeader, key)
	}
	if fault != "" {
		req.Header.Set(fakepay.FaultHeader, fault)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return stripeSaid{lost: true}
	}
	defer func() { _ = resp.Body.Close() }()
	require.NoError(b.t, json.NewDecoder(resp.Body).Decode(&s))
	s.status, s.header = resp.StatusCode, resp.Header
	assert.Regexp(b.t, "^req_", resp.Header.Get("Request-Id"))
	return s
}

const intents = "/v1/payment_intents"

// paying are the parameters of a payment in one step.
func paying(reference, method string, more ...string) []string {
	return append([]string{
		"amount", "4200", "currency", "EUR", "payment_method", method, "confirm", "true", "metadata[order_id]", reference,
	}, more...)
}

func (b *bank) payIntent(key, fault, method string, more ...string) stripeSaid {
	b.t.Helper()
	return b.stripe("POST", intents, key, fault, paying("order", method, more...)...)
}

func TestStripeWayOfAnIntent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		made := b.stripe("POST", intents, "create", "", "amount", "4200", "currency", "eur", "metadata[order_id]", "order")
		assert.Equal(t, "requires_payment_method", made.Status)
		assert.Zero(t, b.settled().Totals.Charges)
		path := intents + "/" + made.ID

		refused := b.stripe("POST", path+"/confirm", "", "")
		assert.Equal(t, 400, refused.status)
		assert.Equal(t, "payment_intent_unexpected_state", refused.Error.Code)

		no := b.stripe("POST", path+"/confirm", "no", "", "payment_method", "pm_card_visa_chargeDeclinedInsufficientFunds")
		assert.Equal(t, 402, no.status)
		assert.Equal(t, [3]string{"card_error", "card_declined", "insufficient_funds"}, [3]string{no.Error.Type, no.Error.Code, no.Error.DeclineCode})
		assert.Equal(t, made.ID, no.Error.PaymentIntent.ID)
		assert.Equal(t, "requires_payment_method", no.Error.PaymentIntent.Status)
		assert.NotEmpty(t, no.Error.Charge)

		paid := b.stripe("POST", path+"/confirm", "yes", "", "payment_method", "pm_card_visa", "expand[]", "latest_charge")
		assert.Equal(t, 200, paid.status)
		assert.Equal(t, "succeeded", paid.Status)
		assert.Equal(t, int64(4200), paid.AmountReceived)
		assert.Equal(t, "charge", paid.LatestCharge.(map[string]any)["object"])
		again := b.stripe("POST", path+"/confirm", "twice", "", "payment_method", "pm_card_visa")
		assert.Equal(t, 400, again.status, "an intent is paid once")

		part := b.stripe("POST", "/v1/refunds", "refund", "", "payment_intent", made.ID, "amount", "200", "metadata[why]", "late")
		assert.Equal(t, "refund", part.Object)
		assert.Equal(t, "succeeded", part.Status)
		assert.Equal(t, "late", part.Metadata["why"])
		assert.Equal(t, 400, b.stripe("POST", "/v1/refunds", "", "", "payment_intent", made.ID, "amount", "4001").status)
		assert.Equal(t, 200, b.stripe("POST", "/v1/refunds", "", "", "payment_intent", made.ID).status)
		assert.Equal(t, "charge_already_refunded", b.stripe("POST", "/v1/refunds", "", "", "payment_intent", made.ID).Error.Code)
		assert.Len(t, b.stripe("GET", "/v1/refunds", "", "", "payment_intent", made.ID).Data, 2)
		assert.Equal(t, part.ID, b.stripe("GET", "/v1/refunds/"+part.ID, "", "").ID)

		l := b.settled().For("order")
		assert.Equal(t, 1, l.Totals.Charges)
		assert.Equal(t, 1, l.Totals.Declined)
		assert.Zero(t, l.Totals.NetCents)
		assert.Equal(t, made.ID, l.Charges[1].Intent)
		assert.Equal(t, "yes", l.Charges[1].Key)
		assert.Equal(t, l.Charges[1].ID, b.stripe("GET", "/v1/charges/"+l.Charges[1].ID, "", "").ID)
	})
}

func TestStripeCaptureAndCancel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		taken := b.payIntent("a", "", "pm_card_visa", "capture_method", "manual")
		assert.Equal(t, "requires_capture", taken.Status)
		captured := b.stripe("POST", intents+"/"+taken.ID+"/capture", "b", "", "amount_to_capture", "4000")
		assert.Equal(t, "succeeded", captured.Status)
		assert.Equal(t, int64(4000), captured.AmountReceived)
		assert.Equal(t, 400, b.stripe("POST", intents+"/"+taken.ID+"/cancel", "", "").status)

		released := b.payIntent("c", "", "pm_card_visa", "capture_method", "manual")
		assert.Equal(t, "canceled", b.stripe("POST", intents+"/"+released.ID+"/cancel", "d", "", "cancellation_reason", "abandoned").Status)
		assert.Equal(t, 400, b.stripe("POST", intents+"/"+released.ID+"/capture", "", "").status)

		open := b.stripe("POST", intents, "", "", "amount", "1", "currency", "eur", "payment_method", "pm_card_visa")
		assert.Equal(t, "requires_confirmation", open.Status)
		assert.Equal(t, "canceled", b.stripe("POST", intents+"/"+open.ID+"/cancel", "", "").Status)
		assert.Equal(t, 400, b.stripe("POST", intents+"/"+open.ID+"/confirm", "", "").status)
		l := b.settled()
		assert.Equal(t, 1, l.Totals.Voids)
		assert.Equal(t, int64(4000), l.Totals.NetCents)
	})
}

func TestStripeDecidesLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{DecideAfter: time.Minute})
		for method, want := range map[string]string{
			"pm_usBankAccount_success": "succeeded", "pm_usBankAccount_insufficientFunds": "requires_payment_method",
		} {
			later := b.payIntent(method, "", method)
			assert.Equal(t, 200, later.status)
			assert.Equal(t, "processing", later.Status)
			b.settled()
			assert.Equal(t, want, b.stripe("GET", intents+"/"+later.ID, "", "").Status)
		}
		byHand := b.payIntent("", "accept;delay=99h", "pm_card_visa")
		require.NoError(t, b.srv.Decide(byHand.ID, ""))
		assert.Equal(t, "succeeded", b.stripe("GET", intents+"/"+byHand.ID, "", "").Status)
	})
}

// Each row is a sentence of https://docs.stripe.com/api/idempotent_requests or https://docs.stripe.com/error-low-level.
func TestStripeIdempotency(t *testing.T) {
	for name, check := range map[string]func(t *testing.T, b *bank){
		"the first answer is replayed": func(t *testing.T, b *bank) {
			first := b.payIntent("key", "", "pm_card_visa")
			require.NoError(t, b.srv.Quiesce(context.Background()))
			again := b.payIntent("key", "", "pm_card_visa")
			assert.False(t, first.replayed())
			assert.True(t, again.replayed())
			assert.Equal(t, first.stripeObject, again.stripeObject)
			assert.Equal(t, first.header.Get("Request-Id"), again.header.Get("Original-Request"))
			assert.NotEqual(t, first.header.Get("Request-Id"), again.header.Get("Request-Id"))
			assert.Equal(t, "key", again.header.Get(fakepay.KeyHeader))
		},
		"what is replayed is what was true then": func(t *testing.T, b *bank) {
			first := b.payIntent("key", "", "pm_card_visa", "capture_method", "manual")
			b.stripe("POST", intents+"/"+first.ID+"/capture", "", "")
			assert.Equal(t, "requires_capture", b.payIntent("key", "", "pm_card_visa", "capture_method", "manual").Status)
		},
		"parameters are compared": func(t *testing.T, b *bank) {
			b.payIntent("key", "", "pm_card_visa")
			other := b.payIntent("key", "", "pm_card_visa", "description", "x")
			assert.Equal(t, 400, other.status)
			assert.Equal(t, "idempotency_error", other.Error.Type)
			assert.False(t, other.replayed())
			assert.Equal(t, 1, b.srv.Ledger().Totals.Charges)
		},
		"endpoints are compared": func(t *testing.T, b *bank) {
			id := b.payIntent("key", "", "pm_card_visa").ID
			assert.Equal(t, "idempotency_error", b.stripe("POST", "/v1/refunds", "key", "", "payment_intent", id).Error.Type)
		},
		"a second request in the meantime is a conflict": func(t *testing.T, b *bank) {
			go b.payIntent("key", "latency=9s", "pm_card_visa")
			time.Sleep(time.Second)
			second := b.payIntent("key", "", "pm_card_visa")
			assert.Equal(t, 409, second.status)
			assert.Equal(t, "idempotency_key_in_use", second.Error.Code)
			assert.Equal(t, "true", second.header.Get("Stripe-Should-Retry"))
			time.Sleep(9 * time.Second)
			assert.Equal(t, 200, b.payIntent("key", "", "pm_card_visa").status, "the conflict was not stored")
		},
		"a 500 is stored once execution began": func(t *testing.T, b *bank) {
			b.payIntent("key", "error_stored_after", "pm_card_visa")
			again := b.payIntent("key", "", "pm_card_visa")
			assert.Equal(t, 500, again.status)
			assert.Equal(t, "api_error", again.Error.Type)
			assert.True(t, again.replayed())
			assert.Equal(t, "false", again.header.Get("Stripe-Should-Retry"))
			assert.Equal(t, 1, b.srv.Ledger().Totals.Charges)
		},
		"a decline is stored": func(t *testing.T, b *bank) {
			b.payIntent("key", "decline", "pm_card_visa")
			again := b.payIntent("key", "", "pm_card_visa")
			assert.Equal(t, 402, again.status)
			assert.True(t, again.replayed())
			assert.Zero(t, b.srv.Ledger().Totals.Charges)
		},
		"what fails validation is not stored": func(t *testing.T, b *bank) {
			assert.Equal(t, 400, b.payIntent("key", "", "pm_card_visa", "amount", "x").status)
			assert.Equal(t, 200, b.payIntent("key", "", "pm_card_visa").status)
		},
		"a rate limit comes before the key": func(t *testing.T, b *bank) {
			limited := b.payIntent("key", "rate_limited", "pm_card_visa")
			assert.Equal(t, 429, limited.status)
			assert.Equal(t, "rate_limit", limited.Error.Code)
			assert.Equal(t, 200, b.payIntent("key", "", "pm_card_visa").status)
		},
		"a key is forgotten after its life": func(t *testing.T, b *bank) {
			b.payIntent("key", "", "pm_card_visa")
			time.Sleep(24 * time.Hour)
			assert.False(t, b.payIntent("key", "", "pm_card_visa").replayed())
			assert.Equal(t, 2, b.srv.Ledger().Totals.Charges)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { check(t, open(t, fakepay.Config{})) })
		})
	}
}

// Every kind of fault, over the Stripe API: what the client sees, and that the same key never makes a second charge.
func TestStripeFaults(t *testing.T) {
	for fault, want := range map[string]struct{ status, again, charges int }{
		"request_lost": {0, 200, 1}, "reset": {0, 200, 1}, "reply_lost": {0, 200, 1}, "reply_late;delay=20s": {200, 200, 1},
		"lands_late;delay=5s": {0, 200, 1}, "duplicate": {200, 200, 1}, "error_before": {500, 200, 1}, "error_after": {500, 200, 1},
		"error_stored": {500, 500, 0}, "error_stored_after": {500, 500, 1}, "rate_limited": {429, 200, 1}, "key_in_use": {409, 200, 1},
		"decline": {402, 402, 0}, "accept;delay=1s": {200, 200, 1}, "unavailable": {503, 200, 1},
	} {
		t.Run(fault, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := open(t, fakepay.Config{})
				first := b.payIntent("key", fault, "pm_card_visa")
				assert.Equal(t, want.status, first.status)
				assert.Equal(t, want.status == 0, first.lost)
				b.settled()
				assert.Equal(t, want.again, b.payIntent("key", "", "pm_card_visa").status)
				l := b.settled()
				assert.Equal(t, want.charges, l.Totals.Charges)
				assert.Equal(t, want.status, first.status)
				if want.status != 0 {
					assert.Equal(t, want.status, l.Attempts[0].Status, "the ledger says what the client was told")
				}
			})
		})
	}
}

func TestStripeManyConfirmationsChargeOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{Latency: fakepay.Latency{Max: time.Second}})
		id := b.stripe("POST", intents, "", "", "amount", "1", "currency", "eur").ID
		var all sync.WaitGroup
		for range 32 { // each without a key, hence each a request of its own
			all.Go(func() { b.stripe("POST", intents+"/"+id+"/confirm", "", "", "payment_method", "pm_card_visa") })
		}
		all.Wait()
		assert.Equal(t, 1, b.settled().Totals.Charges)
	})
}

func TestStripeSearchAndList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{SearchLag: time.Minute})
		ids := make(map[string]string)
		for _, order := range []string{"a", "b", "c", "o'hara"} {
			ids[order] = b.stripe("POST", intents, "", "", paying(order, "pm_card_visa", "metadata[half]", map[bool]string{true: "1", false: "2"}[order < "c"])...).ID
			time.Sleep(time.Second)
		}
		search := func(query string, more ...string) stripeSaid {
			return b.stripe("GET", intents+"/search", "", "", append([]string{"query", query}, more...)...)
		}
		require.Empty(t, search("metadata['order_id']:'a'").Data, "the index lags behind,")
		require.Len(t, b.stripe("GET", intents, "", "").Data, 4, "the list does not")
		time.Sleep(time.Minute)
		for query, want := range map[string][]string{
			`metadata['order_id']:'a'`:                           {"a"},
			`metadata["order_id"]:"b"`:                           {"b"},
			`metadata['order_id']:'o\'hara'`:                     {"o'hara"},
			`metadata['half']:'1' AND status:'succeeded'`:        {"b", "a"},
			`metadata['half']:'1' and -metadata['order_id']:'a'`: {"b"},
			`status:"canceled"`:                                  {},
			`amount>4199 AND amount<=4200 AND currency:'eur'`:    {"o'hara", "c", "b", "a"},
			`created<1`: {},
		} {
			got := []string{}
			for _, in := range search(query).Data {
				got = append(got, in.Metadata["order_id"])
			}
			assert.Equal(t, want, got, query)
		}
		for _, query := range []string{
			"", "a", "metadata:'a'", "metadata['a'", "metadata['a']", "metadata['a']:'b", "status>'a'", "amount:'x'", "amount~1", "name:'x'",
			"status:'a' OR status:'b'", "status:'a' status:'b'", "-", "metadata['a']~'b'",
		} {
			assert.Equal(t, 400, search(query).status, query)
		}
		page := search("amount:4200", "limit", "3")
		assert.True(t, page.HasMore)
		last := search("amount:4200", "limit", "3", "page", page.NextPage)
		assert.False(t, last.HasMore)
		assert.Equal(t, ids["a"], last.Data[0].ID)

		list := b.stripe("GET", intents, "", "", "limit", "3")
		assert.True(t, list.HasMore)
		assert.Equal(t, ids["o'hara"], list.Data[0].ID, "newest first")
		assert.Equal(t, ids["a"], b.stripe("GET", intents, "", "", "starting_after", list.Data[2].ID).Data[0].ID)
		assert.Equal(t, 404, b.stripe("GET", intents, "", "", "starting_after", "pi_nobody").status)
		assert.Empty(t, b.stripe("GET", intents, "", "", "created[lt]", "1").Data)
	})
}

func TestStripeRefusesWhatItDoesNotKnow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		for _, row := range []struct {
			method, path string
			status       int
			code, param  string
			pairs        []string
		}{
			{"POST", intents, 400, "parameter_missing", "amount", []string{"currency", "eur"}},
			{"POST", intents, 400, "parameter_missing", "currency", []string{"amount", "1"}},
			{"POST", intents, 400, "parameter_invalid_integer", "amount", []string{"amount", "1.5", "currency", "eur"}},
			{"POST", intents, 400, "parameter_invalid_integer", "amount", []string{"amount", "-1", "currency", "eur"}},
			{"POST", intents, 400, "amount_too_large", "amount", []string{"amount", "99999999999", "currency", "eur"}},
			{"POST", intents, 400, "", "currency", []string{"amount", "1", "currency", "euro"}},
			{"POST", intents, 400, "parameter_unknown", "sum", []string{"amount", "1", "currency", "eur", "sum", "2"}},
			{"POST", intents, 400, "parameter_missing", "payment_method", []string{"amount", "1", "currency", "eur", "confirm", "true"}},
			{"POST", intents, 400, "parameter_invalid_string", "confirm", []string{"amount", "1", "currency", "eur", "confirm", "maybe"}},
			{"POST", intents, 400, "", "expand", []string{"amount", "1", "currency", "eur", "expand[]", "everything"}},
			{"POST", intents, 400, "parameter_invalid_string", "metadata[" + strings.Repeat("n", 41) + "]", []string{"amount", "1", "currency", "eur", "metadata[" + strings.Repeat("n", 41) + "]", "v"}},
			{"POST", "/v1/refunds", 400, "parameter_missing", "payment_intent", nil},
			{"POST", "/v1/refunds", 404, "resource_missing", "id", []string{"payment_intent", "pi_nobody"}},
			{"GET", intents + "/pi_nobody", 404, "resource_missing", "id", nil},
			{"POST", intents + "/pi_nobody/confirm", 404, "resource_missing", "id", nil},
			{"GET", "/v1/customers", 404, "resource_missing", "", nil},
		} {
			s := b.stripe(row.method, row.path, "", "", row.pairs...)
			assert.Equal(t, row.status, s.status, row.pairs)
			assert.Equal(t, "invalid_request_error", s.Error.Type, row.pairs)
			assert.Equal(t, row.code, s.Error.Code, row.pairs)
			assert.Equal(t, row.param, s.Error.Param, row.pairs)
		}
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://bank"+intents, http.NoBody)
		require.NoError(t, err)
		for _, key := range []string{"", "Bearer sk_live_1", "Basic x"} {
			req.Header.Set("Authorization", key)
			resp, err := b.client.Do(req)
			require.NoError(t, err)
			_ = resp.Body.Close()
			assert.Equal(t, 401, resp.StatusCode, key)
		}
		req.SetBasicAuth("sk_test_1", "")
		resp, err := b.client.Do(req)
		require.NoError(t, err)
		_ = resp.Body.Close()
		assert.Equal(t, 200, resp.StatusCode)
		assert.Zero(t, b.settled().Totals.Charges)
	})
}

func TestStripeWebhooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type told struct {
			Type       string
			APIVersion string `json:"api_version"`
			Data       struct{ Object stripeObject }
		}
		var mu sync.Mutex
		var all []told
		hook := fakepay.Webhook{URL: "http://shop/hook", Secret: "whsec", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			assert.NoError(t, fakepay.Verify("whsec", r.Header.Get(fakepay.StripeSignatureHeader), body, time.Second, time.Now()))
			assert.Empty(t, r.Header.Get(fakepay.SignatureHeader))
			var e told
			assert.NoError(t, json.Unmarshal(body, &e))
			mu.Lock()
			defer mu.Unlock()
			all = append(all, e)
			return reply(200)
		})}}
		b := open(t, fakepay.Config{Webhook: hook})
		paid := b.payIntent("", "", "pm_card_visa")
		b.settled()
		b.stripe("POST", "/v1/refunds", "", "", "payment_intent", paid.ID)
		b.settled()
		b.payIntent("", "", "pm_card_chargeDeclined")
		b.settled()
		held := b.payIntent("", "", "pm_card_visa", "capture_method", "manual")
		b.settled()
		b.stripe("POST", intents+"/"+held.ID+"/cancel", "", "")
		b.settled()
		open := b.stripe("POST", intents, "", "", "amount", "1", "currency", "eur")
		b.stripe("POST", intents+"/"+open.ID+"/cancel", "", "")
		b.settled()
		var types []string
		for _, e := range all {
			types = append(types, e.Type+" "+e.Data.Object.Status)
			assert.Equal(t, fakepay.StripeVersion, e.APIVersion)
		}
		assert.Equal(t, []string{
			"payment_intent.succeeded succeeded", "charge.refunded succeeded", "payment_intent.payment_failed requires_payment_method",
			"payment_intent.amount_capturable_updated requires_capture", "payment_intent.canceled canceled", "payment_intent.canceled canceled",
		}, types)
		assert.Equal(t, "order", all[0].Data.Object.Metadata["order_id"])
		assert.Equal(t, paid.ID, all[0].Data.Object.ID)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
