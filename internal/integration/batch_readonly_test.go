package integration_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// T36: a session that may only read, as on a replica: a new call is refused, by an error that says why, and nothing is sent.
func TestReadOnlySessionsSendNothing(t *testing.T) {
	sqliteFile := "file:" + filepath.Join(dir(t), "calls.db")
	for _, row := range []struct {
		name  string
		d     database
		write func(t testing.TB) *sql.DB
		read  func(t testing.TB) *sql.DB
	}{
		{"postgres", databases[2], databases[2].open, func(t testing.TB) *sql.DB { return postgresWith(t, "default_transaction_read_only=on") }},
		{"mysql", databases[3], databases[3].open, func(t testing.TB) *sql.DB { return mysqlWith(t, "tx_read_only", "1") }},
		{
			"sqlite", databases[0],
			func(t testing.TB) *sql.DB {
				return pool(t, "sqlite", sqliteFile+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(60000)")
			},
			func(t testing.TB) *sql.DB {
				return pool(t, "sqlite", sqliteFile+"?mode=ro&_pragma=busy_timeout(60000)")
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			db := row.write(t)
			name := table(t, db)
			row.d.storeOn(t, db, name)
			s, err := sqlstore.New(row.read(t), sqlstore.Config{Table: name})
			if err != nil {
				t.Fatal(err)
			}
			var provider sends
			w := wrap(t, s, provider.send, nil)
			_, err = w.Do(t.Context(), "k", order{"book"})
			if !errors.Is(err, idempotency.ErrStore) || !strings.Contains(err.Error(), "read-only") {
				t.Errorf("Do: %v, want an error that says that the database is read-only", err)
			}
			if n := provider.of("k"); n != 0 {
				t.Errorf("it was sent %d times", n)
			}
		})
	}
}

// T30: a transaction that begins deferred, as is the driver's default, becomes a writer before it reads: one that has read, and then
// finds that another has written, is told "busy" at once.
func TestDeferredTransactionOfSQLite(t *testing.T) {
	file := "file:" + filepath.Join(dir(t), "calls.db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(60000)"
	other := pool(t, "sqlite", file)
	name := table(t, other)
	writer := databases[0].storeOn(t, other, name)
	g := &gate{Connector: opened{other.Driver(), file}}
	db := sql.OpenDB(g)
	t.Cleanup(func() { _ = db.Close() })
	s, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.SQLite, Table: name})
	if err != nil {
		t.Fatal(err)
	}
	c := claim("k", 1)
	c.Mode = idempotency.ClaimSchedule
	if _, err := s.Acquire(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	tx := begin(t, db)
	reached, release := g.holdText(" SET state", 1)
	t.Cleanup(release)
	var done sync.WaitGroup
	done.Go(func() {
		l := idempotency.Lease{ID: c.ID}
		if _, err := s.Settle(sqlstore.WithTx(t.Context(), tx), l, idempotency.Outcome{State: idempotency.StateCancelled}); err != nil {
			t.Errorf("a cancellation between whose reading and writing another one wants to write: %v", err)
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	})
	<-reached
	done.Go(func() {
		if _, err := writer.Acquire(t.Context(), claim("another", 1)); err != nil {
			t.Errorf("the other one: %v", err)
		}
	})
	time.Sleep(200 * time.Millisecond)
	release()
	done.Wait()
}
