package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		w, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[string, int]{
			Name: "charge", Namespace: "x", KeyLife: time.Hour,
			Send: func(ctx context.Context, a idempotency.Attempt, in string) (int, error) {
				n++
				if n < 3 {
					return 0, errors.New("boom")
				}
				return n, nil
			},
		})
		require.NoError(t, err)
		res, err := w.Do(t.Context(), "k", "in")
		require.NoError(t, err)
		require.Equal(t, 3, res.Value)
		res, err = w.Do(t.Context(), "k", "in")
		require.NoError(t, err)
		require.True(t, res.Replayed)
		_, err = w.Do(t.Context(), "k", "other")
		require.ErrorIs(t, err, idempotency.ErrKeyReused)
		require.NoError(t, w.Close(t.Context()))
	})
}
