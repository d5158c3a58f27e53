package browser_test

import (
	"flag"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/stretchr/testify/require"
)

var screenshots = flag.String("screenshots", "", "write pictures of what the tests see into this `directory`")

// Sizes of windows.
const (
	desktopWidth = 1200
	phoneWidth   = 375
	windowHeight = 800
	tallest      = 2600 // of a picture
)

// shoot takes a picture of the page as it is, if pictures are wanted.
func (b tab) shoot(name string) {
	b.Helper()
	if *screenshots == "" {
		return
	}
	b.waits(`document.readyState == "complete" && document.body.offsetWidth > 0`)
	b.waits(`!document.getAnimations().some(a => a instanceof CSSTransition)`) // or colours are half-way
	size := call(b, page.GetLayoutMetrics, cdp.Empty{}).CSSContentSize
	beyond := true
	picture := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &beyond,
		Clip:                  &page.Viewport{Width: size.Width, Height: min(size.Height, tallest), Scale: 1},
	})
	require.NoError(b, os.MkdirAll(*screenshots, 0o755))
	require.NoError(b, os.WriteFile(filepath.Join(*screenshots, name+".png"), picture.Data, 0o644))
}

// shootAll takes the picture on a desktop, in the dark, and on a telephone.
func (b tab) shootAll(name string) {
	b.Helper()
	if *screenshots == "" {
		return
	}
	b.shoot(name)
	b.scheme("dark")
	b.shoot(name + "-dark")
	b.scheme("light")
	b.resize(phoneWidth)
	b.shoot(name + "-phone")
	b.resize(desktopWidth)
}

func (b tab) scheme(name string) {
	b.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
}
