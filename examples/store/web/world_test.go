package web_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/examples/store/web"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/retry"
)

const (
	email    = "ada@example.com"
	password = "open sesame"
	first    = "order-1" // the number of the first order
)

// patience is how long a test waits for something to happen: on a busy machine, long.
const patience = 2 * time.Minute

// look is how often a test looks whether it has. Each look is work for the same processors.
const look = 30 * time.Millisecond

// TestMain lets more tests run at once than there are processors: they wait most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if !slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "-test.parallel") }) {
		_ = flag.Set("test.parallel", "6")
	}
	os.Exit(m.Run())
}

// each runs a test on every database. The names of the environment's variables are those of internal/integration.
func each(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	for _, open := range []struct {
		name string
		db   func(t *testing.T) *database.DB
	}{
		{"sqlite", func(t *testing.T) *database.DB { return openDB(t, database.Memory) }},
		{"postgres", func(t *testing.T) *database.DB {
			return ofItsOwn(t, "postgres", cmp.Or(os.Getenv("STEADFAST_TEST_POSTGRES"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable"))
		}},
		{"mysql", func(t *testing.T) *database.DB {
			return ofItsOwn(t, "mysql", cmp.Or(os.Getenv("STEADFAST_TEST_MYSQL"), "root@tcp(127.0.0.1:3306)/test"))
		}},
	} {
		t.Run(open.name, func(t *testing.T) {
			t.Parallel() // each waits for its own server
			test(t, open.db(t))
		})
	}
}

func openDB(t *testing.T, dsn string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

var databases atomic.Int64

// ofItsOwn makes a database for one test, on a server that may not be there.
func ofItsOwn(t *testing.T, server, dsn string) *database.DB {
	t.Helper()
	main, err := database.Open(t.Context(), dsn)
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("STEADFAST_REQUIRE"), ","), server) {
			t.Fatalf("STEADFAST_REQUIRE names %s, which cannot be reached: %v", server, err)
		}
		t.Skipf("%s cannot be reached, its tests are skipped: %v", server, err)
	}
	name := fmt.Sprintf("steadfast_shop_%d_%d", os.Getpid(), databases.Add(1))
	_, err = main.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := main.Exec(context.Background(), "DROP DATABASE "+name)
		assert.NoError(t, err)
		assert.NoError(t, main.Close())
	})
	return openDB(t, regexp.MustCompile(`/test\b`).ReplaceAllString(dsn, "/"+name))
}

// quick is the shop's timing without its patience: what a test waits for comes at once.
func quick() shop.Timing {
	timing := shop.RealTime()
	timing.Wait, timing.Poll, timing.Lease = 300*time.Millisecond, 100*time.Millisecond, 30*time.Second
	timing.Settling = 50 * time.Millisecond
	timing.Retry = retry.Policy{Attempts: 1, Initial: 5 * time.Millisecond, Max: 10 * time.Millisecond}
	timing.Breaker.MinCalls = 1000 // it stays closed
	return timing
}

// world is a shop with a bank, a warehouse and a post office, all connected for real.
type world struct {
	t      *testing.T
	db     *database.DB
	url    string
	shop   *shop.Shop
	bank   *fakepay.Server
	at     string // the bank's URL
	depot  *warehouse.Warehouse
	van    *van // which the shop's parcels leave with
	office *mail.Office
	stop   chan struct{}
	orders atomic.Int64
	timing shop.Timing

	mu  sync.Mutex
	log bytes.Buffer
}

// Write keeps what the shop logs.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

// tail is the end of what the shop has logged.
func (w *world) tail() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	const enough = 6000
	text := w.log.String()
	return text[max(len(text)-enough, 0):]
}

func newWorld(t *testing.T, db *database.DB, timing shop.Timing, config fakepay.Config) *world {
	t.Helper()
	config.ReplayErrors = true
	provider, err := fakepay.New(config)
	require.NoError(t, err)
	bankServer := httptest.NewServer(provider)
	w := &world{
		t: t, db: db, bank: provider, at: bankServer.URL, depot: warehouse.New(0, nil), office: mail.New(0, nil),
		stop: make(chan struct{}), timing: timing,
	}
	w.van = &van{Warehouse: w.depot}
	w.shop = w.open()
	site, err := web.New(web.Config{
		Shop: w.shop, Mailbox: mail.NewMailbox(), AdminPassword: password, BankSince: time.Now().Add(-time.Minute), Stopping: w.stop,
		Log: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	require.NoError(t, err)
	front := httptest.NewServer(site)
	w.url = front.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience) // t.Context has ended
		defer cancel()
		close(w.stop)
		if t.Failed() {
			t.Log(w.tail())
		}
		front.Close()
		assert.NoError(t, w.shop.Close(ctx))
		assert.NoError(t, provider.Close(ctx))
		bankServer.Close()
	})
	return w
}

// van is the way to the warehouse. It may break down before the parcel leaves, or on its way back.
type van struct {
	*warehouse.Warehouse
	stuck, mute atomic.Bool
	tried, last atomic.Int64  // how often, and when
	gate        chan struct{} // if there is one, nothing leaves before it is closed
}

