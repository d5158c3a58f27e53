package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// The people of a seed: callers who click, a shop that owns its intent, an operator, somebody who purges.

// caller is somebody who wants one order paid, and asks now here, now there.
type caller struct {
	w    *world
	k    *call
	name string
	r    *rand.Rand
}

func (c *caller) live() {
	w, r, k := c.w, c.r, c.k
	w.sleep(between(r, 0, []time.Duration{100 * time.Millisecond, 40 * time.Second}[r.IntN(2)]))
	for range 1 + r.IntN(5) {
		p := w.living(r)
		if p != nil {
			switch n := r.IntN(100); {
			case n < 72:
				c.do(p, k.order)
			case n < 80:
				c.do(p, k.other())
			case n < 88:
				c.start(p)
			case n < 94:
				c.cancel(p)
				for range r.IntN(4) { // and wants to know what came of it
					w.sleep(between(r, time.Millisecond, []time.Duration{500 * time.Millisecond, 10 * time.Second}[r.IntN(2)]))
					if r.IntN(3) == 0 {
						c.cancel(p)
					} else {
						c.do(p, k.order)
					}
				}
			default:
				c.status(p)
			}
		}
		w.sleep(between(r, 10*time.Millisecond, 8*time.Second))
		if w.now() > faulty {
			return
		}
	}
}

// do asks for the call, and judges the answer that comes from a process that lives.
func (c *caller) do(p *process, in order) {
	c.doFor(p, in, between(c.r, 50*time.Millisecond, []time.Duration{500 * time.Millisecond, 12 * time.Second}[c.r.IntN(2)]))
}

// doFor reports whether the caller has a definite answer.
func (c *caller) doFor(p *process, in order, patience time.Duration) bool {
	w, k := c.w, c.k
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	deadline := time.Now().Add(patience)
	alone := w.calling(k)
	var res idempotency.Result[receipt]
	var err error
	lived := p.as(func() { res, err = p.wrapper.For(k.id.Scope).Do(ctx, k.id.Key, in) })
	if late := time.Since(deadline); late > 0 { // P5
		w.failNow(fmt.Sprintf("%s: Do returned %v after its context had ended", k, late))
	}
	if !lived {
		w.called(k, errors.New("the process crashed"))
		return false
	}
	w.alone(c.name, k.String())
	w.judgeAnswer(k, in, res, err, alone)
	w.called(k, err)
	return definite(err)
}

func (c *caller) start(p *process) { c.startFor(p, between(c.r, 50*time.Millisecond, 5*time.Second)) }

func (c *caller) startFor(p *process, patience time.Duration) {
	w, k := c.w, c.k
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w.calling(k)
	var status status
	var err error
	if p.as(func() { status, err = p.wrapper.For(k.id.Scope).Start(ctx, k.id.Key, k.order) }) && err == nil {
		w.judgeStatus(k, status)
	}
	w.called(k, errors.New("started"))
}

func (c *caller) cancel(p *process) {
	w, k := c.w, c.k
	ctx, cancel := context.WithTimeout(context.Background(), between(c.r, 50*time.Millisecond, 5*time.Second))
	defer cancel()
	var status status
	var err error
	if p.as(func() { status, err = p.wrapper.For(k.id.Scope).Cancel(ctx, k.id.Key) }) {
		w.judgeCancel(k, status, err)
	}
}

func (c *caller) status(p *process) {
	w, k := c.w, c.k
	ctx, cancel := context.WithTimeout(context.Background(), between(c.r, 50*time.Millisecond, 5*time.Second))
	defer cancel()
	var status status
	var err error
	if p.as(func() { status, err = p.wrapper.For(k.id.Scope).Status(ctx, k.id.Key) }) && err == nil {
		w.judgeStatus(k, status)
	}
}

// shop is a caller who owns its intent, and takes a new key whenever P9 says that it is safe: the intent is paid at most
// once whatever happens.
func (w *world) shop(r *rand.Rand) {
	w.sleep(between(r, 0, 20*time.Second))
	var keys []*call
	next := func() *call {
		w.mu.Lock()
		defer w.mu.Unlock()
		k := w.addKey(idempotency.ID{Operation: "charge", Scope: "shop", Key: fmt.Sprintf("intent-%d", len(keys))}, 500)
		k.intent = "intent"
		keys = append(keys, k)
		return k
	}
	k := next()
	for range 8 {
		if w.now() > faulty {
			return
		}
		p := w.living(r)
		if p == nil {
			w.sleep(time.Second)
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), between(r, 100*time.Millisecond, 10*time.Second))
		alone := w.calling(k)
		var res idempotency.Result[receipt]
		var err error
		if p.as(func() { res, err = p.wrapper.For(k.id.Scope).Do(ctx, k.id.Key, k.order) }) {
			w.judgeAnswer(k, k.order, res, err, alone)
			w.called(k, err)
			var no *idempotency.Rejection
			switch {
			case err == nil:
				cancel()
				return
			case errors.As(err, &no), errors.Is(err, idempotency.ErrCancelled):
				k = next()
			case errors.Is(err, idempotency.ErrNotSent) && alone > 0 && r.IntN(2) == 0:
				k = next()
			case r.IntN(2) == 0: // whatever it was: if it can be cancelled for good, a new key is safe
				var status status
				if p.as(func() { status, err = p.wrapper.For(k.id.Scope).Cancel(ctx, k.id.Key) }) {
					w.judgeCancel(k, status, err)
					if err == nil {
						k = next()
					}
				}
			}
		} else {
			w.called(k, errors.New("the process crashed"))
		}
		cancel()
		w.sleep(between(r, 100*time.Millisecond, 10*time.Second))
	}
}

// sweep purges what retention allows, more often than Run does.
func (w *world) sweep() {
	for w.now() < faulty {
		w.sleep(5 * time.Second)
		if p := w.living(w.rng); p != nil {
			_, _ = p.purge(100)
		}
	}
}

// operate is an operator who looks at a key now and then while things go wrong.
func (w *world) operate(k *call, r *rand.Rand) {
	for range 1 + r.IntN(3) {
		w.sleep(between(r, 5*time.Second, 30*time.Second))
		if w.now() > faulty {
			return
		}
		if p := w.living(r); p != nil {
			p.as(func() { w.ask(p, k, false) })
		}
	}
}

// ask is the operator's way: read the status, ask the provider, settle with what it says as of that status. It reports
// whether there was anything to do.
func (w *world) ask(p *process, k *call, last bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	wrapper := p.wrapper.For(k.id.Scope)
	status, err := wrapper.Status(ctx, k.id.Key)
	if err != nil {
		if last && !errors.Is(err, idempotency.ErrNoRecord) {
			w.failNow(fmt.Sprintf("%s: Status failed without a fault: %v", k, err))
		}
		return false
	}
	switch status.State {
	case idempotency.StateUnknown, idempotency.StateAccepted:
	case idempotency.StateAbandoned:
		if status.Late {
			return false
		}
	default:
		return false
	}
	w.sleep(w.draw(w.rng, 10*time.Millisecond, 3*time.Second))
	w.mu.Lock()
	verdict, name := w.truth(k, "")
	w.event(p, k, "the operator learns: "+name, status.State, 0, nil)
	w.mu.Unlock()
	w.sleep(w.draw(w.rng, 10*time.Millisecond, 3*time.Second))
	_, err = wrapper.Settle(ctx, k.id.Key, verdict.AsOf(status))
	if last && err != nil {
		w.failNow(fmt.Sprintf("%s: the operator's %s was refused when all was quiet: %v", k, name, err))
	}
	return true
}
