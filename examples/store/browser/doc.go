// Package browser has tests only: they use the shops as customers do, in a real browser, with the mouse and the Back
// button, and let the payment provider's ledger judge. They need Chromium:
//
//	apt-get install chromium
//	go test ./examples/store/browser
//	go test ./examples/store/browser -screenshots ../../../docs/screenshots
//
// Without it they are skipped, unless STEADFAST_REQUIRE (a list with commas) names browser.
package browser
