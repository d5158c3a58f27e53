package main

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/buyer"
)

// No answer of the bank ever arrives; what it tells unasked does.
func TestWebhooksAloneSettlePayments(t *testing.T) {
	t.Parallel()
	url, _, stop := serving(t, "-addr", "127.0.0.1:0", "-db", filepath.Join(t.TempDir(), "shop.db"), "-latency", "10ms", "-picking", "10ms", "-faults", "reply_lost=1")
	b, err := buyer.New(url, "ada@example.com", http.DefaultTransport)
	require.NoError(t, err)
	form, err := b.Fill(t.Context(), "lamp")
	require.NoError(t, err)
	order, err := b.Send(t.Context(), form)
	require.NoError(t, err)
	require.NoError(t, b.Await(t.Context(), order, "shipped", 1))
	require.NoError(t, stop())
}

func TestStripeKeys(t *testing.T) {
	t.Setenv("STRIPE_KEY", "sk_live_1")
	assert.ErrorContains(t, run(t.Context(), nil), "sk_test_")
	t.Setenv("STRIPE_KEY", "sk_test_1")
	assert.ErrorContains(t, run(t.Context(), []string{"-bank", "http://127.0.0.1:1"}), "unset one")
}
