package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// List implements idempotency.Store. In the caller's transaction (see WithTx) it sees what that has done.
//
// The database selects by the state that is written, and those whose lease may have run out besides; which state those
// have is decided here. So a page may take more than one statement.
func (s *Store) List(ctx context.Context, q idempotency.Query) ([]idempotency.Record, error) {
	if err := checks.Query(ctx, &q); err != nil {
		return nil, err
	}
	c, err := s.open(ctx)
	if err != nil {
		return nil, failed("List", err)
	}
	var found []idempotency.Record
	for after := (cursor{id: q.After}); ; {
		var n int
		var last cursor
		var some []idempotency.Record
		err := c.retry(ctx, func() error {
			n, some = 0, nil
			statement, args := c.page(&q, after)
			return c.each(ctx, &statement, args, func(r row, now record.Moment) {
				n++
				last = cursor{r.ID, int64(r.CreatedAt) / 1000}
				if at := r.At(now); asked(&q, at.State) {
					some = append(some, at.View(now, idempotency.Token{}))
				}
			})
		})
		if err != nil {
			return nil, failed("List", err)
		}
		found = append(found, some[:min(len(some), q.N-len(found))]...)
		if n < q.N || len(found) == q.N {
			return found, nil
		}
		after = last
	}
}

// cursor is where a page begins: behind this record.
type cursor struct {
	id      idempotency.ID
	created int64
}

func asked(q *idempotency.Query, s idempotency.State) bool {
	if len(q.States) == 0 {
		return s != idempotency.StateFree
	}
	return slices.Contains(q.States, s)
}

// page is the statement for the q.N records behind after.
func (c *conn) page(q *idempotency.Query, after cursor) (statement, []any) {
	parameters := []param{{"operation", bytes}, {"n", integer}}
	args := []any{[]byte(q.Operation), int64(q.N)}
	where := " WHERE operation = :operation"
	add := func(p param, value any) {
		parameters = append(parameters, p)
		args = append(args, value)
	}
	if q.Scope != nil {
		where += " AND scope = :scope"
		add(param{"scope", bytes}, []byte(*q.Scope))
	}
	order := "scope, call_key"
	if after.id.Scope != "" || after.id.Key != "" {
		add(param{"after_scope", bytes}, []byte(after.id.Scope))
		add(param{"after_key", bytes}, []byte(after.id.Key))
		where += " AND "
		later := "(scope > :after_scope OR scope = :after_scope AND call_key > :after_key)"
		if q.OldestFirst {
			add(param{"after_created", integer}, after.created)
			later = "(created > :after_created OR created = :after_created AND " + later + ")"
		} else {
			later = "scope >= :after_scope AND " + later // which an index can begin at
		}
		where += later
	}
	if q.OldestFirst {
		order = "created, scope, call_key"
	}
	where += stored(q.States)
	return compile(c.dialect, c.selected+where+" ORDER BY "+order+" LIMIT :n", parameters), args
}

// stored is a condition that holds for all records in these states, and for those whose lease may have run out into them.
func stored(states []idempotency.State) string {
	if len(states) == 0 {
		return fmt.Sprintf(" AND state <> %d", idempotency.StateFree)
	}
	numbers, open := []string{fmt.Sprint(uint8(idempotency.StateRunning))}, true
	for _, s := range states {
		numbers = append(numbers, fmt.Sprint(uint8(s)))
		open = open && !s.Settled() && s != idempotency.StateFree && s != idempotency.StateAbsent
	}
	condition := " AND state IN (" + strings.Join(numbers, ", ") + ")"
	if open {
		condition += " AND next_step IS NOT NULL" // the index of what is open, however much is settled
	}
	return condition
}
