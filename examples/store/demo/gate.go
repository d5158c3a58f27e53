package demo

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// errDead is what a process that was killed would be told, if it could still ask.
var errDead = errors.New("demo: this process is dead")

// gate is a process's way to the store. When it is shut nothing gets through any more, as when the process is killed: it
// renews no lease, records no outcome and takes nothing back. The store itself lives on.
type gate struct {
	idempotency.Store
	closed atomic.Bool
}

func (g *gate) shut() { g.closed.Store(true) }

func (g *gate) dead() error {
	if g.closed.Load() {
		return errDead
	}
	return nil
}

// Acquire is the store's.
func (g *gate) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	if err := g.dead(); err != nil {
		return idempotency.Record{}, err
	}
	return g.Store.Acquire(ctx, c)
}

// AcquireDue is the store's.
func (g *gate) AcquireDue(ctx context.Context, c idempotency.DueClaim) ([]idempotency.Record, error) {
	if err := g.dead(); err != nil {
		return nil, err
	}
	return g.Store.AcquireDue(ctx, c)
}

// Extend is the store's. A dead process holds no lease: what it has under way ends.
func (g *gate) Extend(ctx context.Context, leases []idempotency.Lease, d time.Duration, sending bool) ([]bool, error) {
	if g.closed.Load() {
		return make([]bool, len(leases)), nil
	}
	return g.Store.Extend(ctx, leases, d, sending)
}

// Settle is the store's.
func (g *gate) Settle(ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	if g.closed.Load() {
		return idempotency.Record{}, idempotency.ErrLeaseLost // not worth a second try
	}
	return g.Store.Settle(ctx, l, o)
}

// Get is the store's.
func (g *gate) Get(ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
	if err := g.dead(); err != nil {
		return idempotency.Record{}, err
	}
	return g.Store.Get(ctx, id)
}

// List is the store's.
func (g *gate) List(ctx context.Context, q idempotency.Query) ([]idempotency.Record, error) {
	if err := g.dead(); err != nil {
		return nil, err
	}
	return g.Store.List(ctx, q)
}
