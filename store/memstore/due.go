package memstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// AcquireDue implements idempotency.Store.
//
// It takes the head of the shard whose head is longest overdue, again and again, and so the longest overdue of all.
func (s *Store) AcquireDue(ctx context.Context, c idempotency.DueClaim) ([]idempotency.Record, error) {
	if err := checks.DueClaim(ctx, &c); err != nil {
		return nil, err
	}
	s.taking.Lock()
	defer s.taking.Unlock()

	if held := s.held(&c); len(held) > 0 {
		return held, nil
	}
	type head struct {
		at record.Moment
		sh *shard
	}
	var heads []head // longest overdue last
	push := func(sh *shard, at record.Moment) {
		i, _ := slices.BinarySearchFunc(heads, at, func(h head, at record.Moment) int { return cmp.Compare(at, h.at) })
		heads = slices.Insert(heads, i, head{at, sh})
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.RLock()
		if at := sh.head(c.Operation); at <= s.now() {
			push(sh, at)
		}
		sh.mu.RUnlock()
	}
	var taken []idempotency.Record
	for len(heads) > 0 && len(taken) < c.N {
		h := heads[len(heads)-1]
		heads = heads[:len(heads)-1]
		h.sh.mu.Lock()
		now := s.now()
		if h.sh.head(c.Operation) == h.at {
			taken = append(taken, h.sh.take(now, &c))
		}
		if at := h.sh.head(c.Operation); at <= now {
			push(h.sh, at)
		}
		h.sh.mu.Unlock()
	}
	return taken, nil
}

// head returns when the operation's next step in this shard is due.
func (s *shard) head(operation string) record.Moment {
	if q := s.due[operation]; q != nil && q.len() > 0 {
		return q.items[0].at
	}
	return record.Never
}

// take claims the operation's head.
func (s *shard) take(now record.Moment, c *idempotency.DueClaim) idempotency.Record {
	e := s.due[c.Operation].items[0].e
	r := e.At(now)
	r.AcquireDue(now, c)
	s.put(e, &r)
	s.list(e)
	return r.View(now, c.Token)
}

// held returns what an AcquireDue with this token has claimed before and still holds.
func (s *Store) held(c *idempotency.DueClaim) []idempotency.Record {
	var held []idempotency.Record
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.RLock()
		now := s.now()
		for _, e := range sh.batches[c.Token] {
			if e.ID.Operation == c.Operation && e.LeaseEnd > now {
				held = append(held, e.View(now, c.Token))
			}
		}
		sh.mu.RUnlock()
	}
	return held
}
