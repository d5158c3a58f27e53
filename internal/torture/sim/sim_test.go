package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadfast-go/steadfast/internal/chance"
)

// What the command tells the tests. Everything that a seed decides follows from it, and so does the trace, to the byte: on one
// processor, where the library's own draws come from the seed too. With the race detector several seeds are played at once.
var (
	seedFlag  = flag.Int64("sim.seed", -1, "play this seed only, and print its trace")
	modeFlag  = flag.String("sim.mode", "", "play this provider mode only: keys, ask or none")
	seedsFlag = flag.Int("sim.seeds", 0, "how many seeds to play of each mode; 0: what an ordinary test has time for")
	firstFlag = flag.Uint64("sim.first", 0, "the first of them")
	everyFlag = flag.Uint64("sim.every", 1, "play every so many-th seed from there")
	allFlag   = flag.Bool("sim.all", false, "go on after a failure, and count")
	traceFlag = flag.Bool("sim.trace", false, "print the trace of every seed")
	planFlag  = flag.Int("sim.plan", -1, "play this tree of crash points only")
	pathFlag  = flag.String("sim.path", "", "play only this path of it, and print its trace")
	jsonFlag  = flag.Bool("sim.json", false, "print a line of JSON about each mode, for the command")
)

func seedCount() int {
	switch {
	case *seedsFlag > 0:
		return *seedsFlag
	case raceEnabled, testing.Short():
		return 150
	}
	return 1000
}

// TestSimulation plays seeds of each provider mode within the bound of P1 and expects no violation.
func TestSimulation(t *testing.T) {
	for _, mode := range modes {
		if *modeFlag != "" && *modeFlag != string(mode) {
			continue
		}
		t.Run(string(mode), func(t *testing.T) {
			sum := newTally("simulation", string(mode))
			playAll(t, mode, false, seedCount(), func(w *world) bool {
				sum.add(w)
				if *traceFlag || *seedFlag >= 0 {
					fmt.Printf("seed %d, mode %s: %+v\n%s", w.seed, w.mode, w.config, w.trace())
				}
				if len(w.violations) == 0 {
					return true
				}
				text := ""
				for _, v := range w.violations[:min(len(w.violations), 5)] {
					text += "\n  " + v
				}
				t.Errorf("seed %d, mode %s:%s\nreplay: go run ./internal/torture/sim -mode %s -seed %d", w.seed, w.mode, text, w.mode, w.seed)
				return *allFlag && sum.Failed < 20
			})
			sum.print(t)
		})
	}
}

// TestBeyondTheBound lets requests land later than Settling. What the design cannot promise then must be seen to go wrong, or the
// simulation would not see anything.
func TestBeyondTheBound(t *testing.T) {
	var seeds, doubles int
	playAll(t, modeAsk, true, min(seedCount(), 200), func(w *world) bool { // the mode where nothing else protects
		seeds++
		doubles += w.doubles
		return true
	})
	t.Logf("beyond the bound: %d second charges in %d seeds", doubles, seeds)
	if doubles == 0 {
		t.Error("nothing was charged twice although requests landed later than Settling: the simulation is blind")
	}
}

// shortTrees are what an ordinary test has time for.
var shortTrees = []string{"ask: Do", "none: Do, and again", "none: Start"}

// TestCrashPoints plays every path of every tree.
func TestCrashPoints(t *testing.T) {
	if raceEnabled {
		t.Skip("paths are followed by a world that repeats itself, which the race detector's scheduler does not")
	}
	defer oneProcessor()()
	for i, p := range plans() {
		if *planFlag >= 0 && *planFlag != i || *seedsFlag == 0 && !slices.Contains(shortTrees, p.name) || uint64(i)%*everyFlag != *firstFlag {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			sum := newTally("crash points", p.name)
			var err error
			if p.choices.taken, err = parsePath(*pathFlag); err != nil {
				t.Fatalf("-sim.path %q: %v", *pathFlag, err)
			}
			for more := true; more; more = *pathFlag == "" && p.choices.next() {
				w := playOne(t, func() *world { return newPlanned(p) })
				sum.add(w)
				if *pathFlag != "" {
					fmt.Printf("%s\n%s", p.summary(), w.trace())
				}
				if len(w.violations) > 0 {
					t.Errorf("%s:\n  %s\nreplay: go run ./internal/torture/sim crashes -tree %d -path %s", p.summary(), w.violations[0], i, &p.choices)
					if !*allFlag || sum.Failed > 20 {
						break
					}
				}
				if sum.Runs%64 == 0 {
					runtime.GC()
				}
			}
			sum.print(t)
		})
	}
}

