package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// The way from a process to the store, with everything that can go wrong on it.

var (
	errDown = errors.New("sim: the store is down")
	errLost = errors.New("sim: the connection to the store broke")
)

// link is a process's connection to the store.
type link struct{ p *process }

// peekLink is a connection with a cache of settled records behind it.
type peekLink struct{ link }

func (s *peekLink) Peek(id idempotency.ID) (idempotency.Record, bool) {
	rec, ok := s.p.w.store.Peek(id)
	s.p.reads(&rec)
	return rec, ok
}

type fate int

const (
	fateFine fate = iota
	fateLost
	fateReplyLost
	fateSlow
	fateLate
	fateTwice
)

func (f fate) String() string {
	return [...]string{"fine", "is lost", "loses its reply", "is slow", "lands late", "lands twice"}[f]
}

// through makes one request to the store, about a key if it is about one. weight makes faults rare in requests that are dull.
func through[T any](ctx context.Context, s *link, what, key string, weight float64, apply func() (T, error)) (v T, err error) {
	p, w := s.p, s.p.w
	w.alone(p.name, what, key)
	p.step(what+", asked", weight)
	w.mu.Lock()
	there, back := between(p.rng, 100*time.Microsecond, 15*time.Millisecond), between(p.rng, 100*time.Microsecond, 15*time.Millisecond)
	fate, delay := fateFine, time.Duration(0)
	switch roll := p.rng.Float64() / (weight * w.heat); {
	case w.quiet:
	case roll < 0.02:
		fate = fateLost
	case roll < 0.05:
		fate = fateReplyLost
		if p.rng.IntN(3) == 0 { // and the next ones do not get through at all
			p.cut = time.Now().Add(between(p.rng, 200*time.Millisecond, 3*time.Second))
		}
	case roll < 0.07:
		fate, delay = fateSlow, between(p.rng, 100*time.Millisecond, 3*time.Second)
	case roll < 0.08:
		fate, delay = fateLate, between(p.rng, 100*time.Millisecond, 40*time.Second)
	case roll < 0.11:
		fate, delay = fateTwice, between(p.rng, 100*time.Millisecond, 60*time.Second)
	}
	w.mu.Unlock()
	defer func() {
		if err != nil && ctx.Err() != nil {
			w.mu.Lock()
			p.trouble()
			w.mu.Unlock()
		}
	}()
	if !p.nap(ctx, what+key, there) {
		p.step(what+", in vain", weight)
		return v, ctx.Err()
	}
	w.mu.Lock()
	if w.during(w.storeOutage) || !w.quiet && time.Now().Before(p.cut) && fate != fateReplyLost {
		fate = fateLost
	}
	if fate != fateFine && fate != fateTwice {
		p.trouble()
	}
	if fate != fateFine {
		w.event(p, nil, strings.TrimSuffix(what+" of "+key, " of ")+" "+fate.String(), 0, 0, nil)
	}
	if fate == fateLate || fate == fateTwice {
		w.later(delay, func() { _, _ = apply() })
	}
	w.mu.Unlock()
	switch fate {
	case fateLost:
		err = errDown
	case fateLate:
		err = errLost
	case fateSlow:
		type reply struct {
			v   T
			err error
		}
		replies := make(chan reply, 1)
		w.mu.Lock()
		w.later(delay, func() {
			v, err := apply()
			replies <- reply{v, err}
		})
		w.mu.Unlock()
		select {
		case r := <-replies:
			v, err = r.v, r.err
		case <-ctx.Done():
			w.alone(p.name, what, key)
			err = ctx.Err()
		}
	case fateReplyLost:
		_, _ = apply()
		err = errLost
	default:
		v, err = apply()
		p.step(what+", done", weight)
	}
	_ = p.nap(context.Background(), what+key, back)
	p.step(what+", answered", weight)
	return v, err
}

func (s *link) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	asked := time.Now()
	defer s.p.w.overtake(s.p, c.ID)
	return through(ctx, s, "Acquire", c.ID.Scope+c.ID.Key, 1.5, func() (idempotency.Record, error) { return s.p.acquire(c, asked) })
}

func (s *link) AcquireDue(ctx context.Context, c idempotency.DueClaim) ([]idempotency.Record, error) {
	asked := time.Now()
	return through(ctx, s, "AcquireDue", "", 0.3, func() ([]idempotency.Record, error) { return s.p.acquireDue(c, asked) })
}

func (s *link) Extend(ctx context.Context, l []idempotency.Lease, d time.Duration, sending bool) ([]bool, error) {
	what, key := "Extend", ""
	if sending && len(l) == 1 {
		what, key = "Mark", l[0].ID.Scope+l[0].ID.Key
	}
	return through(ctx, s, what, key, 1, func() ([]bool, error) { return s.p.extend(l, d, sending) })
}

func (s *link) Settle(ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	return through(ctx, s, "Settle", l.ID.Scope+l.ID.Key, 1.5, func() (idempotency.Record, error) { return s.p.settle(l, o) })
}

func (s *link) Get(ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
	defer s.p.w.overtake(s.p, id)
	return through(ctx, s, "Get", id.Scope+id.Key, 0.5, func() (idempotency.Record, error) { return s.p.get(id) })
}

func (s *link) List(ctx context.Context, q idempotency.Query) ([]idempotency.Record, error) {
	return through(ctx, s, "List", "", 0.3, func() ([]idempotency.Record, error) { return s.p.list(q) })
}

func (s *link) Purge(ctx context.Context, limit int) (int, error) {
	return through(ctx, s, "Purge", "", 0.3, func() (int, error) { return s.p.purge(limit) })
}
