package web_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

func TestPaidShippedAndTold(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		b, before := w.browser(), w.stock("lamp")
		form := b.fill("lamp", "lamp", "kettle")
		p := b.post("/checkout", "payment", form.field("payment"), "basket", form.field("basket"), "email", email, "phone", "+43 1 2345", "card", "tok_visa")
		require.Equal(t, http.StatusOK, p.status)
		assert.Equal(t, "/orders/"+first, p.path, "the answer is the order's page, which can be reloaded")
		p = b.await(first, "shipped")
		assert.Empty(t, p.field("payment"), "there is nothing more to pay")
		w.quiet()
		assert.Equal(t, 1, w.totals().Charges)
		assert.Equal(t, int64(2*49_90+34_50), w.totals().CapturedCents)
		assert.Equal(t, 1, w.depot.Parcels(first))
		assert.Equal(t, []string{"shipped"}, w.letters(email))
		assert.Equal(t, []string{"shipped"}, w.letters("+43 1 2345"), "a text message, too")
		assert.Equal(t, before-2, w.stock("lamp"))
		assert.Contains(t, b.get("/basket").body, "nothing in it")
	})
}

// Reloading, going back and a second tab all carry the same key: it is made with the basket, not with the page.
func TestEveryTabCarriesTheSameKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		b := w.browser()
		key := b.fill("lamp").field("payment")
		for range 3 {
			assert.Equal(t, key, b.get("/checkout").field("payment"))
		}
		keys := make(chan string, 20)
		atOnce(20, func() { keys <- b.get("/checkout").field("payment") })
		for range 20 {
			assert.Equal(t, key, <-keys)
		}
		form := b.get("/checkout")
		p := b.pay(form, "tok_visa")
		assert.Empty(t, p.field("payment"))
		again := b.pay(form, "tok_visa") // going back, and once more
		assert.Equal(t, "/orders/"+first+"?again=1", again.path)
		assert.Contains(t, again.body, "you were not charged again")
		b.await(first, "shipped")
		w.quiet()
		assert.Equal(t, 1, w.totals().Charges)
		assert.NotEqual(t, key, b.fill("lamp").field("payment"), "another purchase is another payment")
	})
}

// Who loads the page again that says "Paying…" is told what became of it.
func TestReloadedCheckout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, openDB(t, database.Memory), quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{first: times(always, fakepay.Unavailable)}})
	b := w.browser()
	b.pay(b.fill("lamp"), "tok_visa")
	p := b.get("/checkout")
	assert.Equal(t, "/orders/"+first+"?again=1", p.path)
	assert.Contains(t, p.body, "already being paid: you were not charged again")
	other := w.browser()
	other.post("/basket", "item", "lamp")
	other.post("/basket", "item", "lamp", "quantity", "0")
	assert.Equal(t, "/basket", other.get("/checkout").path, "there is nothing in it yet")
	assert.Equal(t, "/basket", w.browser().get("/checkout").path)
}

func TestManyClicksAtTheSameMomentAreOnePayment(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{Latency: fakepay.Latency{P50: 20 * time.Millisecond}})
		b := w.browser()
		form := b.fill("lamp")
		var fresh atomic.Int64
		atOnce(20, func() {
			p := b.pay(form, "tok_visa")
			assert.Equal(t, http.StatusOK, p.status)
			assert.True(t, strings.HasPrefix(p.path, "/orders/order-"), p.path)
			if !strings.HasSuffix(p.path, "?again=1") {
				fresh.Add(1)
			}
		})
		assert.Equal(t, int64(1), fresh.Load(), "one of them placed the order, the others joined it")
		w.quiet()
		assert.Equal(t, 1, w.totals().Charges)
		assert.Equal(t, 1, w.totals().Attempts[fakepay.OpCharge])
		assert.Len(t, w.office.Inbox(email), 1)
	})
}

