package warehouse_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/warehouse"
)

func TestOverHTTP(t *testing.T) {
	t.Parallel()
	w := warehouse.New(0, nil)
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	c := warehouse.NewClient(server.URL)
	t.Cleanup(c.Close)
	one, err := c.Ship(t.Context(), "k1", "order-1")
	require.NoError(t, err)
	again, err := c.Ship(t.Context(), "k1", "order-1")
	require.NoError(t, err)
	assert.Equal(t, one, again, "one parcel for each key")
	other, err := c.Ship(t.Context(), "k2", "order-2")
	require.NoError(t, err)
	assert.NotEqual(t, one, other)
	assert.Equal(t, 1, w.Parcels("order-1"))
	for _, bad := range [][2]string{{"", "order-3"}, {"k3", ""}} {
		_, err := c.Ship(t.Context(), bad[0], bad[1])
		assert.ErrorContains(t, err, "400")
	}
}

func TestWhoeverHangsUpGetsNoParcel(t *testing.T) {
	t.Parallel()
	w := warehouse.New(time.Hour, nil)
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := warehouse.NewClient(server.URL).Ship(ctx, "k", "order-1")
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, w.Parcels("order-1"))
}

func TestForeignAnswersAreNoParcels(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "<html>", "{}"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(body))
		}))
		_, err := warehouse.NewClient(server.URL).Ship(t.Context(), "k", "order-1")
		assert.Error(t, err, body)
		server.Close()
	}
}
