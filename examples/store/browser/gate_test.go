package browser_test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gate stands before a server and counts what comes. While it is shut, forms and charges wait before it, also when those
// who sent them have gone: so a test decides how long the bank takes, and not the machine.
type gate struct {
	http.Handler
	paths []string // of the requests that it is about

	came atomic.Int64
	shut atomic.Pointer[chan struct{}] // nil: open
}

// ServeHTTP serves.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && slices.Contains(g.paths, r.URL.Path) {
		g.came.Add(1)
		if opens := g.shut.Load(); opens != nil {
			<-*opens
		}
	}
	g.Handler.ServeHTTP(w, r)
}

// arrived waits until so many have come.
func (g *gate) arrived(t *testing.T, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return g.came.Load() >= n }, patience, 10*time.Millisecond, "never are there %d requests to %s", n, g.paths)
}

// hold lets the bank answer nobody until the function that it returns is called.
func (a around) hold(t *testing.T) (release func()) {
	t.Helper()
	opens := make(chan struct{})
	a.gate.shut.Store(&opens)
	release = sync.OnceFunc(func() {
		a.gate.shut.Store(nil)
		close(opens)
	})
	t.Cleanup(release) // or nothing would end
	return release
}
