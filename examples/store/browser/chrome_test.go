package browser_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// chrome is the one browser of all tests; each has a window of its own in it, with cookies of its own.
var chrome context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	if !slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "-test.parallel") }) {
		_ = flag.Set("test.parallel", "5") // they wait most of the time
	}
	if role := os.Getenv(roleVariable); role != "" { // this is a shop that a test started, to kill it
		fmt.Fprintln(os.Stderr, serve(role))
		os.Exit(1)
	}
	os.Exit(withChrome(m.Run))
}

func withChrome(run func() int) int {
	path, err := exec.LookPath("chromium")
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("STEADFAST_REQUIRE"), ","), "browser") {
			fmt.Fprintf(os.Stderr, "STEADFAST_REQUIRE names browser, but there is no chromium: %v\n", err)
			return 1
		}
		return run() // every test skips itself
	}
	profile, err := os.MkdirTemp("", "steadfast-browser-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := start(path, profile)
	code := 1
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s does not start: %v\n", path, err)
	} else {
		chrome = ctx
		code = run()
	}
	if err := errors.Join(stop(), os.RemoveAll(profile)); err != nil {
		fmt.Fprintf(os.Stderr, "the browser does not end: %v\n", err)
	}
	return code
}

func start(path, profile string) (ctx context.Context, stop func() error) {
	allocator, release := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true),
	)
	ctx, cancel := chromedp.NewContext(allocator)
	return ctx, func() error {
		err := chromedp.Cancel(ctx)
		cancel()
		release()
		return err
	}
}
