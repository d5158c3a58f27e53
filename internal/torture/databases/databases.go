// Package databases gives tests the stores that they run on: the databases of the machine, and servers of a test's own that it may
// kill.
package databases

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the drivers
	_ "modernc.org/sqlite"

	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// Names of the databases. Memory, the memory store, has none.
const (
	Memory   = "memory"
	SQLite   = "sqlite"
	Postgres = "postgres"
	MariaDB  = "mariadb"
)

// Database says how a table is reached, also from another process.
type Database struct {
	Name   string
	Driver string
	DSN    string
	Table  string
}

// Open returns the named database, with a table name that nobody else has. A file of SQLite is made in dir. A service that cannot be
// reached is a *MissingError.
func Open(ctx context.Context, name, dir string) (*Database, *sql.DB, error) {
	d := &Database{Name: name, Table: "torture_" + strings.ToLower(rand.Text()[:12])}
	remedy := ""
	switch name {
	case SQLite:
		d.Driver, d.DSN = "sqlite", "file:"+filepath.Join(dir, d.Table+".db")+
			"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_txlock=immediate"
	case Postgres:
		d.Driver, d.DSN = "pgx", cmp.Or(os.Getenv("STEADFAST_TEST_POSTGRES"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable")
		remedy = "set STEADFAST_TEST_POSTGRES to where it is"
	case MariaDB:
		d.Driver, d.DSN = "mysql", cmp.Or(os.Getenv("STEADFAST_TEST_MYSQL"), "root@tcp(127.0.0.1:3306)/test")
		remedy = "set STEADFAST_TEST_MYSQL to where it is"
	default:
		return nil, nil, fmt.Errorf("databases: the store is %q: use sqlite, postgres or mariadb", name)
	}
	db, err := d.Connect()
	if err != nil {
		return nil, nil, err
	}
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := db.PingContext(limited); err != nil {
		_ = db.Close()
		if remedy != "" { // SQLite comes with the test: it fails, and is not missing
			err = &MissingError{Service: name, Remedy: remedy, Err: err}
		}
		return nil, nil, err
	}
	return d, db, nil
}

// MissingError says that a service cannot be reached, or that its binaries are not on this machine.
type MissingError struct {
	Service, Remedy string
	Err             error
}

// Error says what to do about it.
func (e *MissingError) Error() string {
	text := fmt.Sprintf("%s is missing: %s: %v", e.Service, e.Remedy, e.Err)
	if e.required() {
		text = "STEADFAST_REQUIRE names what is missing: " + text
	}
	return text
}

// Unwrap returns the cause.
func (e *MissingError) Unwrap() error { return e.Err }

// required reports whether STEADFAST_REQUIRE names the service.
func (e *MissingError) required() bool {
	name := e.Service
	if name == MariaDB {
		name = "mysql"
	}
	return slices.Contains(strings.Split(os.Getenv("STEADFAST_REQUIRE"), ","), name)
}

// MaySkip reports whether err says that something is missing without which a test may be skipped: STEADFAST_REQUIRE does not name it.
// It is the only place where that is decided.
func MaySkip(err error) bool {
	var missing *MissingError
	return errors.As(err, &missing) && !missing.required()
}

// T is a *testing.T. (The command, too, is made of this package.)
type T interface {
	Context() context.Context
	TempDir() string
	Cleanup(f func())
	Helper()
	Skip(args ...any)
	Fatal(args ...any)
}

// Check ends the test if there is an error: MaySkip says whether it is skipped or fails.
func Check(t T, err error) {
	t.Helper()
	switch {
	case err == nil:
	case MaySkip(err):
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// ForTest opens the named database until the test has ended.
func ForTest(t T, name string) (*Database, *sql.DB) {
	t.Helper()
	d, db, err := Open(t.Context(), name, t.TempDir())
	Check(t, err)
	t.Cleanup(func() { _ = d.Drop(db) })
	return d, db
}

// StoreForTest opens a store on the named database until the test has ended.
func StoreForTest(t T, name string) *sqlstore.Store {
	t.Helper()
	d, db := ForTest(t, name)
	s, err := d.Store(t.Context(), db)
	Check(t, err)
	return s
}

// connections bounds each pool: several processes share a server.
const connections = 16

// Connect opens a pool, as another process would.
func (d *Database) Connect() (*sql.DB, error) {
	db, err := d.open()
	if err != nil {
		return nil, fmt.Errorf("databases: open %s: %w", d.Name, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func (d *Database) open() (*sql.DB, error) {
	if d.Driver != "mysql" {
		return sql.Open(d.Driver, d.DSN)
	}
	config, err := mysql.ParseDSN(d.DSN)
	if err != nil {
		return nil, err
	}
	config.Logger = &mysql.NopLogger{} // connections break here on purpose
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Store returns a store on the table, which it makes if it must.
func (d *Database) Store(ctx context.Context, db *sql.DB) (*sqlstore.Store, error) {
	s, err := sqlstore.New(db, sqlstore.Config{Table: d.Table})
	if err != nil {
		return nil, err
	}
	if err := s.Migrate(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Drop drops the table, and closes the pool.
func (d *Database) Drop(db *sql.DB, more ...string) error {
	var failed error
	for _, table := range append([]string{d.Table, d.Table + "_version"}, more...) {
		if _, err := db.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+table); err != nil {
			failed = err
		}
	}
	return cmp.Or(failed, db.Close())
}

// Mark is the n-th placeholder in a statement.
func (d *Database) Mark(n int) string {
	if d.Name == Postgres {
		return fmt.Sprintf("$%d", n)
	}
	return "?"
}
