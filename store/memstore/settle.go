package memstore

import (
	"context"
	"fmt"

	"github.com/steadfast-go/steadfast/idempotency"
)

// errGone is what an owner is told whose record has been removed: its lease is lost, and there is no record.
var errGone = fmt.Errorf("%w: %w", idempotency.ErrLeaseLost, idempotency.ErrNoRecord)

// Settle implements idempotency.Store.
func (s *Store) Settle(
	ctx context.Context, l idempotency.Lease, o idempotency.Outcome,
) (idempotency.Record, error) {
	if err := checks.Outcome(ctx, &l, &o); err != nil {
		return idempotency.Record{}, err
	}
	sh, hash := s.shard(&l.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.find(hash, &l.ID)
	if e == nil {
		if l.Token != (idempotency.Token{}) {
			return idempotency.Record{}, errGone
		}
		return idempotency.Record{}, idempotency.ErrNoRecord
	}
	now := s.now()
	r, changed, err := e.Settle(now, &l, &o)
	if changed {
		sh.put(e, &r)
	}
	return r.View(now, l.Token), err
}
