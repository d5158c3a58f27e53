package idempotency_test

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

// simProc is one process: a wrapper that is cut off from everything when it crashes. Its goroutines end where they next
// touch the outside world.
type simProc struct {
	w       *simWorld
	name    string
	slot    int
	rng     *rand.Rand // guarded by the world's lock, as the rest is
	dead    bool
	paused  time.Time
	cut     time.Time // its requests do not reach the store until then
	ill     time.Time // when it last was paused, or had trouble with the store
	wrapper *simWrapper
	stop    context.CancelFunc
}

// spawn starts a process in a slot.
func (w *simWorld) spawn(slot, generation int) {
	w.mu.Lock()
	p := &simProc{
		w: w, slot: slot, name: fmt.Sprintf("p%d.%d", slot, generation),
		rng: rand.New(rand.NewPCG(w.seed, uint64(1000*slot+generation))),
	}
	w.mu.Unlock()
	call := idempotency.Call[simOrder, simReceipt]{
		Name:        "charge",
		Send:        p.send,
		Settling:    simSettling,
		Timeout:     simTimeout,
		Grace:       simGrace,
		Lease:       w.lease,
		Retry:       retry.Policy{Initial: 100 * time.Millisecond, Max: 2 * time.Second, Attempts: 3},
		GiveUp:      w.giveUp,
		MaxInFlight: w.maxInFlight,
		Retention:   w.retention,
		SettleFor:   w.settleFor,
		Poll:        simPoll,
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
	if w.mode == simKeys {
		call.Namespace, call.KeyLife = "sim", w.keyLife
		if w.declinesKeyed {
			call.KeyedErrors = func(*idempotency.Rejection) bool { return true }
		}
	}
	if w.lookup {
		call.Lookup = p.lookup
	}
	var store idempotency.Store = &simStore{p}
	if w.peek {
		store = &simPeekStore{simStore{p}}
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
	w.wg.Go(func() { _ = wrapper.Run(ctx) })
}

// crash cuts the process off. The lock is held.
func (p *simProc) crash() {
	w := p.w
	p.dead = true
	w.deaths++
	w.event(p, nil, "CRASHES", 0, 0, nil)
	if w.quiet {
		return
	}
	generation := w.deaths
	w.wg.Go(func() {
		time.Sleep(w.draw(w.rng, 100*time.Millisecond, 10*time.Second))
		w.spawn(p.slot, generation)
	})
}

const simMostDeaths = 8

// step is a place where the process may crash or pause. weight makes the dull ones rare.
func (p *simProc) step(weight float64) {
	w := p.w
	w.mu.Lock()
	switch {
	case p.dead:
	case w.deaths < simMostDeaths && w.chance(p.rng, 0.012*weight):
		p.crash()
	case w.chance(p.rng, 0.015*weight):
		p.pause(simBetween(p.rng, time.Second, 24*time.Second))
	}
	w.mu.Unlock()
	p.gate()
}

// trouble notes that the process could not do its duty just now. The lock is held.
func (p *simProc) trouble() {
	if now := time.Now(); now.After(p.ill) {
		p.ill = now
	}
}

// pause stops all of the process's traffic for a while. The lock is held.
func (p *simProc) pause(d time.Duration) {
	if until := time.Now().Add(d); until.After(p.paused) {
		p.paused, p.ill = until, until
	}
	p.w.event(p, nil, "PAUSES for "+d.String(), 0, 0, nil)
}

// gate lets nobody through while the process is paused, and never a dead one.
func (p *simProc) gate() {
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
		time.Sleep(wait)
	}
}

// as does something in the process on behalf of somebody outside, and reports whether the process lived to answer.
func (p *simProc) as(do func()) bool {
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
func (w *simWorld) living(r *rand.Rand) *simProc {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := r.IntN(simProcesses)
	for i := range simProcesses {
		if p := w.procs[(first+i)%simProcesses]; p != nil && !p.dead {
			return p
		}
	}
	return nil
}
