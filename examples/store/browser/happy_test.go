package browser_test

import (
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

func TestHappy(t *testing.T) {
	t.Parallel()
	conditions := fakepay.Config{Latency: always(800 * time.Millisecond)}
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		p := newProtected(t, timing(), conditions)
		b := open(t)
		b.load(p.url)
		b.shootAll("shop-catalogue")
		b.checkout(p.url)
		b.shoot("shop-checkout")
		b.press(pay)
		b.says("shipped")
		b.shoot("shop-shipped")
		p.judge(t, want{charges: 1, parcels: 1, mails: 1}, false)
		b.load(p.url + "/mailbox")
		b.reads("Your order is on its way")
		b.shootAll("shop-mailbox")
		b.load(p.url + "/orders")
		b.reads(first)
		b.shoot("shop-orders")
		b.load(p.url + "/basket")
		b.reads("nothing in it yet")
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		n := newNaive(t, usual, conditions)
		b := open(t)
		b.load(n.url)
		b.press(pay)
		b.says("paid")
		n.judge(t, want{charges: 1, parcels: 1, mails: 1}, false)
	})
}
