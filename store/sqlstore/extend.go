package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
		err := c.retry(ctx, func() error {
			done, err := c.turn(ctx)
			if err != nil {
				return err
			}
			defer done()
			if c.returns() {
				standing, err = c.extend(ctx, some, d, sending)
				return err
			}
			return c.transact(ctx, func(c *conn) error {
				standing, err = c.extendAndRead(ctx, some, d, sending)
				return err
			})
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

// extending is the statement for n leases, which come after d, sending and the mark. It says in SQL what [record.Record.Extend]
// says in Go.
func (c *conn) extending(n int) *statement {
	if s, ok := c.extends.Load(n); ok {
		return s.(*statement)
	}
	sets := []assignment{
		{"first_sent", "CASE WHEN :sending = 1 AND old.first_sent IS NULL THEN now() ELSE old.first_sent END"},
		{"next_step", fmt.Sprintf("CASE WHEN :sending = 1 OR old.next_step < %d THEN now() + :d ELSE old.next_step END", far)},
		{"expires", "CASE WHEN :sending = 1 THEN NULL ELSE old.expires + (now() + :d - old.lease_until) END"},
		{"due", "now() + :d"}, {"lease_until", "now() + :d"}, {"flags", "old.flags | :mark"},
	}
	parameters := []param{{"d", integer}, {"sending", integer}, {"mark", integer}}
	var leases []string
	for i := range n {
		var same []string
		for _, column := range leaseColumns {
			p := param{column.name + strconv.Itoa(i), column.kind}
			parameters = append(parameters, p)
			same = append(same, "old."+column.name+" = :"+p.name)
		}
		leases = append(leases, strings.Join(same, " AND "))
	}
	// A wanted cancellation refuses to mark the claim as sending; and what has lapsed into cancelled is final.
	where := fmt.Sprintf("(%s) AND old.lease_until IS NOT NULL AND (old.state = %d OR :sending = 0) AND NOT ((old.flags & %d) <> 0"+
		" AND (:sending = 1 OR (old.flags & %d) = 0 AND old.claimed_from IN (%d, %d) AND old.lease_until <= now()))",
		strings.Join(leases, " OR "), idempotency.StateRunning, flagCancelWanted, flagSending, idempotency.StateFree, idempotency.StateScheduled)
	text := c.change(sets, where, list(leaseColumns, "old."), false)
	if !c.returns() {
		text = strings.ReplaceAll(text, nowIn(c.dialect), ":clock")
		parameters = slices.Insert(parameters, 0, param{"clock", integer})
	}
	s := compile(c.dialect, text, parameters)
	c.extends.Store(n, &s)
	return &s
}

func extendArgs(leases []idempotency.Lease, d time.Duration, sending bool) []any {
	until := row{Record: record.Record{LeaseEnd: record.Moment(d)}}
	args := []any{until.leaseUntil(), bit(sending), bit(sending) * flagSending}
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
	rows, err := c.query(ctx, c.extending(len(padded)), extendArgs(padded, d, sending))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	standing := make(map[idempotency.Lease]bool, len(leases))
	for rows.Next() {
		var operation, scope, key, token []byte
		var fence, clock int64
		if err := rows.Scan(&operation, &scope, &key, &fence, &token, &clock); err != nil {
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

// extendAndRead is extend where no change returns rows: the clock is read before, and afterwards the leases that end when they
// were made to end. The rows are locked first, so that another renewal of the same claim comes before or after it.
func (c *conn) extendAndRead(
	ctx context.Context, leases []idempotency.Lease, d time.Duration, sending bool,
) (map[idempotency.Lease]bool, error) {
	padded := pad(leases)
	var keys []any
	for i := range padded {
		keys = append(keys, keyArgs(&padded[i].ID)...)
	}
	read := statement{text: c.selected + " WHERE " + anyOf(c.dialect, len(padded), 1)}
	locked := statement{text: read.text + " FOR UPDATE"}
	if err := c.each(ctx, &locked, keys, func(row, record.Moment) {}); err != nil {
		return nil, err
	}
	var clock int64
	if err := scanOne(ctx, c.querier(), &clock, "SELECT "+nowIn(c.dialect)); err != nil {
		return nil, err
	}
	args := extendArgs(padded, d, sending)
	end := clock + args[0].(int64)
	if _, err := c.exec(ctx, c.extending(len(padded)), slices.Insert(args, 0, any(clock))); err != nil {
		return nil, err
	}
	standing := make(map[idempotency.Lease]bool, len(leases))
	err := c.each(ctx, &read, keys, func(r row, _ record.Moment) {
		standing[idempotency.Lease{ID: r.ID, Fence: r.Fence, Token: r.Token}] = r.leaseUntil() == any(end)
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
