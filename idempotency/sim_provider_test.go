package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// The provider, and the network between it and the processes. Its ledger is the only truth about money.

// simCharge is a line in the ledger.
type simCharge struct {
	ref     string
	amount  int
	pending bool // accepted, not decided
	charged bool
}

func (c *simCharge) receipt() simReceipt { return simReceipt{Charge: c.ref, Amount: c.amount} }

// simAccount is what the provider knows of one key.
type simAccount struct {
	charges []*simCharge
	bound   *simBinding // what it remembers under the provider key
}

type simBinding struct {
	until  time.Time
	busy   bool
	status int
	charge *simCharge
}

// simReply is what the provider answers.
type simReply struct {
	status   int // 200, 202, 402, 409, 429 or 500
	charge   *simCharge
	receipt  simReceipt
	replayed bool
}

// arrive is the request at the provider's door. reply is called once.
func (w *simWorld) arrive(k *simKey, key string, in simOrder, reply func(simReply)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judgeRequest(k, key, in)
	a := &k.account
	if b := a.bound; b != nil && time.Now().Before(b.until) {
		switch {
		case b.busy:
			w.event(nil, k, "provider: 409", 0, 0, nil)
			reply(simReply{status: 409})
		default:
			w.event(nil, k, "provider: replays", 0, 0, nil)
			reply(w.replay(b))
		}
		return
	}
	switch {
	case w.during(w.providerOutage):
		w.event(nil, k, "provider: 500, out of order", 0, 0, nil)
		reply(simReply{status: 500})
		return
	case w.chance(w.rng, 0.05):
		w.event(nil, k, "provider: 429", 0, 0, nil)
		reply(simReply{status: 429})
		return
	}
	fails := w.chance(w.rng, 0.07)
	if fails && !w.errorsKeyed {
		w.event(nil, k, "provider: 500 before the effect", 0, 0, nil)
		reply(simReply{status: 500})
		return
	}
	var b *simBinding
	if w.mode == simKeys {
		b = &simBinding{until: time.Now().Add(w.keyLife), busy: true}
		a.bound = b
	}
	slow := 300 * time.Millisecond
	if w.chance(w.rng, 0.15) {
		slow = simWorking
	}
	w.later(simBetween(w.rng, time.Millisecond, slow), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		reply(w.decide(k, b, in, fails))
	})
}

