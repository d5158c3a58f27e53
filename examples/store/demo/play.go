package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	maxLag   = 500 * time.Millisecond // of demo time: above it, a run is disturbed
	maxTries = 3
	// maxTotal is real time. No repetition is begun that would end later: somebody is watching.
	maxTotal = 30 * time.Second
)

// play plays all stages at once, and all of them to the end.
func play(ctx context.Context, stages []*Stage) ([]Outcome, error) {
	outcomes, errs := make([]Outcome, len(stages)), make([]error, len(stages))
	var players sync.WaitGroup
	for i, s := range stages {
		players.Go(func() { outcomes[i], errs[i] = s.play(ctx) })
	}
	players.Wait()
	return outcomes, errors.Join(errs...)
}

// play plays one scenario, again if the machine was too busy.
func (s *Stage) play(ctx context.Context) (Outcome, error) {
	defer close(s.over)
	began := time.Now()
	for try := 1; ; try++ {
		watch := watchLag()
		outcome, err := s.once(ctx, try)
		worst := s.pace.demo(watch.stop())
		outcome.Repeated, outcome.Disturbed = try-1, worst > maxLag
		if ctx.Err() != nil {
			return outcome, context.Cause(ctx)
		}
		passed := time.Since(began)
		if outcome.Disturbed && try < maxTries && passed+passed/time.Duration(try) <= maxTotal {
			continue // an error may come of it, too
		}
		if err != nil {
			return outcome, fmt.Errorf("%s: %w", s.scenario.Name, err)
		}
		s.end(outcome)
		return outcome, nil
	}
}

// once plays both sides at once.
func (s *Stage) once(ctx context.Context, try int) (Outcome, error) {
	left, right := newTimeline(s.pace), newTimeline(s.pace)
	s.mu.Lock()
	s.naive, s.protected, s.tries = left, right, try
	s.mu.Unlock()

	o := Outcome{Name: s.scenario.Name}
	var naiveErr, protectedErr error
	var sides sync.WaitGroup
	sides.Go(func() { o.Naive, naiveErr = runTrial(ctx, s.plan, s.pace, left, s.axe, openNaive) })
	sides.Go(func() { o.Protected, protectedErr = runTrial(ctx, s.plan, s.pace, right, s.axe, openProtected) })
	sides.Wait()
	o.Killed = left.killed() || right.killed()
	return o, errors.Join(naiveErr, protectedErr)
}

// report judges the outcomes.
func report(seed uint64, outcomes []Outcome) Report {
	r := Report{Seed: seed, Scenarios: outcomes, OK: true}
	for _, o := range outcomes {
		if o.Broken() != "" {
			r.OK = false
		}
	}
	return r
}

// Play plays scenarios on a seed, at that many demo seconds per real second, and shows nothing.
func Play(ctx context.Context, scenarios []Scenario, seed uint64, speed float64) (Report, error) {
	outcomes, err := play(ctx, newStages(scenarios, seed, pace(speed)))
	return report(seed, outcomes), err
}
