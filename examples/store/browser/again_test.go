package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

var (
	once  = want{charges: 1, parcels: 1, mails: 1}
	twice = want{charges: 2, parcels: 1, mails: 1}
)

// Two real clicks, 150 ms apart.
func TestDoubleClick(t *testing.T) {
	t.Parallel()
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		p := newProtected(t, timing(), fakepay.Config{})
		answer := p.hold(t)
		b := open(t)
		b.checkout(p.url)
		b.click(pay, 2)
		p.arrived(t, 1)
		answer()
		b.says("shipped")
		p.judge(t, once, false)
	})
	t.Run("protected, without JavaScript", func(t *testing.T) {
		t.Parallel()
		p := newProtected(t, timing(), fakepay.Config{})
		answer := p.hold(t)
		b := open(t)
		b.checkout(p.url)
		b.withoutScript()
		b.clicks(pay, 2, func() { p.forms.arrived(t, 1) }) // nothing disables the button
		p.forms.arrived(t, 2)
		answer()
		b.says("shipped")
		p.judge(t, once, false)
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		n := newNaive(t, patient, fakepay.Config{})
		answer := n.hold(t)
		b := open(t)
		b.load(n.url)
		b.clicks(pay, 2, func() { n.arrived(t, 1) })
		n.arrived(t, 2)
		answer()
		b.says("paid")
		n.judge(t, twice, true)
	})
}

// F5 while the payment is under way.
func TestReload(t *testing.T) {
	t.Parallel()
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		p := newProtected(t, timing(), fakepay.Config{})
		answer := p.hold(t)
		b := open(t)
		b.checkout(p.url)
		b.click(pay, 1)
		p.arrived(t, 1)
		b.reload() // the page that still says "Paying…": the basket is ordered by now
		b.reads("already being paid: you were not charged again")
		assert.Equal(t, "/orders/"+first, b.at())
		b.shoot("shop-reloaded")
		b.says("pending")
		b.reload()
		b.says("pending")
		answer()
		b.says("shipped")
		p.judge(t, once, false)
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		n := newNaive(t, patient, fakepay.Config{})
		answer := n.hold(t)
		b := open(t)
		b.load(n.url)
		b.click(pay, 1)
		n.arrived(t, 1)
		b.reload()
		b.says("open") // waiting for your payment, it says
		b.click(pay, 1)
		n.arrived(t, 2)
		answer()
		b.says("paid")
		n.judge(t, twice, true)
	})
}

// Back, and the form again.
func TestBackAndAgain(t *testing.T) {
	t.Parallel()
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		p := newProtected(t, timing(), fakepay.Config{})
		answer := p.hold(t)
		b := open(t)
		b.checkout(p.url)
		b.press(pay)
		b.says("pending")
		b.back("/checkout", "/orders/"+first) // the form as it was; or else the shop says that it is ordered
		if b.at() == "/checkout" {
			b.press(pay)
		}
		b.reads("already being paid: you were not charged again")
		b.shoot("shop-back")
		answer()
		b.load(p.url + "/orders/" + first)
		b.says("shipped")
		p.judge(t, once, false)
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		n := newNaive(t, patient, fakepay.Config{})
		b := open(t)
		b.load(n.url)
		b.press(pay)
		b.says("paid")
		b.back("/orders/" + first)
		b.press(pay)
		b.says("paid")
		n.judge(t, twice, true)
	})
}

func TestTwoTabs(t *testing.T) {
	t.Parallel()
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		p := newProtected(t, timing(), fakepay.Config{})
		answer := p.hold(t)
		b := open(t)
		b.checkout(p.url)
		other := b.another()
		other.load(p.url + "/checkout")
		other.do(chromedp.SendKeys(chromedp.CSS(`#email`), email))
		b.click(pay, 1)
		p.arrived(t, 1)
		other.press(pay)
		other.reads("already being paid: you were not charged again")
		other.shoot("shop-again")
		assert.Equal(t, "/orders/"+first, other.at())
		answer()
		b.says("shipped")
		other.says("shipped")
		p.judge(t, once, false)
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		n := newNaive(t, patient, fakepay.Config{})
		answer := n.hold(t)
		b := open(t)
		b.load(n.url)
		other := b.another()
		other.load(n.url)
		b.click(pay, 1)
		n.arrived(t, 1)
		other.click(pay, 1)
		n.arrived(t, 2)
		answer()
		b.says("paid")
		n.judge(t, twice, true)
	})
}

// Everything works without JavaScript: the page loads itself again.
func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	p := newProtected(t, timing(), fakepay.Config{})
	answer := p.hold(t)
	b := open(t)
	b.withoutScript()
	b.checkout(p.url)
	b.press(pay)
	b.says("pending")
	answer()
	b.says("shipped")
	p.judge(t, once, false)
}
