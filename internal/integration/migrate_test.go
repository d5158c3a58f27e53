package integration_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// Many processes that start at once all find the table, made once.
func TestMigrateAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		first := d.open(t)
		pools := []*sql.DB{first}
		for range 3 * (d.processes() - 1) {
			pools = append(pools, d.open(t))
		}
		name := table(t, first)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s, err := sqlstore.New(pools[i%len(pools)], sqlstore.Config{Table: name})
				if err == nil {
					err = s.Migrate(t.Context())
				}
				if err == nil {
					_, err = s.Acquire(t.Context(), claim("k", i))
				}
				if err != nil {
					t.Errorf("process %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		var versions int
		if err := first.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+name+"_version").Scan(&versions); err != nil || versions != 1 {
			t.Errorf("%d versions are written, %v", versions, err)
		}
	})
}

// A table cannot be called by a word of SQL.
func TestTableNamedByAWordOfSQL(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		s, err := sqlstore.New(d.open(t), sqlstore.Config{Table: "select"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "Config.Table") {
			t.Errorf("Migrate: %v", err)
		}
	})
}

// A table that is missing, newer or older is refused, in words that say what to do.
func TestTableOfAnotherVersion(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		name := table(t, db)
		fresh := func() *sqlstore.Store {
			s, err := sqlstore.New(db, sqlstore.Config{Table: name})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		refused := func(words ...string) {
			t.Helper()
			_, err := fresh().Acquire(t.Context(), claim("k", 1))
			for _, w := range append(words, name) {
				wantText(t, err, w)
			}
			_, err = fresh().Get(t.Context(), claim("k", 1).ID)
			wantText(t, err, words[0])
		}
		refused("Migrate")
		s := fresh()
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Acquire(t.Context(), claim("k", 1)); err != nil {
			t.Fatal(err)
		}
		setVersion := func(n int) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), fmt.Sprintf("UPDATE %s_version SET version = %d", name, n)); err != nil {
				t.Fatal(err)
			}
		}
		setVersion(sqlstore.Version + 1)
		refused(fmt.Sprintf("version %d", sqlstore.Version+1), fmt.Sprintf("version %d", sqlstore.Version))
		wantText(t, fresh().Migrate(t.Context()), fmt.Sprintf("version %d", sqlstore.Version+1))
		setVersion(-1)
		refused("version -1", fmt.Sprintf("version %d", sqlstore.Version), "Migrate")
	})
}

// The files can be run by somebody else: what Migrations returns is all that Migrate does.
func TestMigrationsByHand(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		s, err := sqlstore.New(db, sqlstore.Config{Table: table(t, db)})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range s.Migrations() {
			for statement := range strings.SplitSeq(text, ";\n") {
				if strings.TrimSpace(statement) == "" {
					continue
				}
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("%v\n%s", err, statement)
				}
			}
		}
		succeed(t, s, "k")
		if err := s.Migrate(t.Context()); err != nil {
			t.Errorf("Migrate of what is there: %v", err)
		}
	})
}

// Tables may live in a schema, or another database, of their own.
func TestSchema(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *sql.DB{"postgres": openPostgres, "mysql": openMySQL} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			schema := table(t, db)
			if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				drop := "DROP SCHEMA " + schema
				if name == "postgres" {
					drop += " CASCADE"
				}
				if _, err := db.Exec(drop); err != nil {
					t.Error(err)
				}
			})
			for _, table := range []string{"", "payments"} {
				s, err := sqlstore.New(db, sqlstore.Config{Schema: schema, Table: table})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Get(t.Context(), claim("k", 1).ID); err == nil || errors.Is(err, idempotency.ErrNoRecord) {
					t.Fatalf("Get before Migrate: %v", err)
				}
				for range 2 {
					if err := s.Migrate(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				succeed(t, s, "k")
			}
		})
	}
}

// A database that cannot be written to is an error that says so; nothing is taken for "no record".
func TestReadOnlyDatabase(t *testing.T) {
	path := filepath.Join(dir(t), "calls.db")
	d := databases[0]
	s := d.storeOn(t, pool(t, "sqlite", "file:"+path+"?_pragma=journal_mode(DELETE)&_pragma=busy_timeout(1000)"), sqlstore.DefaultTable)
	succeed(t, s, "k")
	s, err := sqlstore.New(pool(t, "sqlite", "file:"+path+"?mode=ro"), sqlstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Acquire(t.Context(), claim("new", 2))
	wantText(t, err, "read-only")
	if r, err := s.Acquire(t.Context(), claim("k", 2)); err != nil || r.State != idempotency.StateSucceeded {
		t.Errorf("a replay: %s, %v", r.State, err)
	}

	db := openPostgres(t)
	name := table(t, db)
	succeed(t, d.storeOn(t, db, name), "k")
	s, err = sqlstore.New(postgresWith(t, "default_transaction_read_only=on"), sqlstore.Config{Table: name})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Acquire(t.Context(), claim("new", 2))
	wantText(t, err, "read-only")
}
