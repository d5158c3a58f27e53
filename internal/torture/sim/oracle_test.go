package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// The oracle: it watches every commit of the store, every sending, every effect and every answer, and knows what the
// design promises about them. It shares no code with what it judges.

// call is what the oracle knows of one call.
type call struct {
	w       *world
	id      idempotency.ID
	order   order
	intent  string // set for keys that follow each other in paying one intent
	account account
	untold  *charge // whose webhook waits for somebody to look

	claims   []*claim                   // newest last
	attempts []*attempt                 // all of them
	open     []*attempt                 // those that may have had an effect, as far as anybody was told
	denied   []time.Time                // when the provider was asked and said no
	refused  map[idempotency.Token]bool // asked for a claim, and were told that it is not theirs

	request   []byte // as it is recorded
	sentKey   string // the provider key of its first request
	sentIn    order
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
	cleared   map[idempotency.State]bool // OnSettled has been told, and the store knows
	toldLate  bool
}

func (k *call) String() string {
	if k == nil {
		return ""
	}
	return k.order.Order
}

// other is another request under the same key.
func (k *call) other() order { return order{Order: k.order.Order, Amount: k.order.Amount + 1} }

// charged is the first effect, or nil.
func (k *call) charged() *charge {
	for _, c := range k.account.charges {
		if c.charged {
			return c
		}
	}
	return nil
}

// claim is a claim that the store granted.
type claim struct {
	p       *process
	token   idempotency.Token
	fence   uint64
	asked   time.Time
	at      time.Time
	until   time.Time
	marks   int // how often it was marked as sending
	sends   int // marks used up by sendings
	ended   bool
	outside bool // by a verdict
	refused bool // the process was told that it has no such claim: a copy of the request made it
}

// busyLoop claims of one key within a second are a loop, not work.
const busyLoop = 20

// attempt is one run of Send.
type attempt struct {
	p        *process
	k        *call
	claim    *claim
	number   int
	entered  time.Time
	returned time.Time
	ok       bool
	accepted bool
	notSent  bool
	resent   bool
	replayed bool
}

func (at *attempt) running() bool { return at.returned.IsZero() }

// over is the last moment at which the store may believe that it was under way: the end of Send, or of the library's
// patience with it, or of the lease where nobody reported.
func (at *attempt) over() time.Time {
	over := at.entered.Add(timeout + grace)
	if !at.running() && at.returned.Before(over) {
		over = at.returned
	}
	if at.claim.until.Before(over) {
		over = at.claim.until
	}
	return over
}

// event is a line of the trace.
type event struct {
	at    time.Duration
	who   string
	key   *call
	what  string
	state idempotency.State
	fence uint64
	err   error
}

func (w *world) event(p *process, k *call, what string, state idempotency.State, fence uint64, err error) {
	e := event{at: w.now(), key: k, what: what, state: state, fence: fence, err: err}
	if p != nil {
		e.who = p.name
	}
	w.events = append(w.events, e)
	if what == "sends" || strings.HasPrefix(what, "provider: ") || strings.HasPrefix(what, "OnSettled") {
		w.changes++
	}
}

// trace renders what happened to a key, and to everything.
func (w *world) trace() string {
	var b strings.Builder
	// What happens at one instant to different keys has no order.
	slices.SortStableFunc(w.events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.key.String(), b.key.String()))
	})
	for _, e := range w.events {
		fmt.Fprintf(&b, "%16.9f  %-5s ", e.at.Seconds(), e.who)
		fmt.Fprintf(&b, "%-14s ", e.key)
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
func (w *world) fail(k *call, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if k != nil {
		text = k.String() + ": " + text
	}
	w.event(nil, k, "VIOLATION: "+text, 0, 0, nil)
	w.violations = append(w.violations, fmt.Sprintf("%v: %s", w.now(), text))
}

func (w *world) failNow(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail(nil, "%s", text)
}

func (w *world) key(a idempotency.Attempt) *call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byID[idempotency.ID{Operation: "charge", Scope: a.Scope, Key: a.ID}]
}

// look reads the record as it is now.
func (w *world) look(k *call) idempotency.Record {
	rec, err := w.store.Get(context.Background(), k.id)
	if err != nil {
		return idempotency.Record{}
	}
	return rec
}
