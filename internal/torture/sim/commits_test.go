package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// What the oracle sees of the store: every commit, with the record before and after it.

func (p *process) judgedAcquire(c idempotency.Claim, asked time.Time) (idempotency.Record, error) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.byID[c.ID]
	before := w.look(k)
	rec, err := w.store.Acquire(context.Background(), c)
	after := w.look(k)
	w.event(p, k, fmt.Sprintf("%s by %x", [...]string{"Acquire", "Acquire (schedule)", "Acquire (tombstone)"}[c.Mode], c.Token[:4]), after.State, after.Fence, err)
	if after.Fence != before.Fence {
		w.judgeClaim(k, before)
		if c.Mode == idempotency.ClaimTombstone {
			k.cancelled = true
		}
	}
	w.judgeChange(k, before, after)
	if after.Fence != before.Fence && after.State == idempotency.StateRunning {
		w.granted(p, k, c.Token, asked, after)
		if c.Sending {
			w.marked(k, k.claims[len(k.claims)-1], after)
		}
	}
	w.judgeOwned(k, c.Token, rec)
	switch mine := k.claim(c.Token, rec.Fence); {
	case err != nil:
	case rec.Owned && mine != nil && before.Fence == after.Fence: // asked again
		mine.refused = false
	case !rec.Owned:
		if k.refused == nil {
			k.refused = map[idempotency.Token]bool{}
		}
		k.refused[c.Token] = true
	}
	return rec, err
}

func (p *process) judgedAcquireDue(c idempotency.DueClaim, asked time.Time) ([]idempotency.Record, error) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	before := make([]idempotency.Record, 0, 8)
	for _, k := range w.keys {
		before = append(before, w.look(k))
	}
	recs, err := w.store.AcquireDue(context.Background(), c)
	if len(recs) == 0 {
		return recs, err
	}
	for i, k := range w.keys {
		after := w.look(k)
		if after.Fence == before[i].Fence {
			continue
		}
		w.event(p, k, fmt.Sprintf("AcquireDue by %x", c.Token[:4]), after.State, after.Fence, err)
		w.judgeClaim(k, before[i])
		w.judgeChange(k, before[i], after)
		w.granted(p, k, c.Token, asked, after)
	}
	for _, rec := range recs {
		w.judgeOwned(w.byID[rec.ID], c.Token, rec)
	}
	return recs, err
}

func (p *process) judgedExtend(leases []idempotency.Lease, d time.Duration, sending bool) ([]bool, error) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	before := make([]idempotency.Record, len(leases))
	for i, l := range leases {
		before[i] = w.look(w.byID[l.ID])
	}
	stands, err := w.store.Extend(context.Background(), leases, d, sending)
	for i, l := range leases {
		k := w.byID[l.ID]
		after := w.look(k)
		what := "Extend"
		if sending {
			what = "Extend (sending)"
		}
		if err == nil && !stands[i] {
			what += " refused"
		}
		w.event(p, k, what, after.State, after.Fence, err)
		w.judgeChange(k, before[i], after)
		if err != nil || !stands[i] {
			continue
		}
		c := k.claim(l.Token, l.Fence)
		if c == nil || after.Fence != l.Fence {
			w.fail(k, "Extend says that a claim stands which does not: fence %d, the record has %d", l.Fence, after.Fence)
			continue
		}
		c.until = time.Now().Add(d)
		if sending {
			w.marked(k, c, after)
		}
	}
	return stands, err
}

func (p *process) judgedSettle(l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.byID[l.ID]
	before := w.look(k)
	rec, err := w.store.Settle(context.Background(), l, o)
	after := w.look(k)
	what := "Settle " + o.State.String()
	owner := l.Token != idempotency.Token{}
	if !owner {
		what = "Settle from outside " + o.State.String()
	}
	w.event(p, k, what, after.State, after.Fence, err)
	changed := before.State != after.State || before.Late != after.Late || !bytes.Equal(before.Value, after.Value)
	c := k.claim(l.Token, l.Fence)
	switch {
	case owner && changed && (c == nil || c.fence != before.Fence):
		w.fail(k, "a lost claim settled the record: fence %d, the record had %d", l.Fence, before.Fence)
	case owner && changed && c.outside:
		w.fail(k, "a claim that was ended from outside settled the record")
	case !owner && changed && o.State != idempotency.StateSucceeded && o.State != idempotency.StateCancelled &&
		(before.Fence != l.Fence || before.Lapsed || before.State == idempotency.StateRunning):
		w.fail(k, "a negative verdict settled a record that had moved on: it saw fence %d, the record had %d, %s", l.Fence, before.Fence, before.State)
	}
	if !owner && o.State == idempotency.StateCancelled && l.Fence == 0 && err == nil &&
		(after.CancelWanted || after.State == idempotency.StateCancelled || after.State == idempotency.StateAbandoned) {
		k.cancelled = true
	}
	switch {
	case owner && err == nil && c != nil && c.fence == after.Fence: // what is left is the claim to notify, if any
		c.until, c.ended = time.Now().Add(after.Lease), after.Lease <= 0
	case !owner && changed && len(k.claims) > 0 && before.Fence == after.Fence:
		last := k.claims[len(k.claims)-1]
		last.outside, last.ended = true, true
	}
	w.judgeChange(k, before, after)
	if changed {
		w.judgeOutcome(k, before, after)
	}
	return rec, err
}

