package shop_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/retry"
)

// heldBank holds requests to charge before the bank until they are let go, also when their client has gone.
type heldBank struct {
	provider *fakepay.Server
	arrived  chan struct{} // a request to charge has
	letGo    func()
	gate     chan struct{} // what letGo closes
	asked    atomic.Int64  // questions that were answered
	onAsked  func()        // before the next one is
}

func holdBank(t *testing.T, webhook fakepay.Webhook) (b *heldBank, url string) {
	t.Helper()
	provider, err := fakepay.New(fakepay.Config{Webhook: webhook})
	require.NoError(t, err)
	gate := make(chan struct{})
	b = &heldBank{provider: provider, arrived: make(chan struct{}, 100), gate: gate, letGo: sync.OnceFunc(func() { close(gate) }), onAsked: func() {}}
	server := httptest.NewServer(b)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience) // t.Context has ended
		defer cancel()
		b.letGo()
		assert.NoError(t, provider.Close(ctx))
		server.Close()
	})
	return b, server.URL
}

// ServeHTTP serves.
func (b *heldBank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/payment_intents":
		b.arrived <- struct{}{}
		<-b.gate
	case strings.HasSuffix(r.URL.Path, "/search"):
		b.onAsked()
		defer b.asked.Add(1)
	}
	b.provider.ServeHTTP(w, r)
}

// landed waits until the bank has charged.
func (b *heldBank) landed(t assert.TestingT) {
	assert.Eventually(t, func() bool { return b.provider.Ledger().Totals.Charges == 1 }, patience, time.Millisecond, "the held request never lands")
}

// A request to charge is on its way when its attempt ends and its connection is closed. The customer cancels, the order is
// cancelled, and then the request arrives: what it took is given back, once, whoever tells of it.
func TestChargeLandsAfterItsClientHasGone(t *testing.T) {
	t.Parallel()
	for name, lands := range map[string]func(t *testing.T, b *heldBank){
		"the lookup finds it": func(t *testing.T, b *heldBank) {
			b.onAsked = func() {
				b.letGo()
				b.landed(t)
			}
		},
		"the webhook tells, after a lookup that came too early": func(t *testing.T, b *heldBank) {
			go func() {
				if assert.Eventually(t, func() bool { return b.asked.Load() > 0 }, patience, time.Millisecond, "the bank is never asked") {
					b.letGo()
				}
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *shop.Shop
			opened := make(chan struct{})
			hears := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-opened
				bank.Webhook("whsec", s.BankSays).ServeHTTP(w, r)
			}))
			t.Cleanup(hears.Close)
			webhook := fakepay.Webhook{}
			if strings.Contains(name, "webhook") {
				webhook = fakepay.Webhook{URL: hears.URL, Secret: "whsec", Backoff: time.Millisecond}
			}
			b, url := holdBank(t, webhook)
			lands(t, b)

			timing := shop.RealTime()
			timing.Attempt, timing.Poll = 500*time.Millisecond, 50*time.Millisecond
			timing.Settling = time.Hour // nothing has settled before this test is over: no "no" is believed
			timing.Retry = retry.Policy{Attempts: 1, Initial: 5 * time.Millisecond, Max: 10 * time.Millisecond}
			w := openWorld(t, url, timing, nil)
			s = w.shop
			close(opened)
			order := w.order(t)
			<-b.arrived
			require.NoError(t, s.Cancel(t.Context(), customer, order)) // the request under way decides; it is the last
			is := func(state shop.State) func() bool {
				return func() bool {
					o, err := s.Order(t.Context(), customer, order)
					return err == nil && o.State == state
				}
			}
			require.Eventually(t, is(shop.Refunded), patience, 5*time.Millisecond, "the charge that came late is never given back")
			w.quiet(t)

			totals := b.provider.Ledger().Totals
			assert.Equal(t, [2]int{1, 1}, [2]int{totals.Charges, totals.Refunds}, "{charges refunds}")
			assert.Zero(t, totals.NetCents)
			assert.Zero(t, w.depot.Parcels(order))
			assert.ElementsMatch(t, []string{"cancelled", "refunded"}, w.letters())
		})
	}
}
