package idemhttp

import (
	"context"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// claim is a key that this process executes a request for, for as long as its lease is renewed.
type claim struct {
	lease  idempotency.Lease
	record idempotency.Record // as it was claimed
	began  time.Time          // before the claim was asked for
	cancel context.CancelCauseFunc

	// Guarded by leases.mu.
	until time.Time     // the lease's end as far as this process can tell, on the safe side
	stop  time.Time     // when it is no longer renewed (T53)
	done  chan struct{} // closed when the claim has ended; nil while nobody waits
}

// standing reports whether the lease cannot have run out. Both clocks are asked (T18).
func standing(until, now time.Time) bool {
	return now.Before(until) && now.Round(0).Before(until.Round(0))
}

// leases renews the claims of a middleware, all in one statement, by a timer that runs while there are any. It does the store's
// purging meanwhile.
type leases struct {
	m      *middleware
	mu     sync.Mutex
	held   map[idempotency.ID]*claim
	timer  *time.Timer // nil at first
	armed  bool
	purged time.Time // when the store was last purged
}

// add begins to renew c, until stop. Should this process have lost an earlier claim of the same key without noticing, it has now.
func (l *leases) add(c *claim, stop time.Time) {
	l.mu.Lock()
	old := l.held[c.lease.ID]
	l.held[c.lease.ID] = c
	c.stop = stop
	if !l.armed {
		l.arm(l.m.Lease / 3)
	}
	l.mu.Unlock()
	if old != nil && old != c {
		l.lost(old)
	}
}

// remove ends the renewing of c.
func (l *leases) remove(c *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[c.lease.ID] == c {
		delete(l.held, c.lease.ID)
	}
}

// end wakes those in this process who wait for c.
func (l *leases) end(c *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.done != nil {
		close(c.done)
		c.done = nil
	}
}

// ended returns a channel that is closed when this process's own claim of the key has ended; nil if there is none.
func (l *leases) ended(id idempotency.ID) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.held[id]
	if c == nil {
		return nil
	}
	if c.done == nil {
		c.done = make(chan struct{})
	}
	return c.done
}

// purgeEvery is how often the store does what retention asks for.
const purgeEvery = time.Minute

// arm sets the timer. The lock is held.
func (l *leases) arm(d time.Duration) {
	l.armed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.renew)
	} else {
		l.timer.Reset(d)
	}
}

func (l *leases) renew() {
	claims, stuck := l.look(time.Now())
	for _, c := range stuck {
		hook(l.m.Hooks.Stuck, c.lease.ID)
	}
	next := l.m.Lease / 3
	if len(claims) > 0 && l.extend(claims) != nil {
		next /= 4
	}
	l.mu.Lock()
	now := time.Now()
	purge := now.Sub(l.purged) >= purgeEvery
	if purge {
		l.purged = now
	}
	if l.armed = len(l.held) > 0; l.armed {
		l.arm(next)
	}
	l.mu.Unlock()
	for steps := 1000; purge && steps == 1000; {
		steps, _ = op(context.Background(), l.m, "Purge", func(ctx context.Context) (int, error) { return l.m.store.Purge(ctx, 1000) })
	}
}

// look returns the claims to be renewed, and takes out those whose handlers do not return.
func (l *leases) look(now time.Time) (claims, stuck []*claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	claims = make([]*claim, 0, len(l.held))
	for id, c := range l.held {
		if now.Before(c.stop) {
			claims = append(claims, c)
			continue
		}
		stuck = append(stuck, c)
		delete(l.held, id)
	}
	return claims, stuck
}

// extend renews the claims and cancels those that are lost: taken over, or out of time because the store could not be
// asked (T17).
func (l *leases) extend(claims []*claim) error {
	m, asked := l.m, time.Now()
	request := make([]idempotency.Lease, len(claims))
	for i, c := range claims {
		request[i] = c.lease
	}
	stands, err := op(context.Background(), m, "Extend", func(ctx context.Context) ([]bool, error) { return m.store.Extend(ctx, request, m.Lease, false) })
	now := time.Now()
	var lost []*claim
	l.mu.Lock()
	for i, c := range claims {
		switch {
		case err == nil && i < len(stands) && stands[i]:
			c.until = asked.Add(m.Lease)
		case l.held[c.lease.ID] == c && (err == nil || !standing(c.until, now)):
			delete(l.held, c.lease.ID)
			lost = append(lost, c)
		}
	}
	l.mu.Unlock()
	for _, c := range lost {
		l.lost(c)
	}
	return err
}

func (l *leases) lost(c *claim) {
	c.cancel(idempotency.ErrLeaseLost)
	hook(l.m.Hooks.LeaseLost, c.lease.ID)
}
