package fakepay

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Server is the provider. It is safe for concurrent use.
type Server struct {
	cfg Config

	mu sync.RWMutex
	p  *provider // replaced by Reset, so that nothing from before can reach the new ledger
}

// New returns a provider that runs until Close.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, p: newProvider(cfg)}, nil
}

// ServeHTTP serves the API that the package comment lists.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Reset is the one request that outlives the provider it came to.
	if r.URL.Path == "/_reset" && r.Method == http.MethodPost {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.current().ServeHTTP(w, r)
}

func (s *Server) current() *provider {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.p
}

// Close cuts every request under way, drops what has not landed yet, and returns when nothing runs any more or ctx has ended.
// From then on every request is cut.
func (s *Server) Close(ctx context.Context) error {
	p := s.current()
	p.activity.end()
	return p.activity.wait(ctx)
}

// Quiesce returns when no request, late landing, decision or webhook is under way: then the ledger is final.
func (s *Server) Quiesce(ctx context.Context) error { return s.current().activity.wait(ctx) }

// Reset makes everything as it was after New: empty ledger, no keys, first conditions, time zero. What was under way is
// dropped. It does nothing after Close.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p.activity.end() {
		s.p = newProvider(s.cfg)
	}
}

// Now is the provider time since New or Reset.
func (s *Server) Now() time.Duration { return s.current().clock.now() }

// Ledger returns a snapshot. Effects are in it before their answer is sent; Done, DoneAt and Delivered of an attempt come
// right after, so a client that was just answered may not find them yet. Quiesce waits for them.
func (s *Server) Ledger() Ledger {
	p := s.current()
	return p.book.snapshot(p.clock.now())
}

// Conditions returns what is in force, with what is left of the scripts.
func (s *Server) Conditions() Conditions { return s.current().conditions.get() }

// SetConditions changes what requests meet from now on. Fields that are nil stay as they are.
func (s *Server) SetConditions(c Conditions) error { return s.current().conditions.set(c) }

// Script appends to what the next requests of a reference meet; see Conditions.
func (s *Server) Script(reference string, faults ...Fault) error {
	return s.current().conditions.script(reference, faults)
}

// Outage lets every request meet f (zero: Unavailable) for d. With d = 0 every outage that goes on now ends, one of
// Config.Outages too.
func (s *Server) Outage(d time.Duration, f Fault) error {
	p := s.current()
	return p.conditions.outage(p.clock.now(), d, f)
}

// Decide ends an accepted charge: declined with code, or succeeded (or authorized) if code is empty. The error is an *Error
// if there is no such charge, or it is decided.
func (s *Server) Decide(chargeID, code string) error { return s.current().decide(chargeID, code) }
