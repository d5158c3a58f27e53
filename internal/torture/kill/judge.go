package kill

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/internal/torture/report"
)

// judge compares what the store says with what the providers' ledgers say.
type judge struct {
	line  *report.Line
	store idempotency.Store
	db    *sql.DB
	table string
	banks map[fakepay.Mode]string
	told  *told
}

// patience is how long calls may take to settle when all faults are over.
const patience = 2 * time.Minute

// open are the states that nobody leaves a call in whose provider can find out.
func open(m fakepay.Mode) []idempotency.State {
	if m == fakepay.None { // what is unknown there stays so, visibly
		return []idempotency.State{idempotency.StateScheduled, idempotency.StateRunning}
	}
	return idempotency.Unresolved()
}

// settled waits until nothing is left to do.
func (j *judge) settled(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < patience; {
		left := 0
		for _, m := range modes {
			recs, err := j.store.List(ctx, idempotency.Query{Operation: operation(m), States: open(m), N: 1000})
			if err != nil {
				return err
			}
			for _, r := range recs {
				if !r.Late {
					left++
				}
			}
		}
		var waiting int
		marked := fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE (flags & 64) <> 0", j.table)
		if err := j.db.QueryRowContext(ctx, marked).Scan(&waiting); err != nil {
			return err
		}
		if left+waiting == 0 {
			return nil
		}
		if !pause(ctx.Done(), 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil // judge counts what is stuck
}

func (j *judge) judge(ctx context.Context) error {
	final := map[string]idempotency.Record{}
	for _, m := range modes {
		recs, err := j.records(ctx, m)
		if err != nil {
			return err
		}
		ledger, err := j.ledger(ctx, m)
		if err != nil {
			return err
		}
		j.mode(m, recs, ledger)
		for _, r := range recs {
			final[r.ID.Key] = r
		}
	}
	j.callers(final)
	return j.notified(ctx, final)
}

func (j *judge) records(ctx context.Context, m fakepay.Mode) (all []idempotency.Record, err error) {
	states := append(idempotency.Unresolved(), idempotency.StateFree, idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled)
	for q := (idempotency.Query{Operation: operation(m), States: states, N: 1000}); ; {
		recs, err := j.store.List(ctx, q)
		all = append(all, recs...)
		if err != nil || len(recs) < q.N {
			return all, err
		}
		q.After = recs[len(recs)-1].ID
	}
}

// ledger reads a provider's ledger once nothing is under way there.
func (j *judge) ledger(ctx context.Context, m fakepay.Mode) (l fakepay.Ledger, err error) {
	client := &http.Client{}
	for {
		l = fakepay.Ledger{}
		if err := get(ctx, client, j.banks[m]+"/_ledger", &l); err != nil {
			return l, err
		}
		if l.Totals.Processing == 0 && !slices.ContainsFunc(l.Attempts, func(a fakepay.Attempt) bool { return !a.Done }) {
			return l, nil
		}
		if !pause(ctx.Done(), 50*time.Millisecond) {
			return l, ctx.Err()
		}
	}
}

// mode judges the calls to one provider.
func (j *judge) mode(m fakepay.Mode, recs []idempotency.Record, ledger fakepay.Ledger) {
	l := j.line
	charges := map[string][]string{} // by key
	for _, c := range ledger.Charges {
		if c.Status == fakepay.Succeeded {
			charges[c.Reference] = append(charges[c.Reference], c.ID)
		}
	}
	l.Keys += len(recs)
	l.Sends += ledger.Totals.Attempts[fakepay.OpCharge]
	l.Charges += ledger.Totals.Charges
	for _, a := range ledger.Attempts {
		if a.Op == fakepay.OpCharge && a.Fault.Kind == fakepay.NoFault && !a.Delivered {
			l.More["cut off"]++ // the provider was at work when its client was killed
		}
	}
	for key, ids := range charges {
		if len(ids) > 1 {
			l.Add(&l.Duplicates, "%s was charged %d times: %v", key, len(ids), ids)
		}
	}
	for _, r := range recs {
		ids := charges[r.ID.Key]
		delete(charges, r.ID.Key)
		switch r.State {
		case idempotency.StateSucceeded:
			j.paid(&r, ids)
		case idempotency.StateFree, idempotency.StateRejected, idempotency.StateCancelled:
			if len(ids) > 0 {
				l.Add(&l.Lost, "%s is %s and was charged: %v", r.ID.Key, r.State, ids)
			}
		default:
			switch {
			case r.Late:
				j.paid(&r, ids)
			case m != fakepay.None || slices.Contains(open(m), r.State):
				l.Add(&l.Stuck, "%s is still %s: %s", r.ID.Key, r.State, r.Message)
			default:
				l.More["unknown"]++ // listed, as it must be
			}
		}
	}
	for key, ids := range charges {
		l.Add(&l.Lost, "%s was charged (%v), and nothing is recorded of it", key, ids)
	}
}

// paid judges a call that is recorded as a success.
func (j *judge) paid(r *idempotency.Record, ids []string) {
	var value receipt
	switch err := json.Unmarshal(r.Value, &value); {
	case err != nil:
		j.line.Add(&j.line.Violations, "%s is %s with the value %q: %v", r.ID.Key, r.State, r.Value, err)
	case len(ids) == 0:
		j.line.Add(&j.line.Violations, "%s is %s and was never charged", r.ID.Key, r.State)
	case !slices.Contains(ids, value.ChargeID):
		j.line.Add(&j.line.Violations, "%s is %s with the charge %s, the ledger has %v", r.ID.Key, r.State, value.ChargeID, ids)
	}
}

// callers compares what callers were told with what is recorded in the end.
func (j *judge) callers(final map[string]idempotency.Record) {
	j.told.mu.Lock()
	defer j.told.mu.Unlock()
	l := j.line
	for _, e := range j.told.list {
		r := final[e.Key]
		said := r.Code
		if r.State == idempotency.StateSucceeded {
			var value receipt
			_ = json.Unmarshal(r.Value, &value) // paid has looked at it
			said = value.ChargeID
		}
		switch {
		case e.What == "wrong":
			l.Add(&l.Violations, "a caller of %s was told: %s", e.Key, e.Text)
		case e.What != r.State.String() || said != e.Text:
			l.Add(&l.Lost, "a caller of %s was told %s %s, recorded is %s %s", e.Key, e.What, e.Text, r.State, said)
		}
	}
	l.More["told"] = int64(len(j.told.list))
}

// notified judges OnSettled: every state that is told is told once.
func (j *judge) notified(ctx context.Context, final map[string]idempotency.Record) error {
	l := j.line
	seen := map[string]bool{}
	err := rowsOf(ctx, j.db, fmt.Sprintf("SELECT call_key, state, COUNT(*) FROM %s_told GROUP BY call_key, state", j.table), func(rows *sql.Rows) error {
		var key, state string
		var n int
		if err := rows.Scan(&key, &state, &n); err != nil {
			return err
		}
		seen[key+" "+state] = true
		if n != 1 {
			l.Add(&l.Violations, "OnSettled of %s did its work for %s %d times", key, state, n)
		}
		return nil
	})
	for key, r := range final {
		state := r.State.String()
		if r.Late {
			state = "late"
		}
		if (r.State.Settled() || r.State == idempotency.StateAbandoned) && !seen[key+" "+state] {
			l.Add(&l.Violations, "OnSettled of %s was never told that it is %s", key, state)
		}
	}
	return err
}
