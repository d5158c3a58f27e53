package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// The people of a seed: callers who click, a shop that owns its intent, an operator, somebody who purges.

// simCaller is somebody who wants one order paid, and asks now here, now there.
type simCaller struct {
	w *simWorld
	k *simKey
	r *rand.Rand
}

func (c *simCaller) live() {
	w, r, k := c.w, c.r, c.k
	time.Sleep(simBetween(r, 0, []time.Duration{100 * time.Millisecond, 40 * time.Second}[r.IntN(2)]))
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
					time.Sleep(simBetween(r, time.Millisecond, 500*time.Millisecond))
					c.do(p, k.order)
				}
			default:
				c.status(p)
			}
		}
		time.Sleep(simBetween(r, 10*time.Millisecond, 8*time.Second))
		if w.now() > simFaulty {
			return
		}
	}
}

// do asks for the call, and judges the answer that comes from a process that lives.
func (c *simCaller) do(p *simProc, in simOrder) {
	w, k := c.w, c.k
	patience := simBetween(c.r, 50*time.Millisecond, []time.Duration{500 * time.Millisecond, 12 * time.Second}[c.r.IntN(2)])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	deadline := time.Now().Add(patience)
	alone := w.calling(k)
	var res idempotency.Result[simReceipt]
	var err error
	lived := p.as(func() { res, err = p.wrapper.For(k.id.Scope).Do(ctx, k.id.Key, in) })
	if late := time.Since(deadline); late > 0 { // P5
		w.failNow(fmt.Sprintf("%s: Do returned %v after its context had ended", k, late))
	}
	if !lived {
		w.called(k, errors.New("the process crashed"))
		return
	}
	w.judgeAnswer(k, in, res, err, alone)
	w.called(k, err)
}

func (c *simCaller) start(p *simProc) {
	w, k := c.w, c.k
	ctx, cancel := context.WithTimeout(context.Background(), simBetween(c.r, 50*time.Millisecond, 5*time.Second))
	defer cancel()
	w.calling(k)
	var status simStatus
	var err error
	if p.as(func() { status, err = p.wrapper.For(k.id.Scope).Start(ctx, k.id.Key, k.order) }) && err == nil {
		w.judgeStatus(k, status)
	}
	w.called(k, errors.New("started"))
}

func (c *simCaller) cancel(p *simProc) {
	w, k := c.w, c.k
	ctx, cancel := context.WithTimeout(context.Background(), simBetween(c.r, 50*time.Millisecond, 5*time.Second))
	defer cancel()
	var status simStatus
	var err error
	if p.as(func() { status, err = p.wrapper.For(k.id.Scope).Cancel(ctx, k.id.Key) }) {
		w.judgeCancel(k, status, err)
	}
}

func (c *simCaller) status(p *simProc) {
	w, k := c.w, c.k
	ctx, cancel := context.WithTimeout(context.Background(), simBetween(c.r, 50*time.Millisecond, 5*time.Second))
	defer cancel()
	var status simStatus
	var err error
	if p.as(func() { status, err = p.wrapper.For(k.id.Scope).Status(ctx, k.id.Key) }) && err == nil {
		w.judgeStatus(k, status)
	}
}

// shop is a caller who owns its intent, and takes a new key whenever P9 says that it is safe: the intent is paid at most
// once whatever happens.
func (w *simWorld) shop(r *rand.Rand) {
	time.Sleep(simBetween(r, 0, 20*time.Second))
	var keys []*simKey
	next := func() *simKey {
		w.mu.Lock()
		defer w.mu.Unlock()
		k := w.addKey(idempotency.ID{Operation: "charge", Scope: "shop", Key: fmt.Sprintf("intent-%d", len(keys))}, 500)
		k.intent = "intent"
		keys = append(keys, k)
		return k
	}
	k := next()
	for range 8 {
		if w.now() > simFaulty {
			return
		}
		p := w.living(r)
		if p == nil {
			time.Sleep(time.Second)
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), simBetween(r, 100*time.Millisecond, 10*time.Second))
		alone := w.calling(k)
		var res idempotency.Result[simReceipt]
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
				var status simStatus
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
		time.Sleep(simBetween(r, 100*time.Millisecond, 10*time.Second))
	}
}

// sweep purges what retention allows, more often than Run does.
func (w *simWorld) sweep() {
	for w.now() < simFaulty {
		time.Sleep(5 * time.Second)
		if p := w.living(w.rng); p != nil {
			_, _ = p.purge(100)
		}
	}
}

// operate is an operator who looks at a key now and then while things go wrong.
func (w *simWorld) operate(k *simKey, r *rand.Rand) {
	for range 1 + r.IntN(3) {
		time.Sleep(simBetween(r, 5*time.Second, 30*time.Second))
		if w.now() > simFaulty {
			return
		}
		if p := w.living(r); p != nil {
			p.as(func() { w.ask(p, k, false) })
		}
	}
}

// ask is the operator's way: read the status, ask the provider, settle with what it says as of that status. It reports
// whether there was anything to do.
func (w *simWorld) ask(p *simProc, k *simKey, last bool) bool {
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
	time.Sleep(w.draw(w.rng, 10*time.Millisecond, 3*time.Second))
	w.mu.Lock()
	verdict, name := w.truth(k, "")
	w.event(p, k, "the operator learns: "+name, status.State, 0, nil)
	w.mu.Unlock()
	time.Sleep(w.draw(w.rng, 10*time.Millisecond, 3*time.Second))
	_, err = wrapper.Settle(ctx, k.id.Key, verdict.AsOf(status))
	if last && err != nil {
		w.failNow(fmt.Sprintf("%s: the operator's %s was refused when all was quiet: %v", k, name, err))
	}
	return true
}
