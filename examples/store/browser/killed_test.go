package browser_test

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// The shop's process is killed while the bank is at work, and started again.
func TestKilled(t *testing.T) {
	t.Parallel()
	t.Run("protected", func(t *testing.T) {
		t.Parallel()
		needChrome(t)
		a := newAround(t, fakepay.Config{})
		answer := a.hold(t)
		depot := httptest.NewServer(a.warehouse.Handler())
		t.Cleanup(depot.Close)
		more := []string{"DB=" + filepath.Join(t.TempDir(), "shop.db"), "BANK=" + a.bankURL, "WAREHOUSE=" + depot.URL}
		shop := launch(t, "protected", "127.0.0.1:0", more...)
		b := open(t)
		b.checkout(shop.url)
		b.click(pay, 1)
		a.arrived(t, 1)
		shop.kill(t)
		launch(t, "protected", shop.addr(), more...)
		b.load(shop.url + "/orders/" + first) // as the customer does, who saw an error
		b.says("pending")
		b.shoot("shop-killed")
		answer()
		b.says("shipped")
		a.judge(t, want{charges: 1, parcels: 1}, false) // e-mails stay in the process, in this test
	})
	t.Run("naive", func(t *testing.T) {
		t.Parallel()
		needChrome(t)
		a := newAround(t, fakepay.Config{})
		answer := a.hold(t)
		shop := launch(t, "naive", "127.0.0.1:0", "BANK="+a.bankURL)
		b := open(t)
		b.load(shop.url + placeNaive(t, shop.url))
		b.click(pay, 1)
		a.arrived(t, 1)
		shop.kill(t)
		answer()
		again := launch(t, "naive", shop.addr(), "BANK="+a.bankURL)
		b.load(shop.url + "/orders/" + first)
		require.Contains(t, b.text(), "404", "the shop has forgotten the order")
		b.load(shop.url + placeNaive(t, again.url))
		b.press(pay)
		b.says("paid")
		totals := a.settled(t)
		assert.Equal(t, 2, totals.Charges)
	})
}
