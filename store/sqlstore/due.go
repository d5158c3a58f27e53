package sqlstore

import (
	"context"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// AcquireDue implements idempotency.Store. Where nothing is due it is one read. It does not join the caller's transaction.
//
// A repetition that overtakes the original claims other records: those of the original then wait for their lease to end.
func (s *Store) AcquireDue(ctx context.Context, claim idempotency.DueClaim) ([]idempotency.Record, error) {
	if err := checks.DueClaim(ctx, &claim); err != nil {
		return nil, err
	}
	if err := alone(ctx, "AcquireDue (Run, Recover)"); err != nil {
		return nil, err
	}
	c, err := s.open(ctx)
	if err != nil {
		return nil, failed("AcquireDue", err)
	}
	var taken []idempotency.Record
	pending, err := c.anythingDue(ctx, &claim)
	if err == nil && pending {
		err = c.transact(ctx, func(c *conn) error {
			taken, err = c.takeDue(ctx, &claim)
			return err
		})
	}
	if err != nil {
		return nil, failed("AcquireDue", err)
	}
	return taken, nil
}

func (c *conn) anythingDue(ctx context.Context, claim *idempotency.DueClaim) (pending bool, err error) {
	err = c.retry(ctx, func() error {
		rows, err := c.query(ctx, &c.pending, []any{claim.Token[:], []byte(claim.Operation)})
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			if err := rows.Scan(&pending); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return pending, err
}

func (c *conn) takeDue(ctx context.Context, claim *idempotency.DueClaim) ([]idempotency.Record, error) {
	if err := c.write(ctx, &idempotency.ID{Operation: claim.Operation}); err != nil {
		return nil, err
	}
	var views []idempotency.Record
	err := c.each(ctx, &c.held, []any{claim.Token[:], []byte(claim.Operation)}, func(r row, now record.Moment) {
		at := r.At(now)
		views = append(views, at.View(now, claim.Token))
	})
	if err != nil || len(views) > 0 {
		return views, err
	}
	type found struct {
		row
		now record.Moment
	}
	var due []found
	err = c.each(ctx, &c.due, []any{[]byte(claim.Operation), int64(claim.N)}, func(r row, now record.Moment) {
		due = append(due, found{r, now})
	})
	if err != nil {
		return nil, err
	}
	for i := range due {
		r, now := &due[i].row, due[i].now
		next := row{Record: r.At(now)}
		next.AcquireDue(now, claim)
		next.batch = claim.Token[:]
		if err := c.put(ctx, &next, next.Token); err != nil {
			return nil, err
		}
		views = append(views, next.View(now, claim.Token))
	}
	return views, nil
}
