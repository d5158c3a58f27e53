package shop

import (
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Attempt is one request that this process made.
type Attempt struct {
	At        time.Time // when it ended
	Operation string
	Class     string
	Took      time.Duration
}

// keptAttempts is how many the meter remembers.
const keptAttempts = 2000

// meter remembers the last attempts of this process, for the operator's page.
type meter struct {
	mu   sync.Mutex
	ring []Attempt
	next int
}

func newMeter() *meter { return &meter{ring: make([]Attempt, 0, keptAttempts)} }

func (m *meter) note(a Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ring) < cap(m.ring) {
		m.ring = append(m.ring, a)
		return
	}
	m.ring[m.next] = a
	m.next = (m.next + 1) % len(m.ring)
}

// Attempts returns the last requests that this process made, the oldest first.
func (s *Shop) Attempts() []Attempt {
	m := s.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	return append(append([]Attempt{}, m.ring[m.next:]...), m.ring[:m.next]...)
}

// hooks tell the log, the meter, and those who look at a page.
func (s *Shop) hooks() idempotency.Hooks {
	h := idempotency.LogHooks(s.log)
	logAttempt, logSettled := h.Attempt, h.Settled
	// A webhook is often faster than the answer that it is about, and settles the call under whoever made it: no news here.
	h.LeaseLost = nil
	h.Attempt = func(e idempotency.AttemptEvent) {
		logAttempt(e)
		s.meter.note(Attempt{At: time.Now(), Operation: e.ID.Operation, Class: e.Class, Took: e.Took})
		s.news.tell(e.ID.Scope)
	}
	h.Settled = func(e idempotency.SettledEvent) {
		logSettled(e)
		s.news.tell(e.ID.Scope)
	}
	return h
}
