package fakepay_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

func TestKeyReusedWithOtherParameters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		paid := b.pay("order", "key", "")
		more := order("order")
		more.AmountCents++
		refused := b.call("POST", "/charges", "key", "", more)
		assert.Equal(t, 422, refused.status)
		assert.Equal(t, fakepay.CodeKeyReused, refused.err.Code)
		assert.Equal(t, "key", refused.err.Value)
		assert.Equal(t, 422, b.call("POST", "/charges/"+paid.charge.ID+"/refund", "key", "", nil).status, "a key belongs to one operation")
		assert.Equal(t, fakepay.Totals{
			Attempts: map[fakepay.Op]int{fakepay.OpCharge: 2, fakepay.OpRefund: 1}, Charges: 1, CapturedCents: 4200, NetCents: 4200,
		}, b.settled().Totals)
	})
}

func TestKeyInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{Latency: fakepay.Latency{P50: 10 * time.Second}})
		go b.pay("order", "key", "")
		time.Sleep(9 * time.Second)
		second := b.pay("order", "key", "")
		assert.Equal(t, 409, second.status)
		assert.Equal(t, fakepay.CodeKeyInUse, second.err.Code)
		assert.Zero(t, second.took, "a conflict comes at once")
		assert.Empty(t, b.call("GET", "/charges?key=key", "", "latency=0s", nil).list.Charges, "not yet there to be found")
		time.Sleep(time.Second)
		synctest.Wait()
		replay := b.pay("order", "key", "")
		assert.True(t, replay.replayed)
		assert.Zero(t, replay.took, "so does a replay,")
		assert.Equal(t, 5*time.Second, b.pay("order", "key", "latency=5s").took, "unless it was told otherwise")
		assert.Len(t, b.call("GET", "/charges?key=key", "", "latency=0s", nil).list.Charges, 1)
	})
}

func TestManyAtOnceWithOneKeyAreOneCharge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{Latency: fakepay.Latency{Max: time.Second}})
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() { b.pay("order", "key", "") })
		}
		all.Wait()
		assert.Equal(t, 1, b.settled().Totals.Charges)
	})
}

func TestKeyLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{KeyLife: time.Hour, Speed: 60})
		b.pay("order", "key", "")
		time.Sleep(time.Minute - time.Millisecond)
		assert.True(t, b.pay("order", "key", "").replayed, "the key is not yet an hour old")
		time.Sleep(time.Millisecond)
		assert.False(t, b.pay("order", "key", "").replayed, "the replay did not prolong its life")
		assert.Equal(t, 2, b.settled().Totals.Charges, "after its life the same key charges again")
	})
}

func TestStoredErrorReplaysForAsLongAsTheKeyLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		b.pay("order", "key", "error_stored")
		for range 3 {
			time.Sleep(7 * time.Hour)
			s := b.pay("order", "key", "")
			assert.Equal(t, 500, s.status)
			assert.True(t, s.replayed)
		}
		time.Sleep(7 * time.Hour)
		assert.Equal(t, 201, b.pay("order", "key", "").status)
	})
}

func TestDeclinesAreStoredOrNot(t *testing.T) {
	for _, stored := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			b := open(t, fakepay.Config{ReplayErrors: stored})
			assert.Equal(t, 402, b.pay("order", "key", "decline").status)
			again := b.pay("order", "key", "")
			if stored {
				assert.Equal(t, 402, again.status)
				assert.True(t, again.replayed)
				return
			}
			assert.Equal(t, 201, again.status, "a decline that is not stored frees the key")
		})
	}
}

// With Stripe, too, nothing is stored that was refused before any work began.
func TestRefusalsAreNotStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{ReplayErrors: true})
		assert.Equal(t, 400, b.call("POST", "/charges", "key", "", `{"amount_cents":-1}`).status)
		assert.Equal(t, 201, b.pay("order", "key", "").status)

		held := order("held")
		held.Capture = new(bool)
		id := b.call("POST", "/charges", "", "", held).charge.ID
		assert.Equal(t, 400, b.call("POST", "/charges/"+id+"/refund", "refund", "", nil).status)
		assert.Equal(t, 201, b.call("POST", "/charges/"+id+"/capture", "", "", nil).status)
		assert.Equal(t, 201, b.call("POST", "/charges/"+id+"/refund", "refund", "", nil).status)
	})
}

func TestAskingInEachMode(t *testing.T) {
	for mode, want := range map[fakepay.Mode]struct{ byReference, byKey, byID, found, charges int }{
		fakepay.Keys: {200, 200, 200, 1, 2},
		fakepay.Ask:  {200, 400, 200, 2, 3},
		fakepay.None: {405, 405, 404, 0, 3},
	} {
		bubble(t, func(t *testing.T) {
			b := open(t, fakepay.Config{Mode: mode})
			b.pay("other", "other key", "")
			id := b.pay("order", "key", "").charge.ID
			b.pay("order", "key", "")
			byReference := b.call("GET", "/charges?reference=order", "", "", nil)
			assert.Equal(t, want.byReference, byReference.status, mode)
			assert.Len(t, byReference.list.Charges, want.found, mode)
			assert.Equal(t, want.byKey, b.call("GET", "/charges?key=key", "", "", nil).status, mode)
			assert.Equal(t, want.byID, b.call("GET", "/charges/"+id, "", "", nil).status, mode)
			assert.Equal(t, want.charges, b.settled().Totals.Charges, mode)
		})
	}
}

func TestAnUnknownReferenceIsAnEmptyList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		s := b.call("GET", "/charges?reference=nobody", "", "", nil)
		assert.Equal(t, 200, s.status)
		assert.True(t, strings.HasPrefix(s.body, `{"charges":[],`), "an empty list, not null: %s", s.body)
	})
}