// Ship is the warehouse's.
func (v *van) Ship(ctx context.Context, key, order string) (string, error) {
	v.last.Store(time.Now().UnixMicro())
	defer v.tried.Add(1)
	if v.gate != nil {
		select {
		case <-v.gate:
		case <-ctx.Done():
		}
	}
	if v.stuck.Load() {
		return "", errors.New("the warehouse does not answer")
	}
	tracking, err := v.Warehouse.Ship(ctx, key, order)
	if v.mute.Load() {
		return "", errors.New("its answer is lost")
	}
	return tracking, err
}

// open opens a shop on the world's database: another one, if there is one already.
func (w *world) open() *shop.Shop {
	w.t.Helper()
	s, err := shop.Open(w.t.Context(), shop.Config{
		DB: w.db, Bank: bank.New(w.at), Warehouse: w.van, Mail: w.office, Texts: w.office, Timing: w.timing,
		Log:    slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Number: func() string { return fmt.Sprintf("order-%d", w.orders.Add(1)) },
	})
	require.NoError(w.t, err)
	return s
}

func (w *world) totals() fakepay.Totals { return w.bank.Ledger().Totals }

// letters returns the statuses of what was written to an address.
func (w *world) letters(to string) (words []string) {
	for _, m := range w.office.Inbox(to) {
		words = append(words, m.Status)
	}
	return words
}

// charged waits until the bank has taken money so often.
func (w *world) charged(n int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.totals().Charges >= n }, patience, look, "the bank never charges")
}

func (w *world) stock(item string) int64 {
	w.t.Helper()
	n, err := w.shop.Available(w.t.Context(), item)
	require.NoError(w.t, err)
	return n
}

// quiet waits until the shop has nothing more to do.
func (w *world) quiet() {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		n, err := w.shop.UnderWay(w.t.Context())
		return err == nil && n == 0
	}, patience, look, "the shop is never done")
}

// browser is a visitor with cookies of their own.
type browser struct {
	*http.Client
	t    *testing.T
	base string
}

func (w *world) browser() browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	return browser{&http.Client{Jar: jar, Timeout: patience}, w.t, w.url}
}

// page is an answer, after all redirections.
type page struct {
	status int
	path   string // with its query
	header http.Header
	body   string
}

func (p page) field(name string) string {
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(p.body)
	if m == nil {
		return ""
	}
	return m[1]
}

// says is the page's status, in one word.
func (p page) says() string {
	m := regexp.MustCompile(`role="status" data-status="([a-z]+)"`).FindStringSubmatch(p.body)
	if m == nil {
		return ""
	}
	return m[1]
}

func (b browser) get(path string) page { return b.load(http.MethodGet, path, http.NoBody) }

func (b browser) post(path string, fields ...string) page {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.load(http.MethodPost, path, strings.NewReader(form.Encode()))
}

func (b browser) load(method, path string, body io.Reader) page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, body)
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(req)
}

// send sends a request, again where the database was too slow for the shop: on a busy machine a test is not about that.
func (b browser) send(req *http.Request) page {
	b.t.Helper()
	for began := time.Now(); ; time.Sleep(look) {
		p := b.once(req)
		slow := p.status == http.StatusInternalServerError || p.status == http.StatusServiceUnavailable ||
			p.status == http.StatusBadGateway && strings.Contains(p.body, "the store failed")
		if !slow || time.Since(began) > patience {
			return p
		}
		if req.GetBody != nil {
			body, err := req.GetBody()
			require.NoError(b.t, err)
			req.Body = body
		}
	}
}

func (b browser) once(req *http.Request) page {
	b.t.Helper()
	res, err := b.Do(req)
	if !assert.NoError(b.t, err) {
		return page{}
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	assert.NoError(b.t, err)
	return page{res.StatusCode, res.Request.URL.RequestURI(), res.Header, string(text)}
}

// fill puts things into the basket and goes to the checkout.
func (b browser) fill(items ...string) page {
	b.t.Helper()
	for _, item := range items {
		require.Equal(b.t, http.StatusOK, b.post("/basket", "item", item).status)
	}
	p := b.get("/checkout")
	require.Equal(b.t, http.StatusOK, p.status)
	require.NotEmpty(b.t, p.field("payment"))
	return p
}

// pay sends the form that a checkout page shows.
func (b browser) pay(form page, card string) page {
	b.t.Helper()
	return b.post("/checkout", "payment", form.field("payment"), "basket", form.field("basket"), "email", email, "card", card)
}

// await loads an order's page until it says so.
func (b browser) await(order, word string) (p page) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		p = b.get("/orders/" + order)
		return p.says() == word
	}, patience, look, "the page never says %q", word)
	return p
}

// atOnce does something n times at the same moment.
func atOnce(n int, do func()) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			do()
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// times is a script of one fault, again and again.
func times(n int, kind fakepay.Kind) []fakepay.Fault {
	return slices.Repeat([]fakepay.Fault{{Kind: kind}}, n)
}

const always = 5000 // more often than any test asks
