// Command sim runs the library in a world of its own: a store, a network, clocks and a provider that fail in every way, in virtual
// time, judged by an oracle. The world is written as tests, since a bubble of testing/synctest needs one; the command compiles and
// runs them, one process for each processor.
//
//	go run ./internal/torture/sim -seeds 30000           seeds of each provider mode; -race for the race detector
//	go run ./internal/torture/sim -mode keys -seed 17    one seed, with its trace
//	go run ./internal/torture/sim crashes                every crash, and every crash during the recovery from one
//	go run ./internal/torture/sim mutants                defects that it must find
//
// With -json it prints a line for each test. It ends with status 1 if anything was wrong.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const pkg = "github.com/steadfast-go/steadfast/internal/torture/sim"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "sim:", err)
	}
	if !ok {
		stop()
		os.Exit(1)
	}
}

// options are what the command is asked for.
type options struct {
	what  string
	seeds int
	first uint64
	mode  string
	seed  int64
	tree  int
	path  string
	only  string
	race  bool
	json  bool
	procs int

	dir string // for what is compiled
}

func run(ctx context.Context, args []string) (ok bool, err error) {
	o := options{what: "seeds"}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		o.what, args = args[0], args[1:]
	}
	f := flag.NewFlagSet("sim "+o.what, flag.ContinueOnError)
	f.IntVar(&o.seeds, "seeds", 0, "how many seeds of each provider mode (default 1000)")
	f.Uint64Var(&o.first, "first", 0, "the first of them")
	f.StringVar(&o.mode, "mode", "", "this provider mode only: keys, ask or none")
	f.Int64Var(&o.seed, "seed", -1, "this seed only, with its trace")
	f.IntVar(&o.tree, "tree", -1, "crashes: this tree only")
	f.StringVar(&o.path, "path", "", "crashes: this path of the tree only, with its trace")
	f.StringVar(&o.only, "only", "", "mutants: only those whose name contains this")
	f.BoolVar(&o.race, "race", false, "with the race detector; seeds do not repeat themselves then")
	f.BoolVar(&o.json, "json", false, "print lines of JSON")
	f.IntVar(&o.procs, "procs", runtime.NumCPU(), "how many processes")
	if err := f.Parse(args); err != nil {
		return errors.Is(err, flag.ErrHelp), err
	}
	switch {
	case f.NArg() > 0:
		return false, fmt.Errorf("unexpected %q: flags follow what to run", f.Arg(0))
	case o.seed >= 0 && o.mode == "":
		return false, errors.New("-seed needs -mode keys, ask or none")
	case o.path != "" && o.tree < 0:
		return false, errors.New("-path needs -tree")
	case !slices.Contains([]string{"", "keys", "ask", "none"}, o.mode):
		return false, fmt.Errorf("-mode %q: it must be keys, ask or none", o.mode)
	}
	if o.seeds == 0 {
		o.seeds = 1000
	}
	o.procs = max(o.procs, 1)
	if o.dir, err = os.MkdirTemp("", "sim"); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	switch o.what {
	case "seeds":
		return o.play(ctx)
	case "crashes":
		return o.crashes(ctx)
	case "mutants":
		return o.mutants(ctx)
	}
	return false, fmt.Errorf("%q: it must be seeds, crashes or mutants", o.what)
}

// compile builds the tests.
func (o *options) compile(ctx context.Context, name string, flags ...string) (bin string, err error) {
	bin = filepath.Join(o.dir, name+".test")
	args := append([]string{"test", "-c", "-o", bin}, flags...)
	if o.race {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, pkg)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go test -c: %w\n%s", err, out)
	}
	return bin, nil
}

// sum is what the tests print about a mode, or a tree.
type sum struct {
	Test       string  `json:"test"`
	Mode       string  `json:"mode"`
	Race       bool    `json:"race,omitempty"`
	Runs       int     `json:"runs"`
	Keys       int     `json:"keys"`
	Sends      int     `json:"sends"`
	Charges    int     `json:"charges"`
	Duplicates int     `json:"duplicates"`
	Lost       int     `json:"lost"`
	Stuck      int     `json:"stuck"`
	Violations int     `json:"violations"`
	Crashes    int     `json:"crashes"`
	Pauses     int     `json:"pauses"`
	Failed     int     `json:"failed"`
	Hours      float64 `json:"virtual_hours"`
	Seconds    float64 `json:"seconds"`
	First      string  `json:"first,omitempty"` // violation
}

func (s *sum) add(o sum) {
	s.Test, s.Mode = o.Test, o.Mode
	s.Runs += o.Runs
	s.Keys += o.Keys
	s.Sends += o.Sends
	s.Charges += o.Charges
	s.Duplicates += o.Duplicates
	s.Lost += o.Lost
	s.Stuck += o.Stuck
	s.Violations += o.Violations
	s.Crashes += o.Crashes
	s.Pauses += o.Pauses
	s.Failed += o.Failed
	s.Hours += o.Hours
	s.Seconds = max(s.Seconds, o.Seconds)
	if s.First == "" {
		s.First = o.First
	}
}

