package shop_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/demo/shop"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/store/memstore"
)

const (
	lamp  = "order-1"
	email = "ada@example.com"
	// speed makes the shop's 3 s 150 ms.
	speed = 20
	// patience is how long a test waits for something to happen: on a busy machine, long.
	patience = 2 * time.Minute
)

// town is a shop and all that it needs.
type town struct {
	bank      *fakepay.Server
	shut      chan struct{} // while it is open, the bank's visitors wait; nil: they do not
	warehouse *warehouse.Warehouse
	mail      *mail.Office
	url       string
}

func newTown(t *testing.T, cfg fakepay.Config) *town {
	t.Helper()
	return newTownOn(t, memstore.New(memstore.Config{}), cfg)
}

func newTownOn(t *testing.T, store idempotency.Store, cfg fakepay.Config) *town {
	t.Helper()
	cfg.Speed, cfg.ReplayErrors = speed, true
	provider, err := fakepay.New(cfg)
	require.NoError(t, err)
	w := &town{bank: provider, warehouse: warehouse.New(0, nil), mail: mail.New(0, nil)}
	bankServer := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.shut != nil {
			<-w.shut
		}
		provider.ServeHTTP(rw, r)
	}))
	timing := shop.RealTime().Faster(speed)
	timing.Attempt, timing.Lease = patience, patience // no test is about these, and a busy machine needs more than a twentieth
	s, err := shop.New(shop.Config{Store: store, Bank: bank.New(bankServer.URL), Warehouse: w.warehouse, Mail: w.mail, Timing: timing})
	require.NoError(t, err)
	front := httptest.NewServer(s.Handler())
	w.url = front.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience) // t.Context has ended
		defer cancel()
		front.Close()
		assert.NoError(t, s.Close(ctx))
		assert.NoError(t, provider.Close(ctx))
		bankServer.Close()
	})
	return w
}

// browser is a visitor with cookies of their own.
type browser struct {
	t *testing.T
	*http.Client
}

func newBrowser(t *testing.T) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return browser{t, &http.Client{Jar: jar, Timeout: patience}}
}

func (b browser) post(address string, form url.Values) (status int, body string) {
	b.t.Helper()
	return b.load(http.MethodPost, address, strings.NewReader(form.Encode()))
}

func (b browser) get(address string) (status int, body string) {
	b.t.Helper()
	return b.load(http.MethodGet, address, http.NoBody)
}

func (b browser) load(method, address string, form io.Reader) (status int, body string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, address, form)
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := b.Do(req)
	if !assert.NoError(b.t, err) {
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	assert.NoError(b.t, err)
	return res.StatusCode, string(text)
}

func (b browser) order(w *town) (page string) {
	b.t.Helper()
	status, page := b.post(w.url+"/orders", url.Values{"item": {"lamp"}, "email": {email}})
	require.Equal(b.t, http.StatusOK, status)
	require.Equal(b.t, "open", statusOf(page))
	return page
}

func (b browser) pay(w *town, payment, card string) (status int, page string) {
	b.t.Helper()
	return b.post(w.url+"/orders/"+lamp+"/pay", url.Values{"payment": {payment}, "card": {card}})
}

// await reloads the order's page until it says so.
func (b browser) await(w *town, status string) string {
	b.t.Helper()
	var page string
	require.Eventually(b.t, func() bool {
		_, page = b.get(w.url + "/orders/" + lamp)
		return statusOf(page) == status
	}, patience, 10*time.Millisecond, "the page never said %q", status)
	return page
}

var (
	statusField  = regexp.MustCompile(`role="status" data-status="([a-z]+)"`)
	paymentField = regexp.MustCompile(`name="payment" value="([^"]+)"`)
)

func field(re *regexp.Regexp, page string) string {
	if m := re.FindStringSubmatch(page); m != nil {
		return m[1]
	}
	return ""
}

func statusOf(page string) string  { return field(statusField, page) }
func paymentOf(page string) string { return field(paymentField, page) }

// hold lets the bank answer nobody until the function that it returns is called. It is called before anybody asks the bank.
func (w *town) hold(t *testing.T) (release func()) {
	t.Helper()
	w.shut = make(chan struct{})
	release = sync.OnceFunc(func() { close(w.shut) })
	t.Cleanup(release) // or nothing would end
	return release
}

func (w *town) charges() int { return w.bank.Ledger().Totals.Charges }

func TestPaidShippedAndTold(t *testing.T) {
	w, b := newTown(t, fakepay.Config{}), newBrowser(t)
	status, page := b.pay(w, paymentOf(b.order(w)), "tok_visa")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, []string{"pending", "paid", "shipped"}, statusOf(page), "pending: the machine is busy")
	page = b.await(w, "shipped")
	assert.Empty(t, paymentOf(page), "there is nothing more to pay")
	assert.Equal(t, 1, w.charges())
	assert.Equal(t, 1, w.warehouse.Parcels(lamp))
	require.Eventually(t, func() bool { return len(w.mail.Inbox(email)) == 1 }, patience, 5*time.Millisecond)
	assert.Equal(t, "shipped", w.mail.Inbox(email)[0].Status)
}

