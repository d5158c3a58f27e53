package memstore

import (
	"slices"
	"sync"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// shard is one part of the records. All of its fields are guarded by mu.
type shard struct {
	mu      sync.RWMutex
	records map[uint64]*entry // by the hash of the ID; those that share one are chained
	due     map[string]*queue // by operation: what AcquireDue may take, and when
	expiry  queue             // what Purge has to do, and when
	batches map[idempotency.Token][]*entry
}

// find returns the entry of the ID, whose hash is h, or nil.
func (s *shard) find(h uint64, id *idempotency.ID) *entry {
	e := s.records[h]
	for e != nil && e.ID != *id {
		e = e.next
	}
	return e
}

// add puts a new entry into the shard.
func (s *shard) add(e *entry) {
	e.next = s.records[e.hash]
	s.records[e.hash] = e
	s.queue(e)
}

// put writes r down as e's record and moves e to its places in the queues. Every mutation ends here.
func (s *shard) put(e *entry, r *record.Record) {
	if e.batch && (r.LeaseEnd == 0 || r.Token != e.Token) {
		s.unlist(e)
	}
	e.Record = *r
	s.queue(e)
}

func (s *shard) queue(e *entry) {
	next := e.NextStep()
	if e.queued == nil && next != record.Never {
		e.queued = s.due[e.ID.Operation]
		if e.queued == nil {
			e.queued = &queue{order: byDue}
			s.due[e.ID.Operation] = e.queued
		}
	}
	if e.queued != nil {
		e.queued.set(e, next)
		if next == record.Never {
			e.queued = nil
		}
	}
	s.expiry.set(e, e.Expires())
}

// remove takes e out of the shard.
func (s *shard) remove(e *entry) {
	if e.batch {
		s.unlist(e)
	}
	if e.queued != nil {
		e.queued.set(e, record.Never)
		e.queued = nil
	}
	s.expiry.set(e, record.Never)
	if first := s.records[e.hash]; first != e {
		for first.next != e {
			first = first.next
		}
		first.next = e.next
	} else if e.next != nil {
		s.records[e.hash] = e.next
	} else {
		delete(s.records, e.hash)
	}
}

// list remembers that AcquireDue claimed e under its token, for the caller whose reply was lost.
func (s *shard) list(e *entry) {
	if !e.batch {
		s.batches[e.Token] = append(s.batches[e.Token], e)
		e.batch = true
	}
}

func (s *shard) unlist(e *entry) {
	rest := s.batches[e.Token]
	if i := slices.Index(rest, e); i >= 0 {
		rest = slices.Delete(rest, i, i+1)
	}
	if len(rest) == 0 {
		delete(s.batches, e.Token)
	} else {
		s.batches[e.Token] = rest
	}
	e.batch = false
}
