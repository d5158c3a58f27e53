// Torture tries to break the library: it kills processes and databases, cuts connections, and checks what many clients see. It ends
// with status 1 if anything was charged twice, lost or stuck. Without -short it takes most of a day; with it, a quarter of an hour.
//
//	go run ./internal/torture -short                  all tests, a table
//	go run ./internal/torture -short -json            an object per line
//	go run ./internal/torture -kills 50 -store sqlite sigkill
//	go run ./internal/torture -for 1h soak
//
// docs/reliability.md says what each test does, and what it has found.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/crash"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/kill"
	"github.com/steadfast-go/steadfast/internal/torture/linear"
	"github.com/steadfast-go/steadfast/internal/torture/processes"
	"github.com/steadfast-go/steadfast/internal/torture/report"
	"github.com/steadfast-go/steadfast/internal/torture/soak"
	"github.com/steadfast-go/steadfast/internal/torture/winner"
	"github.com/steadfast-go/steadfast/internal/torture/wire"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// options are the flags.
type options struct {
	short bool
	store string
	kills int
	runs  int
	soak  time.Duration
	seed  uint64
}

// size is what a test does in the short form and in the full one.
func (o options) size(short, full int) int {
	if o.short {
		return short
	}
	return full
}

// test is one row of the table, or several.
type test struct {
	name string
	run  func(ctx context.Context, o options, print func(*report.Line)) error
}

// tests in the order in which they run.
var tests = []test{
	{"simulation", simulation},
	{"mutants", mutants},
	{"crashpoints", crashPoints},
	{"sigkill", sigkill},
	{"crash", databaseCrash},
	{"linear", linearizability},
	{"winner", oneWinner},
	{"wire", wireFaults},
	{"machine", stateMachines},
	{"golden", goldenRecords},
	{"fuzz", fuzzed},
	{"soak", soaked},
}

func main() {
	parts := kill.Parts()
	maps.Copy(parts, crash.Parts())
	processes.Main(parts)

	var o options
	flag.BoolVar(&o.short, "short", false, "the sizes that CI runs")
	flag.StringVar(&o.store, "store", "", "this store only: memory, sqlite, postgres or mariadb")
	flag.IntVar(&o.kills, "kills", 0, "kill so many processes, or servers, for each store")
	flag.IntVar(&o.runs, "runs", 0, "make so many histories (linear), or rounds (winner), on each store")
	flag.DurationVar(&o.soak, "for", 0, "how long soak runs on each store")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of what is drawn at random; what threads and processes do is not")
	asJSON := flag.Bool("json", false, "print an object per line")
	flag.Parse()
	if err := check(o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	failed := runAll(ctx, o, *asJSON, flag.Args())
	stop()
	if failed {
		os.Exit(1)
	}
}

func names() (list []string) {
	for _, t := range tests {
		list = append(list, t.name)
	}
	return list
}

func check(o options, wanted []string) error {
	for _, name := range wanted {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("torture: the test is %q: use %s (flags come first)", name, strings.Join(names(), ", "))
		}
	}
	if o.store != "" && !slices.Contains(all, o.store) {
		return fmt.Errorf("torture: -store is %q: use %s", o.store, strings.Join(all, ", "))
	}
	if o.kills < 0 || o.runs < 0 || o.soak < 0 {
		return errors.New("torture: -kills, -runs and -for must not be negative")
	}
	return nil
}

