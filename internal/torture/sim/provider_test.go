package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// The provider, and the network between it and the processes. Its ledger is the only truth about money.

// charge is a line in the ledger.
type charge struct {
	ref     string
	amount  int
	pending bool // accepted, not decided
	charged bool
}

func (c *charge) receipt() receipt { return receipt{Charge: c.ref, Amount: c.amount} }

// account is what the provider knows of one key.
type account struct {
	charges []*charge
	bound   *binding // what it remembers under the provider key
}

type binding struct {
	until  time.Time
	busy   bool
	status int
	charge *charge
}

// answer is what the provider answers.
type answer struct {
	status   int // 200, 202, 402, 409, 429 or 500
	charge   *charge
	receipt  receipt
	replayed bool
}

// fortune is what the provider makes of a request that it does not know yet.
type fortune struct {
	busy    bool // it has no time
	before  bool // it fails before the effect
	after   bool // it fails after the effect
	work    time.Duration
	decline bool
	accept  bool // it will decide later,
	late    time.Duration
	refuse  bool // and then decline
}

// fortune draws one. The lock is held.
func (w *world) fortune() (f fortune) {
	f.busy = w.chance(w.rng, 0.05)
	f.before = w.chance(w.rng, 0.07)
	slow := 300 * time.Millisecond
	if w.chance(w.rng, 0.15) {
		slow = longestWork
	}
	f.work = between(w.rng, time.Millisecond, slow)
	roll := w.rng.Float64()
	f.decline = roll < w.declines
	f.accept = !f.decline && roll < w.declines+w.accepts
	f.late, f.refuse = between(w.rng, time.Second, 40*time.Second), w.rng.IntN(3) == 0
	f.after = !f.before && w.chance(w.rng, 0.06)
	return f
}

// arrive is the request at the provider's door. reply is called once.
func (w *world) arrive(k *call, key string, in order, f *fortune, reply func(answer)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judgeRequest(k, key, in)
	a := &k.account
	if b := a.bound; b != nil && time.Now().Before(b.until) {
		switch {
		case b.busy:
			w.event(nil, k, "provider: 409", 0, 0, nil)
			reply(answer{status: 409})
		default:
			w.event(nil, k, "provider: replays", 0, 0, nil)
			reply(w.replay(b))
		}
		return
	}
	if f == nil {
		drawn := w.fortune()
		f = &drawn
	}
	switch {
	case w.during(w.providerOutage):
		w.event(nil, k, "provider: 500, out of order", 0, 0, nil)
		reply(answer{status: 500})
		return
	case f.busy:
		w.event(nil, k, "provider: 429", 0, 0, nil)
		reply(answer{status: 429})
		return
	case f.before && !w.errorsKeyed:
		w.event(nil, k, "provider: 500 before the effect", 0, 0, nil)
		reply(answer{status: 500})
		return
	}
	var b *binding
	if w.mode == modeKeys {
		b = &binding{until: time.Now().Add(w.keyLife), busy: true}
		a.bound = b
	}
	w.later(f.work, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		reply(w.decide(k, b, in, f))
	})
}

// decide is the end of the provider's work on a request.
func (w *world) decide(k *call, b *binding, in order, f *fortune) answer {
	r := answer{status: 200}
	switch {
	case f.before:
		w.event(nil, k, "provider: 500 before the effect, stored", 0, 0, nil)
		r.status = 500
	case f.decline:
		c := w.enter(k, in)
		w.event(nil, k, "provider: declines "+c.ref, 0, 0, nil)
		w.webhook(k, c)
		r.status, r.charge = 402, c
	case f.accept:
		c := w.enter(k, in)
		c.pending = true
		w.event(nil, k, "provider: accepts "+c.ref, 0, 0, nil)
		w.later(f.late, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			c.pending = false
			if !f.refuse {
				w.charge(k, c)
			} else {
				w.event(nil, k, "provider: declines at last "+c.ref, 0, 0, nil)
			}
			w.webhook(k, c)
		})
		r.status, r.charge = 202, c
	default:
		c := w.enter(k, in)
		w.charge(k, c)
		w.webhook(k, c)
		r.charge, r.receipt = c, c.receipt()
	}
	if b != nil {
		b.busy, b.status, b.charge = false, r.status, r.charge
		if r.status == 402 && !w.declinesKeyed {
			k.account.bound = nil
		}
	}
	if f.after {
		w.event(nil, k, "provider: 500 after the effect", 0, 0, nil)
		r = answer{status: 500, charge: r.charge}
		if b != nil && w.errorsKeyed {
			b.status = 500
			k.account.bound = b
		}
	}
	return r
}