func TestManyClicksAreOnePayment(t *testing.T) {
	w, b := newTown(t, fakepay.Config{Latency: fakepay.Latency{P50: time.Second}}), newBrowser(t)
	payment := paymentOf(b.order(w))
	var clicks sync.WaitGroup
	for range 10 {
		clicks.Go(func() {
			status, _ := b.pay(w, payment, "tok_visa")
			assert.Equal(t, http.StatusOK, status)
		})
	}
	clicks.Wait()
	b.await(w, "shipped")
	_, page := b.pay(w, payment, "tok_visa") // Back, and once more
	assert.Equal(t, "shipped", statusOf(page))
	assert.Equal(t, 1, w.charges())
	assert.Equal(t, 1, w.bank.Ledger().Totals.Attempts[fakepay.OpCharge])
	assert.Equal(t, 1, w.warehouse.Parcels(lamp))
}

func TestSlowBankIsPendingWithoutAPayButton(t *testing.T) {
	w, b := newTown(t, fakepay.Config{}), newBrowser(t)
	answer := w.hold(t)
	status, page := b.pay(w, paymentOf(b.order(w)), "tok_visa")
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, "pending", statusOf(page))
	assert.Empty(t, paymentOf(page), "nothing to click while a payment is under way")
	assert.Contains(t, page, `http-equiv="refresh"`)
	answer()
	assert.NotContains(t, b.await(w, "shipped"), `http-equiv="refresh"`)
	assert.Equal(t, 1, w.charges())
}

func TestLostRepliesAreOneCharge(t *testing.T) {
	lost := fakepay.Fault{Kind: fakepay.ReplyLost}
	w, b := newTown(t, fakepay.Config{Scripts: map[string][]fakepay.Fault{lamp: {lost, lost, lost}}}), newBrowser(t)
	b.pay(w, paymentOf(b.order(w)), "tok_visa")
	b.await(w, "shipped")
	assert.Equal(t, 1, w.charges())
	assert.Equal(t, 4, w.bank.Ledger().Totals.Attempts[fakepay.OpCharge])
}

func TestDeclinedThenAnotherCard(t *testing.T) {
	w, b := newTown(t, fakepay.Config{}), newBrowser(t)
	first := paymentOf(b.order(w))
	b.pay(w, first, fakepay.SourceExpiredCard)
	page := b.await(w, "declined")
	second := paymentOf(page)
	require.NotEmpty(t, second)
	assert.NotEqual(t, first, second, "another card is a new intent, with a new key")

	_, page = b.pay(w, first, "tok_visa") // from an old tab
	assert.Equal(t, "declined", statusOf(page), "the old form pays nothing")
	assert.Zero(t, w.charges())

	b.pay(w, second, "tok_visa")
	b.await(w, "shipped")
	assert.Equal(t, 1, w.charges())
}

func TestOneKeyIsOneCard(t *testing.T) {
	w, b := newTown(t, fakepay.Config{}), newBrowser(t)
	answer := w.hold(t)
	payment := paymentOf(b.order(w))
	b.pay(w, payment, "tok_visa")
	status, body := b.pay(w, payment, "tok_mastercard")
	assert.Equal(t, http.StatusConflict, status)
	assert.Contains(t, body, "counts as it was sent first")
	answer()
	b.await(w, "shipped")
	assert.Equal(t, 1, w.charges())
}

func TestOutageSavesTheOrder(t *testing.T) {
	w, b := newTown(t, fakepay.Config{}), newBrowser(t)
	require.NoError(t, w.bank.Outage(time.Hour, fakepay.Fault{}))
	_, page := b.pay(w, paymentOf(b.order(w)), "tok_visa")
	if statusOf(page) != "paused" { // the machine is slow: the breaker has not opened yet
		page = b.await(w, "paused")
	}
	assert.Contains(t, page, "Your order is saved")
	require.NoError(t, w.bank.Outage(0, fakepay.Fault{}))
	b.await(w, "shipped")
	assert.Equal(t, 1, w.charges())
	assert.Equal(t, 1, w.warehouse.Parcels(lamp))
}

// sick is a store that can fail when it is asked to claim or to schedule: before it did so, or after.
type sick struct {
	idempotency.Store
	down, mute atomic.Bool
	refused    atomic.Int32
}

func (s *sick) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	if s.down.Load() {
		s.refused.Add(1)
		return idempotency.Record{}, errors.New("the store is down")
	}
	rec, err := s.Store.Acquire(ctx, c)
	if s.mute.Load() {
		return idempotency.Record{}, errors.New("the reply is lost")
	}
	return rec, err
}