func TestDeclinedThenAnotherCard(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		b, before := w.browser(), w.stock("lamp")
		form := b.fill("lamp")
		b.pay(form, fakepay.SourceExpiredCard)
		p := b.await(first, "declined")
		assert.Equal(t, before, w.stock("lamp"), "the goods went back")
		assert.Contains(t, p.body, "the card has expired")
		assert.NotContains(t, p.body, ">"+fakepay.CodeExpiredCard+"<", "that is between shop and bank")
		next := p.field("payment")
		require.NotEmpty(t, next)
		assert.NotEqual(t, form.field("payment"), next, "another card is another intent, with another key")

		again := b.pay(form, fakepay.SourceExpiredCard) // from an old tab
		assert.Equal(t, "declined", again.says(), "the old form pays nothing")
		other := b.pay(form, "tok_visa")
		assert.Equal(t, http.StatusConflict, other.status, "nor does it with another card: its key is used")
		assert.Zero(t, w.totals().Charges)

		atOnce(20, func() { // two tabs, and then some
			p := b.post("/orders/"+first+"/pay", "payment", next, "card", "tok_visa")
			assert.Equal(t, http.StatusOK, p.status)
		})
		b.await(first, "shipped")
		w.quiet()
		assert.Equal(t, 1, w.totals().Charges)
		assert.Equal(t, 1, w.depot.Parcels(first))
		assert.Equal(t, []string{"declined", "shipped"}, w.letters(email))
		assert.Equal(t, before-1, w.stock("lamp"))
	})
}

// T60: one unsettled or successful payment per order, whatever the code above does.
func TestAnOrderHasOneLivePayment(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		b := w.browser()
		b.pay(b.fill("lamp"), fakepay.SourceDeclined)
		b.await(first, "declined")
		insert := func(payment string, live any) error {
			_, err := db.Exec(t.Context(), "INSERT INTO shop_payments (id, order_id, customer, card, content, live, began) VALUES (?, ?, ?, ?, ?, ?, ?)",
				payment, first, "c", "tok_visa", "", live, 1)
			return err
		}
		require.NoError(t, insert("a", first), "the declined one does not stand in its way")
		assert.Error(t, insert("b", first), "a second one that may take money")
		require.NoError(t, insert("c", nil))
		require.NoError(t, insert("d", nil))
	})
}

func TestChangedBasket(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		b := w.browser()
		old := b.fill("lamp")
		fresh := b.fill("kettle") // in a second tab
		require.Equal(t, old.field("payment"), fresh.field("payment"))

		p := b.pay(old, "tok_visa")
		assert.Equal(t, http.StatusConflict, p.status)
		assert.Contains(t, p.body, "Your basket has changed")
		assert.Zero(t, w.totals().Attempts[fakepay.OpCharge])

		b.pay(fresh, "tok_visa")
		b.await(first, "shipped")
		p = b.pay(old, "tok_visa") // the key is used by now
		assert.Equal(t, http.StatusConflict, p.status)
		assert.Contains(t, p.body, first, "it says which order the key was used for")
		w.quiet()
		assert.Equal(t, 1, w.totals().Charges)
	})
}

func TestSoldOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		_, err := db.Exec(t.Context(), "UPDATE shop_stock SET available = 3 WHERE item = ?", "lamp")
		require.NoError(t, err)
		var sold, refused atomic.Int64
		atOnce(8, func() {
			b := w.browser()
			switch p := b.pay(b.fill("lamp", "clock"), "tok_visa"); p.status {
			case http.StatusOK:
				sold.Add(1)
			case http.StatusConflict:
				assert.Contains(t, p.body, "Sold out")
				assert.NotEmpty(t, b.get("/checkout").field("payment"), "the basket is kept")
				refused.Add(1)
			default:
				assert.Fail(t, "answered", "%d", p.status)
			}
		})
		w.quiet()
		assert.Equal(t, int64(3), sold.Load())
		assert.Equal(t, int64(5), refused.Load())
		assert.Equal(t, 3, w.totals().Charges)
		assert.Zero(t, w.stock("lamp"))
	})
}
