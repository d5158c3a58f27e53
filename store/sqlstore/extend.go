package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// leasesAtOnce is how many leases one statement extends.
const leasesAtOnce = 256

var leaseColumns = slices.Concat(keyColumns, []param{{"fence", integer}, {"token", bytes}})

// Extend implements idempotency.Store: one statement for up to 256 leases. It does not join the caller's transaction.
func (s *Store) Extend(ctx context.Context, leases []idempotency.Lease, d time.Duration, sending bool) ([]bool, error) {
	if err := checks.Extend(ctx, leases, d); err != nil {
		return nil, err
	}
	if err := alone(ctx, "Extend"); err != nil {
		return nil, err
	}
	if len(leases) == 0 {
		return nil, nil
	}
	c, err := s.open(ctx)
	if err != nil {
		return nil, failed("Extend", err)
	}
	stands := make([]bool, 0, len(leases))
	for some := range slices.Chunk(leases, leasesAtOnce) {
		var standing map[idempotency.Lease]bool
		err := c.retry(ctx, func() (err error) {
			if c.dialect == MySQL {
				standing, err = c.extendAndRead(ctx, some, d, sending)
			} else {
				standing, err = c.extend(ctx, some, d, sending)
			}
			return err
		})
		if err != nil {
			return nil, failed("Extend", err)
		}
		for _, l := range some {
			stands = append(stands, standing[l])
		}
	}
	return stands, nil
}

// extending is the statement for n leases, which come after d, sending and the mark. It says in SQL what [record.Record.Extend] says in Go.
func (c *conn) extending(n int) statement {
	now, from, back := nowIn(c.dialect), "", ""
	if c.dialect == PostgreSQL {
		now, from = "clock.now", " FROM clock"
	}
	if c.dialect != MySQL {
		back = " RETURNING operation, scope, call_key, fence, token"
	}
	// What is assigned early must not be read later: MySQL has forgotten the old value.
	text := fmt.Sprintf("UPDATE %[1]s SET"+
		" first_sent = CASE WHEN :sending = 1 AND first_sent IS NULL THEN %[2]s ELSE first_sent END,"+
		" next_step = CASE WHEN :sending = 1 OR next_step < %[3]d THEN %[2]s + :d ELSE next_step END,"+
		" expires = CASE WHEN :sending = 1 THEN NULL ELSE expires + (%[2]s + :d - lease_until) END,"+
		" due = %[2]s + :d", c.table, now, far)
	where := fmt.Sprintf(" WHERE lease_until IS NOT NULL AND (state = %[1]d OR :sending = 0)"+
		// A wanted cancellation refuses to mark the claim as sending; and what has lapsed into cancelled is final.
		" AND NOT (flags & %[2]d <> 0 AND (:sending = 1 OR flags & %[3]d = 0 AND claimed_from IN (%[4]d, %[5]d) AND lease_until <= %[6]s))",
		idempotency.StateRunning, flagCancelWanted, flagSending, idempotency.StateFree, idempotency.StateScheduled, now)
	parameters := []param{{"d", integer}, {"sending", integer}, {"mark", integer}}
	if c.dialect == PostgreSQL {
		text = "WITH clock AS MATERIALIZED (SELECT " + nowIn(c.dialect) + " AS now) " + text
	}
	s := compile(c.dialect, text+fmt.Sprintf(", lease_until = %s + :d, flags = flags | :mark", now)+from+where, parameters)
	s.text += " AND " + anyOf(c.dialect, leaseColumns, n, len(parameters)+1) + back
	for i := range n * len(leaseColumns) {
		if s.order != nil {
			s.order = append(s.order, len(parameters)+i)
		}
	}
	return s
}

func extendArgs(leases []idempotency.Lease, d time.Duration, sending bool) []any {
	args := []any{micros(record.Moment(d)), bit(sending), bit(sending) * flagSending}
	if d > time.Duration(far) { // beyond any clock
		args[0] = far / 2
	}
	for i := range leases {
		args = append(args, keyArgs(&leases[i].ID)...)
		args = append(args, int64(leases[i].Fence), leases[i].Token[:])
	}
	return args
}

// extend returns the leases that stand.
func (c *conn) extend(
	ctx context.Context, leases []idempotency.Lease, d time.Duration, sending bool,
) (map[idempotency.Lease]bool, error) {
	padded := pad(leases)
	s := c.extending(len(padded))
	rows, err := c.querier().QueryContext(ctx, s.text, s.arrange(extendArgs(padded, d, sending))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	standing := make(map[idempotency.Lease]bool, len(leases))
	for rows.Next() {
		var operation, scope, key, token []byte
		var fence int64
		if err := rows.Scan(&operation, &scope, &key, &fence, &token); err != nil {
			return nil, err
		}
		l := idempotency.Lease{
			ID:    idempotency.ID{Operation: string(operation), Scope: string(scope), Key: string(key)},
			Fence: uint64(fence),
		}
		copy(l.Token[:], token)
		standing[l] = true
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return standing, rows.Close()
}

// extendAndRead is extend where an UPDATE returns no rows: what stands is read afterwards. A claim whose cancellation came in
// between is taken for refused, and that is safe.
func (c *conn) extendAndRead(
	ctx context.Context, leases []idempotency.Lease, d time.Duration, sending bool,
) (map[idempotency.Lease]bool, error) {
	padded := pad(leases)
	s := c.extending(len(padded))
	if _, err := c.querier().ExecContext(ctx, s.text, s.arrange(extendArgs(padded, d, sending))...); err != nil {
		return nil, err
	}
	var args []any
	for i := range padded {
		args = append(args, keyArgs(&padded[i].ID)...)
	}
	read := statement{text: c.selected + " WHERE " + anyOf(c.dialect, keyColumns, len(padded), 1)}
	standing := make(map[idempotency.Lease]bool, len(leases))
	err := c.each(ctx, &read, args, func(r row, now record.Moment) {
		l := idempotency.Lease{ID: r.ID, Fence: r.Fence, Token: r.Token}
		standing[l] = r.Extend(now, &l, d, sending)
	})
	return standing, err
}

// pad repeats the last lease up to a power of two, so that there are few statements for the database to remember.
func pad(leases []idempotency.Lease) []idempotency.Lease {
	n := 1
	for n < len(leases) {
		n *= 2
	}
	padded := slices.Clone(leases)
	for len(padded) < n {
		padded = append(padded, leases[len(leases)-1])
	}
	return padded
}
