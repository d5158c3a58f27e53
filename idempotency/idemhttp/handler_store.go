package idemhttp

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/chance"
)

// unrecordedAfter is how long a client waits for its response to be recorded, before it gets it unrecorded.
const unrecordedAfter = 2 * time.Second

// tries bounds how often one question is put to a store that fails.
const tries = 3

// op makes one request to the store, bounded in time: one that hangs must be noticed before the lease runs out. The store's failures are
// reported; its rulings are answers. Of ctx only the values are used.
func op[T any](ctx context.Context, m *middleware, name string, do func(context.Context) (T, error)) (v T, err error) {
	bounded := &limited{values: ctx, until: time.Now().Add(min(m.Lease/4, unrecordedAfter))}
	defer bounded.end(context.Canceled)
	err = guard(func() (err error) {
		v, err = do(bounded)
		return err
	})
	if err != nil && !isRuling(err) {
		hook2(m.Hooks.StoreError, name, err)
	}
	return v, err
}

// isRuling tells the store's answers that are errors from its failures.
func isRuling(err error) bool {
	return errors.Is(err, idempotency.ErrNoRecord) || errors.Is(err, idempotency.ErrLeaseLost) || errors.Is(err, idempotency.ErrConflict)
}

// isFinal says that the store must not be asked again (see idempotency.Store).
func isFinal(err error) bool {
	var f interface{ Final() bool }
	return errors.As(err, &f) && f.Final()
}

// guard runs code that is not ours and turns a panic into an error.
func guard(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &idempotency.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return fn()
}

// hook calls fn unless it is nil, and survives it.
func hook[E any](fn func(E), event E) {
	if fn != nil {
		_ = guard(func() error { fn(event); return nil })
	}
}

func hook2[A, B any](fn func(A, B), a A, b B) {
	if fn != nil {
		_ = guard(func() error { fn(a, b); return nil })
	}
}

// backoff is how long to wait after the n-th failure of the store.
func backoff(n int) time.Duration {
	d := 50 * time.Millisecond << min(n-1, 7)
	return chance.Half(d)
}

// wait waits and reports whether it waited to the end.
func wait(d time.Duration, stop ...<-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	var a, b <-chan struct{}
	if len(stop) > 0 {
		a = stop[0]
	}
	if len(stop) > 1 {
		b = stop[1]
	}
	select {
	case <-t.C:
		return true
	case <-a:
	case <-b:
	}
	return false
}

// limited is a context with a deadline for one request to the store. It has the values of a client's request, and not its end (T9). Its timer is made when somebody asks for
// Done, which stores that answer from memory never do.
type limited struct {
	values context.Context //nolint:containedctx // it is a context
	until  time.Time

	mu    sync.Mutex
	done  chan struct{}
	err   error
	timer *time.Timer
}

func (l *limited) Deadline() (time.Time, bool) { return l.until, true }
func (l *limited) Value(key any) any           { return l.values.Value(key) }

func (l *limited) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.err != nil {
			close(l.done)
		} else {
			l.timer = time.AfterFunc(time.Until(l.until), func() { l.end(context.DeadlineExceeded) })
		}
	}
	return l.done
}

func (l *limited) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && !time.Now().Before(l.until) {
		l.finish(context.DeadlineExceeded)
	}
	return l.err
}

func (l *limited) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.finish(err)
	}
}

func (l *limited) finish(err error) {
	l.err = err
	if l.done != nil {
		close(l.done)
		l.timer.Stop()
	}
}
