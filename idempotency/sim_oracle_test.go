package idempotency_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// The oracle: it watches every commit of the store, every sending, every effect and every answer, and knows what the
// design promises about them. It shares no code with what it judges.

// simKey is what the oracle knows of one call.
type simKey struct {
	w       *simWorld
	id      idempotency.ID
	order   simOrder
	intent  string // set for keys that follow each other in paying one intent
	account simAccount
	untold  *simCharge // whose webhook waits for somebody to look

	claims   []*simClaim   // newest last
	attempts []*simAttempt // all of them
	open     []*simAttempt // those that may have had an effect, as far as anybody was told
	denied   []time.Time   // when the provider was asked and said no

	request   []byte // as it is recorded
	sentKey   string // the provider key of its first request
	sentIn    simOrder
	effects   int
	closed    string // why it can have no effect any more
	cancelled bool   // a cancellation was committed
	calls     int    // Do and Start, so far
	active    int    // of them, under way
	loose     bool   // one of them ended without a definite answer, so it may go on
	quietAt   int    // calls when somebody who was alone was told "not sent"; -1: nobody was
	reported  bool   // through a hook: an outcome could not be recorded, or contradicts
	gaveUp    bool   // an outcome could not be recorded within SettleFor
	told      map[idempotency.State]int
	toldLate  bool
}

func (k *simKey) String() string { return k.id.Scope + "/" + k.id.Key }

// other is another request under the same key.
func (k *simKey) other() simOrder { return simOrder{Order: k.order.Order, Amount: k.order.Amount + 1} }

// charged is the first effect, or nil.
func (k *simKey) charged() *simCharge {
	for _, c := range k.account.charges {
		if c.charged {
			return c
		}
	}
	return nil
}

// simClaim is a claim that the store granted.
type simClaim struct {
	p       *simProc
	token   idempotency.Token
	fence   uint64
	asked   time.Time
	at      time.Time
	until   time.Time
	marks   int // how often it was marked as sending
	sends   int // marks used up by sendings
	ended   bool
	outside bool // by a verdict
}

// simBusy claims of one key within a second are a loop, not work.
const simBusy = 20

// simAttempt is one run of Send.
type simAttempt struct {
	p        *simProc
	k        *simKey
	claim    *simClaim
	number   int
	entered  time.Time
	returned time.Time
	ok       bool
	accepted bool
	notSent  bool
	resent   bool
	replayed bool
}

func (a *simAttempt) running() bool { return a.returned.IsZero() }

// over is the last moment at which the store may believe that it was under way: the end of Send, or of the library's
// patience with it, or of the lease where nobody reported.
func (a *simAttempt) over() time.Time {
	over := a.entered.Add(simTimeout + simGrace)
	if !a.running() && a.returned.Before(over) {
		over = a.returned
	}
	if a.claim.until.Before(over) {
		over = a.claim.until
	}
	return over
}

// simEvent is a line of the trace.
type simEvent struct {
	at    time.Duration
	who   string
	key   *simKey
	what  string
	state idempotency.State
	fence uint64
	err   error
}

func (w *simWorld) event(p *simProc, k *simKey, what string, state idempotency.State, fence uint64, err error) {
	e := simEvent{at: w.now(), key: k, what: what, state: state, fence: fence, err: err}
	if p != nil {
		e.who = p.name
	}
	w.events = append(w.events, e)
}

