package breaker

import (
	"sync"
	"time"
)

// probes are the calls that a half-open generation lets through. Its lock is shared by all calls, but only a few of
// them get further than to find it full.
type probes struct {
	mu      sync.Mutex
	slots   []slot // as many as must succeed
	passed  int
	timeout time.Duration
}

type slot struct {
	use  slotUse
	lost time.Duration // the time at which a probe under way is given up, by the breaker's clock
}

type slotUse uint8

const (
	idle slotUse = iota
	underWay
	spent // its probe succeeded
)

// answer is that of take.
type answer uint8

const (
	taken answer = iota // go, and report to the slot
	full                // as many probes as may are under way
	lost                // a probe was not heard of in its time
)

func (p *probes) take(now time.Duration) (int, answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := -1
	for i, s := range p.slots {
		switch {
		case s.use == underWay && now >= s.lost:
			return 0, lost
		case s.use == idle && free < 0:
			free = i
		}
	}
	if free < 0 {
		return 0, full
	}
	p.slots[free] = slot{underWay, later(now, p.timeout)}
	return free, taken
}

// settle returns what the generation has come to: passed, failed, or neutral while that is open.
func (p *probes) settle(i int, now time.Duration, r result) result {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.slots[i]
	switch {
	case r == neutral:
		s.use = idle
		return neutral
	case r == failed || now >= s.lost: // too late is failed, also when no other call has come by to notice
		return failed
	}
	s.use = spent
	p.passed++
	if p.passed < len(p.slots) {
		return neutral
	}
	return passed
}
