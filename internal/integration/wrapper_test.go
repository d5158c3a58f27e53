package integration_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

type order struct{ Item string }

type receipt struct{ ID string }

type (
	call    = idempotency.Call[order, receipt]
	wrapper = idempotency.Wrapper[order, receipt]
	settled = idempotency.Settled[order, receipt]
)

// sends counts the sendings of each key.
type sends struct {
	mu    sync.Mutex
	count map[string]int
}

func (s *sends) send(_ context.Context, a idempotency.Attempt, in order) (receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = map[string]int{}
	}
	s.count[a.ID]++
	return receipt{ID: in.Item + " of " + a.ID}, nil
}

func (s *sends) of(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[key]
}

// wrap makes a wrapper that is closed in the end, over a call that is changed as wanted.
func wrap(t *testing.T, s idempotency.Store, send func(context.Context, idempotency.Attempt, order) (receipt, error), change func(*call)) *wrapper {
	t.Helper()
	c := call{Name: "charge", Send: send, Retry: retry.Policy{Attempts: 1}, Poll: 20 * time.Millisecond}
	if change != nil {
		change(&c)
	}
	w, err := idempotency.Wrap(s, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func TestDoRunsOnceAndReplays(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		var provider sends
		w := wrap(t, d.store(t, d.open(t)), provider.send, nil)
		for n := range 3 {
			res, err := w.Do(t.Context(), "k", order{"book"})
			if err != nil || res.Value.ID != "book of k" {
				t.Fatalf("Do %d: %+v, %v", n, res, err)
			}
		}
		if n := provider.of("k"); n != 1 {
			t.Fatalf("it was sent %d times", n)
		}
		if _, err := w.Do(t.Context(), "k", order{"lamp"}); !errors.Is(err, idempotency.ErrKeyReused) {
			t.Fatalf("another request with the key: %v", err)
		}
	})
}

// P1: two wrappers with pools of their own are two processes to the database.
func TestTwoProcessesOneKey(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		if d.processes() < 2 {
			t.Skip("a database in memory belongs to one process")
		}
		first := d.open(t)
		name := table(t, first)
		var provider sends
		var processes []*wrapper
		for _, db := range []*sql.DB{first, d.open(t)} {
			processes = append(processes, wrap(t, d.storeOn(t, db, name), func(ctx context.Context, a idempotency.Attempt, in order) (receipt, error) {
				time.Sleep(20 * time.Millisecond)
				return provider.send(ctx, a, in)
			}, nil))
		}
		for round := range 5 {
			key := fmt.Sprint("k", round)
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					res, err := processes[i%2].Do(t.Context(), key, order{"book"})
					if err != nil || res.Value.ID != "book of "+key {
						t.Errorf("Do: %+v, %v", res, err)
					}
				})
			}
			wg.Wait()
			if n := provider.of(key); n != 1 {
				t.Fatalf("%s was sent %d times", key, n)
			}
		}
	})
}

// Two processes recover some hundred started calls: each is driven once, none is left.
func TestRecoverByTwo(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		const calls = 300
		first := d.open(t)
		name := table(t, first)
		pools := []*sql.DB{first}
		if d.processes() > 1 {
			pools = append(pools, d.open(t))
		}
		var provider sends
		var processes []*wrapper
		for i := range 2 {
			processes = append(processes, wrap(t, d.storeOn(t, pools[i%len(pools)], name), provider.send, nil))
		}
		for i := range calls {
			if _, err := processes[0].Start(t.Context(), fmt.Sprint("k", i), order{"book"}); err != nil {
				t.Fatal(err)
			}
		}
		// A database that is slower than the store's requests may take fails a pass, and some calls then wait a little: another pass
		// finds them. What must not happen is that one is driven twice.
		unresolved := idempotency.Query{N: 10, States: []idempotency.State{
			idempotency.StateScheduled, idempotency.StateRunning, idempotency.StateUnknown,
		}}
		var wg sync.WaitGroup
		for _, w := range processes {
			wg.Go(func() {
				eventually(t, func() bool {
					if _, err := w.Recover(t.Context()); err != nil {
						t.Logf("Recover: %v", err)
						return false
					}
					left, err := w.List(t.Context(), unresolved)
					return err == nil && len(left) == 0
				})
			})
		}
		wg.Wait()
		for i := range calls {
			if n := provider.of(fmt.Sprint("k", i)); n != 1 {
				t.Errorf("k%d was sent %d times", i, n)
			}
		}
	})
}

// deaf is a store whose replies get lost, every other time.
type deaf struct {
	*sqlstore.Store
	n atomic.Int64
}

var errReply = errors.New("the reply was lost")

func lose[T any](d *deaf, v T, err error) (T, error) {
	if err == nil && d.n.Add(1)%2 == 1 {
		var none T
		return none, errReply
	}
	return v, err
}

func (d *deaf) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	r, err := d.Store.Acquire(ctx, c)
	return lose(d, r, err)
}

func (d *deaf) AcquireDue(ctx context.Context, c idempotency.DueClaim) ([]idempotency.Record, error) {
	r, err := d.Store.AcquireDue(ctx, c)
	return lose(d, r, err)
}

func (d *deaf) Settle(ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	r, err := d.Store.Settle(ctx, l, o)
	return lose(d, r, err)
}

func (d *deaf) SettleTx(
	ctx context.Context, l idempotency.Lease, o idempotency.Outcome, fn func(context.Context, idempotency.Record) error,
) (idempotency.Record, error) {
	r, err := d.Store.SettleTx(ctx, l, o, fn)
	return lose(d, r, err)
}

// T15: the database did it, and the reply was lost: asked again it says what it did.
func TestLostReplies(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		effects := effectsTable(t, db)
		var provider sends
		w := wrap(t, &deaf{Store: d.store(t, db)}, provider.send, func(c *call) {
			c.OnSettled = func(ctx context.Context, s settled) error { return effects.add(ctx, sqlstore.Tx(ctx), s.Key) }
		})
		for i := range 4 {
			key := fmt.Sprint("done", i)
			if res, err := w.Do(t.Context(), key, order{"book"}); err != nil || res.Value.ID != "book of "+key {
				t.Fatalf("Do: %+v, %v", res, err)
			}
			if n := provider.of(key); n != 1 {
				t.Errorf("%s was sent %d times", key, n)
			}
			effects.want(t, key, 1)
			key = fmt.Sprint("started", i)
			if _, err := w.Start(t.Context(), key, order{"book"}); err != nil {
				t.Fatalf("Start: %v", err)
			}
			if _, err := w.Recover(t.Context()); err != nil {
				t.Fatalf("Recover: %v", err)
			}
			if n := provider.of(key); n != 1 {
				t.Errorf("%s was sent %d times", key, n)
			}
			effects.want(t, key, 1)
		}
	})
}
