package shop_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// journal is a log to read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps a line.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// A webhook comes before the answer that it is about. The order goes its way; that whoever waited for the answer has lost its
// claim is in the log, as no warning.
func TestWebhookBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	var s *shop.Shop
	opened, heard := make(chan struct{}), make(chan struct{})
	hear := sync.OnceFunc(func() { close(heard) }) // there is one, which may be sent again
	hears := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-opened
		bank.Webhook("whsec", s.BankSays).ServeHTTP(w, r)
		hear()
	}))
	t.Cleanup(hears.Close)
	provider, err := fakepay.New(fakepay.Config{Webhook: fakepay.Webhook{URL: hears.URL, Secret: "whsec"}})
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/payment_intents" {
			provider.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		provider.ServeHTTP(answer, r)
		<-heard
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(server.Close)

	log := new(journal)
	timing := shop.RealTime()
	timing.Attempt, timing.Lease = patience, patience
	w := openWorld(t, server.URL, timing, slog.New(slog.NewTextHandler(log, nil)))
	s = w.shop
	close(opened)
	order := w.order(t)
	w.quiet(t)

	o, err := s.Order(t.Context(), customer, order)
	require.NoError(t, err)
	assert.Equal(t, shop.Shipped, o.State)
	assert.Equal(t, 1, provider.Ledger().Totals.Charges)
	assert.Equal(t, 1, w.depot.Parcels(order))
	assert.Equal(t, []string{"shipped"}, w.letters())
	const says = `level=INFO msg="a charge was settled by a webhook before its answer came`
	assert.Eventually(t, func() bool { return strings.Contains(log.String(), says) }, patience, 5*time.Millisecond, "the answer comes after the order has been shipped")
	assert.NotContains(t, log.String(), "level=WARN")
}
