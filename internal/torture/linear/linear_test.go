package linear_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/linear"
	"github.com/steadfast-go/steadfast/internal/torture/report"
	"github.com/steadfast-go/steadfast/store/memstore"
)

func run(t *testing.T, store idempotency.Store, name string, operations int) *report.Line {
	t.Helper()
	line, err := linear.Run(t.Context(), store, name, 1, operations, rand.Uint64())
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// Every store answers as one that is asked by one client at a time. (The command makes longer histories.)
func TestLinear(t *testing.T) {
	t.Parallel()
	if line := run(t, memstore.New(memstore.Config{}), databases.Memory, 2000); !line.OK() {
		t.Error(line)
	}
	for _, name := range []string{databases.SQLite, databases.Postgres, databases.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := run(t, databases.StoreForTest(t, name), name, 500)
			t.Log(line)
			if !line.OK() {
				t.Error("see above")
			}
		})
	}
}

// wrong is a store with a defect.
type wrong struct {
	*memstore.Store
	acquire func(s *memstore.Store, ctx context.Context, c idempotency.Claim) (idempotency.Record, error)
	settle  func(s *memstore.Store, ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error)
	get     func(s *memstore.Store, ctx context.Context, id idempotency.ID) (idempotency.Record, error)
}

func (w wrong) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	if w.acquire == nil {
		return w.Store.Acquire(ctx, c)
	}
	return w.acquire(w.Store, ctx, c)
}

func (w wrong) Settle(ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	if w.settle == nil {
		return w.Store.Settle(ctx, l, o)
	}
	return w.settle(w.Store, ctx, l, o)
}

func (w wrong) Get(ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
	if w.get == nil {
		return w.Store.Get(ctx, id)
	}
	return w.get(w.Store, ctx, id)
}

// Stores with a defect are caught.
func TestSeesBrokenStores(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	old := map[idempotency.ID]idempotency.Record{}
	for name, w := range map[string]wrong{
		"a claim is granted to all who see it run": {
			acquire: func(s *memstore.Store, ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
				r, err := s.Acquire(ctx, c)
				r.Owned = r.State == idempotency.StateRunning
				return r, err
			},
		},
		"a claim that is asked for again is not recognised": {
			acquire: func(s *memstore.Store, ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
				r, err := s.Acquire(ctx, c)
				if r.Owned && rand.IntN(10) == 0 {
					r.Owned = false
				}
				return r, err
			},
		},
		"a settlement is acknowledged and lost": {
			settle: func(s *memstore.Store, ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
				r, err := s.Get(ctx, l.ID)
				if err == nil && r.State == idempotency.StateRunning && r.Fence == l.Fence && rand.IntN(20) == 0 {
					r.State, r.From, r.Sending = o.State, idempotency.StateAbsent, false
					return r, nil
				}
				return s.Settle(ctx, l, o)
			},
		},
		"reads are old, as a replica's": {
			get: func(s *memstore.Store, ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
				r, err := s.Get(ctx, id)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					if before, ok := old[id]; ok && rand.IntN(2) == 0 {
						return before, nil
					}
					old[id] = r
				}
				return r, err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.Store = memstore.New(memstore.Config{})
			if line := run(t, w, name, 4000); line.OK() {
				t.Error("the store is wrong, and nobody has noticed: the test is blind")
			}
		})
	}
}
