package memstore

import (
	"bytes"
	"context"
)

// purgeStep is how much Purge does under one lock, so that nobody waits long for it.
const purgeStep = 64

// Purge implements idempotency.Store. It looks only at records whose time is over.
func (s *Store) Purge(ctx context.Context, limit int) (int, error) {
	if err := checks.Purge(ctx, limit); err != nil {
		return 0, err
	}
	// Each Purge begins at another shard: with a small limit, all have their turn.
	first, done := int(s.purged.Add(1)), 0
	for i := range shards {
		sh := &s.shards[(first+i)%shards]
		for done < limit {
			n := sh.purge(s, min(purgeStep, limit-done))
			done += n
			if n < purgeStep {
				break
			}
			if err := ctx.Err(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

func (s *shard) purge(store *Store, limit int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := store.now()
	done := 0
	for done < limit && s.expiry.len() > 0 && s.expiry.items[0].at <= now {
		e := s.expiry.items[0].e
		r := e.At(now)
		if r.Purge() {
			s.remove(e)
			store.count.Add(-1)
		} else {
			r.Fingerprint = bytes.Clone(r.Fingerprint) // it shares its memory with the request
			s.put(e, &r)
		}
		done++
	}
	// The queues of operations that have nothing to do are not kept.
	for operation, q := range s.due {
		if q.len() == 0 {
			delete(s.due, operation)
		}
	}
	return done
}
