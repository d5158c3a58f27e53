package idemhttp

import (
	"context"
	"sync/atomic"
	"time"
)

// execution is the root of the context that a handler runs under: its request's values, without the end of the client's connection (P5,
// T9, T19), and with the execution's own deadline. Nobody but package context sees it.
type execution struct {
	values context.Context //nolint:containedctx // it is a context
	claim  *claim
	until  time.Time
	effect atomic.Uint32
	late   atomic.Bool // until has passed
}

type executionKey struct{}

func executionOf(ctx context.Context) *execution {
	x, _ := ctx.Value(executionKey{}).(*execution)
	return x
}

// begin returns the handler's context and what ends it.
func (x *execution) begin(values context.Context, c *claim, until time.Time) (context.Context, context.CancelCauseFunc) {
	x.values = context.WithoutCancel(values) // or package context would find the connection's end in it
	x.claim, x.until = c, until
	return context.WithCancelCause(x)
}

// open is never closed: package context learns by AfterFunc that the execution is late.
var open = make(chan struct{})

func (x *execution) Done() <-chan struct{}       { return open }
func (x *execution) Deadline() (time.Time, bool) { return x.until, true }

func (x *execution) Err() error {
	if x.late.Load() {
		return context.DeadlineExceeded
	}
	return nil
}

// AfterFunc is what package context looks for in a parent that it does not know.
func (x *execution) AfterFunc(f func()) (stop func() bool) {
	return time.AfterFunc(time.Until(x.until), func() {
		x.late.Store(true)
		f()
	}).Stop
}

func (x *execution) Value(key any) any {
	if _, ok := key.(executionKey); ok {
		return x
	}
	return x.values.Value(key)
}
