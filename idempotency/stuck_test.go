package idempotency_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// T53: while a Send that ignores its context is still running, no other attempt is made in this process, and the provider is
// not asked either: nobody can say what it may still send. What it returns at last counts.
func TestAStuckSendRunsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var running, most, asked atomic.Int32
		w, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[string, string]{
			Name: "charge", Namespace: "test", KeyLife: 24 * time.Hour, Settling: time.Minute,
			Send: func(context.Context, idempotency.Attempt, string) (string, error) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				time.Sleep(20 * time.Minute) // whatever the context says
				return "at last", nil
			},
			Lookup: func(context.Context, idempotency.Attempt, string) (idempotency.Verdict[string], error) {
				asked.Add(1)
				return idempotency.DidNotHappen[string](), nil
			},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = w.Run(ctx) }()

		_, err = w.Do(ctx, "k", "in")
		require.ErrorAs(t, err, new(*idempotency.UnknownError))
		time.Sleep(time.Hour)
		res, err := w.Do(ctx, "k", "in")
		require.NoError(t, err)
		require.Equal(t, "at last", res.Value)
		require.EqualValues(t, 1, most.Load(), "a second attempt ran beside the stuck one")
		require.Zero(t, asked.Load(), "the provider was asked about what could still be sent")
	})
}
