package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// The network between the processes and the provider, and what a careful author of Send makes of it.

var (
	errRefused = errors.New("sim: connection refused")
	errReset   = errors.New("sim: connection reset")
	errServer  = errors.New("sim: 500")
	errBusy    = errors.New("sim: 409, in progress")
	errTooMany = errors.New("sim: 429")
)

// send is Call.Send.
func (p *process) send(ctx context.Context, a idempotency.Attempt, in order) (receipt, error) {
	at := p.w.attemptBegins(p, a, in)
	out, err := p.request(ctx, at, a, in)
	p.step("Send, returns", 2)
	p.w.attemptEnds(at, err)
	return out, err
}

// route is what the network does to one request, and what the provider makes of it.
type route struct {
	refused bool          // nothing leaves the process, and Send knows
	there   time.Duration // below zero: it is lost
	back    time.Duration
	silent  bool          // the answer is lost
	reset   time.Duration // when a connection without an answer breaks; zero: it does not
	twice   time.Duration // when a copy arrives; zero: there is none
	told    bool          // Send knows of the copy
	stuck   time.Duration // so long Send does not notice that its context has ended; zero: it does
	fortune *fortune      // nil: the provider's own
}

// route draws one. The lock is held.
func (p *process) route() (r route) {
	w := p.w
	r.there = between(p.rng, time.Millisecond, 60*time.Millisecond)
	r.back = between(p.rng, time.Millisecond, 60*time.Millisecond)
	roll := p.rng.Float64() / w.heat
	if w.quiet {
		roll = 1
	}
	switch {
	case roll < 0.05:
		r.refused = true
		return r
	case roll < 0.10:
		r.there, r.silent = -1, true
	case roll < 0.17: // lands late
		r.there, r.silent = between(p.rng, time.Second, w.landing()), true
	case roll < 0.24:
		r.silent = true
	case roll < 0.30: // slow
		r.there = between(p.rng, 500*time.Millisecond, 3*time.Second)
	case roll < 0.36 && w.mode == modeKeys: // only where keys are alive: the design's assumption
		r.twice, r.told = between(p.rng, r.there, longestWay), p.rng.IntN(2) == 0
	}
	if r.silent && p.rng.IntN(2) == 0 {
		r.reset = between(p.rng, time.Millisecond, timeout)
	}
	if w.chance(p.rng, 0.03) { // T53
		r.stuck = between(p.rng, timeout, 3*timeout)
	}
	return r
}

// request sends the request through the network as it is today.
func (p *process) request(ctx context.Context, at *attempt, a idempotency.Attempt, in order) (receipt, error) {
	w, k := p.w, at.k
	w.mu.Lock()
	if w.chance(p.rng, 0.04) { // between the last check and the wire
		p.pause("before the wire", between(p.rng, time.Second, wirePause))
	}
	w.mu.Unlock()
	p.step("Send, before the wire", 2)
	if !w.beyond && time.Since(at.entered) > wirePause {
		return receipt{}, errReset // the bound: it is not sent that late
	}

	w.mu.Lock()
	var r route
	if w.plan != nil {
		r = w.plan.route(w)
	} else {
		r = p.route()
	}
	if r.refused {
		w.mu.Unlock()
		_ = p.nap(ctx, a.ID, r.there)
		at.notSent = true
		return receipt{}, idempotency.NotSent(errRefused)
	}
	replies, first := make(chan answer, 2), make(chan int, 1)
	if r.there >= 0 {
		w.later(r.there, func() {
			w.arrive(k, a.Key, in, r.fortune, func(ans answer) {
				first <- ans.status
				replies <- ans
			})
		})
	}
	if r.twice > 0 {
		w.later(r.twice, func() {
			select {
			case status := <-first: // a copy that nobody knows of behind a "no" would make a liar of Send
				if !r.told && (status == 429 || status == 402 && !w.declinesKeyed) {
					return
				}
			default:
				if !r.told {
					return
				}
			}
			w.arrive(k, a.Key, in, r.fortune, func(answer) {})
		})
	}
	w.mu.Unlock()
	if r.told {
		a.Resent()
		at.resent = true
	}
	p.step("Send, on the wire", 0.5)

	answers, ended, broken := replies, ctx.Done(), max(r.reset, r.stuck)
	if r.silent {
		answers = nil
	}
	switch {
	case r.stuck > 0:
		ended = nil
	case ctx.Err() != nil: // while it was paused: select would toss a coin
		answers = nil
	}
	var breaks <-chan time.Time
	if broken > 0 {
		t := time.NewTimer(w.after(broken))
		defer t.Stop()
		breaks = t.C
	}
	select {
	case ans := <-answers:
		if r.stuck == 0 && !p.nap(ctx, a.ID, r.back) {
			return receipt{}, ctx.Err()
		}
		return at.read(ans)
	case <-breaks:
		return receipt{}, errReset
	case <-ended:
		w.alone(p.name, "Send", a.Scope, a.ID)
		return receipt{}, fmt.Errorf("sim: no answer: %w", context.Cause(ctx))
	}
}

func (w *world) landing() time.Duration {
	if w.beyond {
		return 4 * settling
	}
	return longestWay
}

// read is how a careful author of Send reads the provider's answers.
func (at *attempt) read(r answer) (out receipt, err error) {
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
		return out, retry.After(500*time.Millisecond, errBusy)
	case 429:
		err = retry.After(time.Second, errTooMany)
		if w.busyIsNotSent {
			at.notSent = true
			err = idempotency.NotSent(err)
		}
		return out, err
	default:
		err = errServer
	}
	if r.replayed {
		at.replayed = true
		err = idempotency.Replayed(err)
	}
	return out, err
}