// trace renders what happened to a key, and to everything.
func (w *simWorld) trace() string {
	var b strings.Builder
	for _, e := range w.events {
		fmt.Fprintf(&b, "%12.6f  %-5s ", e.at.Seconds(), e.who)
		if e.key != nil {
			fmt.Fprintf(&b, "%-14s ", e.key)
		} else {
			fmt.Fprintf(&b, "%-14s ", "")
		}
		b.WriteString(e.what)
		if e.state != 0 || e.fence != 0 {
			fmt.Fprintf(&b, " → %s, fence %d", e.state, e.fence)
		}
		if e.err != nil {
			fmt.Fprintf(&b, " (%v)", e.err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// fail notes a violation. The lock is held.
func (w *simWorld) fail(k *simKey, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if k != nil {
		text = k.String() + ": " + text
	}
	w.event(nil, k, "VIOLATION: "+text, 0, 0, nil)
	w.violations = append(w.violations, fmt.Sprintf("%v: %s", w.now(), text))
}

func (w *simWorld) failNow(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail(nil, "%s", text)
}

func (w *simWorld) key(a idempotency.Attempt) *simKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byID[idempotency.ID{Operation: "charge", Scope: a.Scope, Key: a.ID}]
}

// look reads the record as it is now.
func (w *simWorld) look(k *simKey) idempotency.Record {
	rec, err := w.store.Get(context.Background(), k.id)
	if err != nil {
		return idempotency.Record{}
	}
	return rec
}

// ---- the store's commits

func (p *simProc) acquire(c idempotency.Claim, asked time.Time) (idempotency.Record, error) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.byID[c.ID]
	before := w.look(k)
	rec, err := w.store.Acquire(context.Background(), c)
	after := w.look(k)
	w.event(p, k, [...]string{"Acquire", "Acquire (schedule)", "Acquire (tombstone)"}[c.Mode], after.State, after.Fence, err)
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
	return rec, err
}

func (p *simProc) acquireDue(c idempotency.DueClaim, asked time.Time) ([]idempotency.Record, error) {
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
		w.event(p, k, "AcquireDue", after.State, after.Fence, err)
		w.judgeClaim(k, before[i])
		w.judgeChange(k, before[i], after)
		w.granted(p, k, c.Token, asked, after)
	}
	for _, rec := range recs {
		w.judgeOwned(w.byID[rec.ID], c.Token, rec)
	}
	return recs, err
}

func (p *simProc) extend(leases []idempotency.Lease, d time.Duration, sending bool) ([]bool, error) {
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

func (p *simProc) settle(l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
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

func (p *simProc) purge(limit int) (int, error) {
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

func (k *simKey) claim(t idempotency.Token, fence uint64) *simClaim {
	for _, c := range k.claims {
		if c.token == t && c.fence == fence {
			return c
		}
	}
	return nil
}

func (w *simWorld) granted(p *simProc, k *simKey, t idempotency.Token, asked time.Time, after idempotency.Record) {
	k.claims = append(k.claims, &simClaim{p: p, token: t, fence: after.Fence, asked: asked, at: time.Now(), until: time.Now().Add(after.Lease)})
	if n := len(k.claims) - simBusy; n > 0 && time.Since(k.claims[n].at) < time.Second {
		w.fail(k, "section 5: claimed %d times within a second, there is no backoff", simBusy)
		k.claims = k.claims[n:]
	}
}

// marked is a claim that has just been marked as sending.
func (w *simWorld) marked(k *simKey, c *simClaim, after idempotency.Record) {
	c.marks++
	switch {
	case k.cancelled:
		w.fail(k, "a claim was marked as sending after the call had been cancelled")
	case after.State == idempotency.StateRunning && (after.From == idempotency.StateAccepted || after.From == idempotency.StateAbandoned):
		w.fail(k, "a claim from %s was marked as sending", after.From)
	}
}

// judgeClaim checks that nobody held the record when it was claimed, by what the store says and by what it said before.
func (w *simWorld) judgeClaim(k *simKey, before idempotency.Record) {
	left := before.Lease
	if n := len(k.claims); n > 0 && !k.claims[n-1].ended {
		c := k.claims[n-1]
		left = max(left, time.Until(c.until))
		// T17, T25: a process that is well for half a lease renews its claim or gives it back.
		// (Not one whose request arrived so late that nobody remembers it, nor where SettleFor has ended.)
		if before.Lapsed && !k.gaveUp && c.marks > 0 && c.at.Sub(c.asked) < w.lease && !c.p.dead && c.p.ill.Before(c.until.Add(-w.lease/2)) {
			w.fail(k, "the claim of %s, fence %d, ran out although the process was well", c.p.name, c.fence)
		}
	}
	if left > 0 {
		w.fail(k, "two holders: fence %d was claimed while %v of its lease were left", before.Fence, left)
	}
}

func (w *simWorld) judgeOwned(k *simKey, t idempotency.Token, rec idempotency.Record) {
	if c := k.claim(t, rec.Fence); rec.Owned && (c == nil || c != k.claims[len(k.claims)-1]) {
		w.fail(k, "the store says that a token owns the record which does not")
	}
}

// simMoves are the states that may follow each other, as section 4 has them.
var simMoves = map[idempotency.State][]idempotency.State{
	idempotency.StateAbsent:    {idempotency.StateRunning, idempotency.StateScheduled, idempotency.StateCancelled},
	idempotency.StateFree:      {idempotency.StateRunning, idempotency.StateScheduled, idempotency.StateCancelled},
	idempotency.StateScheduled: {idempotency.StateRunning, idempotency.StateCancelled, idempotency.StateUnknown, idempotency.StateAccepted, idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateFree},
	idempotency.StateRunning:   {idempotency.StateFree, idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned, idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled},
	idempotency.StateAccepted:  {idempotency.StateRunning, idempotency.StateAbandoned, idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled, idempotency.StateUnknown},
	idempotency.StateUnknown:   {idempotency.StateRunning, idempotency.StateAbandoned, idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateScheduled, idempotency.StateFree, idempotency.StateAccepted, idempotency.StateCancelled},
	idempotency.StateAbandoned: {idempotency.StateRunning, idempotency.StateCancelled},
}

// judgeChange checks what must hold of any two records that follow each other.
func (w *simWorld) judgeChange(k *simKey, before, after idempotency.Record) {
	a, b := before.State, after.State
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
	legal := a == b || slices.Contains(simMoves[a], b)
	if before.Lapsed && !legal { // its owner came back
		legal = slices.Contains(simMoves[idempotency.StateRunning], b) || b == idempotency.StateRunning && after.Fence == before.Fence
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
func (w *simWorld) judgeOutcome(k *simKey, before, after idempotency.Record) {
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
			if !slices.ContainsFunc(k.denied, func(asked time.Time) bool { return asked.Sub(seen) >= simSettling }) {
				w.fail(k, "%s is recorded although nobody knows what became of attempt %d of %s", after.State, at.number, at.p.name)
			}
		}
		k.open = nil
	}
}

func (w *simWorld) judgeValue(k *simKey, value []byte, who string) {
	var r simReceipt
	if err := json.Unmarshal(value, &r); err != nil {
		w.fail(k, "%s a value that cannot be read: %v", who, err)
		return
	}
	w.judgeReceipt(k, r, who)
}

// judgeReceipt checks a success against the ledger.
func (w *simWorld) judgeReceipt(k *simKey, r simReceipt, who string) {
	charge := k.charged()
	switch {
	case charge == nil:
		w.fail(k, "%s a success, nothing was charged", who)
	case r != charge.receipt() && k.effects == 1:
		w.fail(k, "%s %v, the charge was %v", who, r, charge.receipt())
	}
}

// ---- attempts

// attemptBegins is Send at its first line: right after the library's last check.
func (w *simWorld) attemptBegins(p *simProc, a idempotency.Attempt, in simOrder) *simAttempt {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	k := w.byID[idempotency.ID{Operation: "charge", Scope: a.Scope, Key: a.ID}]
	at := &simAttempt{p: p, k: k, number: a.Number, entered: now}
	if p.dead {
		return at
	}
	w.event(p, k, "sends", 0, 0, nil)
	for _, c := range slices.Backward(k.claims) {
		if c.p == p && c.marks > c.sends && (c.outside || !c.until.Before(now)) {
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
	if k.sentIn != (simOrder{}) && k.sentIn != in {
		w.fail(k, "P8: %v was sent, before it was %v", in, k.sentIn)
	}
	k.sentIn = in
	k.attempts = append(k.attempts, at)
	k.open = append(k.open, at)
	return at
}

// judgeAlone is P1: no other attempt is under way whose process keeps its lease.
func (w *simWorld) judgeAlone(at *simAttempt) {
	now := at.entered
	for _, o := range at.k.attempts {
		switch {
		case !o.running(), o.p.dead:
		case now.Sub(o.entered) >= simTimeout+simGrace: // over for the library, whatever Send does
		case o.claim.until.Before(now): // it may have lost its lease
		default:
			w.fail(at.k, "P1: %s sends while attempt %d of %s is under way", at.p.name, o.number, o.p.name)
		}
	}
}

// judgeAgain is P3: a sending that follows an unknown one is allowed by section 5.
func (w *simWorld) judgeAgain(at *simAttempt, rec idempotency.Record) {
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
	if w.mode != simKeys {
		w.fail(k, "P3: %s sends although nobody knows what became of attempt %d of %s", at.p.name, first.number, first.p.name)
		return
	}
	if age := at.entered.Sub(first.entered); age > w.keyLife-simMargin {
		w.fail(k, "T6: %s sends %v after the first attempt, the key lives for %v", at.p.name, age, w.keyLife)
	}
	last := k.open[len(k.open)-1]
	if last.replayed && last.claim == at.claim || rec.State == idempotency.StateRunning && rec.Fence == at.claim.fence && rec.ReplayedError && at.claim.sends == 1 {
		w.fail(k, "T11: %s sends after an error that the provider replays", at.p.name)
	}
}

// attemptEnds is Send about to return.
func (w *simWorld) attemptEnds(at *simAttempt, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := at.k
	at.returned, at.ok = time.Now(), err == nil
	at.accepted = at.accepted && at.returned.Sub(at.entered) < simTimeout+simGrace // else nobody listened any more
	what := "has sent"
	if err == nil {
		what = "has sent, and succeeded"
	}
	w.event(at.p, k, what, 0, 0, err)
	if at.notSent && !at.resent {
		k.open = slices.DeleteFunc(k.open, func(o *simAttempt) bool { return o == at })
	}
}

// judgeRequest checks a request as the provider sees it.
func (w *simWorld) judgeRequest(k *simKey, key string, in simOrder) {
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
func (w *simWorld) judgeEffect(k *simKey) {
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

// ---- what people are told

// calling notes that a call with the key begins. It returns its number, or zero if another one may be under way.
func (w *simWorld) calling(k *simKey) (alone int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k.calls++
	if k.active == 0 && !k.loose {
		alone = k.calls
	}
	k.active++
	return alone
}

// called notes how it ended.
func (w *simWorld) called(k *simKey, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k.active--
	var no *idempotency.Rejection
	if err != nil && !errors.Is(err, idempotency.ErrNotSent) && !errors.As(err, &no) &&
		!errors.Is(err, idempotency.ErrCancelled) && !errors.Is(err, idempotency.ErrKeyReused) {
		k.loose = true
	}
}

// judgeAnswer checks what Do told a caller. alone is what calling returned: nobody else asked for the key until then.
func (w *simWorld) judgeAnswer(k *simKey, in simOrder, res idempotency.Result[simReceipt], err error, alone int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event(nil, k, "a caller is told", 0, 0, err)
	rec := w.look(k)
	charge := k.charged()
	reused := rec.State != idempotency.StateAbsent && len(k.request) > 0 && !simSameOrder(k.request, in)
	var (
		no         *idempotency.Rejection
		pending    *idempotency.PendingError
		unknown    *idempotency.UnknownError
		unrecorded *idempotency.UnrecordedError
	)
	safe := errors.As(err, &no) || errors.Is(err, idempotency.ErrCancelled) || errors.Is(err, idempotency.ErrNotSent)
	if errors.As(err, &unrecorded) {
		if safe {
			w.fail(k, "P9: an UnrecordedError must not unwrap to a safe error: %v", err)
		}
		if unrecorded.State == idempotency.StateSucceeded {
			w.judgeReceipt(k, res.Value, "a caller was told, beside an UnrecordedError,")
		}
		return
	}
	if (safe || err == nil) && reused {
		w.fail(k, "P8: a caller with another request was told: %v", err)
	}
	switch {
	case err == nil:
		w.judgeReceipt(k, res.Value, "a caller was told")
		if res.Value.Amount != in.Amount {
			w.fail(k, "P8: a caller got the result of another request: %v for %v", res.Value, in)
		}
	case errors.As(err, &no), errors.Is(err, idempotency.ErrCancelled):
		if charge != nil {
			w.fail(k, "P9: a caller was told %q, %s was charged", err, charge.ref)
		}
		if k.closed == "" {
			k.closed = "a caller was told: " + err.Error()
		}
	case errors.Is(err, idempotency.ErrNotSent):
		if alone == k.calls { // nobody has begun another one since: what Do says is true now
			if charge != nil {
				w.fail(k, "P9: a caller was told %q, %s was charged", err, charge.ref)
			}
			k.quietAt = k.calls
		}
	case errors.Is(err, idempotency.ErrKeyReused):
		if !reused {
			w.fail(k, "P8: the key's own request was refused: %v", err)
		}
	case errors.Is(err, idempotency.ErrExpired):
		if charge == nil || !rec.Expired {
			w.fail(k, "a caller was told %q", err)
		}
	case errors.As(err, &pending), errors.As(err, &unknown), errors.Is(err, idempotency.ErrStore):
	default:
		w.fail(k, "P9: a caller got an error that says nothing: %v", err)
	}
}

// judgeReplay checks an answer that came when all was quiet: it is what is recorded.
func (w *simWorld) judgeReplay(k *simKey, res idempotency.Result[simReceipt], err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rec := w.look(k)
	var no *idempotency.Rejection
	var unknown *idempotency.UnknownError
	ok := false
	switch rec.State {
	case idempotency.StateSucceeded:
		ok = err == nil && res.Replayed || rec.Expired && errors.Is(err, idempotency.ErrExpired)
	case idempotency.StateRejected:
		ok = errors.As(err, &no) && no.Code == rec.Code
	case idempotency.StateCancelled:
		ok = errors.Is(err, idempotency.ErrCancelled)
	case idempotency.StateAbandoned:
		ok = errors.As(err, &unknown)
	}
	if !ok {
		w.fail(k, "at the end it is %s, and Do says: %v", rec.State, err)
	}
}

func (w *simWorld) judgeStatus(k *simKey, s simStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event(nil, k, "a caller reads "+s.State.String(), 0, 0, nil)
	switch s.State {
	case idempotency.StateSucceeded:
		if s.Expired {
			return
		}
		w.judgeReceipt(k, s.Value, "Status says")
	case idempotency.StateRejected, idempotency.StateCancelled:
		if charge := k.charged(); charge != nil {
			w.fail(k, "Status says %s, %s was charged", s.State, charge.ref)
		}
	}
}

func (w *simWorld) judgeCancel(k *simKey, s simStatus, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event(nil, k, "a caller cancels", 0, 0, err)
	var no *idempotency.Rejection
	if err == nil && s.State != idempotency.StateCancelled {
		w.fail(k, "Cancel says nothing, the call is %s", s.State)
	}
	if err == nil || errors.As(err, &no) || errors.Is(err, idempotency.ErrCancelled) {
		if charge := k.charged(); charge != nil {
			w.fail(k, "P9: Cancel says %v, %s was charged", err, charge.ref)
		}
		if k.closed == "" {
			k.closed = "its canceller was told that it is closed"
		}
	}
}

// onSettled is Call.OnSettled.
func (p *simProc) onSettled(_ context.Context, s idempotency.Settled[simOrder, simReceipt]) error {
	p.step(1)
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.byID[idempotency.ID{Operation: "charge", Scope: s.Scope, Key: s.Key}]
	if w.chance(p.rng, 0.05) {
		return errors.New("sim: the shop's database is down")
	}
	w.event(p, k, "OnSettled", s.State, 0, nil)
	if k.told == nil {
		k.told = map[idempotency.State]int{}
	}
	k.told[s.State]++
	k.toldLate = k.toldLate || s.Late
	if s.State == idempotency.StateSucceeded || s.Late {
		w.judgeReceipt(k, s.Value, "OnSettled was told")
	}
	if final := w.look(k); final.State != s.State {
		// An abandoned call may have been cancelled since.
		if s.State != idempotency.StateAbandoned || final.State != idempotency.StateCancelled && final.State != idempotency.StateRunning {
			w.fail(k, "OnSettled is told %s, the record is %s", s.State, final.State)
		}
	}
	return nil
}

func (p *simProc) onConflict(e idempotency.ConflictEvent) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	k := p.w.byID[e.ID]
	p.w.event(p, k, "Hooks.Conflict, recorded "+e.Recorded.String()+", claimed "+e.Claimed.String(), 0, 0, e.Err)
	if e.Claimed == idempotency.StateSucceeded {
		k.reported = true
	}
}

func (p *simProc) onUnrecorded(e idempotency.UnrecordedEvent) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	k := p.w.byID[e.ID]
	p.w.event(p, k, "Hooks.Unrecorded "+e.Outcome.State.String(), 0, 0, e.Err)
	k.gaveUp = true
	if e.Outcome.State == idempotency.StateSucceeded {
		k.reported = true
	}
}

func (p *simProc) onLeaseLost(id idempotency.ID) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.event(p, p.w.byID[id], "Hooks.LeaseLost", 0, 0, nil)
}

// ---- the end

// unresolved lists what should not be as it is, now that all is quiet. The lock is held.
func (w *simWorld) unresolved() (stuck []string) {
	for _, k := range w.keys {
		rec := w.look(k)
		ok := false
		switch rec.State {
		case idempotency.StateAbsent, idempotency.StateFree:
			ok = true
		case idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled:
			ok = !rec.Notify
		case idempotency.StateAbandoned:
			ok = !rec.Notify && (rec.Late || !w.lookup)
		case idempotency.StateAccepted:
			ok = !w.lookup && rec.GiveUp == idempotency.Never
		case idempotency.StateUnknown:
			ok = !w.lookup && (w.mode != simKeys || rec.ReplayedError || rec.FirstSent >= w.keyLife-simMargin)
			ok = ok && rec.Due == idempotency.Never && rec.GiveUp == idempotency.Never
		}
		if !ok {
			stuck = append(stuck, fmt.Sprintf("%s is %s, due in %v, notify %v", k, rec.State, rec.Due, rec.Notify))
		}
		for _, at := range k.attempts { // P4
			if at.ok && !at.p.dead && rec.State != idempotency.StateSucceeded && !rec.Late && !k.reported {
				stuck = append(stuck, fmt.Sprintf("P4: %s: %s learned of a success that is neither recorded nor reported", k, at.p.name))
			}
		}
	}
	return stuck
}

// listed checks that what is left for people is listed.
func (w *simWorld) listed(p *simProc) {
	open := []idempotency.State{
		idempotency.StateScheduled, idempotency.StateRunning, idempotency.StateAccepted, idempotency.StateUnknown,
		idempotency.StateAbandoned,
	}
	list, err := p.wrapper.List(context.Background(), idempotency.Query{States: open})
	if err != nil {
		w.failNow("List failed without a fault: " + err.Error())
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.keys {
		rec := w.look(k)
		has := slices.ContainsFunc(list, func(s simStatus) bool { return s.Scope == k.id.Scope && s.Key == k.id.Key })
		if want := slices.Contains(open, rec.State); want != has {
			w.fail(k, "it is %s, and in List: %v", rec.State, has)
		}
	}
}

// balance compares the books when everything is over.
func (w *simWorld) balance() {
	for _, k := range w.keys {
		rec := w.look(k)
		charge := k.charged()
		switch rec.State {
		case idempotency.StateSucceeded:
			if !rec.Expired {
				w.judgeValue(k, rec.Value, "at the end the record holds")
			} else if charge == nil {
				w.fail(k, "at the end it is %s, nothing was charged", rec.State)
			}
		case idempotency.StateAbandoned:
			if charge == nil {
				w.fail(k, "at the end it is abandoned, nothing was charged")
			} else {
				w.judgeValue(k, rec.Value, "at the end the record holds")
			}
			if !k.toldLate {
				w.fail(k, "OnSettled was never told of the late success")
			}
		case idempotency.StateAbsent, idempotency.StateFree, idempotency.StateRejected, idempotency.StateCancelled:
			if charge != nil {
				w.fail(k, "at the end it is %s, %s was charged", rec.State, charge.ref)
			}
		default:
			w.fail(k, "at the end it is %s", rec.State)
		}
		if rec.State.Settled() && k.told[rec.State] == 0 {
			w.fail(k, "OnSettled was never told that it is %s", rec.State)
		}
	}
}

func simSameOrder(request []byte, in simOrder) bool {
	var stored simOrder
	return json.Unmarshal(request, &stored) == nil && stored == in
}
