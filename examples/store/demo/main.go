// Package demo sends the same customers to two shops, one naive and one protected by steadfast, on the same bad days, and
// shows what the customer, the bank and the warehouse saw.
//
// Nothing in it is a replay: every payment is made over real HTTP connections, between a browser, a shop and a bank, at a
// multiple of real time. Charges are counted by the bank, parcels by the warehouse, e-mails in the customer's inbox.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of -speed. Above the upper one, no machine is quick enough not to disturb a run.
const (
	defaultSpeed = 4
	minSpeed     = 0.1
	maxSpeed     = 200
)

// ErrWrong says that a protected run went wrong.
var ErrWrong = errors.New("demo: a protected run went wrong")

type options struct {
	scenarios   []Scenario
	first, last uint64 // seeds
	many        bool   // a range of them is wanted
	speed       float64
	json        bool
}

// Main runs the demo with a command line's arguments.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.many {
		return playSeeds(ctx, o, stdout)
	}
	stages := newStages(o.scenarios, o.first, pace(o.speed))
	curtain := chooseView(o, stages, stdout)
	outcomes, err := play(ctx, stages)
	if err := errors.Join(err, curtain()); err != nil {
		return err
	}
	r := report(o.first, outcomes)
	if err := conclude(o, r, stdout, stderr); err != nil {
		return err
	}
	if !r.OK {
		return ErrWrong
	}
	return nil
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Bool("crash", false, "real processes, killed in the middle of payments, instead; it has flags of its own: demo -crash -h")
	scenario := flags.String("scenario", "all", "happy, slow, timeouts, doubleclick, declined, outage or all")
	flags.Uint64Var(&o.first, "seed", 1, "decides what exactly happens")
	seeds := flags.String("seeds", "", "a range of seeds, as in 1-50: a line for each")
	flags.Float64Var(&o.speed, "speed", defaultSpeed, "demo seconds per real second")
	flags.BoolVar(&o.json, "json", false, "print the results as one JSON object (with -seeds: one a line)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("demo: %q is not a flag: give flags only", flags.Arg(0))
	}
	if !(o.speed >= minSpeed && o.speed <= maxSpeed) {
		return o, fmt.Errorf("demo: -speed is %v: use %v to %v", o.speed, minSpeed, maxSpeed)
	}
	o.last = o.first
	if *seeds != "" {
		o.many = true
		if o.first, o.last, err = parseRange(*seeds); err != nil {
			return o, err
		}
	}
	o.scenarios, err = Select(*scenario)
	return o, err
}

func parseRange(s string) (first, last uint64, err error) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	first, firstErr := strconv.ParseUint(low, 10, 64)
	last, lastErr := strconv.ParseUint(high, 10, 64)
	if firstErr != nil || lastErr != nil || last < first {
		return 0, 0, fmt.Errorf("demo: -seeds is %q: use a range as in 1-50", s)
	}
	return first, last, nil
}

// playSeeds plays every seed of a range and prints a line for each.
func playSeeds(ctx context.Context, o options, stdout io.Writer) error {
	wrong := 0
	for seed := o.first; ; seed++ {
		r, err := Play(ctx, o.scenarios, seed, o.speed)
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		if !r.OK {
			wrong++
		}
		if o.json {
			err = json.NewEncoder(stdout).Encode(r)
		} else {
			_, err = fmt.Fprintln(stdout, seedLine(r))
		}
		if err != nil {
			return err
		}
		if seed == o.last {
			break
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%w: %d of %d seeds", ErrWrong, wrong, o.last-o.first+1)
	}
	return nil
}

// chooseView begins to show the stages. The function that it returns ends that.
func chooseView(o options, stages []*Stage, stdout io.Writer) (curtain func() error) {
	if o.json {
		return func() error { return nil }
	}
	if terminal, ok := isTerminal(stdout); ok {
		return watchLive(terminal, stages)
	}
	return watchPlain(stdout, stages)
}

// conclude prints the results, and to stderr which runs had to be repeated.
func conclude(o options, r Report, stdout, stderr io.Writer) error {
	for _, outcome := range r.Scenarios {
		if note := outcome.note(); note != "" {
			if _, err := fmt.Fprintln(stderr, note); err != nil {
				return err
			}
		}
	}
	if o.json {
		return json.NewEncoder(stdout).Encode(r)
	}
	if terminal, ok := isTerminal(stdout); ok {
		return paintTable(terminal, r)
	}
	return printTable(stdout, r)
}

// note says that the machine was busy.
func (o Outcome) note() string {
	switch {
	case o.Disturbed:
		return fmt.Sprintf("%s: the machine was too busy (%d runs): do not trust the times, and use a lower -speed", o.Name, o.Repeated+1)
	case o.Repeated > 0:
		return fmt.Sprintf("%s: repeated, the machine was too busy (%d runs)", o.Name, o.Repeated+1)
	}
	return ""
}
