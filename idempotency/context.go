package idempotency

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// detached is the context of a flight: its caller's values, without its deadline and its end (P5, T9, T19). It also marks
// what is done under it as part of the call (T23).
type detached struct {
	values context.Context
	id     ID

	made  [2]bounded // a plain call makes two requests to the store
	given atomic.Int32
}

type detachedKey struct{}

func (*detached) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*detached) Done() <-chan struct{}       { return nil }
func (*detached) Err() error                  { return nil }

func (d *detached) Value(key any) any {
	if _, ok := key.(detachedKey); ok {
		return d
	}
	return d.values.Value(key)
}

// reentrant says whether ctx belongs to an attempt of this very call, however deeply nested.
func reentrant(ctx context.Context, id ID) bool {
	for ctx != nil {
		d, _ := ctx.Value(detachedKey{}).(*detached)
		if d == nil {
			return false
		}
		if d.id == id {
			return true
		}
		ctx = d.values
	}
	return false
}

// bounded is a context with a deadline for one request to a store. Its timer is made when somebody asks for Done: stores
// that answer from memory never do, and fresh calls make two requests each.
type bounded struct {
	context.Context
	lasts time.Duration

	mu    sync.Mutex
	until time.Time
	done  chan struct{}
	err   error
	timer *time.Timer
	stop  func() bool // of the parent's AfterFunc
}

// limit returns a context that ends with ctx or after d.
func limit(ctx context.Context, d time.Duration) *bounded {
	var b *bounded
	if parent, ok := ctx.(*detached); ok {
		if n := parent.given.Add(1) - 1; int(n) < len(parent.made) {
			b = &parent.made[n]
		}
	}
	if b == nil {
		b = new(bounded)
	}
	b.Context, b.lasts = ctx, d
	return b
}

// deadline begins to count when it is first asked for, by a store that can wait.
func (b *bounded) deadline() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		b.until = time.Now().Add(b.lasts)
	}
	return b.until
}

func (b *bounded) Deadline() (time.Time, bool) {
	until := b.deadline()
	if d, ok := b.Context.Deadline(); ok && d.Before(until) {
		return d, true
	}
	return until, true
}

func (b *bounded) Done() <-chan struct{} {
	until := b.deadline()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done == nil {
		b.done = make(chan struct{})
		if b.err != nil {
			close(b.done)
			return b.done
		}
		b.timer = time.AfterFunc(time.Until(until), func() { b.end(context.DeadlineExceeded) })
		b.stop = context.AfterFunc(b.Context, func() { b.end(b.Context.Err()) })
	}
	return b.done
}

func (b *bounded) Err() error {
	if err := b.Context.Err(); err != nil {
		b.end(err)
	} else if b.passed() {
		b.end(context.DeadlineExceeded)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *bounded) passed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.until.IsZero() && !time.Now().Before(b.until)
}

// end ends the context; the first reason counts.
func (b *bounded) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return
	}
	b.err = err
	if b.done != nil {
		close(b.done)
		b.timer.Stop()
		b.stop()
	}
}
