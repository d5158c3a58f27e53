package browser_test

import (
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// The first card is declined, another one is taken.
func TestDeclinedThenAnotherCard(t *testing.T) {
	t.Parallel()
	conditions := fakepay.Config{Latency: always(500 * time.Millisecond)}
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		p := newProtected(t, timing(), conditions)
		b := open(t)
		b.checkout(p.url)
		b.choose(fakepay.SourceDeclined)
		b.press(pay)
		b.says("declined")
		b.shoot("shop-declined")
		b.choose("tok_mastercard")
		b.press(pay)
		b.says("shipped")
		p.judge(t, want{charges: 1, parcels: 1, mails: 2}, false) // the decline is told, too
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		conditions := conditions // the other side has its own
		conditions.Scripts = script(fakepay.Fault{Kind: fakepay.Decline})
		n := newNaive(t, usual, conditions)
		b := open(t)
		b.load(n.url)
		b.press(pay)
		b.says("declined")
		b.press(pay)
		b.says("paid")
		n.judge(t, once, false) // this it can do
	})
}

// The order is cancelled, and the charge turns up after that.
func TestCancelledThenLateSuccess(t *testing.T) {
	t.Parallel()
	// The first request seems lost and arrives 8 s later; the next ones are lost.
	conditions := fakepay.Config{Scripts: script(append(
		[]fakepay.Fault{{Kind: fakepay.LandsLate, Delay: 8 * time.Second}}, times(200, fakepay.Fault{Kind: fakepay.RequestLost})...)...)}
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		truthful := timing()
		truthful.Settling = 10 * time.Second // the bank's documentation says so
		p := newProtected(t, truthful, conditions)
		b := open(t)
		b.checkout(p.url)
		b.press(pay)
		b.sees(`form[action$="/cancel"] button`)
		b.shoot("shop-checking")
		b.press(`form[action$="/cancel"] button`)
		b.says("cancelled")
		b.shoot("shop-cancelled")
		b.says("refunded")
		b.shoot("shop-refunded")
		p.judge(t, want{charges: 1, refunds: 1, mails: 2}, false)
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		n := newNaive(t, usual, conditions)
		b := open(t)
		b.load(n.url)
		b.press(pay)
		b.says("failed")
		n.judge(t, want{charges: 1}, true) // the customer has gone elsewhere, and nobody gives anything back
	})
}
