package golden_test

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// The moment at which the dumps say that they were taken: 2026-01-01, in microseconds.
const taken = 1767225600_000000

// times are the columns with moments.
var times = []string{"lease_until", "due", "next_step", "expires", "give_up", "changed", "first_sent", "last_sent", "created"}

// far is beyond every moment: a next step that only a person can take.
const far = int64(1) << 62

type order struct {
	Item  string
	Cents int64
}

type receipt struct{ ID string }

var book = order{"book", 4200}

const (
	scope   = "customer 1"
	oddKey  = "Key with \x00, \xff and a space "
	century = 100 * 365 * 24 * time.Hour
)

type call = idempotency.Call[order, receipt]

// golden is the call that is in the dumps. What it says may not change.
func golden() call {
	return call{
		Name: "charge", Namespace: "golden", KeyLife: 24 * time.Hour, Settling: time.Minute, Retention: century, MaxBytes: 256,
		Retry: retry.Policy{Attempts: 1, Initial: time.Millisecond, Max: time.Millisecond}, CacheBytes: -1,
	}
}

// makeRecords makes a record in each state. The one that is under way goes on until release is called.
func makeRecords(t *testing.T, store idempotency.Store) (release func()) {
	t.Helper()
	ctx := t.Context()
	holding, held := make(chan struct{}), make(chan struct{})
	c := golden()
	c.Lookup = func(context.Context, idempotency.Attempt, order) (v idempotency.Verdict[receipt], err error) {
		return v, nil
	}
	c.Send = func(_ context.Context, a idempotency.Attempt, _ order) (receipt, error) {
		switch a.ID {
		case "accepted":
			return receipt{}, idempotency.Accepted("ref-1", 0)
		case "running":
			close(held)
			<-holding
			return receipt{"running"}, nil
		case "unknown", "abandoned", "late":
			return receipt{}, errors.New("no answer")
		case "rejected":
			return receipt{}, idempotency.Rejected("declined", errors.New("no money"))
		case "free":
			return receipt{}, idempotency.NotSent(errors.New("no way there"))
		case "omitted":
			return receipt{strings.Repeat("x", 300)}, nil
		}
		return receipt{"receipt of " + a.ID}, nil
	}
	c.OnSettled = func(_ context.Context, s idempotency.Settled[order, receipt]) error {
		if s.Key == "to notify" {
			return errors.New("not now")
		}
		return nil
	}
	wrap := func(c call) *idempotency.Wrapper[order, receipt] {
		w, err := idempotency.Wrap(store, c)
		if err != nil {
			t.Fatal(err)
		}
		return w.For(scope)
	}
	w := wrap(c)
	for _, key := range []string{"accepted", "unknown", "abandoned", "late", "succeeded", "rejected", "free", "omitted", "to notify", oddKey} {
		_, _ = w.Do(ctx, key, book) // the test of the dump says what it must be
	}
	brief := golden()
	brief.Send, brief.KeyLife, brief.Retention = c.Send, 0, time.Millisecond
	_, _ = wrap(brief).Do(ctx, "expired", book)
	for n := 0; n == 0; {
		time.Sleep(2 * time.Millisecond)
		var err error
		if n, err = store.Purge(ctx, 10); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"scheduled", "cancelled"} {
		if _, err := w.Start(ctx, key, book); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"cancelled", "tombstone", "abandoned", "late"} {
		_, _ = w.Cancel(ctx, key)
	}
	if _, err := w.Settle(ctx, "late", idempotency.Happened(receipt{"receipt of late"})); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = w.Do(context.WithoutCancel(ctx), "running", book)
	}()
	<-held
	return func() {
		close(holding)
		<-done
	}
}

// dump writes a table's records as statements, in order, as if they had been written at the moment taken.
func dump(t *testing.T, name string, db *sql.DB, s *sqlstore.Store, table string) string {
	t.Helper()
	var text strings.Builder
	for _, schema := range s.Migrations() {
		text.WriteString(strings.ReplaceAll(schema, table, "steadfast_calls"))
	}
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table+" ORDER BY operation, scope, call_key")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMicro()
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		literals := make([]string, len(columns))
		for i, column := range columns {
			value := *values[i].(*any)
			if n, ok := value.(int64); ok && slices.Contains(times, column) && n < far {
				value = n - now + taken
			}
			literals[i] = literal(t, name, value)
		}
		fmt.Fprintf(&text, "INSERT INTO steadfast_calls (%s)\nVALUES (%s);\n", strings.Join(columns, ", "), strings.Join(literals, ", "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func literal(t *testing.T, name string, value any) string {
	t.Helper()
	switch v := value.(type) {
	case nil:
		return "NULL"
	case int64:
		return fmt.Sprint(v)
	case []byte:
		if name == databases.Postgres {
			return `'\x` + hex.EncodeToString(v) + "'"
		}
		return "x'" + hex.EncodeToString(v) + "'"
	}
	t.Fatalf("a value is a %T", value)
	return ""
}

// TestMake writes the dumps anew. It is for a new version of the schema, whose dumps go beside those of the old ones: those are never
// written again.
func TestMake(t *testing.T) {
	into := os.Getenv("STEADFAST_GOLDEN_MAKE")
	if into == "" {
		t.Skip("STEADFAST_GOLDEN_MAKE names the directory to write to, for a new version of the schema")
	}
	for _, name := range slices.Sorted(maps.Keys(dumps)) {
		t.Run(name, func(t *testing.T) {
			d, db := databases.ForTest(t, name)
			s, err := d.Store(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			release := makeRecords(t, s)
			text := dump(t, name, db, s, d.Table)
			release()
			if err := os.WriteFile(into+"/"+dumps[name], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// dumps are the files of a version.
var dumps = map[string]string{databases.SQLite: "sqlite.sql", databases.Postgres: "postgres.sql", databases.MariaDB: "mysql.sql"}
