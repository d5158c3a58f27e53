package web_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

func TestSlowBankOffersNoPayButton(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{first: times(always, fakepay.Unavailable)}})
	b := w.browser()
	form := b.fill("lamp")
	p := b.pay(form, "tok_visa")
	require.Equal(t, http.StatusOK, p.status)
	assert.Equal(t, "pending", p.says())
	assert.Empty(t, p.field("payment"), "there is nothing to click while a payment is under way")
	assert.Contains(t, p.body, "Your reference is <strong>"+first)
	assert.Contains(t, p.body, `<noscript><meta http-equiv="refresh"`, "also without JavaScript")
	assert.Contains(t, p.body, `data-events="/orders/`+first+`/events"`)
	assert.Contains(t, p.body, "attempt ")
	again := b.pay(form, "tok_visa")
	assert.Contains(t, again.body, "already being paid: you were not charged again")
	assert.Equal(t, "/orders/"+first+"?again=1", again.path)

	require.NoError(t, w.bank.SetConditions(fakepay.Conditions{Scripts: map[string][]fakepay.Fault{}}))
	p = b.await(first, "shipped")
	assert.NotContains(t, p.body, `http-equiv="refresh"`, "there will be no more news")
	assert.Equal(t, 1, w.totals().Charges)
}

func TestOutagePausesPayments(t *testing.T) {
	t.Parallel()
	timing := quick()
	timing.Breaker.MinCalls, timing.Breaker.OpenFor = 3, 100*time.Millisecond
	w := newWorld(t, openDB(t, database.Memory), timing, fakepay.Config{})
	require.NoError(t, w.bank.Outage(time.Hour, fakepay.Fault{}))
	b := w.browser()
	b.pay(b.fill("lamp"), "tok_visa")
	p := b.await(first, "paused")
	assert.Contains(t, p.body, "Your order is saved")
	assert.Empty(t, p.field("payment"))
	require.NoError(t, w.bank.Outage(0, fakepay.Fault{}))
	b.await(first, "shipped")
	assert.Equal(t, 1, w.totals().Charges)
}

func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{first: times(always, fakepay.Unavailable)}})
	b := w.browser()
	b.pay(b.fill("lamp"), "tok_visa")
	code, stream := b.listen(first)
	require.Equal(t, http.StatusOK, code)

	var seen []string
	status := regexp.MustCompile(`data-status="([a-z]+)"`)
	lines := bufio.NewScanner(stream)
	for lines.Scan() { // until the stream ends by itself
		if lines.Text() == "event: over" {
			seen = append(seen, "over")
		}
		m := status.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if len(seen) == 0 {
			require.NoError(t, w.bank.SetConditions(fakepay.Conditions{Scripts: map[string][]fakepay.Fault{}}))
		}
		if len(seen) == 0 || seen[len(seen)-1] != m[1] {
			seen = append(seen, m[1])
		}
	}
	require.GreaterOrEqual(t, len(seen), 3)
	assert.Equal(t, "pending", seen[0])
	assert.Equal(t, []string{"shipped", "over"}, seen[len(seen)-2:])
	assert.Contains(t, b.get("/orders/"+first+"/live").body, `data-status="shipped"`, "and for who asks instead of listening")
}

// listen opens the stream of an order's page, again where the database was too slow for the shop.
func (b browser) listen(order string) (status int, stream io.ReadCloser) {
	b.t.Helper()
	var res *http.Response
	require.Eventually(b.t, func() bool {
		req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.base+"/orders/"+order+"/events", http.NoBody)
		if err == nil {
			res, err = b.Do(req)
		}
		if !assert.NoError(b.t, err) {
			return true
		}
		b.t.Cleanup(func() { _ = res.Body.Close() })
		return res.StatusCode != http.StatusInternalServerError
	}, patience, look)
	if res.StatusCode == http.StatusOK {
		assert.Equal(b.t, "text/event-stream", res.Header.Get("Content-Type"))
	}
	return res.StatusCode, res.Body
}

