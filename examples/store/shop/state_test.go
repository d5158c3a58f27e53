package shop_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
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

var states = []shop.State{shop.Placed, shop.Paying, shop.Checking, shop.Declined, shop.Paid, shop.Shipped, shop.Cancelled, shop.Refunded}

// open opens a shop in memory whose bank does not answer.
func open(t *testing.T) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), database.Memory)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	office := mail.New(0, nil)
	s, err := shop.Open(t.Context(), shop.Config{
		DB: db, Bank: bank.New("http://127.0.0.1:1"), Warehouse: warehouse.New(0, nil), Mail: office, Timing: shop.RealTime(),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // t.Context has ended
		defer cancel()
		assert.NoError(t, s.Close(ctx))
	})
	return db
}

// An order goes from one state to another if the table says so, and by no other way.
func TestMoves(t *testing.T) {
	t.Parallel()
	db := open(t)
	for _, from := range states {
		for _, to := range states {
			id := string(from) + " to " + string(to)
			require.NoError(t, shop.InsertOrder(t.Context(), db.Conn, shop.Order{ID: id, Customer: "c", State: from}, nil))
			moved, err := shop.Move(t.Context(), db.Conn, id, to)
			require.NoError(t, err)
			assert.Equal(t, slices.Contains(shop.Moves[from], to), moved, id)
			var state shop.State
			require.NoError(t, db.Row(t.Context(), "SELECT state FROM shop_orders WHERE id = ?", id).Scan(&state))
			want := from
			if moved {
				want = to
			}
			assert.Equal(t, want, state, id)
		}
	}
}

// What the table must never say, however it is changed.
func TestMovesAreSafe(t *testing.T) {
	t.Parallel()
	ways := func(from shop.State) []shop.State { return shop.Moves[from] }
	assert.Equal(t, []shop.State{shop.Paid}, before(shop.Shipped), "a parcel leaves only when it is paid for")
	for _, pending := range []shop.State{shop.Paying, shop.Checking} {
		assert.NotContains(t, ways(pending), shop.Placed, "what nobody knows is not taken for a no")
		assert.NotContains(t, ways(pending), shop.Shipped)
	}
	assert.Empty(t, ways(shop.Shipped))
	assert.Empty(t, ways(shop.Refunded), "money is given back once")
	assert.NotContains(t, ways(shop.Cancelled), shop.Paying, "an order that was given up is not paid: its late charge would be refunded")
	for _, paying := range []shop.State{shop.Placed, shop.Declined} {
		assert.Contains(t, ways(paying), shop.Paying)
	}
}

func before(to shop.State) (from []shop.State) {
	for _, state := range states {
		if slices.Contains(shop.Moves[state], to) {
			from = append(from, state)
		}
	}
	return from
}

// Of many who move an order at the same moment, one does.
func TestOneOfManyMoves(t *testing.T) {
	t.Parallel()
	db := open(t)
	require.NoError(t, shop.InsertOrder(t.Context(), db.Conn, shop.Order{ID: "o", Customer: "c", State: shop.Checking}, nil))
	var moves atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			to := []shop.State{shop.Paid, shop.Declined, shop.Cancelled}[i%3]
			moved, err := shop.Move(t.Context(), db.Conn, "o", to)
			assert.NoError(t, err)
			if moved {
				moves.Add(1)
			}
		})
	}
	all.Wait()
	// One of these may be followed by another: an order that was declined can be cancelled.
	var state shop.State
	require.NoError(t, db.Row(t.Context(), "SELECT state FROM shop_orders WHERE id = ?", "o").Scan(&state))
	if state == shop.Paid {
		assert.Equal(t, int64(1), moves.Load())
	} else {
		assert.LessOrEqual(t, moves.Load(), int64(2))
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	assert.Equal(t, shop.Estimate{}, shop.EstimateOf(nil))
	var took []time.Duration
	for i := range 100 {
		took = append(took, time.Duration(100-i)*time.Millisecond)
	}
	assert.Equal(t, shop.Estimate{Median: 50 * time.Millisecond, P95: 95 * time.Millisecond, Of: 100}, shop.EstimateOf(took))
	one := time.Second
	assert.Equal(t, shop.Estimate{Median: one, P95: one, Of: 1}, shop.EstimateOf([]time.Duration{one}))
}

func TestEuros(t *testing.T) {
	t.Parallel()
	for cents, want := range map[int64]string{0: "€0.00", 5: "€0.05", 49_90: "€49.90", 123_456_789: "€1,234,567.89"} {
		assert.Equal(t, want, shop.Euros(cents))
	}
}
