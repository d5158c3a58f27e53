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

// Kind is what an event is, for those who draw it.
type Kind uint8

const (
	Clicked Kind = iota
	Told
	Left
	Arrived  // a request, at the bank
	Charged  // the bank took money
	Declined // the bank refused the card
	Answered // the bank answered
	Lost     // the bank's answer reached nobody
	Parcel
	Mailed
	Killed   // the shop's process
	Reopened // another process serves the shop
)

// who sees an event.
var who = map[Kind]string{
	Clicked: "customer", Told: "customer", Left: "customer",
	Arrived: "bank", Charged: "bank", Declined: "bank", Answered: "bank", Lost: "bank",
	Parcel: "warehouse", Mailed: "mail", Killed: "shop", Reopened: "shop",
}

// Event is something that one of them saw.
type Event struct {
	At   time.Duration // since the customer clicked
	Kind Kind
	N    int    // which request at the bank, from 1
	Word string // told: the status
	Says string // told: the words of the page, or of the e-mail
	Text string

	ByMail bool // told: not by a page
	OK     bool // answered: the answer was "charged"; told: the order is settled
	Again  bool // answered: the bank knew the key, and only repeated its answer
}

// timeline is what happened on one side of a scenario. It is safe for concurrent use.
type timeline struct {
	pace  pace
	begun chan struct{} // closed by begin

	mu     sync.Mutex
	start  time.Time // when the customer clicked; until then nothing is noted
	end    time.Duration
	events []Event
	told   []string
	first  time.Duration // when the first page came, or never
	asked  int           // clicks
	heard  int           // clicks before the last news
	books  func() Books
}

const never = -time.Millisecond // as it appears in first_answer_ms: -1

func newTimeline(p pace) *timeline {
	return &timeline{pace: p, begun: make(chan struct{}), first: never}
}

// begin sets the clock to zero.
func (t *timeline) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start = time.Now()
	close(t.begun)
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

func (t *timeline) add(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.At = t.now()
	t.events = append(t.events, e)
}

// page notes what a page shows. Only news count: not a page that reloaded by itself and says the same as before.
func (t *timeline) page(word, says string) { t.tell(word, "sees", says) }

// nothing notes that there is no such page as the customer wants.
func (t *timeline) nothing(word, says string) { t.tell(word, "finds", says) }

func (t *timeline) tell(word, how, says string) {
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
	t.events = append(t.events, Event{At: at, Kind: Told, OK: ok, ByMail: how == "reads", Word: word, Says: says, Text: fmt.Sprintf("%s: %s", how, word)})
}

// click notes a click: whatever the customer is shown next counts, also if it is the same as before.
func (t *timeline) click(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	t.events = append(t.events, Event{At: t.now(), Kind: Clicked, Text: text})
}

// attempt is fakepay's OnAttempt.
func (t *timeline) attempt(a fakepay.Attempt) {
	e := Event{Kind: Arrived, N: a.N}
	switch {
	case a.Op != fakepay.OpCharge:
		if a.Done {
			return
		}
		e.Kind, e.Text = Answered, fmt.Sprintf("is asked about the payment (%s)", a.Op)
	case !a.Done:
		e.Text = fmt.Sprintf("request %d, without a key", a.N)
		if a.Key != "" {
			e.Text = fmt.Sprintf("request %d, key %.8s", a.N, a.Key)
		}
	case !a.Delivered:
		e.Kind, e.Text = Lost, fmt.Sprintf("its answer to %d reaches nobody", a.N)
	default:
		e.Kind, e.OK, e.Again, e.Text = Answered, a.Status/100 == 2, a.Status/100 == 2 && a.Replayed, fmt.Sprintf("answers %d: %s", a.N, answerText(a))
	}
	t.add(e)
}

func answerText(a fakepay.Attempt) string {
	switch {
	case a.Status/100 == 2 && a.Replayed:
		return "charged before, same key"
	case a.Status/100 == 2:
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
		t.add(Event{Kind: Charged, Text: "charges " + euros(e.Charge.AmountCents)})
	case fakepay.ChargeDeclined:
		t.add(Event{Kind: Declined, Text: "declines the card"})
	}
}

// sent is the warehouse's callback.
func (t *timeline) sent(string) { t.add(Event{Kind: Parcel, Text: "a parcel leaves"}) }

// delivered is the post office's callback.
func (t *timeline) delivered(m mail.Message) {
	t.add(Event{Kind: Mailed, Text: "an e-mail arrives: " + m.Status})
	t.tell(m.Status, "reads", m.Subject)
}

// Snapshot is a timeline as it is now.
type Snapshot struct {
	Now    time.Duration // since the customer clicked
	Events []Event
	Told   []string      // all that the customer was shown
	First  time.Duration // when the first page came, or negative
	Books  Books
}

// Books are what everybody but the shop has written down.
type Books struct {
	Ledger  fakepay.Ledger // the bank's
	Parcels int            // that left the warehouse
	Inbox   []mail.Message // the customer's
}

func (t *timeline) snapshot() Snapshot {
	s, books := t.copy()
	if books != nil {
		s.Books = books() // they have locks of their own
	}
	slices.SortStableFunc(s.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return s
}

func (t *timeline) copy() (Snapshot, func() Books) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Snapshot{Now: t.now(), Events: slices.Clone(t.events), Told: append([]string{}, t.told...), First: t.first}, t.books
}

// keep tells where the books are.
func (t *timeline) keep(books func() Books) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.books = books
}

// killed reports whether the shop was.
func (t *timeline) killed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.events, func(e Event) bool { return e.Kind == Killed })
}

func euros(cents int64) string { return fmt.Sprintf("€%d.%02d", cents/100, cents%100) }
