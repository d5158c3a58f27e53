package bank_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v82/webhook"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// told is one event as the shop's webhook handed it on.
type told struct {
	scope, id string
	verdict   idempotency.Verdict[bank.Receipt]
}

// listening returns a receiver of events, and what it has been told. The first errs are what settling comes to.
func listening(t *testing.T, errs ...error) (url string, all func() []told) {
	t.Helper()
	var mu sync.Mutex
	var seen []told
	server := httptest.NewServer(bank.Webhook("whsec", func(_ context.Context, scope, id string, v idempotency.Verdict[bank.Receipt]) error {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, told{scope, id, v})
		if len(seen) <= len(errs) {
			return errs[len(seen)-1]
		}
		return nil
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []told {
		mu.Lock()
		defer mu.Unlock()
		return append([]told(nil), seen...)
	}
}

func telling(t *testing.T, url string) (*fakepay.Server, *bank.Client) {
	t.Helper()
	provider, err := fakepay.New(fakepay.Config{Webhook: fakepay.Webhook{URL: url, Secret: "whsec", Backoff: time.Millisecond}})
	require.NoError(t, err)
	server := httptest.NewServer(provider)
	client := bank.New(server.URL)
	t.Cleanup(func() {
		ctx, cancel := soon()
		defer cancel()
		client.Close()
		assert.NoError(t, provider.Close(ctx))
		server.Close()
	})
	return provider, client
}

func TestWebhookSaysWhatBecameOfAPayment(t *testing.T) {
	url, all := listening(t, errors.New("the database is away"), idempotency.ErrConflict)
	provider, client := telling(t, url)
	quiet := func() {
		ctx, cancel := soon()
		defer cancel()
		require.NoError(t, provider.Quiesce(ctx))
	}
	a := idempotency.Attempt{Key: "key", Scope: "ada", ID: "payment-1"}
	paid, err := client.Charge(t.Context(), a, payment("tok_visa"))
	require.NoError(t, err)
	quiet()
	want := told{"ada", "payment-1", idempotency.Happened(paid).ForRef(paid.ChargeID)}
	assert.Equal(t, []told{want, want}, all(), "what could not be taken down is told again; what contradicts the books is not")

	a.Key, a.ID = "other", "payment-2"
	_, err = client.Charge(t.Context(), a, payment(fakepay.SourceExpiredCard))
	require.Error(t, err)
	quiet()
	declined := idempotency.Declined[bank.Receipt](fakepay.CodeExpiredCard, nil).ForRef(provider.Ledger().Charges[1].Intent)
	assert.Equal(t, told{"ada", "payment-2", declined}, all()[2])
}

func TestWebhookBelievesOnlyWhatIsSigned(t *testing.T) {
	url, all := listening(t)
	body := []byte(`{"id":"evt_1","object":"event","api_version":"2025-08-27.basil","type":"payment_intent.succeeded",
		"data":{"object":{"id":"pi_1","object":"payment_intent","amount":1,"status":"succeeded","metadata":{"scope":"s","id":"i"}}}}`)
	post := func(body []byte, secret string, at time.Time) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
		require.NoError(t, err)
		if secret != "" {
			signed := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: at})
			req.Header.Set("Stripe-Signature", signed.Header)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	now := time.Now()
	assert.Equal(t, http.StatusBadRequest, post(body, "", now))
	assert.Equal(t, http.StatusBadRequest, post(body, "whsec_other", now))
	assert.Equal(t, http.StatusBadRequest, post(body, "whsec", now.Add(-time.Hour)))
	assert.Equal(t, http.StatusBadRequest, post(append(body, make([]byte, 65<<10)...), "whsec", now))
	assert.Empty(t, all())
	assert.Equal(t, http.StatusNoContent, post(bytes.ReplaceAll(body, []byte(`"id":"i"`), []byte(`"x":"y"`)), "whsec", now), "somebody else's payment")
	assert.Equal(t, http.StatusNoContent, post(bytes.ReplaceAll(body, []byte("payment_intent.succeeded"), []byte("payout.paid")), "whsec", now))
	assert.Empty(t, all())
	assert.Equal(t, http.StatusNoContent, post(body, "whsec", now))
	assert.Len(t, all(), 1)
}