// tally is what is printed about a mode, or a tree.
type tally struct {
	sum
	began time.Time
}

func newTally(test, name string) *tally {
	return &tally{sum: sum{Test: test, Mode: name}, began: time.Now()}
}

func (s *tally) add(w *world) {
	one := sum{
		Test: s.Test, Mode: s.Mode, Runs: 1, Duplicates: w.doubles, Lost: w.lost, Stuck: w.stuck, Violations: len(w.violations),
		Crashes: w.deaths, Pauses: w.pauses, Hours: w.lasted.Hours(),
	}
	for _, k := range w.keys {
		one.Keys++
		one.Sends += len(k.attempts)
		one.Charges += k.effects
	}
	if len(w.violations) > 0 {
		one.Failed, one.First = 1, w.violations[0]
	}
	s.sum.add(one)
}

func (s *tally) print(t *testing.T) {
	s.Seconds = time.Since(s.began).Seconds()
	if *jsonFlag {
		line, err := json.Marshal(&s.sum)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("\n%s\n", line)
		return
	}
	t.Logf("%d runs (%.0f each second), %d calls, %d sendings, %d charges, %d crashes, %d pauses, %.0f hours of virtual time",
		s.Runs, float64(s.Runs)/s.Seconds, s.Keys, s.Sends, s.Charges, s.Crashes, s.Pauses, s.Hours)
}

// playAll plays seeds, one bubble each, until judge, which is called one at a time, has seen enough.
func playAll(t *testing.T, m mode, beyond bool, seeds int, judge func(*world) bool) {
	first, every := *firstFlag, *everyFlag
	if *seedFlag >= 0 {
		first, seeds = uint64(*seedFlag), 1
	}
	var next atomic.Uint64
	var enough atomic.Bool
	var mu sync.Mutex
	play := func(t *testing.T) {
		for n := next.Add(1) - 1; n < uint64(seeds) && !enough.Load(); n = next.Add(1) - 1 {
			w := playOne(t, func() *world { return newWorld(first+n*every, m, beyond) })
			mu.Lock()
			if !enough.Load() && !judge(w) {
				enough.Store(true)
			}
			mu.Unlock()
			if !raceEnabled && n%64 == 0 {
				runtime.GC()
			}
		}
	}
	if !raceEnabled {
		defer oneProcessor()()
		play(t)
		return
	}
	t.Run("at once", func(t *testing.T) { // returns when its parallel children have ended
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				play(t)
			})
		}
	})
}

// oneProcessor makes runs repeat themselves: one goroutine at a time, and no collector that stops it somewhere.
func oneProcessor() (restore func()) {
	procs, percent := runtime.GOMAXPROCS(1), debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(1 << 30)
	return func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// playOne plays a world to its end.
func playOne(t *testing.T, build func() *world) (w *world) {
	defer func() {
		if r := recover(); r != nil { // a deadlock
			if w == nil {
				panic(r)
			}
			w.violations = append(w.violations, fmt.Sprint(r))
		}
	}()
	synctest.Test(t, func(*testing.T) {
		w = build()
		if !raceEnabled { // the source is one for the whole process
			defer chance.Seed(w.seed)()
		}
		if w.plan != nil {
			w.perform()
		} else {
			w.run()
		}
		w.lasted = w.now()
	})
	return w
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}
