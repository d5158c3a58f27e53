package shop_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
)

// patience is how long a test waits for something to happen: on a busy machine, long.
const patience = 2 * time.Minute

const (
	customer = "ada"
	email    = "ada@example.com"
)

// world is a shop in memory, whose bank is at a URL.
type world struct {
	shop   *shop.Shop
	office *mail.Office
	depot  *warehouse.Warehouse
}

func openWorld(t *testing.T, bankURL string, timing shop.Timing, log *slog.Logger) world {
	t.Helper()
	db, err := database.Open(t.Context(), database.Memory)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	w := world{office: mail.New(0, nil), depot: warehouse.New(0, nil)}
	w.shop, err = shop.Open(t.Context(), shop.Config{DB: db, Bank: bank.New(bankURL), Warehouse: w.depot, Mail: w.office, Timing: timing, Log: log})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience) // t.Context has ended
		defer cancel()
		assert.NoError(t, w.shop.Close(ctx))
	})
	return w
}

// order orders a lamp.
func (w world) order(t *testing.T) (order string) {
	t.Helper()
	require.NoError(t, w.shop.Add(t.Context(), customer, "lamp"))
	basket, err := w.shop.BeginCheckout(t.Context(), customer)
	require.NoError(t, err)
	order, _, err = w.shop.Submit(t.Context(), customer, shop.Form{Payment: basket.Payment, Basket: basket.Digest(), Email: email, Card: "tok_visa"})
	require.NoError(t, err)
	return order
}

// quiet waits until the shop has nothing more to do.
func (w world) quiet(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		n, err := w.shop.UnderWay(t.Context())
		return err == nil && n == 0
	}, patience, 5*time.Millisecond, "the shop is never done")
}

// letters returns the statuses of what was written to the customer.
func (w world) letters() (words []string) {
	for _, m := range w.office.Inbox(email) {
		words = append(words, m.Status)
	}
	return words
}
