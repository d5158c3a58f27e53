package idemhttp_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs a test in virtual time. It ends when no goroutine of the middleware is left.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// sleep moves the virtual clock by so many seconds, and lets everybody act.
func sleep(seconds float64) {
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	synctest.Wait()
}

func withTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}
