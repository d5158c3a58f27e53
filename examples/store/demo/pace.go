package demo

import (
	"context"
	"time"
)

// pace is how many demo seconds pass in a real one.
type pace float64

// real is how long d of demo time takes.
func (p pace) real(d time.Duration) time.Duration { return time.Duration(float64(d) / float64(p)) }

// demo is how much demo time passes in d.
func (p pace) demo(d time.Duration) time.Duration { return time.Duration(float64(d) * float64(p)) }

// within is context.WithTimeout in demo time.
func (p pace) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, p.real(d))
}

// sleep waits for d of demo time, or until ctx ends.
func (p pace) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(p.real(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
