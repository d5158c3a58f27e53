// Package memstore keeps the records of calls in memory.
//
// It is for tests, for development, and for programs of one process that can afford to forget: what is in it ends with
// the process. A payment belongs into a store that outlives one (store/sqlstore). Everything else is as in any other
// store; storetest checks it.
//
// Times are taken from time.Now and are monotonic: the store works in a testing/synctest bubble, if it is made there. On
// Linux the monotonic clock stands still while the machine is suspended.
package memstore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// DefaultMaxRecords is the limit where Config names none.
const DefaultMaxRecords = 100_000

// KeepFree is how long a free record, whose only claim ended with "not sent", is kept before Purge removes it. Until
// then its fence refuses a delayed copy of an earlier Acquire.
const KeepFree = record.KeepFree

// ErrFull says that the store holds as many records as it may. New keys are refused; calls under way go on.
var ErrFull = errors.New("memstore: the store is full")

// Config configures a Store. The zero value is sound.
type Config struct {
	// MaxRecords is the largest number of records, stubs included; zero or less means DefaultMaxRecords. A record takes
	// about a kilobyte, its request and its value. At the limit new keys are refused with ErrFull. Nothing is ever evicted to
	// make room, since a forgotten record is a call that may be made twice: Purge makes room, as retention allows.
	MaxRecords int
}

const checks = record.Checks("memstore")

// shards is a power of two.
const shards = 64

// Store keeps records in memory. It is made by New, and safe for concurrent use. It implements idempotency.Store and
// idempotency.Peeker.
type Store struct {
	limit  int64
	count  atomic.Int64
	base   time.Time
	seed   maphash.Seed
	shards [shards]shard

	taking sync.Mutex    // held by AcquireDue, so that a repetition does not overtake the original
	purged atomic.Uint32 // where the next Purge begins
}

var (
	_ idempotency.Store  = (*Store)(nil)
	_ idempotency.Peeker = (*Store)(nil)
)

// New returns an empty Store.
func New(config Config) *Store {
	s := &Store{limit: int64(config.MaxRecords), base: time.Now(), seed: maphash.MakeSeed()}
	if s.limit <= 0 {
		s.limit = DefaultMaxRecords
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.records = make(map[uint64]*entry)
		sh.due = make(map[string]*queue)
		sh.expiry.order = byExpiry
		sh.batches = make(map[idempotency.Token][]*entry)
	}
	return s
}

// now reads the store's clock. It must be read under the lock of the shard whose records it is compared with: a reading
// from before may be older than what another caller has written meanwhile.
func (s *Store) now() record.Moment { return record.Moment(time.Since(s.base)) }

// shard returns the shard that the ID belongs to, and the ID's hash. There are few operations: leaving them out makes it
// twice as fast, and short chains.
func (s *Store) shard(id *idempotency.ID) (*shard, uint64) {
	h := maphash.String(s.seed, id.Key) ^ bits.RotateLeft64(maphash.String(s.seed, id.Scope), 1)
	return &s.shards[h%shards], h
}

// Get returns the record, or ErrNoRecord.
func (s *Store) Get(ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
	if err := checks.Call(ctx, id); err != nil {
		return idempotency.Record{}, err
	}
	sh, hash := s.shard(&id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	e := sh.find(hash, &id)
	if e == nil {
		return idempotency.Record{}, idempotency.ErrNoRecord
	}
	now := s.now()
	r := e.At(now)
	return r.View(now, idempotency.Token{}), nil
}

// Peek returns a settled record. It allocates nothing.
func (s *Store) Peek(id idempotency.ID) (idempotency.Record, bool) {
	sh, hash := s.shard(&id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	e := sh.find(hash, &id)
	if e == nil || !e.State.Settled() {
		return idempotency.Record{}, false
	}
	return e.View(s.now(), idempotency.Token{}), true
}

// Acquire implements idempotency.Store.
func (s *Store) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	if err := checks.Claim(ctx, &c); err != nil {
		return idempotency.Record{}, err
	}
	sh, hash := s.shard(&c.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := s.now()
	e := sh.find(hash, &c.ID)
	if e == nil {
		return s.create(sh, hash, now, &c)
	}
	r := e.At(now)
	if r.Acquire(now, &c) {
		sh.put(e, &r)
	}
	return r.View(now, c.Token), nil
}

// create makes the record that the claim asks for.
func (s *Store) create(sh *shard, hash uint64, now record.Moment, c *idempotency.Claim) (idempotency.Record, error) {
	if c.Fence != 0 {
		return idempotency.Record{}, idempotency.ErrNoRecord
	}
	if n := s.count.Add(1); n > s.limit {
		s.count.Add(-1)
		return idempotency.Record{}, record.Final(fmt.Errorf(
			"%w: Config.MaxRecords is %d; call Purge, shorten Retention and StubFor, or allow more records", ErrFull, s.limit))
	}
	e := &entry{hash: hash, Record: record.New(now, c)}
	sh.add(e)
	return e.View(now, c.Token), nil
}

// Extend implements idempotency.Store.
func (s *Store) Extend(
	ctx context.Context, leases []idempotency.Lease, d time.Duration, sending bool,
) ([]bool, error) {
	if err := checks.Extend(ctx, leases, d); err != nil {
		return nil, err
	}
	stands := make([]bool, len(leases))
	for i := range leases {
		stands[i] = s.extend(&leases[i], d, sending)
	}
	return stands, nil
}

func (s *Store) extend(l *idempotency.Lease, d time.Duration, sending bool) bool {
	sh, hash := s.shard(&l.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.find(hash, &l.ID)
	if e == nil {
		return false
	}
	r := e.Record
	if !r.Extend(s.now(), l, d, sending) {
		return false
	}
	sh.put(e, &r)
	return true
}
