package idempotency

import (
	"context"
	"runtime/debug"
	"time"
)

// try is one run of Send or Lookup, code that is not ours, in a goroutine of its own.
type try[T any] struct {
	r       *run
	a       Attempt
	request []byte
	fn      func(context.Context, Attempt, []byte) T
	failed  func(error) T // what a panic, Goexit (T10) or a context that ended before fn ran comes back as
	late    func(*run, T) // is told what fn returned after the attempt was over
	resent  bool
	results chan T
}

func sendFailed(err error) sent     { return sent{err: err} }
func lookupFailed(err error) answer { return answer{err: err} }

// run waits for fn, with the attempt's timeout, but no longer than Grace after its context ended: then over is false (T53).
func (t *try[T]) run(c *claim) (out T, over bool) {
	e := t.r.e
	ctx, cancel := context.WithTimeout(c.ctx, e.timeout)
	defer cancel()
	t.results = make(chan T, 1)
	e.owned.Add(1)
	go t.call(ctx)
	select {
	case out = <-t.results:
		return out, true
	case <-ctx.Done():
	}
	grace := time.NewTimer(e.grace)
	defer grace.Stop()
	select {
	case out = <-t.results:
		return out, true
	case <-grace.C:
	}
	hook(e.hooks.Stuck, t.r.id)
	e.owned.Add(1)
	e.setStuck(t.r.id, +1)
	go func() {
		defer e.owned.Done()
		v := <-t.results
		e.setStuck(t.r.id, -1)
		t.late(t.r, v)
	}()
	return out, false
}

// setStuck counts the tries of a call that have outlived their attempt.
func (e *engine) setStuck(id ID, change int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stuck[id] += change; e.stuck[id] == 0 {
		delete(e.stuck, id)
	}
}

func (e *engine) isStuck(id ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stuck[id] > 0
}

func (t *try[T]) call(ctx context.Context) {
	e := t.r.e
	defer e.owned.Done()
	if e.slots != nil {
		defer e.slots.Release(1)
	}
	growStack(0)
	returned := false
	var v T
	defer func() {
		if !returned {
			v = t.failed(&PanicError{Value: recover(), Stack: debug.Stack()})
		}
		t.results <- v
	}()
	if ctx.Err() != nil {
		v = t.failed(NotSent(errLate))
	} else {
		v = t.fn(ctx, t.a, t.request)
	}
	returned = true
}