// A browser has six connections to a host: streams must not take them all, nor may anybody take all of the shop's.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{first: times(always, fakepay.Unavailable)}})
	ada, eve := w.browser(), w.browser()
	ada.pay(ada.fill("lamp"), "tok_visa")
	eve.pay(eve.fill("lamp"), "tok_visa")
	listen := func(b browser, order string) int {
		status, _ := b.listen(order)
		return status
	}
	_, oldest := ada.listen(first)
	for range 3 {
		require.Equal(t, http.StatusOK, listen(ada, first))
	}
	assert.Equal(t, http.StatusServiceUnavailable, listen(ada, first))
	assert.Equal(t, http.StatusOK, listen(eve, "order-2"), "that is Ada's affair")
	assert.Equal(t, http.StatusOK, ada.get("/orders/"+first+"/live").status, "who cannot listen asks")
	require.NoError(t, oldest.Close())
	require.Eventually(t, func() bool { return listen(ada, first) == http.StatusOK }, patience, look)
}

// The page of an order that was cancelled waits for a refund where one may come, and else for nothing.
func TestStreamOfACancelledOrderEnds(t *testing.T) {
	t.Parallel()
	lost := append(times(1, fakepay.ReplyLost), times(always, fakepay.Unavailable)...)
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{
		"order-2": times(always, fakepay.RateLimited), "order-3": lost, "lookup:order-3": times(2, fakepay.Unavailable),
	}})
	b := w.browser()
	for order, c := range map[string]struct{ card, last string }{
		first: {fakepay.SourceDeclined, "cancelled"}, "order-2": {"tok_visa", "cancelled"}, "order-3": {"tok_visa", "refunded"},
	} {
		w.orders.Store(map[string]int64{first: 0, "order-2": 1, "order-3": 2}[order])
		b.pay(b.fill("lamp"), c.card)
		if c.last == "refunded" {
			w.charged(1)
		}
		require.Eventually(t, func() bool {
			says := b.post("/orders/" + order + "/cancel").says()
			return says == "cancelled" || says == "refunded"
		}, patience, look)
		_, events := b.listen(order)
		stream, err := io.ReadAll(events)
		require.NoError(t, err, "it ends by itself")
		assert.Contains(t, string(stream), `data-status="`+c.last+`" data-final`)
		assert.True(t, strings.HasPrefix(string(stream[bytes.LastIndex(stream, []byte("event: ")):]), "event: over"), "and says so")
		assert.NotContains(t, b.get("/orders/"+order).body, "data-events", "there is nothing more to listen to")
	}
}

func TestStoppingServerEndsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{first: times(always, fakepay.Unavailable)}})
	b := w.browser()
	b.pay(b.fill("lamp"), "tok_visa")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/orders/"+first+"/events", http.NoBody)
	require.NoError(t, err)
	res, err := b.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	close(w.stop)
	_, err = io.Copy(io.Discard, res.Body) // it ends
	require.NoError(t, err)
	w.stop = make(chan struct{}) // the cleanup closes it again
}

func TestOrdersOfOthersDoNotExist(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		ada, eve := w.browser(), w.browser()
		form := ada.fill("lamp")
		eves := eve.fill("clock")

		stolen := eve.post("/checkout", "payment", form.field("payment"), "basket", form.field("basket"), "email", email, "card", "tok_visa")
		invented := eve.post("/checkout", "payment", "a key of my own", "basket", eves.field("basket"), "email", email, "card", "tok_visa")
		missing := eve.post("/checkout", "email", email, "card", "tok_visa")
		for _, p := range []page{stolen, invented, missing} {
			assert.Equal(t, http.StatusUnprocessableEntity, p.status)
			assert.Equal(t, invented.body, p.body, "what is somebody else's looks like what is not there")
		}

		ada.pay(form, fakepay.SourceDeclined)
		next := ada.await(first, "declined").field("payment")
		replayed := eve.post("/checkout", "payment", form.field("payment"), "basket", form.field("basket"), "email", email, "card", fakepay.SourceDeclined)
		assert.Equal(t, invented.body, replayed.body, "a key that was used is no different")
		nobody := eve.get("/orders/order-99")
		require.Equal(t, http.StatusNotFound, nobody.status)
		for _, p := range []page{
			eve.get("/orders/" + first), eve.get("/orders/" + first + "/live"), eve.get("/orders/" + first + "/events"),
			eve.post("/orders/"+first+"/pay", "payment", next, "card", "tok_visa"), eve.post("/orders/" + first + "/cancel"),
			w.browser().get("/orders/" + first),
		} {
			assert.Equal(t, http.StatusNotFound, p.status)
		}
		assert.Equal(t, nobody.body, eve.get("/orders/"+first).body)
		w.quiet()
		assert.Equal(t, 1, w.totals().Attempts[fakepay.OpCharge], "only Ada's own")
		assert.Zero(t, w.totals().Charges)
	})
}

func TestBadForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{})
	b := w.browser()
	form := b.fill("lamp")
	key, digest := form.field("payment"), form.field("basket")
	for name, c := range map[string]struct {
		path   string
		fields []string
		status int
		says   string
	}{
		"no such item":    {"/basket", []string{"item", "yacht"}, http.StatusUnprocessableEntity, "We do not sell that"},
		"no item":         {"/basket", nil, http.StatusUnprocessableEntity, "We do not sell that"},
		"not a number":    {"/basket", []string{"item", "lamp", "quantity", "many"}, http.StatusUnprocessableEntity, "has to be a number"},
		"too large":       {"/checkout", []string{"email", strings.Repeat("a", 64<<10)}, http.StatusRequestEntityTooLarge, "too large"},
		"no address":      {"/checkout", []string{"payment", key, "basket", digest, "card", "tok_visa"}, http.StatusUnprocessableEntity, "address to write to"},
		"two addresses":   {"/checkout", []string{"payment", key, "basket", digest, "card", "tok_visa", "email", "a@b.c, d@e.f"}, http.StatusUnprocessableEntity, "address to write to"},
		"a header's end":  {"/checkout", []string{"payment", key, "basket", digest, "card", "tok_visa", "email", "a@b.c\r\nBcc: d@e.f"}, http.StatusUnprocessableEntity, "address to write to"},
		"a card's number": {"/checkout", []string{"payment", key, "basket", digest, "card", "4242424242424242", "email", email}, http.StatusUnprocessableEntity, "choose a card"},
		"no telephone":    {"/checkout", []string{"payment", key, "basket", digest, "card", "tok_visa", "email", email, "phone", "call me"}, http.StatusUnprocessableEntity, "has digits"},
		"no basket":       {"/checkout", []string{"payment", key, "card", "tok_visa", "email", email}, http.StatusConflict, "has changed"},
		"no such page":    {"/nowhere", nil, http.StatusNotFound, "nothing here"},
	} {
		p := b.post(c.path, c.fields...)
		assert.Equal(t, c.status, p.status, name)
		assert.Contains(t, p.body, c.says, name)
		assert.Contains(t, p.body, "<nav", "%s: a proper page", name)
	}
	p := b.load(http.MethodPost, "/checkout", strings.NewReader("payment=%zz"))
	assert.Equal(t, http.StatusBadRequest, p.status)
	assert.Zero(t, w.totals().Attempts[fakepay.OpCharge])
	b.pay(form, "tok_visa") // none of this has done harm
	b.await(first, "shipped")
}

