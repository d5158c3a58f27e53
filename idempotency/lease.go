package idempotency

import (
	"context"
	"sync"
	"time"
)

// claim is a record that this process owns, for as long as its lease is renewed.
type claim struct {
	lease Lease
	began time.Time     // before the claim was asked for: the record's ages count from here, and are never underestimated
	first time.Duration // the record's FirstSent when it was claimed

	ctx    context.Context // of its attempts; ends with ErrLeaseLost as its cause
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	until time.Time // the lease's end as far as this process can tell, on the safe side
}

// hold begins to renew a claim that was granted.
func (r *run) hold(token Token, began time.Time) *claim {
	c := &r.first
	if c.ctx != nil { // most runs need only one
		c = new(claim)
	}
	c.lease = Lease{ID: r.rec.ID, Fence: r.rec.Fence, Token: token}
	c.first = r.rec.FirstSent
	c.began, c.until = began, began.Add(r.e.leaseFor)
	c.ctx, c.cancel = context.WithCancelCause(r.base())
	r.e.leases.add(c)
	return c
}

// standing reports whether the lease cannot have run out. Both clocks are asked: Linux's monotonic one stands still while
// a machine is suspended, the wall clock may be set (T18).
func (c *claim) standing() bool { return c.standingAt(time.Now()) }

func (c *claim) standingAt(now time.Time) bool {
	c.mu.Lock()
	until := c.until
	c.mu.Unlock()
	return now.Before(until) && now.Round(0).Before(until.Round(0))
}

func (c *claim) extended(asked time.Time, d time.Duration) {
	c.mu.Lock()
	c.until = asked.Add(d)
	c.mu.Unlock()
}

// firstSent is the present age of the first possible sending.
func (c *claim) firstSent(now time.Time) time.Duration {
	passed := between(c.began, now)
	if c.first == Never {
		return passed // the mark is younger than the claim
	}
	return c.first + passed
}

// between is the longer of what the two clocks say.
func between(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// leases renews all claims of a wrapper, by one goroutine in one statement. The goroutine lives while there are any.
type leases struct {
	e       *engine
	mu      sync.Mutex
	held    map[*claim]struct{}
	running bool
	quit    chan struct{} // closed by stop
	stopped sync.WaitGroup
}

func (l *leases) add(c *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[c] = struct{}{}
	if !l.running {
		l.running = true
		l.stopped.Add(1)
		go l.renew()
	}
}

func (l *leases) remove(c *claim) {
	l.mu.Lock()
	delete(l.held, c)
	l.mu.Unlock()
}

// stop ends the goroutine. The wrapper is closed and its claims are settled by then.
func (l *leases) stop() {
	l.mu.Lock()
	select {
	case <-l.quit:
	default:
		close(l.quit)
	}
	l.mu.Unlock()
	l.stopped.Wait()
}

func (l *leases) renew() {
	ended := false
	defer func() {
		if !ended { // a hook has ended this goroutine (Goexit): the leases must not end with it
			l.stopped.Add(1)
			go l.renew()
		}
		l.stopped.Done()
	}()
	wait := l.e.leaseFor / 3
	for sleep(wait, l.quit) {
		claims := l.snapshot()
		if len(claims) == 0 {
			l.mu.Lock()
			if len(l.held) == 0 {
				l.running = false
				l.mu.Unlock()
				ended = true
				return
			}
			l.mu.Unlock()
			continue
		}
		wait = l.e.leaseFor / 3
		if err := l.extend(claims); err != nil {
			wait = l.e.leaseFor / 12
		}
	}
	ended = true
}

func (l *leases) snapshot() []*claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	claims := make([]*claim, 0, len(l.held))
	for c := range l.held {
		claims = append(claims, c)
	}
	return claims
}

// extend renews the claims and cancels those that are lost: taken over, or out of time because the store could not be
// asked (T17).
func (l *leases) extend(claims []*claim) error {
	e := l.e
	asked := time.Now()
	request := make([]Lease, len(claims))
	for i, c := range claims {
		request[i] = c.lease
	}
	stands, err := op(context.Background(), e, "Extend", func(ctx context.Context) ([]bool, error) {
		return e.store.Extend(ctx, request, e.leaseFor, false)
	})
	for i, c := range claims {
		switch {
		case err == nil && i < len(stands) && stands[i]:
			c.extended(asked, e.leaseFor)
		case err == nil, !c.standing():
			l.lose(c)
		}
	}
	return err
}

func (l *leases) lose(c *claim) {
	l.mu.Lock()
	_, held := l.held[c]
	delete(l.held, c)
	l.mu.Unlock()
	if held { // otherwise its outcome is being settled, and the store will say what that is worth
		c.cancel(ErrLeaseLost)
		hook(l.e.hooks.LeaseLost, c.lease.ID)
	}
}

// mark renews one claim and marks it as sending. It must succeed before the first sending of a claim that was not made
// for sending, before every repetition, and whenever the lease may have run out.
func (e *engine) mark(c *claim) bool {
	for n := 1; ; n++ {
		asked := time.Now()
		stands, err := op(context.WithoutCancel(c.ctx), e, "Extend", func(ctx context.Context) ([]bool, error) {
			return e.store.Extend(ctx, []Lease{c.lease}, e.leaseFor, true)
		})
		if err == nil {
			if len(stands) != 1 || !stands[0] {
				return false
			}
			c.extended(asked, e.leaseFor)
			return c.standing() && c.ctx.Err() == nil
		}
		if n == acquireTries || !sleep(e.backoff(n), c.ctx.Done(), e.closing) {
			return false
		}
	}
}
