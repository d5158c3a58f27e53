package fakepay_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

func TestCloseEndsEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shop := &receiver{answer: func(int) (*http.Response, error) { return reply(500) }}
		hook := shop.webhook()
		hook.Backoff = time.Hour
		b := open(t, fakepay.Config{Webhook: hook})
		b.pay("effect", "", "")
		var all sync.WaitGroup
		for _, fault := range []string{"latency=10h", "reply_late;delay=10h", "lands_late;delay=10h;cut=hang", "request_lost;cut=hang", "accept;delay=10h", "duplicate;delay=10h"} {
			all.Go(func() { b.pay("order", "", fault) })
		}
		synctest.Wait()
		start := time.Now()
		require.NoError(t, b.srv.Close(context.Background()))
		all.Wait()
		assert.Equal(t, start, time.Now(), "nobody waited for anything")
		assert.Equal(t, 3, b.srv.Ledger().Totals.Charges, "what had not landed never does")
		assert.Equal(t, 1, b.srv.Ledger().Totals.Processing)
		assert.True(t, b.pay("order", "", "").lost, "a closed provider is not reached")
		require.NoError(t, b.srv.Close(context.Background()), "twice is fine")
		b.srv.Reset()
		assert.True(t, b.pay("order", "", "").lost, "closed stays closed")
	})
}

func TestQuiesceGivesUpWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		b.pay("order", "", "lands_late;delay=10s")
		ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second)
		defer cancel()
		assert.ErrorIs(t, b.srv.Quiesce(ctx), context.DeadlineExceeded)
		assert.Zero(t, b.srv.Ledger().Totals.Charges)
		assert.NoError(t, b.srv.Quiesce(context.Background()))
		assert.Equal(t, 1, b.srv.Ledger().Totals.Charges)
	})
}

func TestReset(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{Seed: 9, Scripts: map[string][]fakepay.Fault{"order": {{Kind: fakepay.Decline}}}})
		assert.Equal(t, 402, b.pay("order", "key", "").status)
		first := b.pay("order", "key", "").charge.ID
		b.pay("order", "late", "lands_late;delay=10s")
		require.NoError(t, b.srv.Outage(time.Hour, fakepay.Fault{}))
		assert.Equal(t, 204, b.call("POST", "/_reset", "", "", nil).status)
		assert.Zero(t, b.srv.Now())
		assert.Equal(t, 402, b.pay("order", "key", "").status, "the script begins anew")
		again := b.pay("order", "key", "")
		assert.False(t, again.replayed, "keys are forgotten")
		assert.Equal(t, first, again.charge.ID, "the same seed, the same ids")
		time.Sleep(time.Minute)
		assert.Equal(t, 1, b.settled().Totals.Charges, "what was under way never lands in the new ledger")
		assert.Equal(t, 405, b.call("GET", "/_reset", "", "", nil).status)
	})
}

func TestHooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var attempts []fakepay.Attempt
		var events []fakepay.Event
		b := open(t, fakepay.Config{
			OnAttempt: func(a fakepay.Attempt) { mu.Lock(); defer mu.Unlock(); attempts = append(attempts, a) },
			OnEvent:   func(e fakepay.Event) { mu.Lock(); defer mu.Unlock(); events = append(events, e) },
		})
		id := b.pay("order", "key", "latency=2s").charge.ID
		l := b.settled()
		require.Len(t, attempts, 2)
		assert.False(t, attempts[0].Done)
		assert.Zero(t, attempts[0].Status)
		assert.Equal(t, l.Attempts[0], attempts[1])
		assert.Equal(t, fakepay.Attempt{
			N: 1, Op: fakepay.OpCharge, Key: "key", Reference: "order", Occurrence: 1, ChargeID: id,
			Fault: fakepay.Fault{Kind: fakepay.NoFault, Latency: 2 * time.Second}, Effect: true, EffectAt: 2 * time.Second,
			Status: 201, Delivered: true, Done: true, DoneAt: 2 * time.Second,
		}, attempts[1])
		require.Len(t, events, 1)
		assert.Equal(t, fakepay.ChargeSucceeded, events[0].Type)
	})
}

