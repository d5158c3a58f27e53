package fakepay

import (
	"context"
	"sync"
)

// activity owns everything that runs: requests, late landings, decisions, webhooks. It is not a sync.WaitGroup because
// wait may be called while more begins, and may be given up.
type activity struct {
	done chan struct{} // closed by end: whoever sleeps wakes up and leaves

	mu      sync.Mutex
	running int
	idle    chan struct{} // closed whenever running is 0
}

func newActivity() *activity {
	idle := make(chan struct{})
	close(idle)
	return &activity{done: make(chan struct{}), idle: idle}
}

// enter reports whether something may begin; whoever was let in must leave.
func (a *activity) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over() {
		return false
	}
	if a.running == 0 {
		a.idle = make(chan struct{})
	}
	a.running++
	return true
}

func (a *activity) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running--; a.running == 0 {
		close(a.idle)
	}
}

// spawn runs f in a goroutine, unless all is over.
func (a *activity) spawn(f func()) {
	if a.enter() {
		go func() {
			defer a.leave()
			f()
		}()
	}
}

// end reports whether it was this call that ended everything.
func (a *activity) end() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over() {
		return false
	}
	close(a.done)
	return true
}

func (a *activity) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

func (a *activity) wait(ctx context.Context) error {
	a.mu.Lock()
	idle := a.idle
	a.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
