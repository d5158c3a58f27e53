package breaker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Do calls fn if b lets it through, and reports the result to b. The error is fn's own, or an [*OpenError], or that of
// an unusable breaker (see [Breaker.Validate]); the last two mean that fn was not called.
//
// A panic or runtime.Goexit in fn counts as a failure, and goes on. A context that is over calls nothing; then, and
// where ctx is cancelled while fn runs and fn fails, nothing is counted, and a probe's place is free again. A deadline
// of ctx that passes while fn runs does count: the service did not answer in the time it had.
func Do[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (T, error) {
	var zero T
	if ctx.Err() != nil {
		return zero, notCalled(ctx)
	}
	var t ticket
	if err := b.begin(&t); err != nil {
		return zero, err
	}
	defer t.settle(failed) // if fn does not return; if it does, this report is the second, and ignored

	v, err := fn(ctx)
	switch {
	case err == nil:
		t.settle(passed)
	case errors.Is(ctx.Err(), context.Canceled):
		t.settle(neutral)
	default:
		t.done(err)
	}
	return v, err
}

func notCalled(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("breaker: the call was not made: %w", cause)
	}
	return fmt.Errorf("breaker: the call was not made: %w: %w", err, cause)
}

// Allow is Do in two steps, for calls that begin and end in different places. Where the error is nil, done must be
// called with the call's result, from any goroutine; calls of it after the first are ignored, so it may be deferred as a
// safety net. done(nil) is a success; done of an error that wraps context.Canceled counts nothing; of any other, what
// Config.Counts says. Where the error is not nil, done does nothing.
//
// Allow allocates nothing where done stays in the calling function.
func (b *Breaker) Allow() (done func(error), err error) {
	// Small enough to be inlined: only then can the ticket and the method value live on the caller's stack.
	t := ticket{}
	return t.done, b.begin(&t)
}

// result is what a call says about the service.
type result uint8

const (
	neutral result = iota
	passed
	failed
)

// ticket is one call that was let through. The zero ticket reports to nobody.
type ticket struct {
	breaker *Breaker
	gen     *generation
	slot    int           // of a probe
	began   time.Duration // set only where slow calls are watched
	settled atomic.Bool
}

// begin fills in t, or says why the call is refused.
func (b *Breaker) begin(t *ticket) error {
	if b == nil {
		return nil
	}
	for {
		g := b.gen.Load()
		if g == nil {
			return b.Validate()
		}
		switch g.state {
		case Closed:
			if b.cfg.SlowCall > 0 {
				t.began = b.now()
			}
			t.breaker, t.gen = b, g
			return nil
		case Open:
			if b.now() < g.until {
				return g.refusal
			}
			b.move(g, b.halfOpen())
		case HalfOpen:
			now := b.now()
			slot, answer := g.probes.take(now)
			switch answer {
			case taken:
				t.breaker, t.gen, t.slot, t.began = b, g, slot, now
				return nil
			case full:
				return g.refusal
			case lost:
				// A failed probe opens the breaker; the wait is behind us already. The lost probe's generation is
				// over, so that it says nothing any more should it come back.
				b.move(g, b.openedUntil(now))
			}
		}
	}
}

// done reports the result of the call by its error.
func (t *ticket) done(err error) {
	if t.gen == nil {
		return
	}
	counts := t.breaker.cfg.Counts
	switch {
	case err == nil:
		t.settle(passed)
	case errors.Is(err, context.Canceled):
		t.settle(neutral)
	case counts == nil || counts(err):
		t.settle(failed)
	default:
		t.settle(passed)
	}
}

// settle reports r, once.
func (t *ticket) settle(r result) {
	if t.gen == nil || t.settled.Load() || t.settled.Swap(true) {
		return
	}
	b, g := t.breaker, t.gen
	if b.gen.Load() != g {
		return // the state that the call was a part of is over
	}
	if g.state == HalfOpen {
		b.settleProbe(t, r)
		return
	}
	if r == neutral {
		return
	}
	var now time.Duration
	if b.cfg.Window > 0 || b.cfg.SlowCall > 0 {
		now = b.now()
	}
	slow := b.cfg.SlowCall > 0 && now-t.began >= b.cfg.SlowCall
	if counts, judge := g.window.record(now, r == failed, slow, b.cfg.MinCalls); judge && b.tripped(counts) {
		b.move(g, b.opened(b.now()))
	}
}

func (b *Breaker) settleProbe(t *ticket, r result) {
	now := b.now()
	if r == passed && b.cfg.SlowCall > 0 && now-t.began >= b.cfg.SlowCall {
		r = failed
	}
	switch t.gen.probes.settle(t.slot, now, r) {
	case passed:
		b.move(t.gen, b.closed())
	case failed:
		b.move(t.gen, b.opened(now))
	}
}
