package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// Call is an external call that is not settled, as an operator sees it.
type Call struct {
	Operation string
	Customer  string
	Key       string
	State     idempotency.State
	Ambiguous bool
	Late      bool
	Attempts  int
	Age       time.Duration
	LastSent  time.Duration // idempotency.Never: it was not sent
	Due       time.Duration // until the next step; idempotency.Never: only a person can take it
	Ref       string
	Message   string
}

// summary leaves out what the provider's SDK says again, as JSON.
func summary(message string) string {
	text, _, _ := strings.Cut(message, ": {")
	return text
}

// Deniable says that somebody may know that it did not happen: nothing is under way, and nothing is known.
func (c Call) Deniable() bool {
	return !c.Late && (c.State == idempotency.StateUnknown || c.State == idempotency.StateAccepted || c.State == idempotency.StateAbandoned)
}

// desk is what an operator can do with the calls of one kind.
type desk struct {
	unresolved func(ctx context.Context) ([]Call, error)
	exists     func(ctx context.Context, customer, key string) error
	happened   func(ctx context.Context, customer, key, ref string) error
	didNot     func(ctx context.Context, customer, key string, shown time.Time) error
	cancel     func(ctx context.Context, customer, key string) error
}

// ErrTooYoung says that a request was under way at the provider when somebody looked, or may have been: what was seen there
// then says nothing.
var ErrTooYoung = errors.New("shop: it may have been sent since, or shortly before")

// newDesk makes one. settling is how long a request may take to show at the provider. result is what the provider would have
// answered, had its answer arrived; ref is its name for what it did.
func newDesk[In, Out any](operation string, w *idempotency.Wrapper[In, Out], settling time.Duration, result func(ctx context.Context, key, ref string) (Out, error)) desk {
	return desk{
		unresolved: func(ctx context.Context) ([]Call, error) {
			list, err := w.List(ctx, idempotency.Query{States: idempotency.Unresolved(), OldestFirst: true})
			calls := make([]Call, 0, len(list))
			for _, c := range list {
				if c.Late { // given up, happened after all, and dealt with
					continue
				}
				calls = append(calls, Call{
					Operation: operation, Customer: c.Scope, Key: c.Key, State: c.State, Ambiguous: c.Ambiguous, Late: c.Late, Attempts: c.Attempts,
					Age: c.Age, LastSent: c.LastSent, Due: c.Due, Ref: c.Ref, Message: summary(c.Message),
				})
			}
			return calls, err
		},
		exists: func(ctx context.Context, customer, key string) error {
			_, err := w.For(customer).Status(ctx, key)
			return err
		},
		happened: func(ctx context.Context, customer, key, ref string) error {
			out, err := result(ctx, key, ref)
			if err == nil {
				_, err = w.For(customer).Settle(ctx, key, idempotency.Happened(out))
			}
			return err
		},
		didNot: func(ctx context.Context, customer, key string, shown time.Time) error {
			before, err := w.For(customer).Status(ctx, key)
			if err != nil {
				return err
			}
			// Whoever says so has asked the provider after the page was shown, and no earlier.
			if before.LastSent < max(time.Since(shown), 0)+settling {
				return ErrTooYoung
			}
			_, err = w.For(customer).Settle(ctx, key, idempotency.DidNotHappen[Out]().AsOf(before))
			return err
		},
		cancel: func(ctx context.Context, customer, key string) error {
			_, err := w.For(customer).Cancel(ctx, key)
			return err
		},
	}
}

func (s *Shop) desks() map[string]desk {
	settling := s.timing.Settling
	return map[string]desk{
		chargeCall: newDesk(chargeCall, s.calls.charge, settling, func(ctx context.Context, key, ref string) (r bank.Receipt, err error) {
			var o Order
			err = s.db.Row(ctx, "SELECT o.id, o.cents FROM shop_orders o JOIN shop_payments p ON p.order_id = o.id WHERE p.id = ?", key).Scan(&o.ID, &o.Cents)
			if err != nil {
				return r, err
			}
			lines, err := s.Lines(ctx, o.ID)
			return bank.Receipt{ChargeID: ref, Cents: o.Cents, Held: paymentFor(o, lines, "").Hold}, err
		}),
		"capture": newDesk("capture", s.calls.capture, settling, receiptOf),
		"refund":  newDesk("refund", s.calls.refund, settling, receiptOf),
		"ship": newDesk("ship", s.calls.ship, settling, func(_ context.Context, _, ref string) (tracking, error) {
			return tracking{ref}, nil
		}),
		"mail": newDesk("mail", s.calls.mail, settling, func(context.Context, string, string) (struct{}, error) { return struct{}{}, nil }),
	}
}

