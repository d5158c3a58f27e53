package winner_test

import (
	"context"
	"testing"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/winner"
	"github.com/steadfast-go/steadfast/store/memstore"
)

func run(t *testing.T, store idempotency.Store, name string, rounds, callers int) {
	t.Helper()
	line, err := winner.Run(t.Context(), store, name, rounds, callers)
	if err != nil {
		t.Fatal(err)
	}
	if !line.OK() || line.Charges != 2*rounds {
		t.Error(line)
	}
}

// P1: of many callers with a new key one wins, and all others get what it got.
func TestWinner(t *testing.T) {
	t.Parallel()
	run(t, memstore.New(memstore.Config{}), databases.Memory, 3, 1000)
	for _, name := range []string{databases.SQLite, databases.Postgres, databases.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, databases.StoreForTest(t, name), name, 2, 64)
		})
	}
}

// generous grants every claim.
type generous struct{ *memstore.Store }

func (g generous) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	r, err := g.Store.Acquire(ctx, c)
	r.Owned = true
	return r, err
}

// A store that has two winners is caught.
func TestSeesTwoWinners(t *testing.T) {
	t.Parallel()
	line, err := winner.Run(t.Context(), generous{memstore.New(memstore.Config{})}, "generous", 1, 64)
	if err != nil {
		t.Fatal(err)
	}
	if line.Duplicates == 0 {
		t.Errorf("two winners, and nobody has noticed: %v", line)
	}
}
