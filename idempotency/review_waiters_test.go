package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
)

// T19: callers come and go while a flight waits, the last one leaving before it begins to, and again after another one has
// joined. Nobody's coming or leaving may end the others, or the process.
func TestCallersComeAndGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{after(2*time.Second, fail(errLost))}, looks: []look{
			says(idempotency.DontKnow[payment]()), says(idempotency.DontKnow[payment]()), says(idempotency.Happened(payment{ID: "found"})),
		}}
		w := wrap(t, newStore(), askable(p))
		leaves := func(after time.Duration) {
			_, err := w.Do(patience(t, after), "k", book)
			require.ErrorAs(t, err, new(*idempotency.PendingError))
		}
		leaves(time.Second) // before the flight begins to wait
		for range 50 {
			time.Sleep(37 * time.Millisecond)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 2)
			for range 2 {
				go func() {
					_, err := w.Do(ctx, "k", book)
					done <- err
				}()
			}
			synctest.Wait()
			cancel()
			for range 2 {
				if err := <-done; err != nil {
					require.True(t, errors.As(err, new(*idempotency.PendingError)) || errors.As(err, new(*idempotency.UnknownError)), "%v", err)
				}
			}
		}
		res, err := w.Do(patience(t, time.Minute), "k", book)
		require.NoError(t, err)
		require.Equal(t, "found", res.Value.ID)
	})
}
