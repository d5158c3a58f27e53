package demo

import (
	"context"
	"sync/atomic"
	"time"
)

// axe kills shops before their time. It falls once.
type axe struct {
	used  *atomic.Bool
	falls chan struct{}
}

func newAxe() axe { return axe{used: new(atomic.Bool), falls: make(chan struct{})} }

// fall reports whether it had not fallen before.
func (a axe) fall() bool {
	if a.used.Swap(true) {
		return false
	}
	close(a.falls)
	return true
}

// underThe kills the house's process when the plan says so or the axe falls, whichever is first, and opens it again a
// little later. It returns at the latest when all is quiet.
func (h *house) underThe(ctx context.Context, a axe, quiet <-chan struct{}) error {
	select {
	case <-h.line.begun:
	case <-quiet:
		return nil
	}
	var planned <-chan time.Time
	if h.plan.kill > 0 {
		timer := time.NewTimer(h.pace.real(h.plan.kill))
		defer timer.Stop()
		planned = timer.C
	}
	select {
	case <-planned:
	case <-a.falls:
	case <-quiet:
		return nil
	}
	return h.crash(ctx)
}
