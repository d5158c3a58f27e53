// Command stripe pays many orders through Stripe's own Go client while nearly a third of all requests to pay go wrong: once with steadfast around
// it, and once as such programs are mostly written. The provider is internal/fakepay, which speaks Stripe's API; its ledger says who was
// charged how often.
//
//	go run ./examples/stripe
//	go run ./examples/stripe -n 200 -faults 0.5 -json
//
// A third part turns it around: Stripe's client, with its own retries on, pays at a server of ours, whose answers get lost. idemhttp.Handler replays
// them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	payments, atOnce int
	faults           float64 // the share of requests that something happens to
	seed             uint64
}

// attemptTimeout bounds one request, and ends it while some of the provider's answers are still on their way.
const attemptTimeout = time.Second

// Report is what came of it.
type Report struct {
	Payments  int     `json:"payments"`
	AtOnce    int     `json:"at_once"`
	Faults    float64 `json:"faults"`
	Seed      uint64  `json:"seed"`
	Protected Books   `json:"protected"`
	Bare      Books   `json:"bare"`
	Server    Served  `json:"server"`
	OK        bool    `json:"ok"`
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	flags := flag.NewFlagSet("stripe", flag.ContinueOnError)
	flags.IntVar(&o.payments, "n", 1000, "how many orders are paid")
	flags.IntVar(&o.atOnce, "at", 8, "how many at a time")
	flags.Float64Var(&o.faults, "faults", 0.3, "the share of requests to pay that something goes wrong with, of all kinds alike")
	flags.Uint64Var(&o.seed, "seed", 1, "decides what each request meets")
	asJSON := flags.Bool("json", false, "print the figures as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.payments < 1 || o.atOnce < 1 || !(o.faults >= 0 && o.faults <= 0.9) || flags.NArg() > 0 {
		return errors.New("stripe: give -n and -at of at least 1, -faults from 0 to 0.9, and nothing else")
	}
	r, err := play(ctx, o)
	if err != nil {
		return err
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		err = r.print(stdout)
	}
	if err == nil && !r.OK {
		err = errors.New("stripe: with steadfast, an order was not charged exactly once")
	}
	return err
}

// play pays the same orders in each way, each at a provider of its own.
func play(ctx context.Context, o options) (r Report, err error) {
	r = Report{Payments: o.payments, AtOnce: o.atOnce, Faults: o.faults, Seed: o.seed}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() (err error) { r.Protected, err = payAll(ctx, o, openProtected); return })
	all.Go(func() (err error) { r.Bare, err = payAll(ctx, o, openBare); return })
	all.Go(func() (err error) { r.Server, err = payAtServer(ctx, o); return })
	err = all.Wait()
	r.OK = r.Protected.ChargedOnce == o.payments && r.Protected.Told == o.payments && r.Server.Executed == o.payments && r.Server.Paid == o.payments
	return r, err
}

func (r Report) print(to io.Writer) error {
	_, err := fmt.Fprintf(to, "%d orders, %d at a time, %.0f %% of the requests meet a fault (seed %d)\n\n", r.Payments, r.AtOnce, 100*r.Faults, r.Seed)
	for _, row := range []struct {
		name string
		b    Books
	}{{"with steadfast", r.Protected}, {"stripe-go alone", r.Bare}} {
		if err == nil {
			_, err = fmt.Fprintf(to, "%-16s %5d charged once, %3d charged more than once, %3d not charged, %3d told that it failed but charged; %d requests, %.0f s\n",
				row.name, row.b.ChargedOnce, row.b.Duplicates, row.b.Lost, row.b.Mistold, row.b.Requests, row.b.Seconds)
		}
	}
	if err == nil {
		_, err = fmt.Fprintf(to, "\nstripe-go's own retries at a server with idemhttp.Handler: %d payments came as %d requests, were executed %d times and replayed %d times\n",
			r.Server.Paid, r.Server.Requests, r.Server.Executed, r.Server.Replayed)
	}
	return err
}

// mix spreads the faults over all kinds. Some take longer than anybody waits.
func mix(rate float64) []fakepay.Fault {
	kinds := fakepay.Kinds()[1:]
	var faults []fakepay.Fault
	for _, kind := range kinds {
		f := fakepay.Fault{Kind: kind, Rate: rate / float64(len(kinds))}
		switch kind {
		case fakepay.ReplyLate, fakepay.LandsLate:
			f.Delay = 2 * attemptTimeout
		case fakepay.Accept, fakepay.Duplicate:
			f.Delay = attemptTimeout / 2
		case fakepay.RequestLost:
			f.Cut = fakepay.CutHang
		}
		faults = append(faults, f)
	}
	return faults
}