func TestControlOverHTTP(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{Latency: fakepay.Latency{P50: time.Second}})
		put := b.call("PUT", "/_faults", "", "", `{"faults":["unavailable=1"],"scripts":{"order":["error_before","none;latency=3s"]}}`)
		assert.Equal(t, 200, put.status)
		assert.JSONEq(t, `{"latency":"1s","faults":["unavailable=1"],"scripts":{"order":["error_before","none;latency=3s"]}}`, put.body, "what was left out stays")
		assert.Equal(t, 500, b.pay("order", "", "").status)
		assert.Equal(t, 3*time.Second, b.pay("order", "", "").took)
		assert.Equal(t, 503, b.pay("order", "", "").status)
		assert.JSONEq(t, `{"latency":"1s","faults":["unavailable=1"]}`, b.call("GET", "/_faults", "", "", nil).body)
		for _, bad := range []string{`{"faults":["nonsense=1"]}`, `{"faults":["reset=1","reply_lost=1"]}`, `{"latency":"soon"}`, `{"scripts":{"a":["b"]}}`, `{"fault":[]}`, `[]`, `{`} {
			s := b.call("PUT", "/_faults", "", "", bad)
			assert.Equal(t, 400, s.status, bad)
			assert.NotEmpty(t, s.err.Remedy, bad)
		}
		assert.JSONEq(t, `{"latency":"1s","faults":["unavailable=1"]}`, b.call("GET", "/_faults", "", "", nil).body, "a bad request changes nothing")
		assert.Equal(t, 200, b.call("PUT", "/_faults", "", "", `{"latency":"0s","faults":[]}`).status)

		assert.Equal(t, 204, b.call("POST", "/_outage", "", "", `{"for":"1m","fault":"reset"}`).status)
		assert.True(t, b.pay("order", "", "").lost)
		assert.Equal(t, 204, b.call("POST", "/_outage", "", "", nil).status)
		assert.Equal(t, 201, b.pay("order", "", "").status)
		assert.Equal(t, 400, b.call("POST", "/_outage", "", "", `{"for":"x"}`).status)
		assert.Equal(t, 400, b.call("POST", "/_outage", "", "", `{"for":"-1s"}`).status)

		b.pay("other", "", "")
		b.settled()
		var attempts []fakepay.Attempt
		require.NoError(t, json.Unmarshal([]byte(b.call("GET", "/_attempts?reference=order", "", "", nil).body), &attempts))
		assert.Len(t, attempts, 5)
		var over, here fakepay.Ledger
		require.NoError(t, json.Unmarshal([]byte(b.call("GET", "/_ledger", "", "", nil).body), &over))
		here = b.srv.Ledger()
		assert.Equal(t, here, over, "the ledger survives JSON")
		assert.Equal(t, fakepay.Ledger{
			At: here.At, Totals: fakepay.Totals{Attempts: map[fakepay.Op]int{}}, Charges: []fakepay.Charge{}, Refunds: []fakepay.Refund{},
			Voids: []fakepay.Void{}, Attempts: []fakepay.Attempt{}, Deliveries: []fakepay.Delivery{},
		}, here.For("nobody"))
	})
}

