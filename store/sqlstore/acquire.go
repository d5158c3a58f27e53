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
	var rec idempotency.Record
	if claim.Fence == 0 {
		rec, err = c.create(ctx, &claim)
	} else {
		rec, err = c.claim(ctx, &claim)
	}
	return rec, failed("Acquire", err)
}

// create makes the record that the claim asks for, or returns what is there.
func (c *conn) create(ctx context.Context, claim *idempotency.Claim) (rec idempotency.Record, err error) {
	fresh := row{Record: record.New(0, claim)} // at zero: its moments are distances from the statement's own now
	key := keyArgs(&claim.ID)
	args := fresh.claimArgs(append(fresh.restArgs(keyArgs(&claim.ID)), micros(fresh.CreatedAt)))
	view := func(r row, now record.Moment) {
		at := r.At(now)
		rec = at.View(now, claim.Token)
	}
	// Whoever inserts nothing and sees nothing has met another insert, which may have ended in a rollback, or a purge.
	for range tries {
		err = c.retry(ctx, func() error {
			if c.dialect == SQLite {
				r, now, err := c.one(ctx, &c.read, key)
				if !errors.Is(err, idempotency.ErrNoRecord) {
					view(r, now)
					return err
				}
			}
			done, err := c.turn(ctx)
			if err != nil {
				return err
			}
			defer done()
			if c.dialect == MySQL && !c.maria {
				if _, err := c.exec(ctx, &c.insert, args); err != nil {
					return err
				}
				r, now, err := c.one(ctx, c.latest(), key)
				view(r, now)
				return err
			}
			r, now, err := c.one(ctx, &c.insert, args)
			if errors.Is(err, idempotency.ErrNoRecord) {
				r, now, err = c.one(ctx, &c.read, key)
			}
			view(r, now)
			return err
		})
		if !errors.Is(err, idempotency.ErrNoRecord) {
			return rec, err
		}
	}
	return idempotency.Record{}, errUnseen
}

// latest reads a record as it is now. A transaction of MySQL otherwise reads what was there when it began.
func (c *conn) latest() *statement {
	if c.tx != nil {
		return &c.lock
	}
	return &c.read
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
