package web_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// A payment that cannot be completed in time rolls the order back; the charge that turns up afterwards is given back, once.
func TestLateChargeIsRefundedOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		timing := quick()
		timing.GiveUp = 8 * time.Second // long after the first request, on a busy machine too
		// The first request charges, and its answer is lost. After that the bank does not answer, until it is asked.
		script := append(times(1, fakepay.ReplyLost), times(always, fakepay.Unavailable)...)
		w := newWorld(t, db, timing, fakepay.Config{Scripts: map[string][]fakepay.Fault{
			first: script, "lookup:" + first: times(3, fakepay.Unavailable),
		}})
		b, before := w.browser(), w.stock("lamp")
		p := b.pay(b.fill("lamp"), "tok_visa")
		require.Contains(t, []string{"pending", "cancelled", "refunded"}, p.says())
		b.await(first, "refunded")
		w.quiet()
		assert.Equal(t, 1, w.totals().Charges)
		assert.Equal(t, 1, w.totals().Refunds)
		assert.Zero(t, w.totals().NetCents)
		assert.Zero(t, w.depot.Parcels(first))
		assert.ElementsMatch(t, []string{"cancelled", "refunded"}, w.letters(email))
		assert.Equal(t, before, w.stock("lamp"), "the goods went back, once")
	})
}

// The same where the customer gives up.
func TestCancelledThenLateSuccess(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		script := append(times(1, fakepay.ReplyLost), times(always, fakepay.Unavailable)...)
		w := newWorld(t, db, quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{first: script}})
		b := w.browser()
		b.pay(b.fill("lamp"), "tok_visa")
		w.charged(1)
		require.Eventually(t, func() bool { // while a request is with the bank, it decides
			p := b.post("/orders/" + first + "/cancel")
			assert.Equal(t, http.StatusOK, p.status)
			return p.says() != "pending"
		}, patience, look)
		b.await(first, "refunded")
		w.quiet()
		assert.Zero(t, w.totals().NetCents)
		assert.Equal(t, 1, w.totals().Refunds)
		assert.Zero(t, w.depot.Parcels(first))
	})
}

// Of a customer who cancels and one who pays again, at the same moment, one wins; and nobody pays for nothing.
func TestCancelAndPayAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{})
		b, before := w.browser(), w.stock("lamp")
		const rounds = 6
		shipped := int64(0)
		for n := range rounds {
			order := fmt.Sprintf("order-%d", n+1)
			b.pay(b.fill("lamp"), fakepay.SourceDeclined)
			next := b.await(order, "declined").field("payment")
			var turn atomic.Int64
			atOnce(2, func() {
				if turn.Add(1) == 1 {
					b.post("/orders/"+order+"/pay", "payment", next, "card", "tok_visa")
				} else {
					assert.Equal(t, http.StatusOK, b.post("/orders/"+order+"/cancel").status)
				}
			})
			w.quiet()
			switch says := b.get("/orders/" + order).says(); says {
			case "shipped":
				shipped++
				assert.Equal(t, 1, w.depot.Parcels(order))
			case "cancelled", "refunded":
				assert.Zero(t, w.depot.Parcels(order))
			default:
				assert.Fail(t, "in the end it says", says)
			}
		}
		assert.Equal(t, shipped*49_90, w.totals().NetCents, "what was taken is what was sent")
		assert.Equal(t, before-shipped, w.stock("lamp"))
	})
}

func TestNeverSentIsRolledBackAndNotRefunded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		timing := quick()
		timing.GiveUp = 200 * time.Millisecond
		w := newWorld(t, db, timing, fakepay.Config{Scripts: map[string][]fakepay.Fault{first: times(always, fakepay.RateLimited)}})
		b := w.browser()
		b.pay(b.fill("lamp"), "tok_visa")
		b.await(first, "cancelled")
		w.quiet()
		assert.Zero(t, w.totals().Charges)
		assert.Zero(t, w.totals().Refunds)
		assert.Equal(t, []string{"cancelled"}, w.letters(email))
	})
}

// What has yet to be made is reserved first, and charged when it has been made.
func TestReservedThenCaptured(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{"capture:" + first: times(2, fakepay.ReplyLost)}})
		b := w.browser()
		b.pay(b.fill("table"), "tok_visa")
		b.await(first, "shipped")
		w.quiet()
		assert.Equal(t, int64(245_00), w.totals().CapturedCents)
		assert.Equal(t, 1, w.totals().Charges)
		assert.Equal(t, 1, w.depot.Parcels(first))
	})
}

// What was reserved and cannot be captured is released, and nothing leaves.
func TestReservedAndReleased(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{"capture:" + first: times(1, fakepay.Decline)}})
		b, before := w.browser(), w.stock("table")
		b.pay(b.fill("table"), "tok_visa")
		b.await(first, "refunded")
		w.quiet()
		assert.Equal(t, 1, w.totals().Voids)
		assert.Zero(t, w.totals().CapturedCents)
		assert.Zero(t, w.depot.Parcels(first))
		assert.Equal(t, before, w.stock("table"))
		assert.ElementsMatch(t, []string{"cancelled", "refunded"}, w.letters(email))
	})
}

// Whatever answers get lost, everything happens once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{
			first: {{Kind: fakepay.ReplyLost}, {Kind: fakepay.ErrorAfter}, {Kind: fakepay.RequestLost}, {Kind: fakepay.Unavailable}},
		}})
		b := w.browser()
		b.pay(b.fill("lamp"), "tok_visa")
		b.await(first, "shipped")
		w.quiet()
		assert.Equal(t, 1, w.totals().Charges)
		assert.Equal(t, 5, w.totals().Attempts[fakepay.OpCharge])
		assert.Equal(t, 1, w.depot.Parcels(first))
		assert.Equal(t, []string{"shipped"}, w.letters(email))
	})
}

// Several shops on one database share the work: what one leaves, another finishes.
func TestAnotherShopFinishes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{Scripts: map[string][]fakepay.Fault{first: times(always, fakepay.Unavailable)}})
		b := w.browser()
		b.pay(b.fill("lamp"), "tok_visa")
		require.Equal(t, "pending", b.get("/orders/"+first).says())
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.NoError(t, w.shop.Close(ctx))
		assert.Equal(t, "pending", b.get("/orders/"+first).says(), "its pages still say what is known")

		none := map[string][]fakepay.Fault{}
		require.NoError(t, w.bank.SetConditions(fakepay.Conditions{Scripts: none}))
		other := w.open()
		b.await(first, "shipped")
		assert.Equal(t, 1, w.totals().Charges)
		assert.Equal(t, 1, w.depot.Parcels(first))
		w.quiet()
		require.NoError(t, other.Close(ctx))
	})
}

// Two shops at work on the same orders do nothing twice.
func TestTwoShopsAtWork(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, quick(), fakepay.Config{Faults: []fakepay.Fault{{Kind: fakepay.ReplyLost, Rate: 0.3}}})
		other := w.open()
		const customers = 6
		atOnce(customers, func() {
			b := w.browser()
			b.pay(b.fill("lamp"), "tok_visa")
		})
		w.quiet()
		assert.Equal(t, customers, w.totals().Charges)
		var parcels []int
		for _, charge := range w.bank.Ledger().Charges {
			parcels = append(parcels, w.depot.Parcels(charge.Reference))
		}
		assert.Equal(t, slices.Repeat([]int{1}, customers), parcels)
		assert.Len(t, w.office.Inbox(email), customers)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.NoError(t, other.Close(ctx))
	})
}
