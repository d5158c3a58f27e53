package integration_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// many is how many callers ask at once.
const many = 64

// crowd is callers that come while as many as go by themselves are held at the database, and so wait for each other.
type crowd struct {
	*testing.T
	gate    *gate
	done    sync.WaitGroup
	release func()
}

// gather holds the first requests back. They must be let go within the time that others wait for them. What becomes of them does not
// matter.
func gather(t *testing.T, g *gate, s *sqlstore.Store) *crowd {
	t.Helper()
	c := &crowd{T: t, gate: g}
	if _, err := s.Get(t.Context(), claim("none", 1).ID); !errors.Is(err, idempotency.ErrNoRecord) { // the table has been looked at
		t.Fatal(err)
	}
	reached, release := g.hold(g.abreast)
	c.release = release
	t.Cleanup(release)
	for range g.abreast {
		c.add(func() { _, _ = s.Acquire(t.Context(), claim(idempotency.NewKey(), 1)) })
	}
	<-reached
	g.count()
	return c
}

func (c *crowd) add(ask func()) { c.done.Go(ask) }

// let lets the first requests go, when the others had the time to come, and returns how many commits they needed.
func (c *crowd) let() int {
	c.Helper()
	time.Sleep(200 * time.Millisecond)
	c.release()
	c.done.Wait()
	return c.gate.count()
}

// T59: callers who come together go together. A commit for each would be 64 for the claims, and as many for the settlements. On a busy
// machine they may not come together, but not always.
func TestManyCallersShareCommits(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		g, s, _, _ := d.gated(t)
		acquire := func(i int, key string) {
			r, err := s.Acquire(t.Context(), claim(key, i))
			if err != nil || !r.Owned || r.Fence != 1 || string(r.Request) != "request" || r.Lease <= 0 {
				t.Errorf("Acquire: %s, owned is %v, fence %d, request %q, %v", r.State, r.Owned, r.Fence, r.Request, err)
			}
		}
		settle := func(i int, key string) {
			cl := claim(key, i)
			l := idempotency.Lease{ID: cl.ID, Fence: 1, Token: cl.Token}
			r, err := s.Settle(t.Context(), l, idempotency.Outcome{State: idempotency.StateSucceeded, Value: []byte(key), Attempts: 1})
			if err != nil || r.State != idempotency.StateSucceeded || string(r.Value) != key || r.Attempts != 1 || string(r.Request) != "request" {
				t.Errorf("Settle: %s, value %q, %d attempts, request %q, %v", r.State, r.Value, r.Attempts, r.Request, err)
			}
			if r, err := s.Get(t.Context(), cl.ID); err != nil || r.State != idempotency.StateSucceeded || string(r.Value) != key {
				t.Errorf("%s is %s with value %q, %v", key, r.State, r.Value, err)
			}
		}
		together := func(round int, do func(i int, key string)) int {
			c := gather(t, g, s)
			for i := range many {
				c.add(func() { do(i, fmt.Sprintf("k%d of %d", i, round)) })
			}
			return c.let()
		}
		claims, settlements := 0, 0
		for round := range 10 {
			claims, settlements = together(round, acquire), together(round, settle)
			if claims <= many/4 && settlements <= many/2 { // on MariaDB nothing holds settlements back
				return
			}
		}
		t.Errorf("%d claims took %d commits, as many settlements %d", many, claims, settlements)
	})
}

// T59: a few do not wait for each other, where the database can write for some at once. On a busy machine that may take longer than
// anybody would wait, but not always.
func TestAFewGoSideBySide(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		g, s, _, _ := d.gated(t)
		if g.abreast < 2 {
			t.Skip("this database has one writer")
		}
		for round := range 10 {
			reached, release := g.hold(1)
			var done sync.WaitGroup
			done.Go(func() { _, _ = s.Acquire(t.Context(), claim(fmt.Sprint("slow", round), 1)) })
			<-reached
			ctx, cancel := context.WithTimeout(t.Context(), 800*time.Millisecond) // after a second it would not be waited for any more
			r, err := s.Acquire(ctx, claim(fmt.Sprint("k", round), 1))
			cancel()
			release()
			done.Wait()
			if err == nil && r.Owned {
				return
			}
		}
		t.Error("nobody went beside a request that is slow")
	})
}

