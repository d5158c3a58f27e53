package browser_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is how long a page may take to say what a test waits for: on a busy machine, long.
const patience = 2 * time.Minute

// tab is a customer's window.
type tab struct {
	*testing.T
	ctx context.Context
}

// needChrome skips a test that cannot be.
func needChrome(t *testing.T) {
	t.Helper()
	if chrome == nil {
		t.Skip("there is no chromium: apt-get install chromium")
	}
}

// open opens a window with cookies of its own.
func open(t *testing.T) tab {
	t.Helper()
	needChrome(t)
	return newTab(t, chrome, chromedp.WithNewBrowserContext())
}

// another opens a second tab of the same customer.
func (b tab) another() tab {
	b.Helper()
	return newTab(b.T, b.ctx)
}

func newTab(t *testing.T, parent context.Context, options ...chromedp.ContextOption) tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	// A script that fails, or that the page's policy forbids, fails the test.
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*runtime.EventExceptionThrown); ok {
			t.Errorf("a script failed: %s", e.ExceptionDetails.Text)
		}
	}))
	b := tab{t, ctx}
	b.resize(desktopWidth)
	return b
}

// get does something in the tab, and returns what comes of it.
func get[T any](b tab, a chromedp.Action[T]) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	require.NoError(b, err)
	return v
}

// call calls the browser.
func call[P, R any](b tab, command cdp.Command[P, R], params P) R {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	require.NoError(b, err)
	return result
}

// do does something in the tab.
func (b tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	get(b, chromedp.Steps(steps...))
}

// load loads a page.
func (b tab) load(url string) {
	b.Helper()
	b.do(chromedp.Navigate(url))
}

// reload loads the page again. A browser that is about to leave it may give up both.
func (b tab) reload() {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Reload())
	for err != nil && strings.Contains(err.Error(), "net::ERR_ABORTED") {
		_, err = chromedp.Run(ctx, chromedp.Reload())
	}
	require.NoError(b, err)
}

// press clicks at an element with the mouse, and goes on when another page has come of it.
func (b tab) press(selector chromedp.CSS) {
	b.Helper()
	b.waits(`document.body.dataset.left = "yes"`)
	b.click(selector, 1)
	b.waits(`!document.body.dataset.left && document.readyState == "complete"`)
}

// click clicks n times with the mouse, each 150 ms after the one before, as people do, and does not wait for a page.
func (b tab) click(selector chromedp.CSS, n int) { b.clicks(selector, n, func() {}) }

// clicks does that, and something before each further click. (A browser may take a form back that it has not sent yet.)
func (b tab) clicks(selector chromedp.CSS, n int, before func()) {
	b.Helper()
	// Not by chromedp's own picture of the page: it does not survive a page that comes back as it was.
	x, y := b.middle(selector)
	for i := range n {
		if i > 0 {
			before()
			b.do(chromedp.Sleep(150 * time.Millisecond))
		}
		b.do(chromedp.MouseClickXY(x, y))
	}
}

func (b tab) middle(selector chromedp.CSS) (x, y float64) {
	b.Helper()
	b.sees(selector)
	middle := get(b, chromedp.Evaluate[[]float64](fmt.Sprintf(`(() => {
		const element = document.querySelector(%q);
		element.scrollIntoView({block: "center", behavior: "instant"});
		const box = element.getBoundingClientRect();
		return [box.x + box.width / 2, box.y + box.height / 2];
	})()`, selector)))
	require.Len(b, middle, 2)
	return middle[0], middle[1]
}

// says waits until the page's status is this word.
func (b tab) says(word string) {
	b.Helper()
	b.sees(chromedp.CSS(fmt.Sprintf(`[data-status=%q]`, word)))
}

// sees waits until there is such an element to be seen.
func (b tab) sees(selector chromedp.CSS) {
	b.Helper()
	b.waits(fmt.Sprintf(`document.querySelector(%q)?.checkVisibility()`, selector))
}

// reads waits until the page says this somewhere.
func (b tab) reads(text string) {
	b.Helper()
	b.waits(fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
}

// text is what the page says.
func (b tab) text() string {
	b.Helper()
	return get(b, chromedp.Evaluate[string](`location.pathname + ": " + document.body.innerText`))
}

// at is the path of the page.
func (b tab) at() string {
	b.Helper()
	return get(b, chromedp.Evaluate[string](`location.pathname`))
}

// back goes back, to the page with one of these paths. It may be there as it was, without being loaded.
func (b tab) back(paths ...string) {
	b.Helper()
	history := call(b, page.GetNavigationHistory, cdp.Empty{})
	before := history.Entries[history.CurrentIndex-1]
	call(b, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: before.ID})
	b.waits(fmt.Sprintf(`%q.split(" ").includes(location.pathname) && document.readyState == "complete"`, strings.Join(paths, " ")))
}

// waits waits until a script is true. A page that goes away while it is asked is asked again.
func (b tab) waits(script string) {
	b.Helper()
	ok := assert.Eventually(b, func() bool {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		defer cancel()
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+script+")"))
		return err == nil && is
	}, patience, 50*time.Millisecond)
	if !ok {
		b.Fatalf("it is never so that %s, on the page %s", script, b.text())
	}
}

// withoutScript turns JavaScript off.
func (b tab) withoutScript() {
	b.Helper()
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// leave closes the page, whatever it waits for.
func (b tab) leave() {
	b.Helper()
	call(b, page.Navigate, page.NavigateParams{URL: "about:blank"})
}

// resize makes the window that wide.
func (b tab) resize(width int64) {
	b.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: windowHeight, DeviceScaleFactor: 1, Mobile: width == phoneWidth,
	})
}
