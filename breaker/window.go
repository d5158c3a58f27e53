package breaker

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// window counts the results of one closed generation.
type window interface {
	// record counts a result. Where that may complete the condition for opening, it returns the counts to judge by;
	// they include this result and every one whose record has returned.
	record(now time.Duration, failed, slow bool, minCalls int) (c Counts, judge bool)
	// sum returns the counts.
	sum(now time.Duration) Counts
}

func (c *Counts) add(d Counts) {
	c.Calls += d.Calls
	c.Failures += d.Failures
	c.Slow += d.Slow
}

func (c *Counts) sub(d Counts) {
	c.Calls -= d.Calls
	c.Failures -= d.Failures
	c.Slow -= d.Slow
}

func one(failed, slow bool) Counts {
	c := Counts{Calls: 1}
	if failed {
		c.Failures = 1
	}
	if slow {
		c.Slow = 1
	}
	return c
}

const (
	buckets   = 10 // of a window: it moves on in tenths
	maxShards = 16 // 6 KiB a breaker; more processors than that share
)

// timeWindow counts by time. One counter for all would be a cache line that every processor wants to write, so there
// are several, and each processor uses its own as long as it can.
type timeWindow struct {
	width  time.Duration // of a bucket
	shards []shard
	mine   sync.Pool // of *shard; a Pool is the one thing in Go that knows the processor it is used on
	next   atomic.Uint32
}

// shard is a ring of buckets. Its lock is rarely contended, and makes the rest plain arithmetic.
type shard struct {
	mu    sync.Mutex
	head  int64  // the number of the current bucket, in buckets since the breaker was made
	total Counts // of the ring
	ring  [buckets]Counts
	_     [128 - (8+8+24+buckets*24)%128]byte // two cache lines, which some processors fetch together
}

func newTimeWindow(length time.Duration) *timeWindow {
	shards := min(1<<bits.Len(uint(runtime.GOMAXPROCS(0)-1)), maxShards)
	w := &timeWindow{width: length / buckets, shards: make([]shard, shards)}
	w.mine.New = func() any { return &w.shards[w.next.Add(1)%uint32(len(w.shards))] }
	return w
}

func (w *timeWindow) record(now time.Duration, failed, slow bool, minCalls int) (Counts, bool) {
	s := w.mine.Get().(*shard)
	s.mu.Lock()
	s.advance(int64(now / w.width))
	c := one(failed, slow)
	s.ring[s.head%buckets].add(c)
	s.total.add(c)
	calls := s.total.Calls
	s.mu.Unlock()
	w.mine.Put(s)

	// A good result completes the condition only as the call that makes MinCalls full. Where this shard alone has seen
	// more than that, it is not the one, and the other shards need not be asked.
	if !failed && !slow && calls > minCalls {
		return Counts{}, false
	}
	return w.sum(now), true
}

func (w *timeWindow) sum(now time.Duration) (c Counts) {
	for i := range w.shards {
		s := &w.shards[i]
		s.mu.Lock()
		s.advance(int64(now / w.width))
		c.add(s.total)
		s.mu.Unlock()
	}
	return c
}

// advance empties the buckets that are too old. A now that is behind the head, by a goroutine that was slow to get
// here, counts in the head.
func (s *shard) advance(now int64) {
	if now-s.head >= buckets {
		s.ring, s.total, s.head = [buckets]Counts{}, Counts{}, now
	}
	for s.head < now {
		s.head++
		old := &s.ring[s.head%buckets]
		s.total.sub(*old)
		*old = Counts{}
	}
}

// countWindow counts the last calls, in a ring of their results.
type countWindow struct {
	mu    sync.Mutex
	ring  []uint8
	next  int
	total Counts
}

// The bits of a result in the ring; zero is a place not yet used.
const (
	bitCall = 1 << iota
	bitFailed
	bitSlow
)

func newCountWindow(calls int) *countWindow { return &countWindow{ring: make([]uint8, calls)} }

func (w *countWindow) record(_ time.Duration, failed, slow bool, _ int) (Counts, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	place := &w.ring[w.next]
	if *place != 0 {
		w.total.sub(one(*place&bitFailed != 0, *place&bitSlow != 0))
	}
	*place = bitCall
	if failed {
		*place |= bitFailed
	}
	if slow {
		*place |= bitSlow
	}
	w.total.add(one(failed, slow))
	w.next = (w.next + 1) % len(w.ring)
	return w.total, true
}

func (w *countWindow) sum(time.Duration) Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}
