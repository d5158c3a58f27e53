// Package soak makes calls for a long time, and watches what must not grow: goroutines, heap, connections and rows.
package soak

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/report"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// Config says what is to be done.
type Config struct {
	Store string
	For   time.Duration
	// Leak forgets nothing: no record expires. Then rows grow, which must be seen.
	Leak bool
}

const (
	callers = 16
	samples = 40
)

// sample is what is there at one moment.
type sample struct {
	at                                  time.Time
	keys                                int64 // that were ever made
	goroutines, heap, rows, connections int64
}

// Run makes calls for so long. The first third warms up; what is there in the last third must not be more than in the second, but for
// what a garbage collector leaves to chance. There must be no more rows than there were new keys lately.
func Run(ctx context.Context, c Config) (*report.Line, error) {
	line := report.Begin("soak", c.Store)
	s := &load{line: line, keep: min(2*time.Second, c.For/20), settles: min(c.For/5, 30*time.Second)}
	end, err := s.open(ctx, c.Store)
	if err != nil {
		return nil, err
	}
	defer end()
	wrapper, err := idempotency.Wrap(s.store, s.call(c.Leak))
	if err != nil {
		return nil, err
	}
	s.calls = wrapper
	working, stop := context.WithTimeout(ctx, c.For)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.calls.Run(working) })
	wg.Go(func() { s.purge(working) })
	for range callers {
		wg.Go(func() { s.work(working) })
	}
	list, err := s.watch(working, c.For)
	stop()
	wg.Wait()
	if err != nil {
		return nil, err
	}
	s.judge(list)
	line.Runs, line.Keys, line.Sends = len(list), int(s.keys.Load()), int(s.sends.Load())
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.calls.Close(limited); err != nil {
		line.Add(&line.Stuck, "%v", err)
	}
	return line.End(), ctx.Err()
}

// load is what goes on.
type load struct {
	line  *report.Line
	store idempotency.Store
	count func(ctx context.Context) (rows, connections int64, err error)
	calls *idempotency.Wrapper[string, string]
	keep  time.Duration // a value, and then its stub
	// settles is how long a call may take until it settles, and its stub until it is purged.
	settles time.Duration
	keys    atomic.Int64
	sends   atomic.Int64
}

func (s *load) open(ctx context.Context, name string) (end func(), err error) {
	if name == databases.Memory {
		m := memstore.New(memstore.Config{MaxRecords: 1 << 20})
		s.store, s.count = m, func(context.Context) (int64, int64, error) { return 0, 0, nil } // its rows are on the heap
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "steadfast-soak-")
	if err != nil {
		return nil, err
	}
	d, db, err := databases.Open(ctx, name, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	end = func() {
		_ = d.Drop(db)
		_ = os.RemoveAll(dir)
	}
	if s.store, err = d.Store(ctx, db); err != nil {
		end()
		return nil, err
	}
	s.count = func(ctx context.Context) (rows, connections int64, err error) { return counted(ctx, db, d.Table) }
	return end, nil
}

func counted(ctx context.Context, db *sql.DB, table string) (rows, connections int64, err error) {
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&rows)
	return rows, int64(db.Stats().OpenConnections), err
}

// call fails in all ways, now and then.
func (s *load) call(leak bool) idempotency.Call[string, string] {
	keep := s.keep
	if leak {
		keep = idempotency.Never
	}
	var charged sync.Map
	return idempotency.Call[string, string]{
		Name: "soak", Settling: 50 * time.Millisecond, Timeout: time.Second, Lease: 3 * time.Second, Poll: 100 * time.Millisecond,
		Retry: retry.Policy{Attempts: 2, Initial: 5 * time.Millisecond, Max: 50 * time.Millisecond}, CacheBytes: 1 << 20,
		Retention: keep, StubFor: keep,
		Send: func(_ context.Context, a idempotency.Attempt, _ string) (string, error) {
			s.sends.Add(1)
			switch rand.IntN(20) {
			case 0:
				return "", idempotency.NotSent(errors.New("busy"))
			case 1:
				return "", errors.New("no answer")
			case 2:
				charged.Store(a.ID, true)
				return "", errors.New("the answer was lost")
			case 3:
				return "", idempotency.Rejected("declined", errors.New("no"))
			case 4:
				charged.Store(a.ID, true)
				return "", idempotency.Accepted("ref of "+a.ID, 10*time.Millisecond)
			}
			return "receipt of " + a.ID, nil
		},
		Lookup: func(_ context.Context, a idempotency.Attempt, _ string) (idempotency.Verdict[string], error) {
			if _, ok := charged.LoadAndDelete(a.ID); ok {
				return idempotency.Happened("receipt of " + a.ID), nil
			}
			return idempotency.DidNotHappen[string](), nil
		},
		OnSettled: func(context.Context, idempotency.Settled[string, string]) error { return nil },
	}
}

// work makes calls, and asks for some of them again, or leaves early.
func (s *load) work(ctx context.Context) {
	for ctx.Err() == nil {
		key := fmt.Sprint(s.keys.Add(1))
		limited, cancel := context.WithTimeout(ctx, time.Duration(1+rand.IntN(200))*time.Millisecond)
		for range 1 + rand.IntN(3) {
			_, _ = s.calls.For("customer").Do(limited, key, "request")
		}
		cancel()
		pause(ctx, 2*time.Millisecond)
	}
}

func (s *load) purge(ctx context.Context) {
	for ctx.Err() == nil {
		_, _ = s.store.Purge(ctx, 10_000) // what fails now succeeds later
		pause(ctx, 200*time.Millisecond)
	}
}

func (s *load) watch(ctx context.Context, d time.Duration) (list []sample, err error) {
	ticker := time.NewTicker(d / samples)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return list, nil
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		now := sample{at: time.Now(), keys: s.keys.Load(), goroutines: int64(runtime.NumGoroutine()), heap: int64(m.HeapAlloc)}
		if now.rows, now.connections, err = s.count(ctx); err != nil {
			if ctx.Err() != nil {
				return list, nil
			}
			return nil, err
		}
		list = append(list, now)
	}
}

// judge compares the last third with the second. Medians, since one moment says little.
func (s *load) judge(list []sample) {
	third := len(list) / 3
	for _, what := range []struct {
		name  string
		of    func(sample) int64
		slack int64 // what may come and go
	}{
		{"goroutines", func(s sample) int64 { return s.goroutines }, 20},
		{"heap", func(s sample) int64 { return s.heap }, 4 << 20},
		{"connections", func(s sample) int64 { return s.connections }, 2},
	} {
		before, after := median(list[third:2*third], what.of), median(list[2*third:], what.of)
		s.line.More[what.name] = after
		if after > before+before/4+what.slack {
			s.line.Add(&s.line.Violations, "%s grow: %d in the second third, %d in the last", what.name, before, after)
		}
	}
	s.line.More["rows"] = median(list[2*third:], func(s sample) int64 { return s.rows })
	lately := 2*s.keep + s.settles
	for i, now := range list {
		for _, then := range slices.Backward(list[:i]) {
			if now.at.Sub(then.at) < lately {
				continue
			}
			const slack = 200
			if made := now.keys - then.keys; now.rows > made+slack {
				s.line.Add(&s.line.Violations, "%d rows are there, though only %d keys were made in the last %v", now.rows, made, now.at.Sub(then.at))
			}
			break
		}
	}
}

func median(list []sample, of func(sample) int64) int64 {
	values := make([]int64, len(list))
	for i, s := range list {
		values[i] = of(s)
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0
	}
	return values[len(values)/2]
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
