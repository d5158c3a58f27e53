package demo

import (
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// Change makes a day worse, or better, than its scenario says. The zero value changes nothing.
type Change struct {
	Latency time.Duration // about what the bank takes for a request; 0: as the scenario says
	Lost    float64       // the share of requests whose answer is lost, of those that the scenario has no plans for
	Failing float64       // the share of requests that are answered with 500, every other one after the money has moved
	Kill    time.Duration // when both shops are killed, after the first click; 0: never
}

// Limits of a Change: beyond them, a run would not come to an end.
const (
	MaxLatency = 25 * time.Second // both shops wait 30 s
	MaxLost    = 0.6
	MaxFailing = 0.3
	MaxKill    = longest
)

func (c Change) validate() error {
	switch {
	case c.Latency < 0 || c.Latency > MaxLatency:
		return fmt.Errorf("demo: Change.Latency is %v: use 0 to %v", c.Latency, MaxLatency)
	case !(c.Lost >= 0 && c.Lost <= MaxLost):
		return fmt.Errorf("demo: Change.Lost is %v: use 0 to %v", c.Lost, MaxLost)
	case !(c.Failing >= 0 && c.Failing <= MaxFailing):
		return fmt.Errorf("demo: Change.Failing is %v: use 0 to %v", c.Failing, MaxFailing)
	case c.Kill < 0 || c.Kill > MaxKill:
		return fmt.Errorf("demo: Change.Kill is %v: use 0 to %v", c.Kill, MaxKill)
	}
	return nil
}

func (c Change) apply(p plan) plan {
	if c.Latency > 0 {
		p.bank.Latency = fakepay.Latency{Min: c.Latency * 4 / 5, Max: c.Latency * 6 / 5}
	}
	p.bank.Faults = []fakepay.Fault{
		{Kind: fakepay.ReplyLost, Rate: c.Lost},
		{Kind: fakepay.ErrorAfter, Rate: c.Failing / 2},
		{Kind: fakepay.ErrorBefore, Rate: c.Failing / 2},
	}
	p.kill = c.Kill
	return p
}
