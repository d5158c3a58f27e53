package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// asOperator opens a page of the operator, or sends a form where fields are given.
func (w *world) asOperator(b browser, path string, fields ...string) page {
	w.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	method := http.MethodGet
	if len(fields) > 0 {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(form.Encode()))
	require.NoError(w.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("anybody", password)
	return b.send(req)
}

func TestAdminWantsItsPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{})
	b := w.browser()
	for _, path := range []string{"/admin", "/admin/reconcile", "/admin/settle", "/admin/nowhere"} {
		for _, given := range []string{"", "open", password + " ", strings.ToUpper(password)} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, http.NoBody)
			require.NoError(t, err)
			if given != "" {
				req.SetBasicAuth("admin", given)
			}
			p := b.send(req)
			assert.Equal(t, http.StatusUnauthorized, p.status, path)
			assert.Contains(t, p.header.Get("WWW-Authenticate"), "Basic")
			assert.NotContains(t, p.body, "Unresolved")
		}
	}
	assert.Equal(t, http.StatusUnauthorized, b.post("/admin/settle", "do", "cancel").status)
	assert.Equal(t, http.StatusOK, w.asOperator(b, "/admin").status)
	assert.Equal(t, http.StatusNotFound, w.asOperator(b, "/admin/nowhere").status)
}

// hidden are the fields of the first unresolved call.
func hidden(p page) []string {
	return []string{"operation", p.field("operation"), "customer", p.field("customer"), "key", p.field("key")}
}

func TestOperatorAsksTheBank(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		// It has charged, and does not say so.
		script := append(times(1, fakepay.ReplyLost), times(always, fakepay.Unavailable)...)
		w := newWorld(t, db, quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{first: script}})
		b := w.browser()
		b.pay(b.fill("lamp"), "tok_visa")
		var p page
		require.Eventually(t, func() bool { // when the first attempt has ended
			p = w.asOperator(b, "/admin")
			return strings.Contains(p.body, "It may have happened") && strings.Contains(p.body, `<circle class="bad"`)
		}, patience, look)
		require.Eventually(t, func() bool { // between two attempts
			said := w.asOperator(b, "/admin/settle", append(hidden(p), "do", "ask")...)
			return strings.Contains(said.body, "succeeded") && strings.Contains(said.body, "Done")
		}, patience, look)
		b.await(first, "shipped")
		w.quiet()
		assert.Contains(t, w.asOperator(b, "/admin").body, "Every call has an outcome")
		assert.Contains(t, w.asOperator(b, "/admin/reconcile").body, "They agree")
		assert.Equal(t, 1, w.totals().Charges)
		assert.Equal(t, 1, w.depot.Parcels(first))
	})
}

func TestOperatorSettlesAndCancels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{
		Scripts: map[string][]fakepay.Fault{first: times(always, fakepay.Unavailable), "order-2": times(always, fakepay.Unavailable)},
	})
	b := w.browser()
	b.pay(b.fill("lamp"), "tok_visa")
	var p page
	require.Eventually(t, func() bool {
		p = w.asOperator(b, "/admin")
		return strings.Contains(p.body, "Stripe answered 503")
	}, patience, look, "the page never says what the bank answered")
	assert.NotContains(t, p.body, "{&#34;", "it is for people")
	assert.Equal(t, http.StatusUnprocessableEntity, w.asOperator(b, "/admin/settle", append(hidden(p), "do", "happened")...).status, "under which number?")
	assert.Equal(t, http.StatusUnprocessableEntity, w.asOperator(b, "/admin/settle", append(hidden(p), "do", "burn")...).status)
	said := w.asOperator(b, "/admin/settle", append(hidden(p), "do", "happened", "ref", "ch_by_hand")...)
	assert.Contains(t, said.body, "Done")
	b.await(first, "shipped")
	w.quiet()

	b.pay(b.fill("clock"), "tok_visa")
	p = w.asOperator(b, "/admin")
	w.asOperator(b, "/admin/settle", append(hidden(p), "do", "cancel")...)
	b.await("order-2", "cancelled")
	w.quiet()
	assert.Zero(t, w.depot.Parcels("order-2"))
}

// decide presses one of an operator's buttons beside the unresolved call of a kind, until it is not too early for that.
func (w *world) decide(b browser, operation, do, ref string) page {
	w.t.Helper()
	var said page
	require.Eventually(w.t, func() bool {
		p := w.asOperator(b, "/admin")
		if p.field("operation") != operation {
			return false
		}
		said = w.asOperator(b, "/admin/settle", append(hidden(p), "shown", p.field("shown"), "do", do, "ref", ref)...)
		return said.status != http.StatusConflict
	}, patience, look, "%s: %s", operation, do)
	require.Contains(w.t, []int{http.StatusOK, http.StatusAccepted}, said.status, said.body)
	return said
}

