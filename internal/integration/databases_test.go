package integration_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// database is one kind of database that tests run on.
type database struct {
	name string
	// open returns a database and the name of the service that is missing where there is none. Every call within a test
	// returns another pool on the same database, as another process would have it; memory has one pool.
	open func(t testing.TB) *sql.DB
	// dialect is given to stores; Auto: they recognise it.
	dialect sqlstore.Dialect
}

// processes is how many pools the database can have.
func (d database) processes() int {
	if d.name == "sqlite-memory" {
		return 1
	}
	return 2
}

var databases = []database{
	{name: "sqlite-file", open: func(t testing.TB) *sql.DB {
		return pool(t, "sqlite", "file:"+filepath.Join(dir(t), "calls.db")+
			"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(60000)&_txlock=immediate")
	}},
	{name: "sqlite-memory", open: func(t testing.TB) *sql.DB {
		db := pool(t, "sqlite", ":memory:?_pragma=busy_timeout(60000)")
		db.SetMaxOpenConns(1)
		return db
	}},
	{name: "postgres", open: openPostgres},
	{name: "mysql", open: openMySQL},                                  // MySQL or MariaDB, as the server says
	{name: "mysql-dialect", open: openMySQL, dialect: sqlstore.MySQL}, // the words of MySQL 8, though it be MariaDB
}

func openPostgres(t testing.TB) *sql.DB {
	t.Helper()
	return service(t, "postgres", "pgx", postgresDSN(""))
}

func openMySQL(t testing.TB) *sql.DB {
	t.Helper()
	return service(t, "mysql", "mysql", mysqlDSN(""))
}

// postgresWith is a pool whose sessions have a setting, "name=value".
func postgresWith(t testing.TB, setting string) *sql.DB {
	t.Helper()
	return service(t, "postgres", "pgx", postgresDSN("options="+strings.ReplaceAll(url.QueryEscape("-c "+setting), "+", "%20")))
}

// mysqlWith is a pool whose sessions have a setting.
func mysqlWith(t testing.TB, name, value string) *sql.DB {
	t.Helper()
	return service(t, "mysql", "mysql", mysqlDSN(name+"="+url.QueryEscape(value)))
}

func postgresDSN(parameter string) string {
	return with(cmp.Or(os.Getenv("STEADFAST_TEST_POSTGRES"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable"), parameter)
}

func mysqlDSN(parameter string) string {
	return with(cmp.Or(os.Getenv("STEADFAST_TEST_MYSQL"), "root@tcp(127.0.0.1:3306)/test"), parameter)
}

func with(dsn, parameter string) string {
	switch {
	case parameter == "":
		return dsn
	case strings.Contains(dsn, "?"):
		return dsn + "&" + parameter
	default:
		return dsn + "?" + parameter
	}
}

// each runs a test on every database.
func each(t *testing.T, test func(t *testing.T, d database)) {
	t.Helper()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel() // each waits for its own server, or disk
			test(t, d)
		})
	}
}

func pool(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatalf("open %s: %v", driver, err)
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func service(t testing.TB, name, driver, dsn string) *sql.DB {
	t.Helper()
	db := pool(t, driver, dsn)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		if slices.Contains(strings.Split(os.Getenv("STEADFAST_REQUIRE"), ","), name) {
			t.Fatalf("STEADFAST_REQUIRE names %s, which cannot be reached: %v", name, err)
		}
		t.Skipf("%s cannot be reached, its tests are skipped: %v", name, err)
	}
	return db
}

// dir is a directory that all pools of a test share.
func dir(t testing.TB) string {
	t.Helper()
	base := filepath.Join(os.TempDir(), fmt.Sprintf("steadfast-%d", os.Getpid()), strings.ReplaceAll(t.Name(), "/", "_"))
	if err := os.MkdirAll(base, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.RemoveAll(base)
		_ = os.Remove(filepath.Dir(base)) // when it is empty
	})
	return base
}

var tables atomic.Int64

// table returns a name for a table that nobody else has, and drops its tables in the end.
func table(t testing.TB, db *sql.DB) string {
	t.Helper()
	name := fmt.Sprintf("steadfast_test_%d_%d", os.Getpid(), tables.Add(1))
	t.Cleanup(func() {
		for _, n := range []string{name, name + "_version"} {
			if _, err := db.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+n); err != nil {
				t.Errorf("drop %s: %v", n, err)
			}
		}
	})
	return name
}

// store returns a new store on an empty table.
func (d database) store(t testing.TB, db *sql.DB) *sqlstore.Store {
	t.Helper()
	return d.storeOn(t, db, table(t, db))
}

// storeOn returns a store on a table, as another process would.
func (d database) storeOn(t testing.TB, db *sql.DB, table string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(db, sqlstore.Config{Dialect: d.dialect, Table: table, Warn: func(message string) { t.Log(message) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
