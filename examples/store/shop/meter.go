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
	logAttempt, logSettled, logLost := h.Attempt, h.Settled, h.LeaseLost
	// A webhook is often faster than the answer that it is about: it settles the call, and who waits for that answer finds the claim
	// gone when it comes. That costs nothing, and is no warning. For what no webhook tells of it is one: a process that was paused for
	// longer than its lease may have been sending beside another one.
	h.LeaseLost = func(id idempotency.ID) {
		if id.Operation != chargeCall {
			logLost(id)
			return
		}
		s.log.Info("a charge was settled by a webhook before its answer came, or another process has taken it over", "scope", id.Scope, "key", id.Key)
	}
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
