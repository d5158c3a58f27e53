package integration_test

import (
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// A batch finds its rows by the primary key, also with the plan that was made when the table was small. Where it is so small that reading
// all of it is cheaper, a plan that does so is not kept for long: the text changes with every doubling of their number.
func TestPlansOfABatch(t *testing.T) {
	d := databases[2]
	g, s, db, name := d.gated(t)
	texts := map[string]bool{}
	for round := range 4 {
		c := gather(t, g, s)
		for i := range 4 {
			c.add(func() {
				if r, err := s.Acquire(t.Context(), claim(fmt.Sprint("k", i, " of ", round), i)); err != nil || !r.Owned {
					t.Errorf("Acquire: owned is %v, %v", r.Owned, err)
				}
			})
			if round == 0 {
				continue
			}
			c.add(func() {
				of := claim(fmt.Sprint("k", i, " of ", round-1), i)
				l := idempotency.Lease{ID: of.ID, Fence: 1, Token: of.Token}
				if _, err := s.Settle(t.Context(), l, idempotency.Outcome{State: idempotency.StateSucceeded}); err != nil {
					t.Errorf("Settle: %v", err)
				}
			})
		}
		c.let()
		texts[g.last] = true
	}
	if len(texts) < 3 || texts[""] {
		t.Fatalf("4 batches, the first one of claims only, had %d texts", len(texts))
	}
	conn, run := session(t, db)
	run("PREPARE batch AS " + g.last)
	for range 8 { // after five of them the server decides whether to go on planning each
		explained(t, conn, g, "EXPLAIN")
	}
	var kept bool
	const counts = "SELECT coalesce(CAST(to_jsonb(p) ->> 'generic_plans' AS bigint) > 0, true) FROM pg_prepared_statements p WHERE name = 'batch'" // since 14
	if err := conn.QueryRowContext(t.Context(), counts).Scan(&kept); err != nil || !kept {
		t.Errorf("a batch of a few is planned each time, which takes longer than all the rest: %v", err)
	}
	fill := func(from, to int) {
		t.Helper()
		run(fmt.Sprintf(`INSERT INTO %s (operation, scope, call_key, state, claimed_from, flags, fence, token, attempts, changed, created, expires, request)
			SELECT 'charge', '', convert_to(n::text, 'UTF8'), 7, 0, 0, 1, '\x00', 1, 1, 1, 4000000000000000, convert_to(repeat('r', 200), 'UTF8')
			FROM generate_series(%d, %d) n`, name, from, to))
	}
	fill(1, 300)
	run("ANALYZE " + name)
	run("SET plan_cache_mode = force_generic_plan")
	check := func(when string) {
		t.Helper()
		text := explained(t, conn, g, "EXPLAIN")
		if strings.Contains(text, "Seq Scan on "+name) || strings.Count(text, name+"_pkey") != 3 {
			t.Errorf("%s, a batch does not find its rows by the primary key:\n%s", when, text)
		}
	}
	check("with 300 rows")
	fill(301, 50000)
	check("with 50,000 rows that nobody has counted")
	run("ANALYZE " + name)
	check("with 50,000 rows")
}

// A batch of replays writes nothing, not even a log (T27).
func TestBatchOfReplaysWritesNothing(t *testing.T) {
	d := databases[2]
	g, s, db, name := d.gated(t)
	const calls = 20
	for i := range calls {
		succeed(t, s, fmt.Sprint("k", i))
	}
	replay := func(new string) string {
		t.Helper()
		c := gather(t, g, s)
		for i := range calls {
			c.add(func() {
				r, err := s.Acquire(t.Context(), claim(fmt.Sprint("k", i), 2))
				if err != nil || r.State != idempotency.StateSucceeded {
					t.Errorf("a replay: %s, %v", r.State, err)
				}
			})
		}
		if new != "" {
			c.add(func() { _, _ = s.Acquire(t.Context(), claim(new, 2)) })
		}
		c.let()
		conn, run := session(t, db)
		run("PREPARE batch AS " + g.last)
		run("BEGIN")
		defer run("ROLLBACK")
		if new != "" {
			run("DELETE FROM " + name + " WHERE call_key = convert_to('" + new + "', 'UTF8')")
		}
		return explained(t, conn, g, "EXPLAIN (ANALYZE, WAL)")
	}
	if text := replay("new"); !strings.Contains(text, "WAL:") {
		t.Errorf("a batch with a new key writes no log: the test sees nothing:\n%s", text)
	}
	if text := replay(""); strings.Contains(text, "WAL:") {
		t.Errorf("a batch of replays writes to the log:\n%s", text)
	}
}

// In whatever order callers come, a batch names their keys in one, so that two processes do not wait for each other (T59).
func TestBatchesAreSorted(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		if d.name == "sqlite-file" {
			t.Skip("whoever writes there has the whole file")
		}
		g, s, _, _ := d.gated(t)
		c := gather(t, g, s)
		const calls = 26
		for i := range calls {
			c.add(func() {
				time.Sleep(time.Duration(calls-i) * 3 * time.Millisecond) // the last of the alphabet comes first
				if _, err := s.Acquire(t.Context(), claim(fmt.Sprint("sorted-", string(rune('a'+i))), i)); err != nil {
					t.Error(err)
				}
			})
		}
		g.listen()
		c.let()
		heard := g.listen()
		last := -1
		for i := range calls {
			at := strings.Index(heard, hex.EncodeToString([]byte(fmt.Sprint("sorted-", string(rune('a'+i))))))
			if at <= last {
				t.Fatalf("key %d stands at byte %d of what was said, the one before at %d", i, at, last)
			}
			last = at
		}
	})
}

// session is a session of its own, and how to run a statement there.
func session(t *testing.T, db *sql.DB) (conn *sql.Conn, run func(text string)) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run = func(text string) {
		t.Helper()
		if _, err := conn.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		// The session may not go back to the pool: it has a prepared statement.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = conn.Close()
	})
	return conn, run
}

// explained is what the database says of the last batch.
func explained(t *testing.T, conn *sql.Conn, g *gate, explain string) string {
	t.Helper()
	var args []string
	for _, a := range g.args {
		args = append(args, "'"+fmt.Sprint(a)+"'")
	}
	return planned(t, conn, explain+" EXECUTE batch("+strings.Join(args, ", ")+")")
}
