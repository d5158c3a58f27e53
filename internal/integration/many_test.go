package integration_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// manyCalls is how many calls two processes recover: ten thousand on PostgreSQL, fewer where each commit waits for the one before
// it. STEADFAST_TEST_CALLS says otherwise.
func manyCalls(t *testing.T, d database) int {
	t.Helper()
	if text := os.Getenv("STEADFAST_TEST_CALLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 10000 {
			t.Fatalf("STEADFAST_TEST_CALLS is %q: use a number, 1 to 10000", text)
		}
		return n
	}
	switch {
	case testing.Short():
		return 300
	case d.name == "postgres":
		return 10000
	default:
		return 1500
	}
}

// Two processes recover thousands of calls that are due: each is driven once, by one of them, and none is left.
func TestTwoProcessesRecoverManyCalls(t *testing.T) {
	eachServed(t, func(t *testing.T, d database) {
		calls := manyCalls(t, d)
		db := d.open(t)
		name := table(t, db)
		var provider sends // nothing is sent from here
		w := wrap(t, d.storeOn(t, db, name), provider.send, inHurry)
		if _, err := w.Start(t.Context(), "specimen", order{"book"}); err != nil {
			t.Fatal(err)
		}
		multiply(t, d, db, name, calls-1)

		both := []*process{}
		for range 2 {
			both = append(both, spawn(t, d, role{Part: "recover", Table: name}))
		}
		for _, p := range both {
			p.want("ready")
		}
		for _, p := range both {
			p.tell("go")
		}
		sent, driven := map[string]int{}, 0
		for _, p := range both {
			e := p.want("done")
			t.Logf("one process drove %d in %v, with %d requests for what is due", e.N, e.Took, e.Values["AcquireDue"])
			driven += e.N
			for {
				if e = p.want("sent"); e.Key == "" {
					break
				}
				sent[e.Key]++
			}
			p.end()
		}
		// Some may have been taken up twice: those whose claim ended before they were sent, because the database was slow.
		if driven < calls || len(sent) != calls {
			t.Errorf("they took up %d calls and sent %d provider keys, want %d", driven, len(sent), calls)
		}
		for key, n := range sent {
			if n != 1 {
				t.Errorf("%s was sent %d times", key, n)
			}
		}
		left, err := w.List(t.Context(), idempotency.Query{N: 10, States: idempotency.Unresolved()})
		if err != nil || len(left) > 0 {
			t.Errorf("these are left: %+v, %v", left, err)
		}
		var succeeded int
		if err := db.QueryRowContext(t.Context(), fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE state = %d", name, idempotency.StateSucceeded)).Scan(&succeeded); err != nil {
			t.Fatal(err)
		}
		if succeeded != calls {
			t.Errorf("%d calls have succeeded, want %d", succeeded, calls)
		}
	})
}

func inHurry(c *call) {
	c.Concurrency = 32
	c.CacheBytes = -1
}

func playRecover(t *testing.T, p *player) {
	keys := make([]string, 20000)
	var n atomic.Int64
	w := wrap(t, p.store, func(_ context.Context, a idempotency.Attempt, in order) (receipt, error) {
		keys[n.Add(1)-1] = a.Key
		return charged(a, in), nil
	}, inHurry)
	if _, err := p.store.Get(t.Context(), idempotency.ID{Operation: "charge", Key: "specimen"}); err != nil { // it is open
		t.Fatal(err)
	}
	p.say(event{What: "ready"})
	p.hear()
	start := time.Now()
	driven := 0
	// One pass, unless the database is slower than the store's requests may take: then some calls wait a little, and another pass
	// finds them.
	eventually(t, func() bool {
		some, err := w.Recover(t.Context())
		driven += some
		if err != nil {
			t.Logf("Recover: %v", err)
			return false
		}
		left, err := w.List(t.Context(), idempotency.Query{N: 1, States: idempotency.Unresolved()})
		return err == nil && len(left) == 0
	})
	p.say(event{What: "done", N: driven, Took: time.Since(start), Values: map[string]int{"AcquireDue": int(p.store.due.Load())}})
	for _, key := range keys[:n.Load()] {
		p.say(event{What: "sent", Key: key})
	}
	p.say(event{What: "sent"}) // no more
}

// multiply copies the table's record so many times, under other keys.
func multiply(t *testing.T, d database, db *sql.DB, table string, copies int) {
	t.Helper()
	names := columns(t, db, table)
	key := map[string]string{
		"sqlite-file": "CAST('k' || n AS BLOB)", "postgres": "convert_to('k' || n, 'UTF8')", "mysql": "CONCAT('k', n)",
	}[d.name]
	values := strings.Replace(strings.Join(names, ", "), "call_key", key, 1)
	digit := "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4" +
		" UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) AS "
	text := fmt.Sprintf("INSERT INTO %[1]s (%[2]s) SELECT %[3]s FROM %[1]s, (SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n FROM "+
		digit+"a, "+digit+"b, "+digit+"c, "+digit+"e) AS numbers WHERE n < %[4]d", table, strings.Join(names, ", "), values, copies)
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// columns returns the names of a table's columns.
func columns(t *testing.T, db *sql.DB, table string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err := errors.Join(err, rows.Err()); err != nil {
		t.Fatal(err)
	}
	return names
}