// T59: whoever takes too long is not waited for, and afterwards everything is as it was.
func TestWhoIsSlowIsNotWaitedFor(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		g, s, _, _ := d.gated(t)
		if g.abreast < 2 {
			t.Skip("this database has one writer, for whom all others must wait")
		}
		for round := range 3 {
			c := gather(t, g, s)
			var others sync.WaitGroup
			for i := range 3 * g.abreast {
				others.Go(func() {
					if r, err := s.Acquire(t.Context(), claim(fmt.Sprintf("k%d of %d", i, round), i)); err != nil || !r.Owned {
						t.Errorf("Acquire: owned is %v, %v", r.Owned, err)
					}
				})
			}
			others.Wait() // while the first are still held
			c.release()
			c.done.Wait()
		}
	})
}

// T59: one key often, among others: one of its claims is granted, and all the others see it.
func TestOneKeyOftenInABatch(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		g, s, _, _ := d.gated(t)
		c := gather(t, g, s)
		var mu sync.Mutex
		owners := map[string]int{}
		for i := range many {
			key := "same"
			if i%2 == 0 {
				key = fmt.Sprint("k", i)
			}
			c.add(func() {
				r, err := s.Acquire(t.Context(), claim(key, i))
				if err != nil || r.State != idempotency.StateRunning || r.Fence != 1 || r.ID.Key != key {
					t.Errorf("%s: %s of %s with fence %d, %v", key, r.State, r.ID.Key, r.Fence, err)
				}
				mu.Lock()
				defer mu.Unlock()
				owners[key] += map[bool]int{true: 1}[r.Owned]
			})
		}
		c.let()
		if len(owners) != many/2+1 {
			t.Errorf("%d keys, want %d", len(owners), many/2+1)
		}
		for key, n := range owners {
			if n != 1 {
				t.Errorf("%s was granted %d times", key, n)
			}
		}
	})
}

// T59: two processes claim the same keys in batches: each key has one owner, and both see the same record.
func TestBatchesOfTwoProcesses(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		if d.processes() < 2 {
			t.Skip("a database in memory belongs to one process")
		}
		first := d.open(t)
		name := table(t, first)
		stores := []*sqlstore.Store{d.storeOn(t, first, name), d.storeOn(t, d.open(t), name)}
		for round := range 3 {
			var granted [many]int
			var mu sync.Mutex
			var done sync.WaitGroup
			for i := range many {
				for p, s := range stores {
					done.Go(func() {
						c := claim(fmt.Sprintf("k%d of %d", i, round), 2*i+p)
						r, err := s.Acquire(t.Context(), c)
						if err != nil || r.Fence != 1 || r.State != idempotency.StateRunning && r.State != idempotency.StateSucceeded {
							t.Errorf("Acquire: %s with fence %d, %v", r.State, r.Fence, err)
						}
						if !r.Owned {
							return
						}
						mu.Lock()
						granted[i]++
						mu.Unlock()
						l := idempotency.Lease{ID: c.ID, Fence: r.Fence, Token: c.Token}
						if _, err := s.Settle(t.Context(), l, idempotency.Outcome{State: idempotency.StateSucceeded}); err != nil {
							t.Errorf("Settle: %v", err)
						}
					})
				}
			}
			done.Wait()
			for i, n := range granted {
				if n != 1 {
					t.Errorf("k%d was granted %d times", i, n)
				}
			}
		}
	})
}

