package browser_test

import (
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// The bank needs longer than anybody waits.
func TestSlow(t *testing.T) {
	t.Parallel()
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		p := newProtected(t, timing(), fakepay.Config{})
		answer := p.hold(t)
		b := open(t)
		b.checkout(p.url)
		b.press(pay)
		b.reads("Slower than usual")
		b.shootAll("shop-slow")
		b.reads("You can close this page")
		b.shoot("shop-slow-10s")
		b.leave()
		answer()
		p.judge(t, once, false)
		b.load(p.url + "/orders/" + first) // the link of the e-mail
		b.says("shipped")
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		n := newNaive(t, patient, fakepay.Config{})
		answer := n.hold(t)
		b := open(t)
		b.load(n.url)
		b.click(pay, 1)
		n.arrived(t, 1)
		b.leave()
		answer()
		n.judge(t, want{charges: 1, parcels: 1, mails: 0}, false) // nobody was told
	})
}

// The bank charges, and its answer is lost.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	conditions := fakepay.Config{
		Latency: always(300 * time.Millisecond), Scripts: script(fakepay.Fault{Kind: fakepay.ReplyLost, Cut: fakepay.CutHang}),
	}
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		impatient := timing()
		impatient.Attempt = 4 * time.Second // longer than the customer is made to wait
		p := newProtected(t, impatient, conditions)
		b := open(t)
		b.checkout(p.url)
		b.press(pay)
		b.says("pending")
		b.shoot("shop-lost-answer")
		b.says("shipped")
		p.judge(t, want{charges: 1, parcels: 1, mails: 1}, false)
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		n := newNaive(t, usual, conditions)
		b := open(t)
		b.load(n.url)
		b.press(pay)
		b.says("paid")
		n.judge(t, want{charges: 2, parcels: 1, mails: 1}, true)
	})
}

// The bank is out of order for a while.
func TestOutage(t *testing.T) {
	t.Parallel()
	conditions := fakepay.Config{
		Latency: always(300 * time.Millisecond), Scripts: script(times(4, fakepay.Fault{Kind: fakepay.Unavailable})...),
	}
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		p := newProtected(t, timing(), conditions)
		b := open(t)
		b.checkout(p.url)
		b.press(pay)
		b.says("paused")
		b.reads("Your order is saved")
		b.shoot("shop-paused")
		b.says("shipped")
		p.judge(t, want{charges: 1, parcels: 1, mails: 1}, false)
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		n := newNaive(t, usual, conditions)
		b := open(t)
		b.load(n.url)
		b.press(pay)
		b.says("failed")
		n.judge(t, want{}, false) // the order is lost, unless the customer tries again
	})
}