func runAll(ctx context.Context, o options, asJSON bool, wanted []string) (failed bool) {
	if !asJSON {
		fmt.Fprintf(os.Stdout, "%s, %s/%s, %d CPUs, seed %d\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.seed)
	}
	table := report.NewTable(os.Stdout, asJSON)
	began, lines := time.Now(), 0
	for _, t := range tests {
		if len(wanted) > 0 && !slices.Contains(wanted, t.name) {
			continue
		}
		err := t.run(ctx, o, func(l *report.Line) {
			lines++
			failed = failed || !l.OK()
			if err := table.Print(l); err != nil {
				fmt.Fprintln(os.Stderr, err)
				failed = true
			}
		})
		if err != nil {
			fmt.Fprintf(os.Stderr, "torture: %s: %v\n", t.name, err)
			failed = true
		}
	}
	if !asJSON {
		fmt.Fprintf(os.Stdout, "\n%v\n", time.Since(began).Round(time.Second))
	}
	if lines == 0 { // -store sqlite wire
		fmt.Fprintln(os.Stderr, "torture: nothing was tested: the wanted tests do not run on the wanted store")
		return true
	}
	return failed
}

var (
	served = []string{databases.SQLite, databases.Postgres, databases.MariaDB}
	all    = append([]string{databases.Memory}, served...)
)

// each runs a test on each store that is wanted, on all at once: they wait for disks more than they work. One that is not there is
// skipped, unless it is required.
func each(o options, stores []string, name string, print func(*report.Line), run func(store string) (*report.Line, error)) error {
	var mu sync.Mutex
	var failed []error
	var wg sync.WaitGroup
	for _, store := range stores {
		if o.store != "" && o.store != store {
			continue
		}
		wg.Go(func() {
			line, err := run(store)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case databases.MaySkip(err):
				print(report.Begin(name, store).Skip("%v", err))
			case err != nil:
				failed = append(failed, fmt.Errorf("%s: %w", store, err))
			default:
				print(line)
			}
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

func sigkill(ctx context.Context, o options, print func(*report.Line)) error {
	kills := map[string]int{
		databases.SQLite: o.size(300, 1000), databases.Postgres: o.size(200, 500), databases.MariaDB: o.size(100, 250),
	}
	return each(o, served, "sigkill", print, func(store string) (*report.Line, error) {
		return kill.Run(ctx, kill.Config{Store: store, Kills: cmp.Or(o.kills, kills[store]), Seed: o.seed})
	})
}

func databaseCrash(ctx context.Context, o options, print func(*report.Line)) error {
	return each(o, served, "crash", print, func(store string) (*report.Line, error) {
		return crash.Run(ctx, crash.Config{Store: store, Kills: cmp.Or(o.kills, o.size(2, 20))})
	})
}

func wireFaults(ctx context.Context, o options, print func(*report.Line)) error {
	return each(o, []string{databases.Postgres, databases.MariaDB}, "wire", print, func(store string) (*report.Line, error) {
		return wire.Run(ctx, wire.Config{Store: store, Each: time.Duration(o.size(5, 60)) * time.Second})
	})
}

func soaked(ctx context.Context, o options, print func(*report.Line)) error {
	long := cmp.Or(o.soak, time.Duration(o.size(60, 3600))*time.Second)
	stores := all
	if o.short && o.store == "" { // one that has everything that can leak
		stores = []string{databases.Postgres}
	}
	for _, store := range stores { // one after the other: goroutines and heap are the whole process's
		err := each(o, []string{store}, "soak", print, func(store string) (*report.Line, error) {
			return soak.Run(ctx, soak.Config{Store: store, For: long})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// onStores runs a test on an empty store of each kind.
func onStores(
	ctx context.Context, o options, name string, print func(*report.Line), run func(s idempotency.Store, store string) (*report.Line, error),
) error {
	return each(o, all, name, print, func(store string) (line *report.Line, err error) {
		if store == databases.Memory {
			return run(memstore.New(memstore.Config{MaxRecords: 1_000_000}), store)
		}
		dir, err := os.MkdirTemp("", "steadfast-torture-")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		d, db, err := databases.Open(ctx, store, dir)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, d.Drop(db)) }()
		s, err := d.Store(ctx, db)
		if err != nil {
			return nil, err
		}
		return run(s, store)
	})
}

func linearizability(ctx context.Context, o options, print func(*report.Line)) error {
	return onStores(ctx, o, "linear", print, func(s idempotency.Store, store string) (*report.Line, error) {
		return linear.Run(ctx, s, store, cmp.Or(o.runs, o.size(1, 50)), o.size(20_000, 100_000), o.seed)
	})
}

func oneWinner(ctx context.Context, o options, print func(*report.Line)) error {
	for _, callers := range []int{64, 1000} {
		err := onStores(ctx, o, "winner", print, func(s idempotency.Store, store string) (*report.Line, error) {
			return winner.Run(ctx, s, store, cmp.Or(o.runs, o.size(100, 1000)), callers)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
