package demo

import (
	"fmt"
	"slices"
)

// Result is what one customer, the bank, the warehouse and the inbox saw in the end.
type Result struct {
	Attempts         int      `json:"attempts"` // requests to charge, as the bank counts them
	Charges          int      `json:"charges"`  // as the bank counts them
	Refunds          int      `json:"refunds"`
	Parcels          int      `json:"parcels"`
	Emails           int      `json:"emails"`
	Told             []string `json:"told"`              // all that the customer was shown, in order
	OverchargedCents int64    `json:"overcharged_cents"` // what was taken and not given back, beyond what was delivered
	FirstAnswerMS    int64    `json:"first_answer_ms"`   // from the first click to the first page, in demo time; -1: there was none
}

// maxFirstAnswerMS is how long a customer waits for the first page at most: the shop answers after 3 s.
const maxFirstAnswerMS = 5000

// last is what the customer was told last.
func (r Result) last() string {
	if len(r.Told) == 0 {
		return ""
	}
	return r.Told[len(r.Told)-1]
}

// Wrong says what is wrong with a result, or "".
func (r Result) Wrong() string {
	delivered := r.last() == "paid" || r.last() == "shipped"
	switch {
	case r.OverchargedCents > 0 && r.Charges > 1:
		return fmt.Sprintf("charged %d times", r.Charges)
	case r.OverchargedCents > 0:
		return "nothing delivered"
	case r.Parcels > 1:
		return fmt.Sprintf("%d parcels", r.Parcels)
	case r.Parcels > r.Charges:
		return "a parcel for nothing"
	case r.Charges > 0 && !delivered:
		return "charged, not told"
	case r.Charges == 0:
		return "order lost"
	case r.FirstAnswerMS < 0 || r.FirstAnswerMS > maxFirstAnswerMS:
		return waitsTooLong
	}
	return ""
}

const waitsTooLong = "waits too long"

// broken says what is wrong with a protected result, which must be right in everything: one charge, one parcel, told once
// by e-mail that it was shipped, and a page in time.
func (r Result) broken() string {
	if wrong := r.Wrong(); wrong != "" {
		return wrong
	}
	mails := 1
	if slices.Contains(r.Told, "declined") {
		mails = 2 // that news was sent, too
	}
	switch {
	case r.Charges != 1 || r.Parcels != 1:
		return fmt.Sprintf("%d charges, %d parcels", r.Charges, r.Parcels)
	case r.Emails != mails:
		return fmt.Sprintf("%d e-mails", r.Emails)
	case r.last() != "shipped":
		return "told " + r.last() + " in the end"
	}
	return ""
}

// Outcome is how a scenario ended for both.
type Outcome struct {
	Name      string `json:"name"`
	Naive     Result `json:"naive"`
	Protected Result `json:"protected"`

	Repeated  int  `json:"-"` // how often the machine was too busy
	Disturbed bool `json:"-"` // it was so in the end, too: times are not to be trusted
	Killed    bool `json:"-"` // at least one of the shops was killed in the middle
}

// Broken says what is wrong on the protected side, or "". Where the machine was too busy, or the shop was away for a while,
// it does not judge times.
func (o Outcome) Broken() string {
	broken := o.Protected.broken()
	if (o.Disturbed || o.Killed) && broken == waitsTooLong {
		return ""
	}
	return broken
}

// Report is what the demo found out.
type Report struct {
	Seed      uint64    `json:"seed"`
	Scenarios []Outcome `json:"scenarios"`
	OK        bool      `json:"ok"` // no protected run was wrong
}
