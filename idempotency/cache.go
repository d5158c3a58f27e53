package idempotency

import (
	"container/list"
	"sync"
	"time"
)

// cache keeps settled outcomes, which never change, so that replays need not ask a store that has no memory of its own
// (see [Peeker]). The least recently used ones make room for others.
type cache struct {
	limit     int           // bytes, roughly
	retention time.Duration // no value is answered from memory for longer after its settlement

	mu    sync.Mutex
	bytes int
	byID  map[ID]*list.Element
	order *list.List // of *cached, most recently used first
}

// cached is a record as the store gave it at a moment.
type cached struct {
	rec  Record
	at   time.Time
	size int
}

func newCache(limit int, retention time.Duration) *cache {
	return &cache{limit: limit, retention: retention, byID: map[ID]*list.Element{}, order: list.New()}
}

// put keeps a record that the store has confirmed, if it is settled.
func (c *cache) put(rec *Record) {
	if c == nil || !rec.State.Settled() || rec.Expired || rec.SettledAt == Never {
		return
	}
	const overhead = 700 // of record, list and map, whatever is in it
	id := rec.ID
	kept := &cached{rec: *rec, at: time.Now()}
	kept.rec.Owned = false // Peek is given no token
	kept.size = overhead + len(id.Operation) + len(id.Scope) + len(id.Key) + len(rec.Fingerprint) + len(rec.Request) + len(rec.Value) +
		len(rec.Ref) + len(rec.Code) + len(rec.Message)
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.byID[id]; ok {
		c.drop(old)
	}
	if kept.size > c.limit/2 { // one giant is not worth everybody else
		return
	}
	c.byID[id] = c.order.PushFront(kept)
	c.bytes += kept.size
	for c.bytes > c.limit {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	old := c.order.Remove(e).(*cached)
	delete(c.byID, old.rec.ID)
	c.bytes -= old.size
}

// Peek returns a record, as old as it has become since.
func (c *cache) Peek(id ID) (Record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	if !ok {
		return Record{}, false
	}
	c.order.MoveToFront(e)
	kept := e.Value.(*cached)
	passed := between(kept.at, time.Now())
	if kept.rec.SettledAt+passed >= c.retention { // the store has emptied it, or is about to
		c.drop(e)
		return Record{}, false
	}
	rec := kept.rec
	for _, age := range []*time.Duration{&rec.Created, &rec.SettledAt, &rec.FirstSent, &rec.LastSent} {
		if *age != Never {
			*age += passed
		}
	}
	return rec, true
}
