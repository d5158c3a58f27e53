package fakepay_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// receiver is the other end of a webhook.
type receiver struct {
	answer func(n int) (*http.Response, error) // nil: 200

	mu     sync.Mutex
	events []fakepay.Event
	bodies []string
	signed []string
	at     []time.Time
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var e fakepay.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.events, r.bodies = append(r.events, e), append(r.bodies, string(body))
	r.signed, r.at = append(r.signed, req.Header.Get(fakepay.SignatureHeader)), append(r.at, time.Now())
	n := len(r.events)
	r.mu.Unlock()
	if r.answer != nil {
		return r.answer(n)
	}
	return reply(200)
}

func reply(status int) (*http.Response, error) {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(""))}, nil
}

func (r *receiver) webhook() fakepay.Webhook {
	return fakepay.Webhook{URL: "http://shop/hook", Secret: "whsec", Client: &http.Client{Transport: r}}
}

func (r *receiver) types() (types []fakepay.EventType) {
	for _, e := range r.events {
		types = append(types, e.Type)
	}
	return types
}

func TestWebhooksTellEveryEffectSigned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shop := &receiver{}
		b := open(t, fakepay.Config{Webhook: shop.webhook()})
		held := order("order")
		held.Capture = new(bool)
		path := "/charges/" + b.call("POST", "/charges", "", "", held).charge.ID
		b.settled()
		b.call("POST", path+"/capture", "k", "", nil)
		b.settled()
		b.call("POST", path+"/capture", "k", "", nil) // a replay tells nothing
		b.call("POST", path+"/refund", "", "", amount(200))
		b.settled()
		b.pay("declined", "", "decline")
		b.settled()
		b.pay("later", "", "accept;delay=3s")
		b.settled()
		b.call("POST", "/charges/"+b.call("POST", "/charges", "", "", held).charge.ID+"/void", "", "", nil)
		b.settled()
		assert.Equal(t, []fakepay.EventType{
			fakepay.ChargeAuthorized, fakepay.ChargeSucceeded, fakepay.ChargeRefunded, fakepay.ChargeDeclined, fakepay.ChargeSucceeded,
		}, shop.types()[:5])
		assert.ElementsMatch(t, []fakepay.EventType{fakepay.ChargeAuthorized, fakepay.ChargeVoided}, shop.types()[5:], "these two may overtake each other")
		assert.Equal(t, int64(200), shop.events[2].Refund.AmountCents)
		assert.Equal(t, int64(200), shop.events[2].Charge.RefundedCents)
		ids := make(map[string]bool)
		for i, e := range shop.events {
			ids[e.ID] = true
			assert.NoError(t, fakepay.Verify("whsec", shop.signed[i], []byte(shop.bodies[i]), time.Second, shop.at[i]))
		}
		assert.Len(t, ids, 7, "every event has an id of its own")
		for _, d := range b.srv.Ledger().Deliveries {
			assert.Equal(t, 200, d.Status)
		}
	})
}

func TestWebhookMayOvertakeTheReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shop := &receiver{}
		b := open(t, fakepay.Config{Webhook: shop.webhook()})
		start := time.Now()
		s := b.pay("order", "", "reply_late;delay=9s")
		assert.Equal(t, 9*time.Second, s.took)
		b.settled()
		assert.Equal(t, start, shop.at[0])
	})
}

func TestWebhookRetriesAreBounded(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(int) (*http.Response, error)
		want   []int // when, in seconds
	}{
		{"refused for ever", func(int) (*http.Response, error) { return reply(500) }, []int{2, 3, 5, 9}},
		{"never reached", func(int) (*http.Response, error) { return nil, errors.New("no route") }, []int{2, 3, 5, 9}},
		{"the third time", func(n int) (*http.Response, error) { return reply(map[bool]int{true: 200, false: 503}[n == 3]) }, []int{2, 3, 5}},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				shop := &receiver{answer: row.answer}
				hook := shop.webhook()
				hook.Attempts, hook.Delay = 4, fakepay.Latency{P50: 2 * time.Second}
				b := open(t, fakepay.Config{Webhook: hook, Speed: 10})
				b.pay("order", "", "")
				l := b.settled()
				require.Len(t, l.Deliveries, len(row.want))
				for i, d := range l.Deliveries {
					assert.InDelta(t, float64(row.want[i]), d.At.Seconds(), 1e-6)
					assert.Equal(t, i+1, d.Number)
					assert.Equal(t, shop.events[0].ID, d.EventID)
				}
			})
		})
	}
}

func TestWebhookDuplicates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shop := &receiver{}
		hook := shop.webhook()
		hook.Duplicate = 1
		b := open(t, fakepay.Config{Webhook: hook})
		b.pay("order", "", "")
		b.settled()
		require.Len(t, shop.events, 2)
		assert.Equal(t, shop.bodies[0], shop.bodies[1], "the same event, to be told by its id")
	})
}

func TestVerify(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	body := []byte(`{"id":"evt_1"}`)
	good := fakepay.Sign("secret", body, now)
	// Computed with openssl: printf '1800000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac secret
	assert.Equal(t, "t=1800000000,v1=5847cdad07809eddc3ac6ac8796d56ab2884e2b0831aa11ebd49b6c942021281", good)
	assert.NoError(t, fakepay.Verify("secret", good, body, time.Minute, now.Add(time.Minute)))
	assert.NoError(t, fakepay.Verify("secret", good, body, time.Minute, now.Add(-time.Minute)))
	assert.NoError(t, fakepay.Verify("secret", "v0=x, v1=00, "+good, body, time.Minute, now), "one right v1 is enough")
	for name, err := range map[string]error{
		"too old":       fakepay.Verify("secret", good, body, time.Minute, now.Add(time.Minute+1)),
		"from tomorrow": fakepay.Verify("secret", good, body, time.Minute, now.Add(-time.Minute-1)),
		"other body":    fakepay.Verify("secret", good, []byte(`{"id":"evt_2"}`), time.Minute, now),
		"other secret":  fakepay.Verify("secret2", good, body, time.Minute, now),
		"no secret":     fakepay.Verify("", fakepay.Sign("", body, now), body, time.Minute, now),
		"other time":    fakepay.Verify("secret", strings.Replace(good, "t=18", "t=19", 1), body, time.Hour, time.Unix(1_900_000_000, 0)),
		"no header":     fakepay.Verify("secret", "", body, time.Minute, now),
		"no v1":         fakepay.Verify("secret", "t=1800000000", body, time.Minute, now),
		"no hex":        fakepay.Verify("secret", "t=1800000000,v1=zz", body, time.Minute, now),
		"far future":    fakepay.Verify("secret", "t=9223372036854775807,v1=00", body, time.Minute, now),
	} {
		assert.ErrorIs(t, err, fakepay.ErrSignature, name)
	}
}