// child runs the tests in a process of one processor, so that seeds repeat themselves. What it says that is no sum goes to log.
func child(ctx context.Context, log io.Writer, bin string, race bool, args ...string) (sums []sum, failed bool, err error) {
	cmd := exec.CommandContext(ctx, bin, append([]string{"-test.timeout=0", "-sim.json"}, args...)...)
	cmd.Env = os.Environ()
	if !race {
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, false, err
	}
	if err := cmd.Start(); err != nil {
		return nil, false, err
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		var s sum
		switch {
		case strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &s) == nil:
			sums = append(sums, s)
		case line == "PASS\n", line == "\n", strings.HasPrefix(line, "ok "):
		default:
			_, _ = io.WriteString(log, line)
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() && len(sums) > 0 {
		return sums, true, nil
	}
	return sums, err != nil, err
}

// split shares the work among processes: each gets what to begin with and how far apart. It returns the sums by mode, in order.
func (o *options) split(ctx context.Context, bin string, args func(i, n int) []string) (sums []*sum, ok bool, err error) {
	n := o.procs
	if o.race {
		n = 1 // it uses all processors itself
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ok = true
	for i := range n {
		wg.Go(func() {
			got, failed, err2 := child(ctx, os.Stderr, bin, o.race, args(i, n)...)
			mu.Lock()
			defer mu.Unlock()
			ok, err = ok && !failed, errors.Join(err, err2)
			for _, s := range got {
				at := slices.IndexFunc(sums, func(have *sum) bool { return have.Mode == s.Mode })
				if at < 0 {
					sums, at = append(sums, &sum{Race: o.race}), len(sums)
				}
				sums[at].add(s)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(sums, func(a, b *sum) int { return strings.Compare(a.Mode, b.Mode) })
	return sums, ok && err == nil, err
}

// play plays seeds.
func (o *options) play(ctx context.Context) (ok bool, err error) {
	bin, err := o.compile(ctx, "seeds")
	if err != nil {
		return false, err
	}
	if o.seed >= 0 {
		_, failed, err := child(ctx, os.Stdout, bin, o.race, "-test.run=^TestSimulation$", "-sim.mode="+o.mode, fmt.Sprint("-sim.seed=", o.seed))
		return !failed, err
	}
	began := time.Now()
	sums, ok, err := o.split(ctx, bin, func(i, n int) []string {
		return []string{
			"-test.run=^TestSimulation$", "-sim.mode=" + o.mode, fmt.Sprint("-sim.seeds=", (o.seeds-i+n-1)/n),
			fmt.Sprint("-sim.first=", o.first+uint64(i)), fmt.Sprint("-sim.every=", n),
		}
	})
	o.report(sums, began, "seeds")
	return ok, err
}

// crashes plays every path.
func (o *options) crashes(ctx context.Context) (ok bool, err error) {
	bin, err := o.compile(ctx, "crashes")
	if err != nil {
		return false, err
	}
	args := []string{"-test.run=^TestCrashPoints$", "-sim.seeds=1", fmt.Sprint("-sim.plan=", o.tree), "-sim.path=" + o.path}
	if o.path != "" {
		_, failed, err := child(ctx, os.Stdout, bin, o.race, args...)
		return !failed, err
	}
	began := time.Now()
	sums, ok, err := o.split(ctx, bin, func(i, n int) []string {
		return append(slices.Clone(args), fmt.Sprint("-sim.first=", i), fmt.Sprint("-sim.every=", n))
	})
	o.report(sums, began, "paths")
	return ok, err
}

func (o *options) report(sums []*sum, began time.Time, what string) {
	var all sum
	for _, s := range sums {
		if o.json {
			line, _ := json.Marshal(s) // of numbers and names
			fmt.Fprintln(os.Stdout, string(line))
			continue
		}
		fmt.Fprintf(os.Stdout, "%-38s %8d %s: %d calls, %d sendings, %d charges, %d crashes, %d pauses; duplicates %d, lost %d, stuck %d, violations %d; %.0f s\n",
			s.Mode, s.Runs, what, s.Keys, s.Sends, s.Charges, s.Crashes, s.Pauses, s.Duplicates, s.Lost, s.Stuck, s.Violations, s.Seconds)
		all.add(*s)
	}
	if took := time.Since(began).Seconds(); !o.json && len(sums) > 0 {
		fmt.Fprintf(os.Stdout, "%-38s %8d %s in %.0f s on %d processors: %.0f each second, %s hours of virtual time\n",
			"all", all.Runs, what, took, runtime.NumCPU(), float64(all.Runs)/took, strconv.FormatFloat(all.Hours, 'f', 0, 64))
	}
}
