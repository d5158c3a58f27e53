package demo

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// kind is what an event is, for those who draw it.
type kind uint8

const (
	clicked kind = iota
	told
	left
	arrived  // a request, at the bank
	charged  // the bank took money
	declined // the bank refused the card
	answered // the bank answered
	lost     // the bank's answer reached nobody
	parcel
	mailed
)

// who sees an event.
var who = map[kind]string{
	clicked: "customer", told: "customer", left: "customer",
	arrived: "bank", charged: "bank", declined: "bank", answered: "bank", lost: "bank",
	parcel: "warehouse", mailed: "mail",
}

// event is something that one of them saw.
type event struct {
	at   time.Duration // since the customer clicked
	kind kind
	n    int    // which request at the bank, from 1
	word string // told: the status
	text string

	ok    bool // answered: the answer was "charged"; told: the order is settled
	again bool // answered: the bank knew the key, and only repeated its answer
}

// timeline is what happened on one side of a scenario. It is safe for concurrent use.
type timeline struct {
	pace pace

	mu     sync.Mutex
	start  time.Time // when the customer clicked; until then nothing is noted
	end    time.Duration
	events []event
	told   []string
	first  time.Duration // when the first page came, or never
	asked  int           // clicks
	heard  int           // clicks before the last news
}

const never = -time.Millisecond // as it appears in first_answer_ms: -1

func newTimeline(p pace) *timeline { return &timeline{pace: p, first: never} }

// begin sets the clock to zero.
func (t *timeline) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start = time.Now()
}

// finish stops the clock.
func (t *timeline) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = t.now()
}

func (t *timeline) now() time.Duration {
	if t.start.IsZero() {
		return 0
	}
	if t.end > 0 {
		return t.end
	}
	return t.pace.demo(time.Since(t.start))
}

func (t *timeline) add(e event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.at = t.now()
	t.events = append(t.events, e)
}

// page notes what a page shows. Only news count: not a page that reloaded by itself and says the same as before.
func (t *timeline) page(word string) { t.tell(word, "sees") }

func (t *timeline) tell(word, how string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.now()
	if t.first == never && how == "sees" {
		t.first = at
	}
	if t.asked == t.heard && len(t.told) > 0 && t.told[len(t.told)-1] == word {
		return
	}
	t.heard = t.asked
	t.told = append(t.told, word)
	ok := word == "paid" || word == "shipped"
	t.events = append(t.events, event{at: at, kind: told, ok: ok, word: word, text: fmt.Sprintf("%s: %s", how, word)})
}

// click notes a click: whatever the customer is shown next counts, also if it is the same as before.
func (t *timeline) click(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	t.events = append(t.events, event{at: t.now(), kind: clicked, text: text})
}

// attempt is fakepay's OnAttempt.
func (t *timeline) attempt(a fakepay.Attempt) {
	e := event{kind: arrived, n: a.N}
	switch {
	case a.Op != fakepay.OpCharge:
		if a.Done {
			return
		}
		e.kind, e.text = answered, fmt.Sprintf("is asked about the payment (%s)", a.Op)
	case !a.Done:
		e.text = fmt.Sprintf("request %d, without a key", a.N)
		if a.Key != "" {
			e.text = fmt.Sprintf("request %d, key %.8s", a.N, a.Key)
		}
	case !a.Delivered:
		e.kind, e.text = lost, fmt.Sprintf("its answer to %d reaches nobody", a.N)
	default:
		e.kind, e.ok, e.again, e.text = answered, a.Status == 201, a.Status == 201 && a.Replayed, fmt.Sprintf("answers %d: %s", a.N, answerText(a))
	}
	t.add(e)
}

func answerText(a fakepay.Attempt) string {
	switch {
	case a.Status == 201 && a.Replayed:
		return "charged before, same key"
	case a.Status == 201:
		return "charged"
	case a.Status == 402:
		return "declined"
	case a.Status == 409:
		return "the same key is at work"
	}
	return fmt.Sprintf("%d %s", a.Status, a.Code)
}

// effect is fakepay's OnEvent.
func (t *timeline) effect(e fakepay.Event) {
	switch e.Type {
	case fakepay.ChargeSucceeded:
		t.add(event{kind: charged, text: "charges " + euros(e.Charge.AmountCents)})
	case fakepay.ChargeDeclined:
		t.add(event{kind: declined, text: "declines the card"})
	}
}

// sent is the warehouse's callback.
func (t *timeline) sent(string) { t.add(event{kind: parcel, text: "a parcel leaves"}) }

// delivered is the post office's callback.
func (t *timeline) delivered(m mail.Message) {
	t.add(event{kind: mailed, text: "an e-mail arrives: " + m.Status})
	t.tell(m.Status, "reads")
}

// snapshot is a timeline as it is now.
type snapshot struct {
	now    time.Duration
	events []event
	told   []string
	first  time.Duration
}

func (t *timeline) snapshot() snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := snapshot{now: t.now(), events: slices.Clone(t.events), told: append([]string{}, t.told...), first: t.first}
	slices.SortStableFunc(s.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return s
}

func euros(cents int64) string { return fmt.Sprintf("€%d.%02d", cents/100, cents%100) }
