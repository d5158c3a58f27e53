package browser_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// asOperator gives the password with every request from now on.
func (b tab) asOperator() {
	b.Helper()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("operator:"+password))
	call(b, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Authorization": basic}})
}

// An operator asks the bank what became of a payment whose answer is lost, sees that it is known then, and compares the lists.
func TestOperator(t *testing.T) {
	t.Parallel()
	p := newProtected(t, timing(), fakepay.Config{Latency: always(100 * time.Millisecond), Scripts: script(append(
		[]fakepay.Fault{{Kind: fakepay.ReplyLost}}, times(200, fakepay.Fault{Kind: fakepay.Unavailable})...)...)})
	b := open(t)
	b.checkout(p.url)
	b.press(pay)
	p.arrived(t, 2)
	b.asOperator()
	require.Eventually(t, func() bool { // a busy machine's database may take too long for the page
		b.load(p.url + "/admin")
		return strings.Contains(b.text(), "It may have happened")
	}, patience, 100*time.Millisecond)
	b.sees(`.plots circle`)
	b.shootAll("admin")
	require.Eventually(t, func() bool { // between two attempts
		b.load(p.url + "/admin")
		if strings.Contains(b.text(), "Every call has an outcome") {
			return true
		}
		if get(b, chromedp.Evaluate[bool](`!!document.querySelector("button[value=ask]")`)) { // of the charge, not of what follows
			b.press(`button[value=ask]`)
		}
		return false
	}, patience, 100*time.Millisecond)
	b.shoot("admin-quiet")
	p.judge(t, once, false)

	stranger := bank.New(p.bankURL)
	defer stranger.Close()
	_, err := stranger.Charge(t.Context(), idempotency.Attempt{Key: "k"}, bank.Payment{Order: "not ours", Cents: 100, Currency: "eur", Card: "tok_visa"})
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the last seconds do not count
		b.load(p.url + "/admin/reconcile")
		return strings.Contains(b.text(), "missing here")
	}, patience, 500*time.Millisecond)
	b.shoot("admin-reconcile")
}
