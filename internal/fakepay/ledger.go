package fakepay

import (
	"time"
)

// Op is what a request asks for.
type Op string

// The operations.
const (
	OpCharge  Op = "charge"
	OpIntent  Op = "intent" // a payment intent that is not confirmed yet
	OpCapture Op = "capture"
	OpRefund  Op = "refund"
	OpVoid    Op = "void"
	OpGet     Op = "get"    // one charge by id
	OpLookup  Op = "lookup" // by reference or key
	OpList    Op = "list"
)

// Attempt is one request as the provider saw it. Times count from the start of the server, in provider time; in JSON, in
// nanoseconds.
type Attempt struct {
	N          int           `json:"n"` // in order of arrival, from 1
	Op         Op            `json:"op"`
	At         time.Duration `json:"at"`
	Key        string        `json:"key,omitempty"`
	Reference  string        `json:"reference,omitempty"`
	Occurrence int           `json:"occurrence"`     // which request of this Op and reference (or key) it was, from 1
	Copy       bool          `json:"copy,omitempty"` // the second arrival of a Duplicate
	Fault      Fault         `json:"fault"`          // NoFault, or what it met
	ChargeID   string        `json:"charge_id,omitempty"`
	Effect     bool          `json:"effect"` // it took, reserved or gave back money, or was accepted; replays and declines do not
	EffectAt   time.Duration `json:"effect_at,omitempty"`
	Replayed   bool          `json:"replayed,omitempty"`
	Status     int           `json:"status"` // what was answered, or would have been; 0: nothing
	Code       string        `json:"code,omitempty"`
	Delivered  bool          `json:"delivered"` // the answer was written while the client was there, as far as a server can tell
	Done       bool          `json:"done"`
	DoneAt     time.Duration `json:"done_at,omitempty"`
}

// Void is an authorization given up.
type Void struct {
	ID       string    `json:"id"`
	ChargeID string    `json:"charge_id"`
	Created  time.Time `json:"created"`
}

// Delivery is one webhook request.
type Delivery struct {
	EventID  string        `json:"event_id"`
	Type     EventType     `json:"type"`
	ChargeID string        `json:"charge_id"`
	At       time.Duration `json:"at"`
	Number   int           `json:"number"`         // attempt, from 1
	Copy     bool          `json:"copy,omitempty"` // of a duplicated event
	Status   int           `json:"status"`         // what the receiver answered; 0: nothing
}

// Totals sums a ledger up.
type Totals struct {
	Attempts      map[Op]int `json:"attempts"`   // requests that arrived, with copies, whatever became of them
	Charges       int        `json:"charges"`    // that took or reserved money: succeeded, authorized, voided
	Processing    int        `json:"processing"` // accepted and not decided
	Declined      int        `json:"declined"`
	Refunds       int        `json:"refunds"`
	Voids         int        `json:"voids"`
	CapturedCents int64      `json:"captured_cents"` // all that was taken
	RefundedCents int64      `json:"refunded_cents"` // all that was given back
	NetCents      int64      `json:"net_cents"`
}

// Ledger is a snapshot of everything, in order of time.
type Ledger struct {
	At         time.Duration `json:"at"`
	Totals     Totals        `json:"totals"`
	Charges    []Charge      `json:"charges"`
	Refunds    []Refund      `json:"refunds"`
	Voids      []Void        `json:"voids"`
	Attempts   []Attempt     `json:"attempts"`
	Deliveries []Delivery    `json:"deliveries"`
}

// For returns what concerns one reference: its charges, all about them, and the requests that named it.
func (l Ledger) For(reference string) Ledger {
	ids := make(map[string]bool)
	part := Ledger{At: l.At, Charges: []Charge{}}
	for _, c := range l.Charges {
		if c.Reference == reference {
			ids[c.ID] = true
			part.Charges = append(part.Charges, c)
		}
	}
	part.Refunds = filter(l.Refunds, func(r Refund) bool { return ids[r.ChargeID] })
	part.Voids = filter(l.Voids, func(v Void) bool { return ids[v.ChargeID] })
	part.Attempts = filter(l.Attempts, func(a Attempt) bool { return a.Reference == reference || ids[a.ChargeID] })
	part.Deliveries = filter(l.Deliveries, func(d Delivery) bool { return ids[d.ChargeID] })
	part.sum()
	return part
}

func filter[T any](all []T, keep func(T) bool) []T {
	kept := []T{}
	for _, v := range all {
		if keep(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

func (l *Ledger) sum() {
	t := Totals{Attempts: make(map[Op]int), Voids: len(l.Voids), Refunds: len(l.Refunds)}
	for _, a := range l.Attempts {
		t.Attempts[a.Op]++
	}
	for _, c := range l.Charges {
		switch c.Status {
		case Processing:
			t.Processing++
		case Declined:
			t.Declined++
		default:
			t.Charges++
		}
		t.CapturedCents += c.CapturedCents
	}
	for _, r := range l.Refunds {
		t.RefundedCents += r.AmountCents
	}
	t.NetCents = t.CapturedCents - t.RefundedCents
	l.Totals = t
}
