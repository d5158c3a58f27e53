package fakepay

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// book is the ledger. Money moves in money.go and only there.
type book struct {
	mu         sync.Mutex
	charges    []*account
	intents    []*intent
	intentByID map[string]*intent
	byID       map[string]*account
	refunds    []Refund
	voids      []Void
	attempts   []*Attempt
	deliveries []*Delivery
}

// account is a charge and what clients are not shown.
type account struct {
	Charge
	capture bool // as soon as it is decided
	intent  *intent
}

func (a *account) view() Charge {
	c := a.Charge
	c.Metadata = maps.Clone(c.Metadata)
	return c
}

func newBook() *book {
	return &book{byID: make(map[string]*account), intentByID: make(map[string]*intent)}
}

// arrive notes a request and returns its entry, which is changed only by note.
func (b *book) arrive(a Attempt) *Attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	a.N = len(b.attempts) + 1
	b.attempts = append(b.attempts, &a)
	return &a
}

// note changes an entry and returns a copy.
func (b *book) note(a *Attempt, change func(*Attempt)) Attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(a)
	return *a
}

// reference returns the reference of a charge or an intent, or "".
func (b *book) reference(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.byID[id]; a != nil {
		return a.Reference
	}
	if in := b.intentByID[id]; in != nil {
		return in.metadata[OrderMetadata]
	}
	return ""
}

func (b *book) delivering(d Delivery) *Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deliveries = append(b.deliveries, &d)
	return &d
}

func (b *book) delivered(d *Delivery, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d.Status = status
}

func (b *book) find(chargeID string) (Charge, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.byID[chargeID]
	if a == nil {
		return Charge{}, false
	}
	return a.view(), true
}

// list returns a page, and false if there is no charge to begin after.
func (b *book) list(q listQuery) (ChargeList, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := b.charges
	if q.after != "" {
		i := slices.IndexFunc(rest, func(a *account) bool { return a.ID == q.after })
		if i < 0 {
			return ChargeList{}, false
		}
		rest = rest[i+1:]
	}
	page := ChargeList{Charges: []Charge{}}
	for _, a := range rest {
		if !q.matches(a.Charge) {
			continue
		}
		if len(page.Charges) == q.limit {
			page.HasMore = true
			break
		}
		page.Charges = append(page.Charges, a.view())
	}
	return page, true
}

func (b *book) snapshot(now time.Duration) Ledger {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Empty, not nil: in JSON these are lists.
	l := Ledger{
		At: now, Charges: []Charge{}, Refunds: append([]Refund{}, b.refunds...), Voids: append([]Void{}, b.voids...),
		Attempts: []Attempt{}, Deliveries: []Delivery{},
	}
	for _, a := range b.charges {
		l.Charges = append(l.Charges, a.view())
	}
	for _, a := range b.attempts {
		l.Attempts = append(l.Attempts, *a)
	}
	for _, d := range b.deliveries {
		l.Deliveries = append(l.Deliveries, *d)
	}
	l.sum()
	return l
}