// stuckParcel pays for a lamp whose parcel nobody knows about: the van is stuck, or mute.
func (w *world) stuckParcel(b browser, order string) {
	w.t.Helper()
	before := w.van.tried.Load()
	b.pay(b.fill("lamp"), "tok_visa")
	require.Eventually(w.t, func() bool { return w.van.tried.Load() > before }, patience, look)
	require.Equal(w.t, "paid", b.get("/orders/"+order).says())
}

// A parcel that was given up and never left is paid back.
func TestOperatorKnowsThatAParcelHasNotLeft(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		w.van.stuck.Store(true)
		b := w.browser()
		w.stuckParcel(b, first)
		assert.Regexp(t, "Given up|is given up", w.decide(b, "ship", "cancel", "").body)
		assert.Contains(t, w.decide(b, "ship", "didnot", "").body, "Done")
		b.await(first, "refunded")
		w.quiet()
		assert.Zero(t, w.depot.Parcels(first))
		assert.Equal(t, 1, w.totals().Refunds)
		assert.Zero(t, w.totals().NetCents)
		assert.Contains(t, w.asOperator(b, "/admin").body, "Every call has an outcome")
	})
}

// To give up what is under way is no mistake: it is given up when that has ended.
func TestOperatorGivesUpWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{})
	w.van.gate = make(chan struct{})
	w.van.stuck.Store(true)
	b := w.browser()
	b.pay(b.fill("lamp"), "tok_visa")
	require.Eventually(t, func() bool { return w.van.last.Load() > 0 }, patience, look)
	said := w.asOperator(b, "/admin/settle", append(hidden(w.asOperator(b, "/admin")), "do", "cancel")...)
	assert.Equal(t, http.StatusAccepted, said.status)
	assert.Contains(t, said.body, "When that has ended the call is given up")
	close(w.van.gate)
	w.decide(b, "ship", "didnot", "")
	b.await(first, "refunded")
	w.quiet()
	assert.Zero(t, w.depot.Parcels(first))
	assert.Equal(t, int64(1), w.van.tried.Load())
}

// One that was given up and has left all the same is shipped.
func TestOperatorKnowsThatAParcelHasLeft(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		w.van.mute.Store(true)
		b := w.browser()
		w.stuckParcel(b, first)
		w.decide(b, "ship", "cancel", "")
		w.decide(b, "ship", "happened", "parcel-by-hand")
		assert.Contains(t, b.await(first, "shipped").body, "parcel-by-hand")
		w.quiet()
		assert.Equal(t, 1, w.depot.Parcels(first))
		assert.Zero(t, w.totals().Refunds)
		assert.Equal(t, []string{"shipped"}, w.letters(email))
		assert.Contains(t, w.asOperator(b, "/admin").body, "Every call has an outcome")
	})
}

// What was seen at the provider before the last request, or while that one could still show there, says nothing about it.
func TestOperatorWhoAskedTooEarly(t *testing.T) {
	t.Parallel()
	timing := quick()
	timing.Settling = 3 * time.Second
	w := newWorld(t, openDB(t, database.Memory), timing, fakepay.Config{})
	w.van.stuck.Store(true)
	b := w.browser()
	w.stuckParcel(b, first)
	old := w.asOperator(b, "/admin").field("shown")
	tried := w.van.tried.Load()
	require.Eventually(t, func() bool { return w.van.tried.Load() > tried }, patience, look)
	w.decide(b, "ship", "cancel", "")
	var p page
	require.Eventually(t, func() bool { // when the last request has ended
		p = w.asOperator(b, "/admin")
		return strings.Contains(p.body, "It did not happen")
	}, patience, look)
	settle := func(shown string) int {
		return w.asOperator(b, "/admin/settle", append(hidden(p), "do", "didnot", "shown", shown)...).status
	}
	assert.Equal(t, http.StatusUnprocessableEntity, settle("today"))
	time.Sleep(timing.Settling + 100*time.Millisecond) // what is refused now is so for the moment at which it was seen
	assert.Equal(t, http.StatusConflict, settle(old), "before the last request")
	assert.Equal(t, http.StatusConflict, settle(fmt.Sprint(w.van.last.Load()+1000)), "just after it")
	assert.Equal(t, "paid", b.get("/orders/"+first).says())
	w.decide(b, "ship", "didnot", "")
	b.await(first, "refunded")
}

