package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/goods"
)

// Stage is where a scenario is played, on both sides at once. It is safe for concurrent use.
type Stage struct {
	scenario Scenario
	plan     plan
	pace     pace

	over chan struct{} // closed when the scenario has been played, or cannot be
	axe  axe

	mu        sync.Mutex
	naive     *timeline
	protected *timeline
	tries     int
	done      bool
	outcome   Outcome
}

// Scene is a stage as it is now.
type Scene struct {
	Naive, Protected Snapshot
	Span             time.Duration // about how long it takes, or already took
	Done             bool
	Outcome          Outcome // when Done

	tries int
}

// NewStage returns a stage for one scenario on a seed, at that many demo seconds per real second.
func NewStage(s Scenario, seed uint64, speed float64, c Change) (*Stage, error) {
	if !(speed >= minSpeed && speed <= maxSpeed) { // also refuses NaN
		return nil, fmt.Errorf("demo: the speed is %v: use %v to %v", speed, minSpeed, maxSpeed)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	stage := newStage(s, seed, pace(speed))
	stage.plan = c.apply(stage.plan)
	return stage, nil
}

func newStage(s Scenario, seed uint64, speed pace) *Stage {
	return &Stage{
		scenario: s, plan: s.planFor(seed), pace: speed, over: make(chan struct{}), axe: newAxe(),
		naive: newTimeline(speed), protected: newTimeline(speed),
	}
}

func newStages(scenarios []Scenario, seed uint64, speed pace) (stages []*Stage) {
	for _, s := range scenarios {
		stages = append(stages, newStage(s, seed, speed))
	}
	return stages
}

// Item is what the customer buys.
func (s *Stage) Item() goods.Item { return s.plan.item }

// Over is closed when Show has ended.
func (s *Stage) Over() <-chan struct{} { return s.over }

// Kill kills both shops now, if they run and were not killed before, and returns when that was on the customer's clock.
func (s *Stage) Kill() (at time.Duration, killed bool) {
	s.mu.Lock()
	left, done := s.naive, s.done
	s.mu.Unlock()
	at = left.snapshot().Now
	return at, !done && at > 0 && s.axe.fall()
}

// Show plays the scenario once, however busy the machine is. It is called once.
func (s *Stage) Show(ctx context.Context) (Outcome, error) {
	defer close(s.over)
	watch := watchLag()
	outcome, err := s.once(ctx, 1)
	outcome.Disturbed = s.pace.demo(watch.stop()) > maxLag
	if err != nil {
		return outcome, fmt.Errorf("%s: %w", s.scenario.Name, err)
	}
	s.end(outcome)
	return outcome, nil
}

func (s *Stage) end(o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done, s.outcome = true, o
}

// Look returns the stage as it is now.
func (s *Stage) Look() Scene {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := Scene{Naive: s.naive.snapshot(), Protected: s.protected.snapshot(), Done: s.done, Outcome: s.outcome, tries: s.tries}
	now.Span = max(s.scenario.span, now.Naive.Now, now.Protected.Now)
	return now
}