func TestStoreThatIsDownStartsNothingYet(t *testing.T) {
	store := &sick{Store: memstore.New(memstore.Config{})}
	w, b := newTownOn(t, store, fakepay.Config{}), newBrowser(t)
	payment := paymentOf(b.order(w))
	store.down.Store(true)
	status, page := b.pay(w, payment, "tok_visa")
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, "pending", statusOf(page), "nobody knows what the store did")
	assert.Contains(t, page, "still checking")
	assert.Empty(t, paymentOf(page))
	clicked := store.refused.Load()
	require.Eventually(t, func() bool { return store.refused.Load() >= clicked+3 }, patience, 10*time.Millisecond, "the sweeper tries again")
	assert.Zero(t, w.charges())
	store.down.Store(false)
	page = b.await(w, "shipped") // though nobody clicked again
	assert.Empty(t, paymentOf(page))
	assert.Equal(t, 1, w.charges())
	assert.Equal(t, 1, w.warehouse.Parcels(lamp))
}

func TestStoreWhoseReplyIsLostIsNotTakenForANo(t *testing.T) {
	store := &sick{Store: memstore.New(memstore.Config{})}
	w, b := newTownOn(t, store, fakepay.Config{}), newBrowser(t)
	payment := paymentOf(b.order(w))
	store.mute.Store(true)
	status, page := b.pay(w, payment, "tok_visa")
	require.Equal(t, http.StatusOK, status)
	assert.NotContains(t, page, "othing was charged")
	assert.Empty(t, paymentOf(page), "nothing to click: the payment was committed to")
	store.mute.Store(false)
	b.await(w, "shipped")
	assert.Equal(t, 1, w.charges())
	assert.Equal(t, 1, w.warehouse.Parcels(lamp))
}

func TestAnotherCardWhileNobodyKnows(t *testing.T) {
	store := &sick{Store: memstore.New(memstore.Config{})}
	w, b := newTownOn(t, store, fakepay.Config{}), newBrowser(t)
	payment := paymentOf(b.order(w))
	store.down.Store(true)
	b.pay(w, payment, "tok_visa")
	store.down.Store(false)
	b.pay(w, payment, "tok_mastercard") // from a second tab; the sweeper may be faster
	b.await(w, "shipped")
	assert.Equal(t, 1, w.charges(), "one key is one charge, whichever card it is")
}

func TestShopClosesWithAPaymentThatCannotStart(t *testing.T) {
	store := &sick{Store: memstore.New(memstore.Config{})}
	w, b := newTownOn(t, store, fakepay.Config{}), newBrowser(t)
	payment := paymentOf(b.order(w))
	store.down.Store(true)
	_, page := b.pay(w, payment, "tok_visa")
	assert.Equal(t, "pending", statusOf(page))
	// newTown's cleanup asserts that Close returns.
}

func TestCookieThatTheShopDidNotSetIsNone(t *testing.T) {
	w, b := newTown(t, fakepay.Config{}), newBrowser(t)
	front, err := url.Parse(w.url)
	require.NoError(t, err)
	b.Jar.SetCookies(front, []*http.Cookie{{Name: "visitor", Value: strings.Repeat("a", idempotency.MaxKey+1), Path: "/"}})
	b.pay(w, paymentOf(b.order(w)), "tok_visa")
	b.await(w, "shipped")
	assert.Equal(t, 1, w.charges())
}

func TestOrdersOfOthersDoNotExist(t *testing.T) {
	w, ada, eve := newTown(t, fakepay.Config{}), newBrowser(t), newBrowser(t)
	payment := paymentOf(ada.order(w))
	for _, path := range []string{"/orders/" + lamp, "/orders/order-99"} {
		status, _ := eve.get(w.url + path)
		assert.Equal(t, http.StatusNotFound, status, path)
	}
	status, _ := eve.pay(w, payment, "tok_visa")
	assert.Equal(t, http.StatusNotFound, status)
	assert.Zero(t, w.bank.Ledger().Totals.Attempts[fakepay.OpCharge])
}

func TestBadForms(t *testing.T) {
	w, b := newTown(t, fakepay.Config{}), newBrowser(t)
	for _, form := range []url.Values{
		{"item": {"yacht"}, "email": {email}},
		{"item": {"lamp"}},
		{},
		{"item": {"lamp"}, "email": {strings.Repeat("a", 64<<10)}},
	} {
		status, _ := b.post(w.url+"/orders", form)
		assert.Equal(t, http.StatusUnprocessableEntity, status)
	}
	_, page := b.pay(w, "a key of my own", "tok_visa")
	assert.Contains(t, page, "not found")
	payment := paymentOf(b.order(w))
	_, page = b.pay(w, "a key of my own", "tok_visa")
	assert.Equal(t, "open", statusOf(page), "only the order's own payment can be made")
	assert.Equal(t, payment, paymentOf(page))
	assert.Zero(t, w.charges())
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	w := newTown(t, fakepay.Config{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/orders", strings.NewReader("item=lamp&email=a"))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := newBrowser(t).Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusForbidden, res.StatusCode)
}
