package sqlstore

import (
	"context"
	"errors"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// errUnseen is what remains when a key can be neither inserted nor seen.
var errUnseen = errors.New("the key is taken by a record that this transaction cannot see: use READ COMMITTED, or begin it anew")

// Acquire implements idempotency.Store. Claims to run are refused where ctx carries a transaction.
func (s *Store) Acquire(ctx context.Context, claim idempotency.Claim) (idempotency.Record, error) {
	if err := checks.Claim(ctx, &claim); err != nil {
		return idempotency.Record{}, err
	}
	if claim.Mode == idempotency.ClaimRun {
		if err := alone(ctx, "a claim to run (Do)"); err != nil {
			return idempotency.Record{}, err
		}
	}
	c, err := s.open(ctx)
	if err != nil {
		return idempotency.Record{}, failed("Acquire", err)
	}
	if err := c.fits("request", claim.Request); err != nil {
		return idempotency.Record{}, failed("Acquire", err)
	}
	var rec idempotency.Record
	if claim.Fence == 0 {
		rec, err = c.create(ctx, &claim)
	} else {
		rec, err = c.claim(ctx, &claim)
	}
	return rec, failedIn(ctx, "Acquire", err)
}

// create makes the record that the claim asks for, or returns what is there.
func (c *conn) create(ctx context.Context, claim *idempotency.Claim) (idempotency.Record, error) {
	r := &request{id: claim.ID, token: claim.Token, makes: row{Record: record.New(0, claim)}}
	r.args = r.makes.freshArgs()
	if c.dialect == SQLite { // where a question costs no round trip, and need not wait for the writer
		err := c.retry(ctx, func() error { return c.see(ctx, r) })
		if !errors.Is(err, idempotency.ErrNoRecord) {
			return r.rec, err
		}
	}
	return c.do(ctx, r)
}

// createOne makes one record. Whoever inserts nothing and sees nothing has met another insert, which may have ended in a
// rollback, or a purge, and asks again.
func (c *conn) createOne(ctx context.Context, r *request) error {
	for range tries {
		err := c.retry(ctx, func() error {
			done, err := c.turn(ctx)
			if err != nil {
				return err
			}
			defer done()
			return c.insertOrSee(ctx, r)
		})
		if !errors.Is(err, idempotency.ErrNoRecord) {
			return err
		}
	}
	return errUnseen
}

func (c *conn) insertOrSee(ctx context.Context, r *request) error {
	if !c.returns() {
		if _, err := c.exec(ctx, &c.insert, r.args); err != nil {
			return err
		}
		return c.see(ctx, r)
	}
	err := c.ask(ctx, r, &c.insert, r.args)
	if errors.Is(err, idempotency.ErrNoRecord) {
		err = c.see(ctx, r)
	}
	return err
}

// see answers a claim with the record that is there. A transaction of MySQL reads it locked: otherwise it sees what was there when
// it began.
func (c *conn) see(ctx context.Context, r *request) error {
	statement := &c.read
	if c.tx != nil {
		statement = &c.lock
	}
	return c.ask(ctx, r, statement, keyArgs(&r.id))
}

// ask answers a request with what a statement returns, or with ErrNoRecord.
func (c *conn) ask(ctx context.Context, r *request, s *statement, args []any) error {
	said, now, err := c.one(ctx, s, args)
	if err == nil {
		r.answer(&said, now)
	}
	return err
}

// claim takes the record whose fence the claim names.
func (c *conn) claim(ctx context.Context, claim *idempotency.Claim) (rec idempotency.Record, err error) {
	err = c.transact(ctx, func(c *conn) error {
		r, now, err := c.locked(ctx, &claim.ID)
		if err != nil {
			return err
		}
		next := row{Record: r.At(now), batch: r.batch}
		free := next.State == idempotency.StateFree
		if next.Acquire(now, claim) {
			if err := c.put(ctx, &next, r.Token); err != nil {
				return err
			}
			if free {
				if _, err := c.exec(ctx, &c.describe, next.claimArgs(keyArgs(&claim.ID))); err != nil {
					return err
				}
			}
		}
		rec = next.View(now, claim.Token)
		return nil
	})
	return rec, err
}
