package browser_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"

	"github.com/steadfast-go/steadfast/examples/store/lab"
)

// verdictOf is how a side of the lab is judged in the end.
func verdictOf(side, tone string) chromedp.CSS {
	return chromedp.CSS("#" + side + "-verdict .verdict." + tone)
}

// The lab plays what a button says, while somebody looks.
func TestLab(t *testing.T) {
	t.Parallel()
	needChrome(t)
	l := lab.New(lab.Config{MaxPlaying: 9})
	server := httptest.NewServer(l.Handler())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		assert.NoError(t, l.Close(ctx)) // the streams end with it
		server.Close()
	})
	speed := "8"
	if *screenshots != "" {
		speed = "2" // a machine that is busy shows in the picture
	}
	for name, scenario := range map[string]string{"slow": "slow", "lost answers": "timeouts", "double click": "doubleclick"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			b.load(server.URL + "/lab?speed=" + speed)
			b.press(chromedp.CSS(`button[value=` + scenario + `]`))
			b.sees(`#naive-picture .m-idle`) // the customer has clicked: a piece of the stream
			if scenario == "timeouts" {
				b.sees(`#protected-picture .k-key`)
				b.shoot("lab-playing")
			}
			b.sees(verdictOf("naive", "wrong"))
			b.sees(verdictOf("protected", "right"))
			b.reads("finished")
			b.shootAll("lab-" + scenario)
		})
	}
	t.Run("killed by hand", func(t *testing.T) {
		t.Parallel()
		b := open(t)
		b.load(server.URL + "/lab?seed=2&speed=4")
		b.press(`button[value=slow]`)
		b.sees(`#protected-picture .k-key`)
		b.press(`.killer button`)
		b.sees(verdictOf("naive", "wrong"))
		b.sees(verdictOf("protected", "right"))
		b.sees(`#naive-picture .k-skull`)
		b.sees(`#protected-picture .k-skull`)
		b.reads("finished")
		b.shoot("lab-killed")
	})
	t.Run("without JavaScript", func(t *testing.T) {
		t.Parallel()
		b := open(t)
		b.withoutScript()
		b.load(server.URL + "/lab?seed=3")
		b.press(`button[value=doubleclick]`)
		b.sees(verdictOf("naive", "wrong")) // the page loads itself again
		b.sees(verdictOf("protected", "right"))
	})
	t.Run("bad link", func(t *testing.T) {
		t.Parallel()
		b := open(t)
		b.load(server.URL + "/lab?scenario=flood")
		b.reads("Remedy")
		b.shoot("lab-bad-link")
	})
}
