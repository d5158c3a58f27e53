package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// process is one process: a wrapper that is cut off from everything when it crashes. Its goroutines end where they next
// touch the outside world.
type process struct {
	w       *world
	name    string
	slot    int
	rng     *rand.Rand // guarded by the world's lock, as the rest is
	drift   float64    // of its clock against the store's
	dead    bool
	paused  time.Time
	cut     time.Time // its requests do not reach the store until then
	ill     time.Time // when it last was paused, or had trouble with the store
	wrapper *wrapper
	stop    context.CancelFunc
}

// spawn starts a process in a slot.
func (w *world) spawn(slot, generation int) {
	w.mu.Lock()
	p := &process{
		w: w, slot: slot, name: fmt.Sprintf("p%d.%d", slot, generation),
		rng: rand.New(rand.NewPCG(w.seed, uint64(1000*slot+generation))),
	}
	if w.plan == nil {
		p.drift = maxDrift * (2*p.rng.Float64() - 1)
	}
	w.mu.Unlock()
	call := idempotency.Call[order, receipt]{
		Name:        "charge",
		Send:        p.send,
		Settling:    settling,
		Timeout:     timeout,
		Grace:       grace,
		Lease:       w.lease,
		Retry:       retry.Policy{Initial: 100 * time.Millisecond, Max: 2 * time.Second, Attempts: 3},
		GiveUp:      w.giveUp,
		MaxInFlight: w.maxInFlight,
		Retention:   w.retention,
		SettleFor:   w.settleFor,
		Poll:        poll,
		CacheBytes:  w.cacheBytes,
		OnSettled:   p.onSettled,
		Hooks: idempotency.Hooks{
			Conflict:   p.onConflict,
			Unrecorded: p.onUnrecorded,
			LeaseLost:  p.onLeaseLost,
		},
	}
	if w.retention > 0 { // it costs a List each turn
		call.Hooks.Oldest = func(string, time.Duration) {}
	}
	if w.breaker {
		call.Breaker = breaker.New(breaker.Config{})
	}
	if w.mode == modeKeys {
		call.Namespace, call.KeyLife = "sim", w.keyLife
		if w.declinesKeyed {
			call.KeyedErrors = func(*idempotency.Rejection) bool { return true }
		}
	}
	if w.lookup {
		call.Lookup = p.lookup
	}
	var store idempotency.Store = &link{p}
	if w.peek {
		store = &peekLink{link{p}}
	}
	wrapper, err := idempotency.Wrap(store, call)
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.wrapper, p.stop = wrapper, stop
	w.mu.Lock()
	w.procs[slot] = p
	w.event(p, nil, "starts", 0, 0, nil)
	w.mu.Unlock()
	if w.plan != nil && generation == 0 && !w.plan.started {
		return // the first process only does what it is asked for
	}
	w.wg.Go(func() { _ = wrapper.Run(ctx) })
}

// crash cuts the process off. The lock is held.
func (p *process) crash(place string) {
	w := p.w
	p.dead = true
	w.deaths++
	w.event(p, nil, "CRASHES at: "+place, 0, 0, nil)
	if w.quiet {
		return
	}
	generation, down := w.deaths, between(w.rng, 100*time.Millisecond, 10*time.Second)
	w.wg.Go(func() {
		w.sleep(down)
		w.spawn(p.slot, generation)
	})
}

const mostDeaths = 8

// step is a place where the process may crash or pause. weight makes the dull ones rare.
func (p *process) step(place string, weight float64) {
	w := p.w
	w.mu.Lock()
	switch {
	case p.dead:
	case w.plan != nil:
		if w.plan.crash(w, place) {
			p.crash(place)
		}
	case w.deaths < mostDeaths && w.chance(p.rng, 0.012*weight):
		p.crash(place)
	case w.chance(p.rng, 0.015*weight):
		p.pause(place, between(p.rng, time.Second, 24*time.Second))
	}
	w.mu.Unlock()
	p.gate()
}

// trouble notes that the process could not do its duty just now. The lock is held.
func (p *process) trouble() {
	if now := time.Now(); now.After(p.ill) {
		p.ill = now
	}
}

// pause stops all of the process's traffic for a while. The lock is held.
func (p *process) pause(place string, d time.Duration) {
	if until := time.Now().Add(d); until.After(p.paused) {
		p.paused, p.ill = until, until
		p.w.pauses++
	}
	p.w.event(p, nil, "PAUSES for "+d.String()+" at: "+place, 0, 0, nil)
}

// gate lets nobody through while the process is paused, and never a dead one.
func (p *process) gate() {
	for {
		p.w.mu.Lock()
		dead, wait := p.dead, time.Until(p.paused)
		p.w.mu.Unlock()
		if dead {
			runtime.Goexit()
		}
		if wait <= 0 {
			return
		}
		p.w.sleep(wait)
	}
}

// as does something in the process on behalf of somebody outside, and reports whether the process lived to answer.
func (p *process) as(do func()) bool {
	done, lived := make(chan struct{}), false
	go func() {
		defer close(done)
		do()
		p.w.mu.Lock()
		lived = !p.dead
		p.w.mu.Unlock()
	}()
	<-done
	return lived
}

// living returns a process that lives, or nil.
func (w *world) living(r *rand.Rand) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := r.IntN(processes)
	for i := range processes {
		if p := w.procs[(first+i)%processes]; p != nil && !p.dead {
			return p
		}
	}
	return nil
}
