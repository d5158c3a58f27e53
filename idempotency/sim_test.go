package idempotency_test

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The simulation: four processes, their store and their provider in virtual time, with everything going wrong that
// section 8 and 9 of the design speak of, judged by an oracle of its own.
//
// All that the simulation decides comes from the seed. What the library draws for itself (tokens from crypto/rand, jitter
// from math/rand/v2) and which of two goroutines runs first at the same virtual instant does not; a seed that failed
// once may pass alone. -sim.repeat plays it until it fails.
var (
	simSeed   = flag.Int64("sim.seed", -1, "play this seed only, and print its trace if it fails")
	simOnly   = flag.String("sim.mode", "", "play this provider mode only: keys, ask or none")
	simSeeds  = flag.Int("sim.seeds", 0, "how many seeds to play of each mode; 0: 10000, fewer with -race and -short")
	simRepeat = flag.Int("sim.repeat", 1, "how often to play each seed")
	simAll    = flag.Bool("sim.all", false, "go on after a failure, and count")
	simTraced = flag.Bool("sim.trace", false, "print the trace of seeds that pass, too")
)

func simCount() int {
	switch {
	case *simSeeds > 0:
		return *simSeeds
	case simRace:
		return 200
	case testing.Short():
		return 500
	}
	return 10_000
}

// TestSimulation plays seeds of each provider mode within the bound of P1 and expects no violation.
func TestSimulation(t *testing.T) {
	var failed atomic.Int32
	simPlay(t, false, simCount(), func(t *testing.T, w *simWorld) {
		if len(w.violations) == 0 {
			return
		}
		if n := failed.Add(1); n > 3 && !*simAll || n > 20 { // enough to see
			return
		}
		text := ""
		for _, v := range w.violations[:min(len(w.violations), 5)] {
			text += "\n  " + v
		}
		t.Errorf("seed %d, mode %s:%s\nreplay: go test ./idempotency -run 'TestSimulation$' -v -sim.mode=%s -sim.seed=%d -sim.repeat=100\n%+v\n%s",
			w.seed, w.mode, text, w.mode, w.seed, w.simConfig, w.trace())
	}, func() bool { return failed.Load() > 0 && !*simAll })
	if n := failed.Load(); n > 3 {
		t.Errorf("%d seeds failed", n)
	}
}

// TestSimulationBeyondTheBound lets requests land later than Settling. What the design cannot promise then must be seen to
// go wrong, or the simulation would not see anything.
func TestSimulationBeyondTheBound(t *testing.T) {
	if *simSeed >= 0 {
		t.Skip("one seed only")
	}
	var seeds, doubles atomic.Int64
	simPlay(t, true, min(simCount(), 1000), func(_ *testing.T, w *simWorld) {
		seeds.Add(1)
		doubles.Add(int64(w.doubles))
	}, func() bool { return false })
	t.Logf("beyond the bound: %d second charges in %d seeds", doubles.Load(), seeds.Load())
	if doubles.Load() == 0 {
		t.Error("nothing was charged twice although requests landed later than Settling: the simulation is blind")
	}
}

// simPlay plays seeds, one bubble each, on as many threads as there are. stop ends it early.
func simPlay(t *testing.T, beyond bool, seeds int, judge func(*testing.T, *simWorld), stop func() bool) {
	modes := simModes
	if beyond {
		modes = []simMode{simAsk} // where nothing else protects
	}
	type job struct {
		seed uint64
		mode simMode
	}
	first := uint64(0)
	if *simSeed >= 0 {
		first, seeds = uint64(*simSeed), 1
	}
	jobs := make(chan job)
	go func() {
		defer close(jobs)
		for seed := first; seed < first+uint64(seeds); seed++ {
			for _, mode := range modes {
				for range *simRepeat {
					if *simOnly != "" && *simOnly != string(mode) {
						continue
					}
					if stop() {
						return
					}
					jobs <- job{seed, mode}
				}
			}
		}
	}()
	began, played := time.Now(), atomic.Int64{}
	var virtual atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		var once sync.Mutex
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for j := range jobs {
					w := simOne(t, j.seed, j.mode, beyond)
					played.Add(1)
					once.Lock()
					judge(t, w)
					if *simTraced && !t.Failed() {
						t.Logf("seed %d, mode %s: %+v\n%s", w.seed, w.mode, w.simConfig, w.trace())
					}
					once.Unlock()
					virtual.Add(int64(w.lasted))
				}
			})
		}
	})
	took := time.Since(began)
	t.Logf("%d seeds played (%.0f each second), %.0f hours of virtual time in %v", played.Load(),
		float64(played.Load())/took.Seconds(), time.Duration(virtual.Load()).Hours(), took.Round(time.Millisecond))
}

// simOne plays one seed.
func simOne(t *testing.T, seed uint64, mode simMode, beyond bool) (w *simWorld) {
	defer func() {
		if r := recover(); r != nil { // a deadlock
			if w == nil {
				panic(r)
			}
			w.violations = append(w.violations, fmt.Sprint(r))
		}
	}()
	synctest.Test(t, func(*testing.T) {
		w = newSimWorld(seed, mode, beyond)
		w.run()
		w.lasted = w.now()
	})
	return w
}