func receiptOf(_ context.Context, _, ref string) (bank.Receipt, error) {
	return bank.Receipt{ChargeID: ref}, nil
}

// Unresolved returns the calls that are not settled, the oldest first.
func (s *Shop) Unresolved(ctx context.Context) ([]Call, error) {
	var all []Call
	var errs []error
	for _, d := range s.desks() {
		calls, err := d.unresolved(ctx)
		all, errs = append(all, calls...), append(errs, err)
	}
	slices.SortFunc(all, func(a, b Call) int { return int(b.Age - a.Age) })
	return all, errors.Join(errs...)
}

// desk returns the one for a call, if there is such a call.
func (s *Shop) desk(ctx context.Context, operation, customer, key string) (desk, error) {
	d, known := s.desks()[operation]
	id := idempotency.ID{Operation: operation, Scope: customer, Key: key}
	if !known || !plain(customer) || !plain(key) || id.Validate() != nil {
		return desk{}, idempotency.ErrNoRecord
	}
	err := d.exists(ctx, customer, key)
	return d, err
}

// SettleHappened records an operator's word that a call took effect, under the provider's name for it.
func (s *Shop) SettleHappened(ctx context.Context, operation, customer, key, ref string) error {
	d, err := s.desk(ctx, operation, customer, key)
	if err != nil {
		return err
	}
	return d.happened(ctx, customer, key, ref)
}

// SettleDidNot records an operator's word that a call did not take effect, from a page that was shown at some moment. What
// was not given up is sent again, then; what was is cancelled for good.
func (s *Shop) SettleDidNot(ctx context.Context, operation, customer, key string, shown time.Time) error {
	d, err := s.desk(ctx, operation, customer, key)
	if err != nil {
		return err
	}
	return d.didNot(ctx, customer, key, shown)
}

// CancelCall sees to it that a call is not sent again, for an operator.
func (s *Shop) CancelCall(ctx context.Context, operation, customer, key string) error {
	d, err := s.desk(ctx, operation, customer, key)
	if err != nil {
		return err
	}
	return d.cancel(ctx, customer, key)
}

// AskBank asks the bank what became of a payment, and settles it by what it says. What was known is read before the bank is
// asked: an answer that is overtaken by events must not count.
func (s *Shop) AskBank(ctx context.Context, customer, payment string) (said string, err error) {
	if _, err := s.desk(ctx, chargeCall, customer, payment); err != nil {
		return "", err
	}
	charges := s.calls.charge.For(customer)
	before, err := charges.Status(ctx, payment)
	if err != nil {
		return "", err
	}
	var order string
	if err := s.db.Row(ctx, "SELECT order_id FROM shop_payments WHERE id = ?", payment).Scan(&order); err != nil {
		return "", err
	}
	verdict, said, err := s.bank.FindByOrder(ctx, order, payment)
	if err != nil {
		return "", err
	}
	_, err = charges.Settle(ctx, payment, verdict.AsOf(before))
	return said, err
}

// Overview is how the shop's calls stand.
type Overview struct {
	Calls   []sqlstore.Stat
	Orders  []OrderCount
	Oldest  time.Duration // of the calls that are not settled; zero: there are none
	Breaker breaker.State
	Counts  breaker.Counts
}

// OrderCount is how many orders are in a state.
type OrderCount struct {
	State State
	N     int64
}

// Overview counts.
func (s *Shop) Overview(ctx context.Context) (o Overview, err error) {
	o.Breaker, o.Counts = s.breaker.Snapshot()
	if o.Calls, err = s.store.Stats(ctx); err != nil {
		return o, err
	}
	for _, calls := range o.Calls {
		if !calls.State.Settled() && !calls.Late && calls.State != idempotency.StateFree {
			o.Oldest = max(o.Oldest, calls.Oldest)
		}
	}
	err = s.db.Query(ctx, func(scan func(...any) error) error {
		var c OrderCount
		err := scan(&c.State, &c.N)
		o.Orders = append(o.Orders, c)
		return err
	}, "SELECT state, COUNT(*) FROM shop_orders GROUP BY state ORDER BY state")
	return o, err
}

// Reconcile compares the bank's own list of charges with the shop's, since a moment.
func (s *Shop) Reconcile(ctx context.Context, since time.Time) (found []idempotency.Discrepancy, err error) {
	const stillMoving = 5 * time.Second
	with := idempotency.Reconciliation{Entries: s.bank.List(ctx), From: since, To: time.Now().Add(-stillMoving)}
	if !with.From.Before(with.To) {
		with.From = with.To.Add(-time.Second)
	}
	for d, err := range s.calls.charge.Reconcile(ctx, with) {
		if err != nil {
			return found, fmt.Errorf("shop: the bank's list cannot be compared: %w", err)
		}
		found = append(found, d)
	}
	return found, nil
}