// refuse makes the database refuse rows whose request or value says "broken".
func refuse(t *testing.T, d database, db *sql.DB, name string) {
	t.Helper()
	texts := []string{"ALTER TABLE " + name + " ADD CHECK (request <> 'broken')", "ALTER TABLE " + name + " ADD CHECK (value <> 'broken')"}
	if strings.HasPrefix(d.name, "sqlite") {
		texts = nil
		for event, column := range map[string]string{"INSERT": "request", "UPDATE": "value"} {
			texts = append(texts, "CREATE TRIGGER "+name+event+" BEFORE "+event+" ON "+name+" WHEN NEW."+column+" = CAST('broken' AS BLOB) "+
				"BEGIN SELECT RAISE(ABORT, 'broken'); END")
		}
	}
	for _, text := range texts {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

// T59: a row that the database refuses fails alone.
func TestOneBrokenRowOfMany(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		g, s, db, name := d.gated(t)
		refuse(t, d, db, name)
		c := gather(t, g, s)
		broken := func(i int) bool { return i == many/2 }
		for i := range many {
			c.add(func() {
				cl := claim(fmt.Sprint("k", i), i)
				if broken(i) {
					cl.Request = []byte("broken")
				}
				r, err := s.Acquire(t.Context(), cl)
				if broken(i) != (err != nil) || r.Owned == broken(i) {
					t.Errorf("Acquire %d: owned is %v, %v", i, r.Owned, err)
				}
			})
		}
		c.let()
		var done sync.WaitGroup
		for i := range many {
			done.Go(func() {
				cl := claim(fmt.Sprint("k", i), i)
				o := idempotency.Outcome{State: idempotency.StateSucceeded, Value: []byte("value")}
				refused := i%16 == 0
				if refused {
					o.Value = []byte("broken")
				}
				r, err := s.Settle(t.Context(), idempotency.Lease{ID: cl.ID, Fence: 1, Token: cl.Token}, o)
				switch {
				case broken(i):
					if !errors.Is(err, idempotency.ErrLeaseLost) {
						t.Errorf("Settle of what was not made: %v", err)
					}
				case refused != (err != nil), err == nil && r.State != idempotency.StateSucceeded:
					t.Errorf("Settle %d: %s, %v", i, r.State, err)
				}
			})
		}
		done.Wait()
	})
}

// T59: whoever leaves does so at once, and nobody else notices. What it asked for is not done if it had not begun.
func TestACallerLeavesTheBatch(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		g, s, _, _ := d.gated(t)
		c := gather(t, g, s)
		for i := range 8 {
			c.add(func() {
				if r, err := s.Acquire(t.Context(), claim(fmt.Sprint("k", i), i)); err != nil || !r.Owned {
					t.Errorf("Acquire: owned is %v, %v", r.Owned, err)
				}
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := s.Acquire(ctx, claim("left", 1))
			left <- err
		}()
		time.Sleep(50 * time.Millisecond)
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) { // while the first is still held
			t.Errorf("who left was told %v", err)
		}
		c.let()
		if _, err := s.Get(t.Context(), claim("left", 1).ID); !errors.Is(err, idempotency.ErrNoRecord) {
			t.Errorf("what had not begun was done: %v", err)
		}
		// Now while the batch is under way.
		c = gather(t, g, s)
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		for i := range 8 {
			c.add(func() {
				asking := t.Context()
				if i == 3 {
					asking = ctx
				}
				r, err := s.Acquire(asking, claim(fmt.Sprint("again", i), i))
				if i == 3 {
					left <- err
				} else if err != nil || !r.Owned {
					t.Errorf("Acquire: owned is %v, %v", r.Owned, err)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		reached, release := g.hold(1)
		c.release()
		<-reached
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who left was told %v", err)
		}
		release()
		c.done.Wait()
		if r, err := s.Acquire(t.Context(), claim("again3", 3)); err != nil || !r.Owned {
			t.Errorf("asked again, who left: owned is %v, %v", r.Owned, err)
		}
	})
}

// T59: the database goes away: everybody is told, nobody hangs, and asked again with the same token each gets its claim.
func TestBatchWhileTheDatabaseGoesAway(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		g, s, _, _ := d.gated(t)
		c := gather(t, g, s)
		for i := range many {
			c.add(func() {
				if r, err := s.Acquire(t.Context(), claim(fmt.Sprint("k", i), i)); !errors.Is(err, errDown) {
					t.Errorf("Acquire from a database that is gone: owned is %v, %v", r.Owned, err)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		g.breakDown(true)
		c.let()
		g.breakDown(false)
		for i := range many {
			c.add(func() {
				if r, err := s.Acquire(t.Context(), claim(fmt.Sprint("k", i), i)); err != nil || !r.Owned {
					t.Errorf("Acquire when it is back: owned is %v, %v", r.Owned, err)
				}
			})
		}
		c.done.Wait()
	})
}
