package idemhttp_test

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

func newStore() *memstore.Store { return memstore.New(memstore.Config{}) }

var errDown = errors.New("the store is down")

// mortal is a store that can be away: for all, or for one method, before or after it did its work. It has no memory of its own.
type mortal struct {
	idempotency.Store
	dead    atomic.Bool
	refuses atomic.Value // the name of a method that does nothing
	deaf    atomic.Value // the name of a method whose replies get lost; "half": every other reply
	asked   atomic.Int64
	gets    atomic.Int64
}

func ask[V any](m *mortal, op string, do func() (V, error)) (v V, err error) {
	if m.dead.Load() || m.refuses.Load() == op {
		return v, errDown
	}
	v, err = do()
	if deaf := m.deaf.Load(); deaf == op || deaf == "half" && m.asked.Add(1)%2 == 1 {
		var none V
		return none, errDown
	}
	return v, err
}

func (m *mortal) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	return ask(m, "Acquire", func() (idempotency.Record, error) { return m.Store.Acquire(ctx, c) })
}

func (m *mortal) Settle(ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	return ask(m, "Settle", func() (idempotency.Record, error) { return m.Store.Settle(ctx, l, o) })
}

func (m *mortal) Extend(ctx context.Context, l []idempotency.Lease, d time.Duration, sending bool) ([]bool, error) {
	return ask(m, "Extend", func() ([]bool, error) { return m.Store.Extend(ctx, l, d, sending) })
}

func (m *mortal) Get(ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
	m.gets.Add(1)
	return ask(m, "Get", func() (idempotency.Record, error) { return m.Store.Get(ctx, id) })
}
