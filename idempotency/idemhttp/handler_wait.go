package idemhttp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/chance"
)

// rounds lets any number of requests in this process wait for one key with one look at the store between them (T22).
type rounds struct {
	m    *middleware
	mu   sync.Mutex
	open map[idempotency.ID]*round
}

// round is one look, after a while or when this process's own execution ends.
type round struct {
	done chan struct{} // closed when the look is over
	rec  idempotency.Record
	err  error
}

var errWaited = errors.New("idemhttp: waited long enough")

// wait waits for the next look, at most that long: then the error is errWaited. n counts the looks so far: they become rarer.
func (r *rounds) wait(ctx context.Context, id idempotency.ID, most time.Duration, n int) (idempotency.Record, error) {
	r.mu.Lock()
	now := r.open[id]
	if now == nil {
		now = &round{done: make(chan struct{})}
		r.open[id] = now
		go r.look(id, now, n)
	}
	r.mu.Unlock()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-now.done:
		return now.rec, now.err
	case <-timer.C: // no last look: those who wait leave together
	case <-ctx.Done():
	}
	return idempotency.Record{}, errWaited
}

// look ends after a delay of at most Poll, and one request to the store.
func (r *rounds) look(id idempotency.ID, now *round, n int) {
	wait(r.delay(n), r.m.leases.ended(id))
	r.mu.Lock()
	delete(r.open, id) // who comes now may want to see what comes after this look
	r.mu.Unlock()
	now.rec, now.err = op(context.Background(), r.m, "Get", func(ctx context.Context) (idempotency.Record, error) {
		return r.m.store.Get(ctx, id)
	})
	close(now.done)
}

// delay grows from a twentieth of Poll, jittered.
func (r *rounds) delay(n int) time.Duration {
	d := max(min(r.m.Poll/20<<min(n, 5), r.m.Poll), 1)
	return chance.Half(d)
}