// replay answers from memory.
func (w *world) replay(b *binding) answer {
	r := answer{status: b.status, charge: b.charge, replayed: true}
	if b.status == 202 && !b.charge.pending {
		r.status = 402
		if b.charge.charged {
			r.status = 200
		}
	}
	if r.status == 200 {
		r.receipt = b.charge.receipt()
	}
	return r
}

func (w *world) enter(k *call, in order) *charge {
	c := &charge{ref: fmt.Sprintf("%s-ch%d", k.id.Key, len(k.account.charges)+1), amount: in.Amount}
	k.account.charges = append(k.account.charges, c)
	return c
}

// charge is the effect: money moves.
func (w *world) charge(k *call, c *charge) {
	c.charged = true
	w.event(nil, k, "provider: CHARGES "+c.ref, 0, 0, nil)
	w.judgeEffect(k)
}

// webhook tells the shop, some time, once, twice or never. It asks again where the shop says "later".
func (w *world) webhook(k *call, c *charge) {
	switch {
	case w.beyond, w.plan != nil:
		return
	case w.rng.IntN(3) == 0: // never, or just when somebody looks at the record
		k.untold = c
		return
	}
	for range 1 + w.rng.IntN(2) {
		delay := between(w.rng, time.Millisecond, []time.Duration{50 * time.Millisecond, 10 * time.Second}[w.rng.IntN(2)])
		w.later(delay, func() { w.deliver(k, c, 3) })
	}
}

// overtake delivers a webhook between a look at the record and what follows from it.
func (w *world) overtake(p *process, id idempotency.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.byID[id]
	if c := k.untold; c != nil && w.chance(p.rng, 0.15) {
		k.untold = nil
		w.later(between(p.rng, 0, 10*time.Millisecond), func() { w.deliver(k, c, 3) })
	}
}

func (w *world) deliver(k *call, c *charge, tries int) {
	p := w.living(w.rng)
	if p == nil {
		return
	}
	verdict := idempotency.Declined[receipt]("declined", nil).ForRef(c.ref)
	if c.charged {
		verdict = idempotency.Happened(c.receipt())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var err error
	lived := p.as(func() { _, err = p.wrapper.For(k.id.Scope).Settle(ctx, k.id.Key, verdict) })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event(p, k, "webhook for "+c.ref, 0, 0, err)
	if !lived || err == nil || tries == 1 {
		return
	}
	if c.charged && (errors.Is(err, idempotency.ErrConflict) || errors.Is(err, idempotency.ErrNoRecord)) {
		w.fail(k, "the webhook of a charge was refused: %v", err)
		return
	}
	w.later(between(w.rng, time.Second, 10*time.Second), func() { w.deliver(k, c, tries-1) })
}

// truth is what the ledger says of a key, by ref if there is one. The lock is held.
func (w *world) truth(k *call, ref string) (v verdict, name string) {
	var last *charge
	pending := false
	for _, c := range k.account.charges {
		if ref != "" && c.ref != ref {
			continue
		}
		if c.charged {
			return idempotency.Happened(c.receipt()), "happened"
		}
		pending = pending || c.pending
		last = c
	}
	switch {
	case pending:
		return idempotency.StillPending[receipt](2 * time.Second), "still pending"
	case last != nil:
		k.denied = append(k.denied, time.Now())
		return idempotency.Declined[receipt]("declined", nil), "declined"
	}
	k.denied = append(k.denied, time.Now())
	return idempotency.DidNotHappen[receipt](), "did not happen"
}

// lookup is Call.Lookup.
func (p *process) lookup(ctx context.Context, a idempotency.Attempt, _ order) (verdict, error) {
	w := p.w
	k := w.key(a)
	w.alone(p.name, "Lookup", a.Scope, a.ID)
	p.step("Lookup, asked", 1)
	w.mu.Lock()
	there, back := between(p.rng, time.Millisecond, 100*time.Millisecond), between(p.rng, time.Millisecond, 200*time.Millisecond)
	fails, hangs, shrugs := w.chance(p.rng, 0.1), w.chance(p.rng, 0.05), w.chance(p.rng, 0.05)
	w.mu.Unlock()
	if !p.nap(ctx, a.ID, there) {
		return verdict{}, ctx.Err()
	}
	w.mu.Lock()
	v, name := w.truth(k, a.Ref)
	w.event(p, k, "asks: "+name, 0, 0, nil)
	w.mu.Unlock()
	if hangs {
		<-ctx.Done()
		w.alone(p.name, "Lookup", a.Scope, a.ID)
		return verdict{}, ctx.Err()
	}
	if !p.nap(ctx, a.ID, back) {
		return verdict{}, ctx.Err()
	}
	p.step("Lookup, answered", 1)
	switch {
	case fails:
		return verdict{}, errors.New("sim: the lookup failed")
	case shrugs:
		return idempotency.DontKnow[receipt](), nil
	}
	return v, nil
}