// A refund that was given up is still asked about; and where the bank cannot say, an operator can.
func TestLateRefund(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		lost := append(times(1, fakepay.ReplyLost), times(always, fakepay.Unavailable)...)
		w := newWorld(t, db, quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{
			"refund:" + first: lost, "refund:order-2": lost, "get:order-2": times(always, fakepay.Unavailable),
		}})
		w.van.stuck.Store(true)
		b := w.browser()
		for n, order := range []string{first, "order-2"} {
			w.stuckParcel(b, order)
			w.decide(b, "ship", "cancel", "")
			w.decide(b, "ship", "didnot", "")
			require.Eventually(t, func() bool { return w.totals().Refunds > n }, patience, look)
			w.decide(b, "refund", "cancel", "")
			if order != first {
				w.decide(b, "refund", "happened", "re_by_hand")
			}
			b.await(order, "refunded")
			w.quiet()
		}
		assert.Equal(t, 2, w.totals().Refunds)
		assert.Zero(t, w.totals().NetCents)
		assert.Equal(t, []string{"refunded", "refunded"}, w.letters(email))
	})
}

// What was only reserved is captured before anything leaves, also where it is an operator who knows that it was reserved.
func TestOperatorKnowsThatMoneyIsHeld(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{
			first: append(times(1, fakepay.ReplyLost), times(always, fakepay.Unavailable)...),
		}})
		b := w.browser()
		b.pay(b.fill("table"), "tok_visa")
		w.charged(1)
		w.decide(b, "charge", "happened", w.bank.Ledger().Charges[0].Intent)
		b.await(first, "shipped")
		w.quiet()
		assert.Equal(t, int64(245_00), w.totals().CapturedCents)
		assert.Equal(t, 1, w.totals().Charges)
		assert.Equal(t, 1, w.depot.Parcels(first))
	})
}

// What an operator's button did not do is not answered as if it had.
func TestOperatorIsToldWhatDidNotWork(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		b := w.browser()
		form := b.fill("lamp")
		b.pay(form, "tok_visa")
		b.await(first, "shipped")
		w.quiet()
		customer, key := w.bank.Ledger().Charges[0].Metadata["scope"], form.field("payment")
		for _, do := range []string{"ask", "happened", "didnot", "cancel"} {
			for _, call := range [][3]string{
				{"charge", "nobody", "nothing"}, {"theft", customer, key}, {"charge", customer, ""},
				{"charge", customer, "\x00"}, {"charge", "\xff", key}, {"ship", customer, strings.Repeat("k", 5000)},
			} {
				said := w.asOperator(b, "/admin/settle", "operation", call[0], "customer", call[1], "key", call[2], "shown", "1", "ref", "x", "do", do)
				if do == "ask" && call[0] != "charge" { // it is always about a charge
					continue
				}
				assert.Equal(t, http.StatusNotFound, said.status, "%s %q", do, call)
				assert.Contains(t, said.body, "There is no such call")
			}
		}
		charge := []string{"operation", "charge", "customer", customer, "key", key}
		assert.Equal(t, http.StatusConflict, w.asOperator(b, "/admin/settle", append(charge, "do", "cancel")...).status, "it has succeeded")
		for _, ref := range []string{"\x00", "\xff", strings.Repeat("r", 101)} {
			assert.Equal(t, http.StatusUnprocessableEntity, w.asOperator(b, "/admin/settle", append(charge, "do", "happened", "ref", ref)...).status)
		}
		require.NoError(t, w.bank.Outage(time.Hour, fakepay.Fault{}))
		assert.Equal(t, http.StatusBadGateway, w.asOperator(b, "/admin/settle", append(charge, "do", "ask")...).status)
		assert.Equal(t, http.StatusBadGateway, w.asOperator(b, "/admin/reconcile").status)
		assert.Equal(t, "shipped", b.get("/orders/"+first).says())
	})
}

// A charge that no record speaks of, and a record of a charge that the bank does not know, are both found.
func TestReconciliationFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{})
	b := w.browser()
	b.pay(b.fill("lamp"), "tok_visa")
	b.await(first, "shipped")
	w.quiet()
	stranger := bank.New(w.at)
	defer stranger.Close()
	_, err := stranger.Charge(t.Context(), idempotency.Attempt{Key: "k"}, bank.Payment{Order: "not ours", Cents: 100, Currency: "eur", Card: "tok_visa"})
	require.NoError(t, err)
	p := w.asOperator(b, "/admin/reconcile")
	assert.Contains(t, p.body, "missing here")
	assert.NotContains(t, p.body, "They agree")
}