// No database has to take what is not text.
func TestWhatIsNotText(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		b := w.browser()
		form := b.fill("lamp")
		b.pay(form, fakepay.SourceDeclined)
		b.await(first, "declined")
		b.fill("lamp")
		for _, odd := range []string{"\x00", "a\x00b", "\xff\xfe", "\xc0\x80", strings.Repeat("x", 2000)} {
			id := url.PathEscape(odd)
			for _, p := range []page{
				b.get("/orders/" + id), b.get("/orders/" + id + "/live"), b.get("/orders/" + id + "/events"), b.post("/orders/" + id + "/cancel"),
				b.post("/orders/"+id+"/pay", "payment", odd, "card", "tok_visa"),
			} {
				assert.Equal(t, http.StatusNotFound, p.status, "%q %s", odd, p.path)
			}
			for _, p := range []page{
				b.post("/orders/"+first+"/pay", "payment", odd, "card", "tok_visa"),
				b.post("/orders/"+first+"/pay", "payment", odd, "card", odd),
				b.post("/basket", "item", odd),
				b.post("/checkout", "payment", odd, "basket", odd, "email", email, "card", "tok_visa"),
				b.post("/checkout", "payment", odd, "basket", odd, "email", odd+"@example.com", "card", "tok_visa"),
			} {
				assert.Equal(t, http.StatusUnprocessableEntity, p.status, "%q %s", odd, p.path)
			}
		}
		assert.Zero(t, w.totals().Charges)
		assert.Equal(t, 1, w.totals().Attempts[fakepay.OpCharge])
	})
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{})
	b := w.browser()
	form := b.fill("lamp")
	fields := url.Values{"payment": {form.field("payment")}, "basket": {form.field("basket")}, "email": {email}, "card": {"tok_visa"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/checkout", strings.NewReader(fields.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	assert.Equal(t, http.StatusForbidden, b.send(req).status)
	assert.Zero(t, w.totals().Attempts[fakepay.OpCharge])
}

// No script and no style within a page, on any of them; and each says what it may load.
func TestPagesAreStrict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{})
	b := w.browser()
	checkout := b.fill("lamp")
	b.pay(checkout, fakepay.SourceDeclined)
	declined := b.await(first, "declined")
	pages := []page{checkout, declined, b.get("/"), b.get("/basket"), b.get("/orders"), b.get("/mailbox"), b.get("/nowhere"), w.asOperator(b, "/admin"), w.asOperator(b, "/admin/reconcile")}
	inline := regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\son[a-z]+=|\sstyle=|javascript:`)
	for _, p := range pages {
		assert.Empty(t, inline.FindString(p.body), p.path)
		assert.Contains(t, p.header.Get("Content-Security-Policy"), "default-src 'none'", p.path)
		assert.NotContains(t, p.header.Get("Content-Security-Policy"), "unsafe", p.path)
		assert.Equal(t, "nosniff", p.header.Get("X-Content-Type-Options"), p.path)
		assert.Contains(t, p.body, `<html lang="en">`, p.path)
		assert.Contains(t, p.body, `name="viewport"`, p.path)
		assert.Equal(t, 1, strings.Count(p.body, "<h1"), p.path)
	}
	for _, file := range []string{"shop.css", "shop.js", "icon.svg", "lamp.svg", "table.svg"} {
		assert.Equal(t, http.StatusOK, b.get("/static/"+file).status, file)
	}
	assert.Equal(t, http.StatusNotFound, b.get("/static/").status)
}

// The cookie is a secret: neither log, database nor bank learn it.
func TestTheCookieStaysSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{})
	b := w.browser()
	b.pay(b.fill("lamp"), "tok_visa")
	b.await(first, "shipped")
	w.quiet()
	front, err := url.Parse(w.url)
	require.NoError(t, err)
	cookies := b.Jar.Cookies(front)
	require.Len(t, cookies, 1)
	secret := cookies[0].Value
	require.Len(t, secret, 26)
	w.mu.Lock()
	defer w.mu.Unlock()
	assert.NotEmpty(t, w.log.String())
	assert.NotContains(t, w.log.String(), secret)
	assert.NotContains(t, w.log.String(), email)
	for _, charge := range w.bank.Ledger().Charges {
		assert.NotContains(t, charge.Metadata, secret)
		assert.NotEqual(t, secret, charge.Metadata["scope"])
	}
	var n int
	require.NoError(t, w.db.Row(t.Context(), "SELECT COUNT(*) FROM shop_orders WHERE customer = ?", secret).Scan(&n))
	assert.Zero(t, n)
}

func TestCookieThatTheShopDidNotSetIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{})
	b := w.browser()
	front, err := url.Parse(w.url)
	require.NoError(t, err)
	b.Jar.SetCookies(front, []*http.Cookie{{Name: "visitor", Value: strings.Repeat("a", 300), Path: "/"}})
	b.pay(b.fill("lamp"), "tok_visa")
	b.await(first, "shipped")
	assert.Equal(t, 1, w.totals().Charges)
}