func (p *process) purge(limit int) (int, error) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	before := make([]idempotency.Record, 0, 8)
	for _, k := range w.keys {
		before = append(before, w.look(k))
	}
	n, err := w.store.Purge(context.Background(), limit)
	for i, k := range w.keys {
		if after := w.look(k); after.State != idempotency.StateAbsent || before[i].State != idempotency.StateFree {
			w.judgeChange(k, before[i], after)
		}
	}
	return n, err
}

func (k *call) claim(t idempotency.Token, fence uint64) *claim {
	for _, c := range k.claims {
		if c.token == t && c.fence == fence {
			return c
		}
	}
	return nil
}

func (w *world) granted(p *process, k *call, t idempotency.Token, asked time.Time, after idempotency.Record) {
	k.claims = append(k.claims, &claim{p: p, token: t, fence: after.Fence, asked: asked, at: time.Now(), until: time.Now().Add(after.Lease), refused: k.refused[t]})
	if n := len(k.claims) - busyLoop; n > 0 && time.Since(k.claims[n].at) < time.Second {
		w.fail(k, "section 5: claimed %d times within a second, there is no backoff", busyLoop)
		k.claims = k.claims[n:]
	}
}

// marked is a claim that has just been marked as sending.
func (w *world) marked(k *call, c *claim, after idempotency.Record) {
	c.marks++
	switch {
	case k.cancelled:
		w.fail(k, "a claim was marked as sending after the call had been cancelled")
	case after.State == idempotency.StateRunning && (after.From == idempotency.StateAccepted || after.From == idempotency.StateAbandoned):
		w.fail(k, "a claim from %s was marked as sending", after.From)
	}
}

// judgeClaim checks that nobody held the record when it was claimed, by what the store says and by what it said before.
func (w *world) judgeClaim(k *call, before idempotency.Record) {
	left := before.Lease
	if n := len(k.claims); n > 0 && !k.claims[n-1].ended {
		c := k.claims[n-1]
		left = max(left, time.Until(c.until))
		// T17, T25: a process that is well for half a lease renews its claim or gives it back.
		// (Not one that was made so late that nobody remembers it, or was told "no" already, nor where SettleFor has ended.)
		if before.Lapsed && !k.gaveUp && !c.refused && c.marks > 0 && c.at.Sub(c.asked) < w.lease && !c.p.dead && c.p.ill.Before(c.until.Add(-w.lease/2)) {
			w.fail(k, "the claim of %s, fence %d, ran out although the process was well", c.p.name, c.fence)
		}
	}
	if left > 0 {
		w.fail(k, "two holders: fence %d was claimed while %v of its lease were left", before.Fence, left)
	}
}

func (w *world) judgeOwned(k *call, t idempotency.Token, rec idempotency.Record) {
	if c := k.claim(t, rec.Fence); rec.Owned && (c == nil || c != k.claims[len(k.claims)-1]) {
		w.fail(k, "the store says that a token owns the record which does not")
	}
}

// moves are the states that may follow each other, as section 4 has them.
var moves = map[idempotency.State][]idempotency.State{
	idempotency.StateAbsent:    {idempotency.StateRunning, idempotency.StateScheduled, idempotency.StateCancelled},
	idempotency.StateFree:      {idempotency.StateRunning, idempotency.StateScheduled, idempotency.StateCancelled},
	idempotency.StateScheduled: {idempotency.StateRunning, idempotency.StateCancelled, idempotency.StateUnknown, idempotency.StateAccepted, idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateFree},
	idempotency.StateRunning:   {idempotency.StateFree, idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned, idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled},
	idempotency.StateAccepted:  {idempotency.StateRunning, idempotency.StateAbandoned, idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled, idempotency.StateUnknown},
	idempotency.StateUnknown:   {idempotency.StateRunning, idempotency.StateAbandoned, idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateScheduled, idempotency.StateFree, idempotency.StateAccepted, idempotency.StateCancelled},
	idempotency.StateAbandoned: {idempotency.StateRunning, idempotency.StateCancelled},
}

