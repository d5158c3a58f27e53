// Sql measures the SQL store beside its floor: the statements that nobody who wants the same records can do without. Both
// run in the same process, with the same columns, driver, pool and durability, round by round in turn, and the medians of
// the rounds are held against the bars that the project has set itself. Exit status 1 says that a bar was missed.
//
//	go run ./internal/bench/sql                           a table
//	go run ./internal/bench/sql -json                     a JSON object per case
//	go run ./internal/bench/sql -store sqlite -case fresh
//	go run ./internal/bench/sql -million                  also on a table of a million records: takes minutes
//
// The cases:
//
//   - fresh: calls through Wrapper.Do that were never made before, with a Send that returns at once and the Raw codec. The
//     floor is two autocommitted statements by primary key, prepared, from as many goroutines: an INSERT of the very row that the
//     store has while it sends, and an UPDATE that makes of it the very row that the store has afterwards.
//   - fresh queued: the same on SQLite, beside a floor whose goroutines queue for one connection. There that is several times
//     faster than connections that take the file's lock away from each other, which is what fresh is held against.
//   - replay: calls that have settled, by a wrapper that remembers nothing, so that each asks the store. The floor is a SELECT of
//     the row by primary key. wal_bytes_per_replay is what the database's log grows by.
//   - cached: calls that have settled, by a wrapper that remembers them.
//   - million …: fresh calls and replays on a table of a million settled records; the floor is the same call on a table without
//     them.
//   - million purge: calls while 100,000 of a million records are purged; the floor is the same without the purge. The bar
//     is on the 99th percentile.
//
// The floor's table is the store's own without its secondary indexes, since whoever only wants to remember calls needs none:
// AcquireDue and Purge do, and what they cost is the store's price. Both sides have a pool as large as the number of callers.
//
// PostgreSQL and MySQL or MariaDB are found as internal/integration finds them: at their standard ports, or by the DSNs in
// STEADFAST_TEST_POSTGRES and STEADFAST_TEST_MYSQL. One that is absent is skipped. SQLite's files lie in a directory of their
// own below TMPDIR, which must be on a real disk. All tables have random names, and are dropped in the end.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"text/tabwriter"
	"time"
)

// options are the flags.
type options struct {
	rounds  int
	round   time.Duration
	match   *regexp.Regexp
	million bool
}

// line is what is printed of a case. Rates are medians of the rounds, latencies those of all calls of all rounds.
type line struct {
	Store      string   `json:"store"`
	Case       string   `json:"case"`
	Callers    int      `json:"callers"`
	CallsPerS  float64  `json:"calls_per_s"`
	FloorPerS  float64  `json:"floor_per_s,omitempty"`
	Ratio      float64  `json:"ratio,omitempty"`
	RatioMin   float64  `json:"ratio_min,omitempty"` // of the rounds' own ratios: how much to believe of it
	RatioMax   float64  `json:"ratio_max,omitempty"`
	P50        float64  `json:"p50_us"`
	P99        float64  `json:"p99_us"`
	FloorP50   float64  `json:"floor_p50_us,omitempty"`
	FloorP99   float64  `json:"floor_p99_us,omitempty"`
	P99Ratio   float64  `json:"p99_ratio,omitempty"`
	LogBytes   *float64 `json:"wal_bytes_per_replay,omitempty"`
	Floor      string   `json:"floor,omitempty"`
	Bar        string   `json:"bar"`
	OK         bool     `json:"ok"`
	Server     string   `json:"server"`
	Durability string   `json:"durability"`

	certain bool // what does not depend on the machine's mood is right
}

