package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// errGone is what an owner is told whose record has been removed: its lease is lost, and there is no record.
var errGone = fmt.Errorf("%w: %w", idempotency.ErrLeaseLost, idempotency.ErrNoRecord)

// errRefused ends a transaction whose callback has failed.
var errRefused = errors.New("refused")

// Settle implements idempotency.Store. Verdicts and cancellations join the caller's transaction; owners do not.
func (s *Store) Settle(ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	c, err := s.openSettle(ctx, &l, &o)
	if err != nil {
		return idempotency.Record{}, err
	}
	rec, err := c.settleFast(ctx, &l, &o, false)
	if errors.Is(err, idempotency.ErrNoRecord) {
		err = c.transact(ctx, func(c *conn) error {
			rec, _, err = c.settleSlow(ctx, &l, &o, false)
			return err
		})
	}
	return rec, failedIn(ctx, "Settle", err)
}

// SettleTx implements idempotency.TxSettler. The ctx that fn gets carries the transaction (see Tx), and is otherwise the caller's.
func (s *Store) SettleTx(
	ctx context.Context, l idempotency.Lease, o idempotency.Outcome, fn func(ctx context.Context, r idempotency.Record) error,
) (idempotency.Record, error) {
	c, err := s.openSettle(ctx, &l, &o)
	if err != nil {
		return idempotency.Record{}, err
	}
	if !record.ToNotify(o.State) {
		// Nobody is to be told, unless a cancellation waits: the usual statement leaves such a record alone.
		rec, err := c.settleFast(ctx, &l, &o, false)
		if !errors.Is(err, idempotency.ErrNoRecord) {
			return rec, failed("SettleTx", err)
		}
	}
	var rec idempotency.Record
	var refused error // by fn; its error is returned as it is, and settles nothing
	err = c.savepoint(ctx, func(c *conn) (err error) {
		var tell *idempotency.Record
		refused = nil
		if rec, tell, err = c.settleAndTell(ctx, &l, &o); err != nil || tell == nil {
			return err
		}
		if refused = fn(WithTx(ctx, c.tx), *tell); refused != nil {
			return errRefused
		}
		return nil
	})
	if refused != nil {
		return idempotency.Record{}, refused
	}
	return rec, failedIn(ctx, "SettleTx", err)
}

// openSettle checks a settlement and opens the connection for it.
func (s *Store) openSettle(ctx context.Context, l *idempotency.Lease, o *idempotency.Outcome) (*conn, error) {
	if err := checks.Outcome(ctx, l, o); err != nil {
		return nil, err
	}
	if l.Token != (idempotency.Token{}) {
		if err := alone(ctx, "an owner's Settle"); err != nil {
			return nil, err
		}
	}
	c, err := s.open(ctx)
	if err == nil {
		err = c.fits("value", o.Value)
	}
	return c, failed("Settle", err)
}

// settleAndTell settles and takes the mark to notify away, if there is one. Then tell is the record for who is to be told.
func (c *conn) settleAndTell(
	ctx context.Context, l *idempotency.Lease, o *idempotency.Outcome,
) (rec idempotency.Record, tell *idempotency.Record, err error) {
	rec, err = c.settleFast(ctx, l, o, true)
	if errors.Is(err, idempotency.ErrNoRecord) {
		return c.settleSlow(ctx, l, o, true)
	}
	if err == nil && o.Notify && record.ToNotify(rec.State) {
		marked := rec
		marked.Notify = true
		tell = &marked
	}
	return rec, tell, err
}

// settleFast ends a claim by its owner in one statement, if nothing special waits for its end. Otherwise it returns ErrNoRecord,
// and has changed nothing. told leaves out the mark to notify.
//
// What it writes is what the transition makes of a plain claim at the moment zero; the statement adds its own now, and
// keeps what depends on the record alone.
func (c *conn) settleFast(
	ctx context.Context, l *idempotency.Lease, o *idempotency.Outcome, told bool,
) (rec idempotency.Record, err error) {
	if l.Token == (idempotency.Token{}) {
		return rec, idempotency.ErrNoRecord
	}
	plain := row{Record: record.Record{
		Record:      idempotency.Record{ID: l.ID, State: idempotency.StateRunning, From: idempotency.StateFree, Fence: l.Fence},
		Token:       l.Token,
		LeaseEnd:    1,
		FirstSentAt: record.Never, LastSentAt: record.Never,
	}}
	next := plain
	if next.Record, _, err = plain.Settle(0, l, o); err != nil {
		return rec, err
	}
	if told && next.Notify {
		next.Told(0, o)
	}
	special := int64(flagCancelWanted | flagTell | flagNotify | flagLate)
	if o.State == idempotency.StateFree {
		special |= flagStarted
	}
	forgets := o.State == idempotency.StateFree || o.State == idempotency.StateScheduled
	r := &request{id: l.ID, token: l.Token, settles: true, makes: next}
	r.args = append(keyArgs(&l.ID),
		int64(l.Fence), l.Token[:], special, bit(forgets), bit(next.State.Settled() && !next.Notify), bit(o.Ref != ""),
		int64(next.State), next.flags(), int64(o.Attempts),
		next.leaseUntil(), micros(next.DueAt), next.nextStep(), micros(next.Expires()),
		orNull(next.Value), []byte(o.Ref), []byte(o.Code), []byte(o.Message))
	return c.do(ctx, r)
}

// settleOne makes one settlement.
func (c *conn) settleOne(ctx context.Context, r *request) error {
	return c.retry(ctx, func() error {
		done, err := c.turn(ctx)
		if err != nil {
			return err
		}
		defer done()
		statement, args := &c.texts.settle, r.args
		if !c.returns() {
			if n, err := c.exec(ctx, statement, args); err != nil {
				return err
			} else if n == 0 {
				return idempotency.ErrNoRecord
			}
			statement, args = &c.read, keyArgs(&r.id)
		}
		return c.ask(ctx, r, statement, args)
	})
}

// settleSlow locks the record, and lets the transition decide. With telling, the mark to notify is taken away again, and the
// record comes back for who is to be told.
func (c *conn) settleSlow(
	ctx context.Context, l *idempotency.Lease, o *idempotency.Outcome, telling bool,
) (rec idempotency.Record, tell *idempotency.Record, err error) {
	r, now, err := c.locked(ctx, &l.ID)
	if errors.Is(err, idempotency.ErrNoRecord) && l.Token != (idempotency.Token{}) {
		err = errGone
	}
	if err != nil {
		return rec, nil, err
	}
	next := row{batch: r.batch}
	var changed bool
	next.Record, changed, err = r.Settle(now, l, o)
	if changed && next.Notify && telling {
		marked := next.View(now, l.Token)
		tell = &marked
		next.Told(now, o)
	}
	if changed {
		if err := c.put(ctx, &next, r.Token); err != nil {
			return rec, nil, err
		}
	}
	return next.View(now, l.Token), tell, err
}

func bit(set bool) int64 {
	if set {
		return 1
	}
	return 0
}
