// Package load sends many customers into the shop at once, and counts what became of their orders.
package load

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// Options are what is measured.
type Options struct {
	Customers int
	For       time.Duration // how long customers come
	Bank      time.Duration // how long the bank takes
	JSON      bool
}

// Report is what was found out.
type Report struct {
	Customers int      `json:"customers"`
	BankMS    int64    `json:"bank_ms"`
	Databases []Result `json:"databases"`
	OK        bool     `json:"ok"` // nothing was lost, and nothing happened twice
}

// Result is one database's.
type Result struct {
	Database        string  `json:"database"`
	Skipped         string  `json:"skipped,omitempty"` // why it was not measured
	Orders          int     `json:"orders"`
	Seconds         float64 `json:"seconds"` // until the last of them was shipped
	OrdersPerSecond float64 `json:"orders_per_second"`
	AnswerMS        Spread  `json:"answer_ms"`  // from the click to the order's page
	ShippedMS       Spread  `json:"shipped_ms"` // from the click until the warehouse has sent the parcel
	Charges         int     `json:"charges"`
	Parcels         int     `json:"parcels"`
	Receipts        int     `json:"receipts"`
	Lost            int     `json:"lost"`   // orders without exactly one charge, one parcel and one receipt
	Failed          int     `json:"failed"` // requests that were not answered with a page
}

// Spread is a distribution, in milliseconds.
type Spread struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// ErrLost says that something was lost.
var ErrLost = errors.New("load: an order was lost, or something happened twice")

// Main measures with a command line's arguments.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o Options
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.Customers, "customers", 200, "how many order at once")
	flags.DurationVar(&o.For, "for", 10*time.Second, "how long they go on, on each database")
	flags.DurationVar(&o.Bank, "bank", 200*time.Millisecond, "how long the bank takes")
	flags.BoolVar(&o.JSON, "json", false, "print the results as one JSON object")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("load: %q is not a flag: give flags only", flags.Arg(0))
	}
	if o.Customers < 1 || o.Customers > 2000 || o.For <= 0 || o.Bank < 0 {
		return fmt.Errorf("load: -customers is %d, -for %v, -bank %v: use 1 to 2000 customers, and positive times", o.Customers, o.For, o.Bank)
	}
	report, err := Measure(ctx, o)
	if err != nil {
		return err
	}
	if o.JSON {
		err = json.NewEncoder(stdout).Encode(report)
	} else {
		err = report.print(stdout)
	}
	if err == nil && !report.OK {
		err = ErrLost
	}
	return err
}

// Measure measures on every database that is there.
func Measure(ctx context.Context, o Options) (Report, error) {
	r := Report{Customers: o.Customers, BankMS: o.Bank.Milliseconds(), OK: true}
	for _, place := range []func(context.Context) (place, error){sqlite, postgres} {
		result, err := measure(ctx, o, place)
		if err != nil {
			return r, err
		}
		r.Databases = append(r.Databases, result)
		r.OK = r.OK && result.Lost == 0
	}
	return r, nil
}

func (r Report) print(to io.Writer) error {
	var err error
	say := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(to, format, args...)
		}
	}
	say("%d customers at once, the bank takes %d ms\n\n", r.Customers, r.BankMS)
	say("%-12s %8s %8s   %-24s %-24s %s\n", "", "orders", "per s", "page after (p50 p95 p99)", "shipped after", "lost")
	for _, d := range r.Databases {
		if d.Skipped != "" {
			say("%-12s skipped: %s\n", d.Database, d.Skipped)
			continue
		}
		say("%-12s %8d %8.0f   %-24s %-24s %d\n", d.Database, d.Orders, d.OrdersPerSecond, d.AnswerMS, d.ShippedMS, d.Lost)
	}
	return err
}

// String writes it out.
func (s Spread) String() string { return fmt.Sprintf("%.0f %.0f %.0f ms", s.P50, s.P95, s.P99) }
