package integration_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/steadfast-go/steadfast/idempotency"
)

// T27: a replay is a read. It writes not one byte to the log. Others may write meanwhile, so it is enough that among some rounds
// of replays one is found in which nothing was written.
func TestReplayWritesNothing(t *testing.T) {
	db := openPostgres(t)
	s := databases[2].store(t, db)
	succeed(t, s, "k")
	position := func() (lsn string) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(&lsn); err != nil {
			t.Fatal(err)
		}
		return lsn
	}
	before := position()
	if r, err := s.Acquire(t.Context(), claim("new", 2)); err != nil || !r.Owned {
		t.Fatalf("Acquire of a new key: owned is %v, %v", r.Owned, err)
	}
	if position() == before {
		t.Error("the log stands still while a record is written: the test sees nothing")
	}
	const rounds = 2000 // other tests write to the same log: some moment they do not
	for range rounds {
		before := position()
		for n := range 2 {
			if r, err := s.Acquire(t.Context(), claim("k", 3+n)); err != nil || r.State != idempotency.StateSucceeded || r.Owned {
				t.Fatalf("a replay: %s, owned is %v, %v", r.State, r.Owned, err)
			}
			if r, err := s.Acquire(t.Context(), claim("new", 3+n)); err != nil || r.State != idempotency.StateRunning || r.Owned {
				t.Fatalf("a look at a running call: %s, owned is %v, %v", r.State, r.Owned, err)
			}
		}
		if position() == before {
			return
		}
	}
	t.Errorf("each of %d rounds of four replays wrote to the log", rounds)
}

// The indexes are used: what AcquireDue, Purge and the oldest open call ask does not read what is settled.
func TestPlansOnALargeTable(t *testing.T) {
	db := openPostgres(t)
	name := table(t, db)
	databases[2].storeOn(t, db, name)
	if _, err := db.ExecContext(t.Context(), `INSERT INTO `+name+` (operation, scope, call_key, state, claimed_from, flags, fence, token, attempts, changed, created, expires)
		SELECT 'charge', '', convert_to(n::text, 'UTF8'), 7, 0, 0, 1, '\x00', 1, 1, 1, 4000000000000000 FROM generate_series(1, 50000) n`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "ANALYZE "+name); err != nil {
		t.Fatal(err)
	}
	now := "(SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint))"
	for what, query := range map[string]string{
		"AcquireDue": "SELECT * FROM " + name + " WHERE operation = 'charge' AND next_step <= " + now + " ORDER BY next_step LIMIT 10 FOR UPDATE SKIP LOCKED",
		"Purge":      "SELECT * FROM " + name + " WHERE expires <= " + now + " ORDER BY expires LIMIT 10 FOR UPDATE SKIP LOCKED",
		"the oldest": "SELECT * FROM " + name + " WHERE operation = 'charge' AND state IN (3, 2, 4, 5, 6) AND next_step IS NOT NULL ORDER BY created LIMIT 1",
		"held":       "SELECT * FROM " + name + " WHERE batch = '\x01' AND token = '\x01'",
	} {
		plan := planned(t, db, "EXPLAIN "+query)
		if strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, "_idx") {
			t.Errorf("%s reads the whole table:\n%s", what, plan)
		}
	}
}

// planned is what the database says of a plan.
func planned(t *testing.T, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, query string,
) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var plan []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}