// judgeChange checks what must hold of any two records that follow each other.
func (w *world) judgeChange(k *call, before, after idempotency.Record) {
	a, b := before.State, after.State
	if a != b || before.Fence != after.Fence || before.Sending != after.Sending || before.Notify != after.Notify ||
		before.CancelWanted != after.CancelWanted || before.Late != after.Late {
		w.changes++
	}
	if len(after.Request) > 0 {
		k.request = after.Request
	}
	switch {
	case a == idempotency.StateAbsent && b == idempotency.StateAbsent:
		return
	case b == idempotency.StateAbsent:
		w.fail(k, "a record that was %s has disappeared", a)
		return
	case after.Fence < before.Fence:
		w.fail(k, "the fence fell from %d to %d", before.Fence, after.Fence)
	case a.Settled() && (b != a || !after.Expired && !bytes.Equal(before.Value, after.Value) || before.Code != after.Code):
		w.fail(k, "settled is final: %s %s became %s %s", a, before.Value, b, after.Value)
	case before.Late && (!after.Late || !bytes.Equal(before.Value, after.Value)):
		w.fail(k, "a late success was lost or changed")
	}
	if k.cleared == nil {
		k.cleared = map[idempotency.State]bool{}
	}
	switch {
	case a == b && before.Notify && !after.Notify:
		k.cleared[b] = true
	case !before.Notify && after.Notify && after.Late == before.Late && k.cleared[b]:
		w.fail(k, "OnSettled has been told that it is %s, and is to be told again", b)
	}
	legal := a == b || slices.Contains(moves[a], b)
	if before.Lapsed && !legal { // its owner came back
		legal = slices.Contains(moves[idempotency.StateRunning], b) || b == idempotency.StateRunning && after.Fence == before.Fence
	}
	if a == idempotency.StateRunning && before.From == idempotency.StateAbandoned {
		legal = b == a || b == idempotency.StateAbandoned || b == idempotency.StateCancelled
	}
	if a != b && !before.Lapsed && before.State != idempotency.StateRunning { // nobody's claim: fewer ways
		switch {
		case b == idempotency.StateFree && a != idempotency.StateAbsent,
			a == idempotency.StateScheduled && b != idempotency.StateRunning && b != idempotency.StateCancelled && b != idempotency.StateSucceeded,
			a == idempotency.StateUnknown && b == idempotency.StateAccepted,
			a == idempotency.StateUnknown && b == idempotency.StateCancelled,
			a == idempotency.StateAccepted && b == idempotency.StateUnknown,
			a == idempotency.StateAccepted && b == idempotency.StateCancelled:
			legal = false
		}
	}
	if b == idempotency.StateRunning && a == idempotency.StateAbandoned && after.From != a && !before.Lapsed {
		legal = false
	}
	if !legal {
		w.fail(k, "%s must not become %s", a, b)
	}
	if before.Ambiguous && !before.Lapsed && !after.Ambiguous && !b.Settled() && !after.Late && b != idempotency.StateScheduled {
		w.fail(k, "an ambiguous record (%s) lost its mark (%s)", a, b)
	}
}

// judgeOutcome checks what a record's new state says against the provider's ledger.
func (w *world) judgeOutcome(k *call, before, after idempotency.Record) {
	charge := k.charged()
	switch after.State {
	case idempotency.StateSucceeded:
		w.judgeValue(k, after.Value, "the store recorded")
	case idempotency.StateAbandoned:
		if after.Late {
			w.judgeValue(k, after.Value, "the store recorded, late,")
		}
	case idempotency.StateRejected, idempotency.StateCancelled:
		if charge != nil {
			w.fail(k, "%s is recorded although %s was charged", after.State, charge.ref)
		}
		if k.closed == "" {
			k.closed = "it is recorded as " + after.State.String()
		}
	case idempotency.StateFree, idempotency.StateScheduled:
		if before.State == after.State {
			return
		}
		if charge != nil {
			w.fail(k, "%s is recorded although %s was charged", after.State, charge.ref)
		}
		for _, at := range k.open {
			seen := at.over()
			if !slices.ContainsFunc(k.denied, func(asked time.Time) bool { return asked.Sub(seen) >= settling-off(settling) }) {
				w.fail(k, "%s is recorded although nobody knows what became of attempt %d of %s", after.State, at.number, at.p.name)
			}
		}
		k.open = nil
	}
}

func (w *world) judgeValue(k *call, value []byte, who string) {
	var r receipt
	if err := json.Unmarshal(value, &r); err != nil {
		w.fail(k, "%s a value that cannot be read: %v", who, err)
		return
	}
	w.judgeReceipt(k, r, who)
}

// judgeReceipt checks a success against the ledger.
func (w *world) judgeReceipt(k *call, r receipt, who string) {
	charge := k.charged()
	switch {
	case charge == nil:
		w.fail(k, "%s a success, nothing was charged", who)
	case r != charge.receipt() && k.effects == 1:
		w.fail(k, "%s %v, the charge was %v", who, r, charge.receipt())
	}
}
