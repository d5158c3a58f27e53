package main

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A side is one of the two that a case compares. It is called once per round, so that nothing grows from round to round,
// and returns what is timed: a function that does the work n times in a loop of its own.
type side func(n int) (work func(n int), done func())

// figure is what one side costs per call.
type figure struct {
	ns     float64
	allocs uint64
}

// A gauge runs one side in rounds of a fixed number of calls, which is found out once.
type gauge struct {
	run    side
	procs  int // GOMAXPROCS while it runs
	n      int
	rounds []figure
}

func newGauge(s side, procs int, target time.Duration) *gauge {
	g := &gauge{run: s, procs: procs, n: 16}
	for {
		took := g.time().ns * float64(g.n)
		if took >= float64(target)/2 || g.n >= 1<<26 {
			g.n = max(1, int(float64(g.n)*float64(target)/max(took, 1)))
			return g
		}
		g.n *= 4
	}
}

// time runs one round. The garbage of what ran before is collected first, so that each side pays for its own only.
func (g *gauge) time() figure {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(g.procs))
	work, done := g.run(g.n)
	if done != nil {
		defer done()
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	work(g.n)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return figure{
		ns:     float64(took.Nanoseconds()) / float64(g.n),
		allocs: (after.Mallocs - before.Mallocs) / uint64(g.n), // rounded down, as package testing does
	}
}

func (g *gauge) median() figure {
	ns := make([]float64, len(g.rounds))
	allocs := make([]uint64, len(g.rounds))
	for i, r := range g.rounds {
		ns[i], allocs[i] = r.ns, r.allocs
	}
	slices.Sort(ns)
	slices.Sort(allocs)
	mid := len(ns) / 2
	if len(ns)%2 == 0 {
		return figure{(ns[mid-1] + ns[mid]) / 2, allocs[mid]}
	}
	return figure{ns[mid], allocs[mid]}
}

// interleave gives each gauge one round in turn, beginning with another one each time, so that a machine that slows
// down or is disturbed slows all of them down alike.
func interleave(rounds int, gauges ...*gauge) {
	for r := range rounds {
		for i := range gauges {
			g := gauges[(r+i)%len(gauges)]
			g.rounds = append(g.rounds, g.time())
		}
	}
}

// serial times n calls of op, one after the other.
func serial(op func()) func(n int) {
	return func(n int) {
		for range n {
			op()
		}
	}
}

// parallel spreads n calls over as many goroutines as GOMAXPROCS says, as RunParallel of package testing does: what it
// costs is the time on the wall divided by the number of all calls.
func parallel(op func()) func(n int) {
	return func(n int) {
		const grain = 256
		var next atomic.Int64
		var wg sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for next.Add(grain) <= int64(n) {
					for range grain {
						op()
					}
				}
			})
		}
		wg.Wait()
	}
}
