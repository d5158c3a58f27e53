package idempotency_test

import (
	"context"
	"fmt"
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

func (at *simAttempt) running() bool { return at.returned.IsZero() }

// over is the last moment at which the store may believe that it was under way: the end of Send, or of the library's
// patience with it, or of the lease where nobody reported.
func (at *simAttempt) over() time.Time {
	over := at.entered.Add(simTimeout + simGrace)
	if !at.running() && at.returned.Before(over) {
		over = at.returned
	}
	if at.claim.until.Before(over) {
		over = at.claim.until
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
