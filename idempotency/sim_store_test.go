package idempotency_test

import (
	"context"
	"errors"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// The way from a process to the store, with everything that can go wrong on it.

var (
	errSimDown = errors.New("sim: the store is down")
	errSimLost = errors.New("sim: the connection to the store broke")
)

// simStore is a process's connection to the store.
type simStore struct{ p *simProc }

// simPeekStore is a connection with a cache of settled records behind it.
type simPeekStore struct{ simStore }

func (s *simPeekStore) Peek(id idempotency.ID) (idempotency.Record, bool) {
	return s.p.w.store.Peek(id)
}

type simFate int

const (
	simFine simFate = iota
	simLost
	simReplyLost
	simSlow
	simLate
	simTwice
)

// simCall makes one request to the store. weight makes faults rare in requests that are dull.
func simCall[T any](ctx context.Context, s *simStore, weight float64, apply func() (T, error)) (v T, err error) {
	p, w := s.p, s.p.w
	p.step(weight)
	w.mu.Lock()
	there, back := simBetween(p.rng, 100*time.Microsecond, 15*time.Millisecond), simBetween(p.rng, 100*time.Microsecond, 15*time.Millisecond)
	fate, delay := simFine, time.Duration(0)
	switch roll := p.rng.Float64() / (weight * w.heat); {
	case w.quiet:
	case roll < 0.02:
		fate = simLost
	case roll < 0.05:
		fate = simReplyLost
		if p.rng.IntN(3) == 0 { // and the next ones do not get through at all
			p.cut = time.Now().Add(simBetween(p.rng, 200*time.Millisecond, 3*time.Second))
		}
	case roll < 0.07:
		fate, delay = simSlow, simBetween(p.rng, 100*time.Millisecond, 3*time.Second)
	case roll < 0.08:
		fate, delay = simLate, simBetween(p.rng, 100*time.Millisecond, 40*time.Second)
	case roll < 0.11:
		fate, delay = simTwice, simBetween(p.rng, 100*time.Millisecond, 60*time.Second)
	}
	w.mu.Unlock()
	defer func() {
		if err != nil && ctx.Err() != nil {
			w.mu.Lock()
			p.trouble()
			w.mu.Unlock()
		}
	}()
	if !simNap(ctx, there) {
		p.step(weight)
		return v, ctx.Err()
	}
	w.mu.Lock()
	if w.during(w.storeOutage) || !w.quiet && time.Now().Before(p.cut) && fate != simReplyLost {
		fate = simLost
	}
	if fate != simFine && fate != simTwice {
		p.trouble()
	}
	if fate == simLate || fate == simTwice {
		w.later(delay, func() { _, _ = apply() })
	}
	w.mu.Unlock()
	switch fate {
	case simLost:
		err = errSimDown
	case simLate:
		err = errSimLost
	case simSlow:
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
			err = ctx.Err()
		}
	case simReplyLost:
		_, _ = apply()
		err = errSimLost
	default:
		v, err = apply()
		p.step(weight)
	}
	_ = simNap(context.Background(), back)
	p.step(weight)
	return v, err
}

func (s *simStore) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	asked := time.Now()
	defer s.p.w.overtake(s.p, c.ID)
	return simCall(ctx, s, 1.5, func() (idempotency.Record, error) { return s.p.acquire(c, asked) })
}

func (s *simStore) AcquireDue(ctx context.Context, c idempotency.DueClaim) ([]idempotency.Record, error) {
	asked := time.Now()
	return simCall(ctx, s, 0.3, func() ([]idempotency.Record, error) { return s.p.acquireDue(c, asked) })
}

func (s *simStore) Extend(ctx context.Context, l []idempotency.Lease, d time.Duration, sending bool) ([]bool, error) {
	return simCall(ctx, s, 1, func() ([]bool, error) { return s.p.extend(l, d, sending) })
}

func (s *simStore) Settle(ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	return simCall(ctx, s, 1.5, func() (idempotency.Record, error) { return s.p.settle(l, o) })
}

func (s *simStore) Get(ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
	defer s.p.w.overtake(s.p, id)
	return simCall(ctx, s, 0.5, func() (idempotency.Record, error) { return s.p.w.store.Get(context.Background(), id) })
}

func (s *simStore) List(ctx context.Context, q idempotency.Query) ([]idempotency.Record, error) {
	return simCall(ctx, s, 0.3, func() ([]idempotency.Record, error) { return s.p.w.store.List(context.Background(), q) })
}

func (s *simStore) Purge(ctx context.Context, limit int) (int, error) {
	return simCall(ctx, s, 0.3, func() (int, error) { return s.p.purge(limit) })
}
