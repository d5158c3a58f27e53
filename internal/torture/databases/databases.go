// Package databases gives tests the stores that they run on: the databases of the machine, and servers of a test's own that it may
// kill.
package databases

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
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

// Open returns the named database, with a table name that nobody else has. A file of SQLite is made in dir. The error says that the
// service cannot be reached, and how to say where it is.
func Open(ctx context.Context, name, dir string) (*Database, *sql.DB, error) {
	d := &Database{Name: name, Table: "torture_" + strings.ToLower(rand.Text()[:12])}
	remedy := ""
	switch name {
	case SQLite:
		d.Driver, d.DSN = "sqlite", "file:"+filepath.Join(dir, d.Table+".db")+
			"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_txlock=immediate"
	case Postgres:
		d.Driver, d.DSN = "pgx", cmp.Or(os.Getenv("STEADFAST_TEST_POSTGRES"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable")
		remedy = "STEADFAST_TEST_POSTGRES"
	case MariaDB:
		d.Driver, d.DSN = "mysql", cmp.Or(os.Getenv("STEADFAST_TEST_MYSQL"), "root@tcp(127.0.0.1:3306)/test")
		remedy = "STEADFAST_TEST_MYSQL"
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
		return nil, nil, &MissingError{Service: name, Variable: remedy, Err: err}
	}
	return d, db, nil
}

// MissingError says that a service cannot be reached.
type MissingError struct {
	Service, Variable string
	Err               error
}

// Error says what to do about it.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s cannot be reached, set %s: %v", e.Service, e.Variable, e.Err)
}

// Unwrap returns the driver's error.
func (e *MissingError) Unwrap() error { return e.Err }

// Required reports whether STEADFAST_REQUIRE names the service: then a test fails without it.
func (e *MissingError) Required() bool { return Required(e.Service) }

// Required reports whether STEADFAST_REQUIRE names the service.
func Required(service string) bool {
	if service == MariaDB {
		service = "mysql"
	}
	return slices.Contains(strings.Split(os.Getenv("STEADFAST_REQUIRE"), ","), service)
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
