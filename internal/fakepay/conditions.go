package fakepay

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// conditions decide what a request meets.
type conditions struct {
	seed  uint64
	reads bool

	mu      sync.Mutex
	latency Latency
	faults  []Fault
	scripts map[string][]Fault
	outages []Outage
	seen    map[string]int // requests by subject
}

func newConditions(cfg Config) *conditions {
	return &conditions{
		seed: cfg.Seed, reads: cfg.FaultReads, latency: cfg.Latency, faults: slices.Clone(cfg.Faults),
		scripts: cloneScripts(cfg.Scripts), outages: slices.Clone(cfg.Outages), seen: make(map[string]int),
	}
}

// encounter is what one request meets.
type encounter struct {
	fault   Fault
	latency time.Duration
	n       int // the occurrence
}

// meet draws for the next request of a subject. The one that the request itself brought goes first, then outage, script
// and Faults. Whatever is chosen, the draws of later requests stay the same.
func (c *conditions) meet(q *request, now time.Duration, own *Fault) encounter {
	subject := q.subject()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[subject]++
	e := encounter{n: c.seen[subject]}
	switch o := c.outageAt(now); {
	case own != nil:
		e.fault = *own
	case o != nil:
		e.fault = o.Fault
		if e.fault == (Fault{}) {
			e.fault.Kind = Unavailable
		}
	case len(c.scripts[subject]) > 0:
		e.fault = c.scripts[subject][0]
		c.scripts[subject] = c.scripts[subject][1:]
	case q.op.writes() || c.reads:
		e.fault = c.drawFault(subject, e.n)
	}
	e.fault.Kind, e.fault.Rate = e.fault.kind(), 0
	if e.latency = e.fault.Latency; e.latency == 0 {
		e.latency = c.latency.draw(stream(c.seed, e.n, "latency", subject))
	}
	return e
}

func (c *conditions) drawFault(subject string, n int) Fault {
	x := stream(c.seed, n, "fault", subject).Float64()
	for _, f := range c.faults {
		if x -= f.Rate; x < 0 {
			return f
		}
	}
	return Fault{}
}

func (c *conditions) outageAt(now time.Duration) *Outage {
	for i, o := range c.outages {
		if o.From <= now && now < o.To {
			return &c.outages[i]
		}
	}
	return nil
}

func (c *conditions) outage(now, d time.Duration, f Fault) error {
	if d < 0 {
		return fmt.Errorf("fakepay: the outage's duration is %v: use a positive time, or 0 to end it", d)
	}
	if err := f.validate(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for o := c.outageAt(now); o != nil; o = c.outageAt(now) {
		o.To = now
	}
	if d > 0 {
		c.outages = append(c.outages, Outage{From: now, To: now + min(d, math.MaxInt64-now), Fault: f})
	}
	return nil
}

func (c *conditions) script(reference string, faults []Fault) error {
	if err := validateScripts(map[string][]Fault{reference: faults}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scripts[reference] = append(c.scripts[reference], faults...)
	return nil
}

func (c *conditions) get() Conditions {
	c.mu.Lock()
	defer c.mu.Unlock()
	latency, faults, scripts := c.latency, append([]Fault{}, c.faults...), cloneScripts(c.scripts)
	maps.DeleteFunc(scripts, func(_ string, left []Fault) bool { return len(left) == 0 })
	return Conditions{Latency: &latency, Faults: &faults, Scripts: scripts}
}

func (c *conditions) set(to Conditions) error {
	if to.Latency != nil {
		if err := to.Latency.validate("Latency"); err != nil {
			return err
		}
	}
	if to.Faults != nil {
		if err := validateMix(*to.Faults); err != nil {
			return err
		}
	}
	if err := validateScripts(to.Scripts); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if to.Latency != nil {
		c.latency = *to.Latency
	}
	if to.Faults != nil {
		c.faults = slices.Clone(*to.Faults)
	}
	if to.Scripts != nil {
		c.scripts = cloneScripts(to.Scripts)
	}
	return nil
}

func cloneScripts(scripts map[string][]Fault) map[string][]Fault {
	clone := make(map[string][]Fault, len(scripts))
	for reference, faults := range scripts {
		clone[reference] = slices.Clone(faults)
	}
	return clone
}
