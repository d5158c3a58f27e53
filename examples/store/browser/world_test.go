package browser_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/naive"
	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/examples/store/web"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

const (
	email    = "ada@example.com"
	password = "open sesame"
	usual    = 3 * time.Second // what the naive shop gives the bank
	patient  = time.Minute
	first    = "order-1" // the number of the first order in every shop
)

// around is whom a shop calls: a bank, a warehouse and a post office, for it alone.
type around struct {
	bank      *fakepay.Server
	gate      *gate // before the bank
	bankURL   string
	warehouse *warehouse.Warehouse
	office    *mail.Office
	letters   func() int // that reached the customer
}

func newAround(t *testing.T, c fakepay.Config) around {
	t.Helper()
	c.ReplayErrors = true
	provider, err := fakepay.New(c)
	require.NoError(t, err)
	g := &gate{Handler: provider, paths: []string{"/v1/payment_intents", "/charges"}} // the protected shop's, and the naive one's
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		assert.NoError(t, provider.Close(ctx))
		server.Close()
	})
	office := mail.New(0, nil)
	return around{
		bank: provider, gate: g, bankURL: server.URL, warehouse: warehouse.New(200*time.Millisecond, nil),
		office: office, letters: func() int { return len(office.Inbox(email)) },
	}
}

// arrived waits until so many requests to charge have come to the bank.
func (a around) arrived(t *testing.T, n int64) {
	t.Helper()
	a.gate.arrived(t, n)
}

// settled returns the bank's totals when nothing is under way there.
func (a around) settled(t *testing.T) fakepay.Totals {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, a.bank.Quiesce(ctx))
	return a.bank.Ledger().Totals
}

// want is what must be true in the end.
type want struct{ charges, refunds, parcels, mails int }

// judge asks everybody but the shop.
func (a around) judge(t *testing.T, w want, overcharged bool) {
	t.Helper()
	totals := a.settled(t)
	// A form that the browser takes back uses up a number.
	parcels := a.warehouse.Parcels(first) + a.warehouse.Parcels("order-2")
	got := want{totals.Charges, totals.Refunds, parcels, a.letters()}
	assert.Equal(t, w, got, "{charges refunds parcels mails}")
	price := totals.CapturedCents / int64(max(totals.Charges, 1))
	owed := price * int64(min(got.parcels, 1))
	assert.Equal(t, overcharged, totals.NetCents > owed, "taken %d cents, of which %d were owed", totals.NetCents, owed)
}

// logOf is a log that is shown when the test fails.
func logOf(t *testing.T) *slog.Logger {
	var mu sync.Mutex
	var text bytes.Buffer
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if t.Failed() {
			t.Logf("the shop's log:\n%s", text.String())
		}
	})
	return slog.New(slog.NewTextHandler(writerFunc(func(line []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(line)
	}), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

type writerFunc func([]byte) (int, error)

// Write calls it.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// protected is the shop.
type protected struct {
	around
	url   string
	shop  *shop.Shop
	forms *gate // before the checkout
}

// timing is the shop's own, but for what a test would wait too long for.
func timing() shop.Timing {
	timing := shop.RealTime()
	timing.Attempt, timing.Lease, timing.Poll = time.Minute, 4*time.Second, 200*time.Millisecond
	timing.Settling = 100 * time.Millisecond
	timing.Breaker.OpenFor = 2 * time.Second
	return timing
}

func newProtected(t *testing.T, timing shop.Timing, c fakepay.Config) protected {
	t.Helper()
	needChrome(t)
	p := protected{around: newAround(t, c)}
	db, err := database.Open(t.Context(), database.Memory)
	require.NoError(t, err)
	mailbox := mail.NewMailbox()
	sink, err := mail.ListenSMTP("127.0.0.1:0", mailbox)
	require.NoError(t, err)
	sender, err := mail.NewSMTP(sink.Address)
	require.NoError(t, err)
	p.letters = func() int { return len(mailbox.Messages()) }
	var orders atomic.Int64
	log := logOf(t)
	p.shop, err = shop.Open(t.Context(), shop.Config{
		DB: db, Bank: bank.New(p.bankURL), Warehouse: p.warehouse, Mail: sender, Timing: timing, Log: log,
		Number: func() string { return fmt.Sprintf("order-%d", orders.Add(1)) },
	})
	require.NoError(t, err)
	stopping := make(chan struct{})
	site, err := web.New(web.Config{
		Shop: p.shop, Mailbox: mailbox, AdminPassword: password, BankSince: time.Now().Add(-time.Minute), Stopping: stopping, Log: log,
	})
	require.NoError(t, err)
	p.forms = &gate{Handler: site, paths: []string{"/checkout"}}
	server := httptest.NewServer(p.forms)
	p.url = server.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		close(stopping)
		server.CloseClientConnections()
		server.Close()
		assert.NoError(t, p.shop.Close(ctx))
		assert.NoError(t, sink.Close())
		assert.NoError(t, db.Close())
	})
	return p
}

// judge waits until the shop has nothing more to do.
func (p protected) judge(t *testing.T, w want, overcharged bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		n, err := p.shop.UnderWay(t.Context())
		return err == nil && n == 0
	}, patience, 20*time.Millisecond, "the shop is never done")
	p.around.judge(t, w, overcharged)
}

// checkout puts a lamp into the basket and goes to the checkout.
func (b tab) checkout(url string) {
	b.Helper()
	b.load(url)
	b.press(`form:has([value=lamp]) button`)
	b.load(url + "/checkout")
	b.do(chromedp.SendKeys(chromedp.CSS(`#email`), email))
}

// pay is the button of the checkout and of an order.
const pay chromedp.CSS = `form:has(select) button`

// choose chooses a card.
func (b tab) choose(card string) {
	b.Helper()
	b.do(chromedp.SetValue(chromedp.CSS(`select[name=card]`), card))
}

// naiveShop is the naive one, with an order whose page is at url.
type naiveShop struct {
	around
	url  string
	busy *atomic.Int64 // requests under way: its work ends with them
}

func newNaive(t *testing.T, timeout time.Duration, c fakepay.Config) naiveShop {
	t.Helper()
	needChrome(t)
	n := naiveShop{around: newAround(t, c), busy: new(atomic.Int64)}
	s := naive.New(naive.Config{BankURL: n.bankURL, Warehouse: n.warehouse, Mail: n.office, Timeout: timeout, Pause: time.Second})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.busy.Add(1)
		defer n.busy.Add(-1)
		s.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		s.Close()
	})
	n.url = server.URL + placeNaive(t, server.URL)
	return n
}

// judge waits until the shop has nothing more to do.
func (n naiveShop) judge(t *testing.T, w want, overcharged bool) {
	t.Helper()
	require.Eventually(t, func() bool { return n.busy.Load() == 0 }, patience, 10*time.Millisecond, "the naive shop is never done")
	n.around.judge(t, w, overcharged)
}

func script(faults ...fakepay.Fault) map[string][]fakepay.Fault {
	return map[string][]fakepay.Fault{first: faults}
}

func times(n int, f fakepay.Fault) []fakepay.Fault { return slices.Repeat([]fakepay.Fault{f}, n) }

func always(d time.Duration) fakepay.Latency { return fakepay.Latency{P50: d} }
