package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// Stat counts the calls of one operation that are in one state.
type Stat struct {
	Operation string
	// State is where they stand now; a claim whose lease has run out counts as what it falls back to.
	State idempotency.State
	// Late tells those abandoned calls apart that turned out to have happened: their outcome is known.
	Late bool
	// Calls is how many there are.
	Calls int64
	// Oldest is the age of the oldest of them.
	Oldest time.Duration
	// Due is how many of them Run could take a step further now. Where it stays above zero, nobody calls Run, or Run is slow.
	Due int64
	// Notify is how many of them OnSettled has not been told of yet.
	Notify int64
	// Lapsed is how many of them have lost their process, and wait for Run to take them over.
	Lapsed int64
}

// Stats counts all calls, by operation and state. It reads the whole table: see Backlog for what is asked every minute. In
// the caller's transaction (see WithTx) both see what that has done.
func (s *Store) Stats(ctx context.Context) ([]Stat, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, failed("Stats", err)
	}
	var list []Stat
	err = c.retry(ctx, func() (err error) {
		list, err = c.count(ctx, "")
		return err
	})
	return list, failed("Stats", err)
}

// Backlog counts the calls that are not settled, and those that OnSettled has not been told of yet. However much is
// settled besides, an index finds them, in a statement for each operation.
func (s *Store) Backlog(ctx context.Context) ([]Stat, error) {
	operations, err := s.Operations(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.open(ctx)
	if err != nil {
		return nil, failed("Backlog", err)
	}
	where := " WHERE operation = " + placeholder(c.dialect, 1, bytes) + " AND next_step IS NOT NULL"
	var list []Stat
	for _, operation := range operations {
		var some []Stat
		err := c.retry(ctx, func() (err error) {
			some, err = c.count(ctx, where, []byte(operation))
			return err
		})
		if err != nil {
			return nil, failed("Backlog", err)
		}
		list = append(list, some...)
	}
	return list, nil
}

// compare orders by what is counted.
func (s *Stat) compare(t Stat) int {
	late := func(s *Stat) int { return int(bit(s.Late)) }
	return cmp.Or(cmp.Compare(s.Operation, t.Operation), cmp.Compare(s.State, t.State), cmp.Compare(late(s), late(&t)))
}

// count counts the rows for which the condition holds, in order.
func (c *conn) count(ctx context.Context, where string, args ...any) ([]Stat, error) {
	once := "(SELECT " + nowIn(c.dialect) + ")"
	text := "SELECT operation, state, claimed_from, flags, lapsed, COUNT(*), MIN(created), COUNT(due), " + once + " FROM (" +
		"SELECT operation, state, claimed_from, flags, created, CASE WHEN lease_until <= " + once + " THEN 1 ELSE 0 END AS lapsed," +
		" CASE WHEN next_step <= " + once + " THEN 1 END AS due FROM " + c.table + where +
		") AS calls GROUP BY operation, state, claimed_from, flags, lapsed"
	rows, err := c.querier().QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []Stat
	for rows.Next() {
		stat, err := scanStat(rows)
		if err != nil {
			return nil, err
		}
		at, found := slices.BinarySearchFunc(list, stat, func(s, t Stat) int { return s.compare(t) })
		if !found {
			list = slices.Insert(list, at, stat)
			continue
		}
		sum := &list[at]
		sum.Calls, sum.Oldest = sum.Calls+stat.Calls, max(sum.Oldest, stat.Oldest)
		sum.Due, sum.Notify, sum.Lapsed = sum.Due+stat.Due, sum.Notify+stat.Notify, sum.Lapsed+stat.Lapsed
	}
	return list, rows.Err()
}

// scanStat reads calls that have all in common that decides what they are, and lets the transitions say what that is.
func scanStat(rows *sql.Rows) (Stat, error) {
	var stat Stat
	var operation []byte
	var state, from, flags, lapsed, created, clock int64
	if err := rows.Scan(&operation, &state, &from, &flags, &lapsed, &stat.Calls, &created, &stat.Due, &clock); err != nil {
		return stat, err
	}
	var r row
	r.State, r.From, r.LeaseEnd = idempotency.State(state), idempotency.State(from), record.Never
	for mark, set := range r.marks() {
		*set = flags&(1<<mark) != 0
	}
	if lapsed != 0 {
		r.LeaseEnd = 1
	}
	now := r.At(1)
	stat.Operation, stat.State, stat.Late = string(operation), now.State, now.Late
	stat.Oldest = max(0, time.Duration(clock-created)*time.Microsecond)
	if now.Notify && record.ToNotify(now.State) {
		stat.Notify = stat.Calls
	}
	if now.Lapsed {
		stat.Lapsed = stat.Calls
	}
	return stat, nil
}

// Operations returns the operations that there are calls of, in order. It takes a statement for each, which looks one up in
// an index, however many calls there are.
func (s *Store) Operations(ctx context.Context) ([]string, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, failed("Operations", err)
	}
	text := fmt.Sprintf("SELECT operation FROM %s WHERE operation > %s ORDER BY operation LIMIT 1", c.table, placeholder(c.dialect, 1, bytes))
	var list []string
	for last := []byte{}; ; {
		var found bool
		err := c.retry(ctx, func() (err error) {
			found, err = next(ctx, c.querier(), text, &last)
			return err
		})
		if err != nil || !found {
			return list, failed("Operations", err)
		}
		list = append(list, string(last))
	}
}

// next reads the value that follows last into it, unless there is none.
func next(ctx context.Context, q querier, text string, last *[]byte) (found bool, err error) {
	rows, err := q.QueryContext(ctx, text, *last)
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(last); err != nil {
			return false, err
		}
		found = true
	}
	return found, rows.Err()
}

// SchemaVersion returns the version of the tables as they are in the database: zero where there are none, and Version where
// Migrate has nothing to do.
func (s *Store) SchemaVersion(ctx context.Context) (int, error) {
	var q querier = s.db
	if tx := Tx(ctx); tx != nil {
		q = tx
	}
	version, err := s.version(ctx, q)
	return version, failed("SchemaVersion", err)
}