func main() {
	asJSON := flag.Bool("json", false, "print a JSON object per case")
	rounds := flag.Int("rounds", 10, "rounds per side, at least 10; two more are not counted")
	round := flag.Duration("round", 500*time.Millisecond, "length of a round")
	only := flag.String("case", "", "regular expression: run these cases only; it is matched with \"<case> <callers>\", as in \"fresh 64\"")
	store := flag.String("store", "", "regular expression: use these databases only (postgres, sqlite, mysql)")
	million := flag.Bool("million", false, "also run the cases on a million records")
	lenient := flag.Bool("lenient", false, "let only what is written to the log decide the exit status: times are the machine's as well as ours")
	flag.Parse()
	match, err := regexp.Compile(*only)
	stores, err2 := regexp.Compile(*store)
	if err := errors.Join(err, err2); err != nil || *rounds < 10 || *round <= 0 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "sql: -case and -store take regular expressions, -rounds at least 10, -round a duration; no other arguments:", err)
		os.Exit(2)
	}

	// An interrupt ends the rounds, and the tables are dropped on the way out.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{rounds: *rounds, round: *round, match: match, million: *million}
	p := newPrinter(*asJSON, o)
	missed, failed := false, false
	for _, d := range databases() {
		if !stores.MatchString(d.name) || ctx.Err() != nil {
			continue
		}
		err := d.measure(ctx, o, func(l *line) {
			missed = missed || !l.certain || !l.OK && !*lenient
			p.print(l)
		})
		var absent *absentError
		switch {
		case errors.As(err, &absent):
			fmt.Fprintln(os.Stderr, "sql:", err)
		case err != nil:
			failed = true
			fmt.Fprintf(os.Stderr, "sql: %s: %v\n", d.name, err)
		}
	}
	p.flush()
	switch {
	case failed || ctx.Err() != nil:
		os.Exit(2)
	case missed:
		os.Exit(1)
	}
}

// printer prints lines as they come, as JSON or as a table.
type printer struct {
	encoder *json.Encoder
	table   *tabwriter.Writer
}

func newPrinter(asJSON bool, o options) *printer {
	warnIfBusy()
	if asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetEscapeHTML(false) // "<=" stays readable
		return &printer{encoder: encoder}
	}
	fmt.Printf("%s, %s/%s, GOMAXPROCS %d; medians of %d rounds of %v, interleaved; calls per second, latencies in µs\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), o.rounds, o.round)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "store\tcase\tcallers\tcalls/s\tfloor/s\tratio (rounds)\tp50, p99\tfloor's\tlog\tbar\t")
	return &printer{table: table}
}

func (p *printer) print(l *line) {
	if p.encoder != nil {
		for _, f := range []*float64{
			&l.CallsPerS, &l.FloorPerS, &l.Ratio, &l.RatioMin, &l.RatioMax, &l.P50, &l.P99, &l.FloorP50, &l.FloorP99, &l.P99Ratio,
		} {
			*f = math.Round(*f*1000) / 1000
		}
		_ = p.encoder.Encode(l) // standard output: there is nobody left to tell
		return
	}
	verdict, floor, ratio, floors, log := "ok", "", "", "", ""
	if !l.OK {
		verdict = "MISSED"
	}
	if l.FloorPerS > 0 {
		floor = fmt.Sprintf("%.0f", l.FloorPerS)
		ratio = fmt.Sprintf("%.2f (%.2f-%.2f)", l.Ratio, l.RatioMin, l.RatioMax)
		floors = fmt.Sprintf("%.0f, %.0f", l.FloorP50, l.FloorP99)
	}
	if l.LogBytes != nil {
		log = fmt.Sprintf("%g B", *l.LogBytes)
	}
	fmt.Fprintf(p.table, "%s\t%s\t%d\t%.0f\t%s\t%s\t%.3g, %.3g\t%s\t%s\t%s\t%s\n",
		l.Store, l.Case, l.Callers, l.CallsPerS, floor, ratio, l.P50, l.P99, floors, log, l.Bar, verdict)
}

func (p *printer) flush() {
	if p.table != nil {
		_ = p.table.Flush()
	}
}

// warnIfBusy says on standard error when others use the machine: ratios suffer less than rates, but they suffer.
func warnIfBusy() {
	data, err := os.ReadFile("/proc/loadavg") // where there is none, nothing is said
	if err != nil {
		return
	}
	var load float64
	if _, err := fmt.Sscan(string(data), &load); err == nil && load > float64(runtime.NumCPU())*0.75 {
		fmt.Fprintf(os.Stderr, "sql: the machine is busy (load %.1f on %d CPUs): believe the ratios little, and the rates less\n", load, runtime.NumCPU())
	}
}