// Real connections: what the client's own TCP stack says.
func TestCutsOnTCP(t *testing.T) {
	t.Parallel()
	srv, err := fakepay.New(fakepay.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(srv)
	defer server.Close()
	defer func() { require.NoError(t, srv.Close(context.Background())) }()
	try := func(fault string) error {
		req, err := http.NewRequest(http.MethodPost, server.URL+"/charges", strings.NewReader(`{"amount_cents":1,"currency":"eur","source":"s"}`))
		require.NoError(t, err)
		req.Header.Set(fakepay.FaultHeader, fault)
		resp, err := server.Client().Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	assert.NoError(t, try("none"))
	for _, fault := range []string{"reset", "reply_lost", "lands_late;cut=reset;delay=1ms"} {
		assert.ErrorIs(t, try(fault), syscall.ECONNRESET, fault)
	}
	err = try("request_lost")
	require.Error(t, err)
	assert.NotErrorIs(t, err, syscall.ECONNRESET)
}

// A recorder cannot be hijacked: net/http's own way of breaking off is used.
func TestCutsWithoutAConnection(t *testing.T) {
	t.Parallel()
	srv, err := fakepay.New(fakepay.Config{})
	require.NoError(t, err)
	req := httptest.NewRequest(http.MethodPost, "/charges", strings.NewReader(`{"amount_cents":1,"currency":"eur","source":"s"}`))
	req.Header.Set(fakepay.FaultHeader, "reply_lost")
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { srv.ServeHTTP(httptest.NewRecorder(), req) })
	assert.Equal(t, 1, srv.Ledger().Totals.Charges)
	assert.NoError(t, srv.Close(context.Background()), "the broken-off request is over, too")
}

func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var told atomic.Int64
		b := open(t, fakepay.Config{
			Speed: 4, Latency: fakepay.Latency{P50: time.Second, P99: 40 * time.Second}, OnAttempt: func(fakepay.Attempt) { told.Add(1) },
			Faults: []fakepay.Fault{{Kind: fakepay.LandsLate, Rate: 0.2}, {Kind: fakepay.Duplicate, Rate: 0.2}, {Kind: fakepay.ReplyLost, Rate: 0.2}},
		})
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				reference := string(rune('a' + i%20))
				s := b.pay(reference, reference, "")
				b.call("GET", "/charges?reference="+reference, "", "", nil)
				if s.status == 201 {
					b.call("POST", "/charges/"+s.charge.ID+"/refund", "", "", amount(1))
				}
				b.srv.Ledger()
				_ = b.srv.Conditions()
			})
		}
		all.Wait()
		l := b.settled()
		assert.Equal(t, 20, l.Totals.Charges, "one for each key")
		var refunded int64
		for _, c := range l.Charges {
			refunded += c.RefundedCents
		}
		assert.Equal(t, refunded, l.Totals.RefundedCents)
		assert.Equal(t, int64(20*4200)-refunded, l.Totals.NetCents)
		assert.Equal(t, int64(2*len(l.Attempts)), told.Load())
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]fakepay.Config{
		"Speed":             {Speed: -1},
		"Mode":              {Mode: "sometimes"},
		"KeyLife":           {KeyLife: -1},
		"DecideAfter":       {DecideAfter: -1},
		"Latency":           {Latency: fakepay.Latency{P99: 1}},
		"Faults":            {Faults: []fakepay.Fault{{Rate: 0.7}, {Rate: 0.7}}},
		"Scripts":           {Scripts: map[string][]fakepay.Fault{"a": {{Kind: "b"}}}},
		"Outages[0]":        {Outages: []fakepay.Outage{{From: 1}}},
		"Webhook.URL":       {Webhook: fakepay.Webhook{URL: "shop", Secret: "s"}},
		"Webhook.Secret":    {Webhook: fakepay.Webhook{URL: "http://shop"}},
		"Webhook.Duplicate": {Webhook: fakepay.Webhook{Duplicate: 2}},
		"Webhook.Attempts":  {Webhook: fakepay.Webhook{Attempts: 21}},
		"Webhook.Backoff":   {Webhook: fakepay.Webhook{Backoff: -1}},
		"Webhook.Timeout":   {Webhook: fakepay.Webhook{Timeout: -1}},
		"Webhook.Delay":     {Webhook: fakepay.Webhook{Delay: fakepay.Latency{Min: -1}}},
	} {
		_, err := fakepay.New(cfg)
		assert.ErrorContains(t, err, field)
	}
	_, err := fakepay.New(fakepay.Config{Speed: -1, Mode: "sometimes"})
	assert.ErrorContains(t, err, "Speed")
	assert.ErrorContains(t, err, "Mode", "all that is wrong is said at once")
}