// decide is the end of the provider's work on a request.
func (w *simWorld) decide(k *simKey, b *simBinding, in simOrder, fails bool) simReply {
	r := simReply{status: 200}
	roll := w.rng.Float64()
	switch {
	case fails:
		w.event(nil, k, "provider: 500 before the effect, stored", 0, 0, nil)
		r.status = 500
	case roll < w.declines:
		c := w.enter(k, in)
		w.event(nil, k, "provider: declines "+c.ref, 0, 0, nil)
		w.webhook(k, c)
		r.status, r.charge = 402, c
	case roll < w.declines+w.accepts:
		c := w.enter(k, in)
		c.pending = true
		w.event(nil, k, "provider: accepts "+c.ref, 0, 0, nil)
		decline := w.rng.IntN(3) == 0
		w.later(simBetween(w.rng, time.Second, 40*time.Second), func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			c.pending = false
			if !decline {
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
	if r.status != 500 && w.chance(w.rng, 0.06) {
		w.event(nil, k, "provider: 500 after the effect", 0, 0, nil)
		r = simReply{status: 500, charge: r.charge}
		if b != nil && w.errorsKeyed {
			b.status = 500
			k.account.bound = b
		}
	}
	return r
}

// replay answers from memory.
func (w *simWorld) replay(b *simBinding) simReply {
	r := simReply{status: b.status, charge: b.charge, replayed: true}
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

func (w *simWorld) enter(k *simKey, in simOrder) *simCharge {
	c := &simCharge{ref: fmt.Sprintf("%s-ch%d", k.id.Key, len(k.account.charges)+1), amount: in.Amount}
	k.account.charges = append(k.account.charges, c)
	return c
}

// charge is the effect: money moves.
func (w *simWorld) charge(k *simKey, c *simCharge) {
	c.charged = true
	w.event(nil, k, "provider: CHARGES "+c.ref, 0, 0, nil)
	w.judgeEffect(k)
}

// webhook tells the shop, some time, once, twice or never. It asks again where the shop says "later".
func (w *simWorld) webhook(k *simKey, c *simCharge) {
	switch {
	case w.beyond:
		return
	case w.rng.IntN(3) == 0: // never, or just when somebody looks at the record
		k.untold = c
		return
	}
	for range 1 + w.rng.IntN(2) {
		delay := simBetween(w.rng, time.Millisecond, []time.Duration{50 * time.Millisecond, 10 * time.Second}[w.rng.IntN(2)])
		w.later(delay, func() { w.deliver(k, c, 3) })
	}
}

// overtake delivers a webhook between a look at the record and what follows from it.
func (w *simWorld) overtake(p *simProc, id idempotency.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.byID[id]
	if c := k.untold; c != nil && w.chance(p.rng, 0.15) {
		k.untold = nil
		w.later(simBetween(p.rng, 0, 10*time.Millisecond), func() { w.deliver(k, c, 3) })
	}
}

func (w *simWorld) deliver(k *simKey, c *simCharge, tries int) {
	p := w.living(w.rng)
	if p == nil {
		return
	}
	verdict := idempotency.Declined[simReceipt]("declined", nil).ForRef(c.ref)
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
	w.later(simBetween(w.rng, time.Second, 10*time.Second), func() { w.deliver(k, c, tries-1) })
}

// truth is what the ledger says of a key, by ref if there is one. The lock is held.
func (w *simWorld) truth(k *simKey, ref string) (v simVerdict, name string) {
	var last *simCharge
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
		return idempotency.StillPending[simReceipt](2 * time.Second), "still pending"
	case last != nil:
		k.denied = append(k.denied, time.Now())
		return idempotency.Declined[simReceipt]("declined", nil), "declined"
	}
	k.denied = append(k.denied, time.Now())
	return idempotency.DidNotHappen[simReceipt](), "did not happen"
}

// lookup is Call.Lookup.
func (p *simProc) lookup(ctx context.Context, a idempotency.Attempt, _ simOrder) (simVerdict, error) {
	w := p.w
	k := w.key(a)
	p.step(1)
	w.mu.Lock()
	there, back := simBetween(p.rng, time.Millisecond, 100*time.Millisecond), simBetween(p.rng, time.Millisecond, 200*time.Millisecond)
	fails, hangs, shrugs := w.chance(p.rng, 0.1), w.chance(p.rng, 0.05), w.chance(p.rng, 0.05)
	w.mu.Unlock()
	if !simNap(ctx, there) {
		return simVerdict{}, ctx.Err()
	}
	w.mu.Lock()
	v, name := w.truth(k, a.Ref)
	w.event(p, k, "asks: "+name, 0, 0, nil)
	w.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return simVerdict{}, ctx.Err()
	}
	if !simNap(ctx, back) {
		return simVerdict{}, ctx.Err()
	}
	p.step(1)
	switch {
	case fails:
		return simVerdict{}, errors.New("sim: the lookup failed")
	case shrugs:
		return idempotency.DontKnow[simReceipt](), nil
	}
	return v, nil
}

var (
	errSimRefused = errors.New("sim: connection refused")
	errSimReset   = errors.New("sim: connection reset")
	errSimServer  = errors.New("sim: 500")
	errSimBusy    = errors.New("sim: 409, in progress")
	errSimTooMany = errors.New("sim: 429")
)

// send is Call.Send.
func (p *simProc) send(ctx context.Context, a idempotency.Attempt, in simOrder) (simReceipt, error) {
	at := p.w.attemptBegins(p, a, in)
	out, err := p.request(ctx, at, a, in)
	p.step(2)
	p.w.attemptEnds(at, err)
	return out, err
}

// request sends the request through the network as it is today.
func (p *simProc) request(ctx context.Context, at *simAttempt, a idempotency.Attempt, in simOrder) (simReceipt, error) {
	w, k := p.w, at.k
	w.mu.Lock()
	if w.chance(p.rng, 0.04) { // between the last check and the wire
		p.pause(simBetween(p.rng, time.Second, simWirePause))
	}
	w.mu.Unlock()
	p.step(2)
	if !w.beyond && time.Since(at.entered) > simWirePause {
		return simReceipt{}, errSimReset // the bound: it is not sent that late
	}

	w.mu.Lock()
	replies := make(chan simReply, 2)
	there := simBetween(p.rng, time.Millisecond, 60*time.Millisecond)
	back := simBetween(p.rng, time.Millisecond, 60*time.Millisecond)
	answered, twice, told := true, false, false
	reset := time.Duration(0)
	roll := p.rng.Float64() / w.heat
	if w.quiet {
		roll = 1
	}
	switch {
	case roll < 0.05:
		w.mu.Unlock()
		_ = simNap(ctx, there)
		at.notSent = true
		return simReceipt{}, idempotency.NotSent(errSimRefused)
	case roll < 0.10: // lost on its way
		there, answered = -1, false
	case roll < 0.17: // lands late
		there, answered = simBetween(p.rng, time.Second, w.landing()), false
	case roll < 0.24: // the reply is lost
		answered = false
	case roll < 0.30: // slow
		there = simBetween(p.rng, 500*time.Millisecond, 3*time.Second)
	case roll < 0.36 && w.mode == simKeys: // only where keys are alive: the design's assumption
		twice, told = true, p.rng.IntN(2) == 0
	}
	if !answered && p.rng.IntN(2) == 0 {
		reset = simBetween(p.rng, time.Millisecond, simTimeout)
	}
	stuck := w.chance(p.rng, 0.03)
	first := make(chan int, 1)
	if there >= 0 {
		w.later(there, func() {
			w.arrive(k, a.Key, in, func(r simReply) {
				first <- r.status
				replies <- r
			})
		})
	}
	if twice {
		w.later(simBetween(p.rng, there, simLanding), func() {
			select {
			case status := <-first: // a copy that nobody knows of behind a "no" would make a liar of Send
				if !told && (status == 429 || status == 402 && !w.declinesKeyed) {
					return
				}
			default:
				if !told {
					return
				}
			}
			w.arrive(k, a.Key, in, func(simReply) {})
		})
	}
	w.mu.Unlock()
	if told {
		a.Resent()
		at.resent = true
	}

	var resets <-chan time.Time
	if reset > 0 {
		t := time.NewTimer(reset)
		defer t.Stop()
		resets = t.C
	}
	answers := replies
	if !answered {
		answers = nil
	}
	ended := ctx.Done()
	if stuck { // T53
		ended = nil
		t := time.NewTimer(w.draw(p.rng, simTimeout, 3*simTimeout))
		defer t.Stop()
		resets = t.C
	}
	select {
	case r := <-answers:
		if !stuck && !simNap(ctx, back) {
			return simReceipt{}, ctx.Err()
		}
		return at.read(r)
	case <-resets:
		return simReceipt{}, errSimReset
	case <-ended:
		return simReceipt{}, fmt.Errorf("sim: no answer: %w", context.Cause(ctx))
	}
}

func (w *simWorld) landing() time.Duration {
	if w.beyond {
		return 4 * simSettling
	}
	return simLanding
}

// read is how a careful author of Send reads the provider's answers.
func (at *simAttempt) read(r simReply) (out simReceipt, err error) {
	w := at.p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r.status {
	case 200:
		return r.receipt, nil
	case 202:
		at.accepted = true
		return out, idempotency.Accepted(r.charge.ref, time.Second)
	case 402:
		err = idempotency.Rejected("declined", nil)
	case 409:
		return out, retry.After(500*time.Millisecond, errSimBusy)
	case 429:
		err = retry.After(time.Second, errSimTooMany)
		if w.busyIsNotSent {
			at.notSent = true
			err = idempotency.NotSent(err)
		}
		return out, err
	default:
		err = errSimServer
	}
	if r.replayed {
		at.replayed = true
		err = idempotency.Replayed(err)
	}
	return out, err
}
