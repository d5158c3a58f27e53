package main

import (
	"slices"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// What the oracle sees of the provider: every sending, every request, every effect.

// attemptBegins is Send at its first line: right after the library's last check.
func (w *world) attemptBegins(p *process, a idempotency.Attempt, in order) *attempt {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	k := w.byID[idempotency.ID{Operation: "charge", Scope: a.Scope, Key: a.ID}]
	at := &attempt{p: p, k: k, number: a.Number, entered: now}
	if p.dead {
		return at
	}
	w.event(p, k, "sends", 0, 0, nil)
	for _, c := range slices.Backward(k.claims) {
		if c.p == p && c.marks > c.sends && (c.outside || !c.until.Add(off(w.lease)).Before(now)) {
			at.claim, c.sends = c, c.marks
			break
		}
	}
	if at.claim == nil {
		w.fail(k, "%s sends without a live claim that is marked for it", p.name)
		return at
	}
	rec := w.look(k)
	if rec.State == idempotency.StateRunning && rec.Fence == at.claim.fence {
		if rec.From == idempotency.StateAccepted || rec.From == idempotency.StateAbandoned {
			w.fail(k, "%s sends a call that was %s", p.name, rec.From)
		}
	}
	w.judgeAlone(at)
	w.judgeAgain(at, rec)
	if k.sentIn != (order{}) && k.sentIn != in {
		w.fail(k, "P8: %v was sent, before it was %v", in, k.sentIn)
	}
	k.sentIn = in
	k.attempts = append(k.attempts, at)
	k.open = append(k.open, at)
	return at
}

// judgeAlone is P1: no other attempt is under way whose process keeps its lease.
func (w *world) judgeAlone(at *attempt) {
	now := at.entered
	for _, o := range at.k.attempts {
		switch {
		case !o.running(), o.p.dead:
		case now.Sub(o.entered) >= timeout+grace: // over for the library, whatever Send does
		case o.claim.until.Before(now): // it may have lost its lease
		default:
			w.fail(at.k, "P1: %s sends while attempt %d of %s is under way", at.p.name, o.number, o.p.name)
		}
	}
}

// judgeAgain is P3: a sending that follows an unknown one is allowed by section 5.
func (w *world) judgeAgain(at *attempt, rec idempotency.Record) {
	k := at.k
	if len(k.open) == 0 {
		return
	}
	for _, o := range k.open {
		if o.accepted && !o.running() && (o.claim == at.claim || o.claim.ended && !o.claim.outside && !o.p.dead) {
			w.fail(k, "T50: %s sends although %s was told that it is accepted", at.p.name, o.p.name)
		}
	}
	first := k.open[0]
	if w.mode != modeKeys {
		w.fail(k, "P3: %s sends although nobody knows what became of attempt %d of %s", at.p.name, first.number, first.p.name)
		return
	}
	if age := at.entered.Sub(first.entered); age > w.keyLife-margin+off(w.keyLife) {
		w.fail(k, "T6: %s sends %v after the first attempt, the key lives for %v", at.p.name, age, w.keyLife)
	}
	last := k.open[len(k.open)-1]
	if last.replayed && last.claim == at.claim || rec.State == idempotency.StateRunning && rec.Fence == at.claim.fence && rec.ReplayedError && at.claim.sends == 1 {
		w.fail(k, "T11: %s sends after an error that the provider replays", at.p.name)
	}
}

// attemptEnds is Send about to return.
func (w *world) attemptEnds(at *attempt, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := at.k
	at.returned, at.ok = time.Now(), err == nil
	at.accepted = at.accepted && at.returned.Sub(at.entered) < timeout+grace // else nobody listened any more
	what := "has sent"
	if err == nil {
		what = "has sent, and succeeded"
	}
	w.event(at.p, k, what, 0, 0, err)
	if at.notSent && !at.resent {
		k.open = slices.DeleteFunc(k.open, func(o *attempt) bool { return o == at })
	}
}

// judgeRequest checks a request as the provider sees it.
func (w *world) judgeRequest(k *call, key string, in order) {
	w.event(nil, k, "provider: request", 0, 0, nil)
	if k.sentKey != "" && k.sentKey != key {
		w.fail(k, "T5: another provider key: %s, before it was %s", key, k.sentKey)
	}
	if k.sentKey == "" {
		for _, o := range w.keys {
			if o.sentKey == key {
				w.fail(k, "T24: %s has this provider key too", o)
			}
		}
	}
	k.sentKey = key
}

// judgeEffect is the oracle of money.
func (w *world) judgeEffect(k *call) {
	k.effects++
	switch {
	case k.effects > 1:
		w.doubles++
		w.fail(k, "MONEY: charged %d times", k.effects)
	case k.closed != "":
		w.fail(k, "MONEY: charged although %s", k.closed)
	case k.quietAt > 0 && k.quietAt == k.calls:
		w.fail(k, "P9: charged although the only caller was told that it was not sent, and nobody has asked since")
	}
	if k.intent == "" {
		return
	}
	sum := 0
	for _, o := range w.keys {
		if o.intent == k.intent {
			sum += o.effects
		}
	}
	if sum > 1 {
		w.fail(k, "P9: its intent was charged %d times, by keys that followed each other", sum)
	}
}
