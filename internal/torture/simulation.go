package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/steadfast-go/steadfast/internal/torture/report"
)

// The simulation is a command of its own, since it runs compiled tests: see internal/torture/sim.

// simulated is a line that it prints.
type simulated struct {
	report.Line
	Mode    string  `json:"mode"`
	Race    bool    `json:"race"`
	Crashes int64   `json:"crashes"`
	Pauses  int64   `json:"pauses"`
	Hours   float64 `json:"virtual_hours"`
	First   string  `json:"first"`

	Mutant string `json:"mutant"`
	Seeds  int64  `json:"seeds"`
	Missed int    `json:"missed"`
}

// sim runs the command and hands out its lines.
func sim(ctx context.Context, each func(*simulated), args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", "github.com/steadfast-go/steadfast/internal/torture/sim"}, args...)...)
	cmd.Args = append(cmd.Args, "-json")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var wrong error
	lines := 0
	for scan := bufio.NewScanner(out); scan.Scan(); lines++ {
		s := simulated{Line: report.Line{More: map[string]int64{}}}
		if err := json.Unmarshal(scan.Bytes(), &s); err != nil {
			wrong = fmt.Errorf("it printed %q: %w", scan.Text(), err)
			continue
		}
		each(&s)
	}
	// What it found stands in its lines, and how to replay it on standard error; without a line, its status is all there is.
	if err := cmd.Wait(); err != nil && (lines == 0 || wrong != nil) {
		wrong = errors.Join(wrong, err)
	}
	return wrong
}

func simulation(ctx context.Context, o options, print func(*report.Line)) error {
	show := func(s *simulated) {
		l := &s.Line
		l.Test += " " + s.Mode
		if s.Race {
			l.Test += " -race"
		}
		l.More["crashes"], l.More["pauses"], l.More["virtual_hours"] = s.Crashes, s.Pauses, int64(s.Hours)
		if l.Seconds > 0 {
			l.More["seeds_per_second"] = int64(float64(l.Runs) / l.Seconds)
		}
		if s.First != "" {
			l.Wrong = []string{s.First}
		}
		print(l)
	}
	return errors.Join(
		sim(ctx, show, "seeds", fmt.Sprint("-seeds=", o.size(30_000, 1_000_000))),
		sim(ctx, show, "seeds", "-race", fmt.Sprint("-seeds=", o.size(1_000, 100_000))),
	)
}

// crashPoints prints one line of all trees.
func crashPoints(ctx context.Context, _ options, print func(*report.Line)) error {
	all := report.Begin("crashpoints", "")
	err := sim(ctx, func(s *simulated) {
		all.Runs += s.Runs
		all.Keys += s.Keys
		all.Sends += s.Sends
		all.Charges += s.Charges
		all.Duplicates += s.Duplicates
		all.Lost += s.Lost
		all.Stuck += s.Stuck
		all.Violations += s.Violations
		all.More["crashes"] += s.Crashes
		all.More["trees"]++
		if s.First != "" {
			all.Wrong = append(all.Wrong, s.Mode+": "+s.First)
		}
	}, "crashes")
	print(all.End())
	return err
}

// mutants prints one line of all defects: a violation is one that nobody noticed.
func mutants(ctx context.Context, o options, print func(*report.Line)) error {
	all := report.Begin("mutants", "")
	err := sim(ctx, func(s *simulated) {
		all.Runs++
		all.More["most_seeds"] = max(all.More["most_seeds"], s.Seeds)
		if s.Missed > 0 {
			all.Add(&all.Violations, "not caught: %s", s.Mutant)
		}
	}, "mutants", fmt.Sprint("-seeds=", o.size(1_000, 10_000)))
	print(all.End())
	return err
}
