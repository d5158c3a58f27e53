package warehouse_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/warehouse"
)

func TestOneParcelForAKey(t *testing.T) {
	left := 0
	w := warehouse.New(0, func(string) { left++ })
	first, err := w.Ship(t.Context(), "k1", "order-1")
	require.NoError(t, err)
	again, err := w.Ship(t.Context(), "k1", "order-1")
	require.NoError(t, err)
	assert.Equal(t, first, again)
	other, err := w.Ship(t.Context(), "k2", "order-2")
	require.NoError(t, err)
	assert.NotEqual(t, first, other)
	assert.Equal(t, 1, w.Parcels("order-1"))
	assert.Equal(t, 2, left)
}

func TestWithoutAKeyEveryCallSends(t *testing.T) {
	w := warehouse.New(0, nil)
	for range 3 {
		_, err := w.Ship(t.Context(), "", "order-1")
		require.NoError(t, err)
	}
	assert.Equal(t, 3, w.Parcels("order-1"))
}

func TestGivenUpInTime(t *testing.T) {
	w := warehouse.New(time.Hour, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.Ship(ctx, "k", "order-1")
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, w.Parcels("order-1"))
}
