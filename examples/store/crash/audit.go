package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/buyer"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// Report is what came of it: the demo's object, with what concerns crashes beside it.
type Report struct {
	Seed      uint64     `json:"seed"`
	Scenarios []Scenario `json:"scenarios"`
	OK        bool       `json:"ok"`

	Kills       int     `json:"kills"`
	Orders      int     `json:"orders"`
	Stuck       int     `json:"stuck"`        // that never came to an end
	EmailCopies int     `json:"email_copies"` // further copies of a receipt, under the same Message-ID
	Seconds     float64 `json:"seconds"`
}

// Scenario is the only one there is. Both shops have the same customers, and are killed as often, at the same moments.
type Scenario struct {
	Name      string `json:"name"`
	Naive     Totals `json:"naive"`
	Protected Totals `json:"protected"`
}

// Totals are of all orders: a side of the demo's object, summed up.
type Totals struct {
	Attempts         int      `json:"attempts"`
	Charges          int      `json:"charges"`
	Refunds          int      `json:"refunds"`
	Parcels          int      `json:"parcels"`
	Emails           int      `json:"emails"`            // receipts by distinct Message-ID
	Told             []string `json:"told"`              // every word that a customer was shown, in the order in which they first came
	OverchargedCents int64    `json:"overcharged_cents"` // what was taken and not given back, beyond what was delivered
	FirstAnswerMS    int64    `json:"first_answer_ms"`   // the longest from a first click to a page, whether or not there was a shop
	Wrong            []string `json:"wrong"`             // what is wrong, order by order
}

// receiptsFor is how long the protected shop's last receipts may take.
const receiptsFor = 30 * time.Second

// audit asks the bank, the warehouse and the mail server what they have done: everybody but the shop.
func audit(ctx context.Context, t *town, v visits, wait time.Duration) (totals Totals, copies int, err error) {
	var ledger fakepay.Ledger
	parcels := make(map[string]int)
	if err := get(ctx, t.bank+"/_ledger", &ledger); err != nil {
		return totals, 0, err
	}
	if err := get(ctx, t.warehouse+"/_parcels", &parcels); err != nil {
		return totals, 0, err
	}
	receipts, copies, err := receipts(ctx, t, len(v.of), wait)
	if err != nil {
		return totals, 0, err
	}
	totals = Totals{
		Attempts: ledger.Totals.Attempts[fakepay.OpCharge], Charges: ledger.Totals.Charges, Refunds: ledger.Totals.Refunds, Told: []string{}, Wrong: []string{},
	}
	for _, n := range parcels {
		totals.Parcels += n
	}
	for _, n := range receipts {
		totals.Emails += n
	}
	for i, visit := range v.of {
		totals.FirstAnswerMS = max(totals.FirstAnswerMS, visit.first.Milliseconds())
		for _, word := range visit.told {
			if !slices.Contains(totals.Told, word) {
				totals.Told = append(totals.Told, word)
			}
		}
		id := visit.order
		own := ledger.For(id).Totals
		if own.Charges != 1 || own.Refunds != 0 || parcels[id] != 1 || receipts[emailOf(i)] != 1 {
			totals.Wrong = append(totals.Wrong, fmt.Sprintf("%s: %d charges, %d refunds, %d parcels, %d receipts", id, own.Charges, own.Refunds, parcels[id], receipts[emailOf(i)]))
		}
		if own.Charges > 0 {
			totals.OverchargedCents += own.NetCents - own.CapturedCents/int64(own.Charges)*int64(min(parcels[id], 1))
		}
	}
	if extra := totals.Charges - len(v.of); extra != 0 && len(totals.Wrong) == 0 {
		totals.Wrong = append(totals.Wrong, fmt.Sprintf("%d charges for orders that nobody has", extra))
	}
	return totals, copies, nil
}

// receipts returns how many distinct receipts reached each address, and how many copies came beside them. The last ones may
// still be on their way.
func receipts(ctx context.Context, t *town, want int, wait time.Duration) (byAddress map[string]int, copies int, err error) {
	for deadline := time.Now().Add(wait); ; {
		var letters []mail.Received
		if err := get(ctx, t.post, &letters); err != nil {
			return nil, 0, err
		}
		byAddress, copies = make(map[string]int), 0
		for _, l := range letters {
			byAddress[l.To]++
			copies += l.Copies
		}
		if len(byAddress) >= want || time.Now().After(deadline) {
			return byAddress, copies, nil
		}
		const look = 100 * time.Millisecond
		if err := buyer.Pause(ctx, look); err != nil {
			return nil, 0, err
		}
	}
}

func get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	return json.NewDecoder(res.Body).Decode(into)
}

// maxWrong is how many wrong orders of a shop are printed.
const maxWrong = 10

func (r Report) print(to io.Writer) error {
	s := r.Scenarios[0]
	_, err := fmt.Fprintf(to, "%d orders at each shop, which was killed %d times meanwhile (%.0f s)\n", r.Orders, r.Kills, r.Seconds)
	for _, side := range []struct {
		name string
		Totals
	}{{"naive", s.Naive}, {"protected", s.Protected}} {
		if err == nil {
			_, err = fmt.Fprintf(to, "\n%s: %d requests to charge, %d charges, %d refunds, %d parcels, %d receipts; %s too much was taken, %d orders are wrong\n",
				side.name, side.Attempts, side.Charges, side.Refunds, side.Parcels, side.Emails, shop.Euros(side.OverchargedCents), len(side.Wrong))
		}
		for i, wrong := range side.Wrong {
			if i == maxWrong {
				wrong = fmt.Sprintf("and %d more: see -json", len(side.Wrong)-i)
			}
			if err == nil && i <= maxWrong {
				_, err = fmt.Fprintln(to, "  "+wrong)
			}
		}
	}
	if err == nil && r.OK {
		_, err = fmt.Fprintf(to, "Every order has one charge, one parcel and one receipt (%d copies of receipts).\n", r.EmailCopies)
	}
	return err
}
