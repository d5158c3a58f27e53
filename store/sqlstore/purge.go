package sqlstore

import (
	"context"
	"fmt"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// purgedAtOnce is how much Purge does in one transaction, so that nobody waits long for it.
const purgedAtOnce = 128

// Purge implements idempotency.Store: in short transactions, past whatever is locked. It does not join the caller's.
func (s *Store) Purge(ctx context.Context, limit int) (int, error) {
	if err := checks.Purge(ctx, limit); err != nil {
		return 0, err
	}
	if err := alone(ctx, "Purge"); err != nil {
		return 0, err
	}
	c, err := s.open(ctx)
	if err != nil {
		return 0, failed("Purge", err)
	}
	done := 0
	for done < limit {
		n, want := 0, min(purgedAtOnce, limit-done)
		err := c.transact(ctx, func(c *conn) (err error) {
			n, err = c.purge(ctx, want)
			return err
		})
		if err != nil {
			return done, failed("Purge", err)
		}
		done += n
		if n < want {
			break
		}
	}
	return done, nil
}

func (c *conn) purge(ctx context.Context, n int) (int, error) {
	if err := c.write(ctx, &idempotency.ID{}); err != nil {
		return 0, err
	}
	var remove, empty []any
	var lapsed []*row // into a state that is settled, and was not written down
	err := c.each(ctx, &c.expired, []any{int64(n)}, func(r row, now record.Moment) {
		next := row{Record: r.At(now)}
		switch gone := next.Purge(); {
		case gone:
			remove = append(remove, keyArgs(&r.ID)...)
		case r.State == idempotency.StateRunning:
			lapsed = append(lapsed, &next)
		default:
			empty = append(empty, keyArgs(&r.ID)...)
		}
	})
	if err != nil {
		return 0, err
	}
	for _, r := range lapsed {
		if err := c.put(ctx, r, r.Token); err != nil {
			return 0, err
		}
		if err := c.onKeys(ctx, "UPDATE "+c.table+" SET request = NULL", keyArgs(&r.ID)); err != nil {
			return 0, err
		}
	}
	if len(remove) > 0 {
		if err := c.onKeys(ctx, "DELETE FROM "+c.table, remove); err != nil {
			return 0, err
		}
	}
	if len(empty) > 0 {
		change := fmt.Sprintf("UPDATE %s SET value = NULL, request = NULL, flags = flags | %d, expires = expires + stub_for", c.table, flagExpired)
		if err := c.onKeys(ctx, change, empty); err != nil {
			return 0, err
		}
	}
	return len(lapsed) + (len(remove)+len(empty))/len(keyColumns), nil
}

// onKeys changes the rows with these keys.
func (c *conn) onKeys(ctx context.Context, change string, keys []any) error {
	_, err := c.tx.ExecContext(ctx, change+" WHERE "+anyOf(c.dialect, len(keys)/len(keyColumns), 1), keys...)
	return err
}
