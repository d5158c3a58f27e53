package fakepay

import (
	"context"
	"net/http"
	"time"
)

// Server is the provider. It is safe for concurrent use.
type Server struct{}

// New returns a provider that runs until Close.
func New(cfg Config) (*Server, error) { return nil, nil }

// ServeHTTP serves the API that the package comment lists.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Close cuts every request under way, drops what has not landed yet, and returns when nothing runs any more or ctx has ended.
func (s *Server) Close(ctx context.Context) error { return nil }

// Quiesce returns when no request, late landing, decision or webhook is under way: then the ledger is final.
func (s *Server) Quiesce(ctx context.Context) error { return nil }

// Reset makes everything as it was after New: empty ledger, no keys, first conditions, time zero. What was under way is dropped.
func (s *Server) Reset() {}

// Now is the provider time since New or Reset.
func (s *Server) Now() time.Duration { return 0 }

// Ledger returns a snapshot.
func (s *Server) Ledger() Ledger { return Ledger{} }

// Conditions returns what is in force; scripts with what is left of them.
func (s *Server) Conditions() Conditions { return Conditions{} }

// SetConditions changes what requests meet from now on. Fields that are nil stay as they are.
func (s *Server) SetConditions(c Conditions) error { return nil }

// Script appends to what the next requests of a reference meet; see Conditions.
func (s *Server) Script(reference string, faults ...Fault) error { return nil }

// Outage lets every request meet f (zero: Unavailable) for d. d = 0 ends what was begun by Outage, and Config.Outages for now.
func (s *Server) Outage(d time.Duration, f Fault) error { return nil }

// Decide ends an accepted charge: declined with code, or succeeded (or authorized) if code is empty.
func (s *Server) Decide(chargeID, code string) error { return nil }
