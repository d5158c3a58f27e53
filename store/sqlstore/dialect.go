package sqlstore

import (
	"database/sql"
	"fmt"
	"reflect"
	"strings"
)

// Dialect says which database is spoken to.
type Dialect uint8

const (
	// Auto recognises the dialect from the driver: pgx's stdlib and lib/pq; go-sql-driver/mysql; modernc.org/sqlite,
	// mattn/go-sqlite3 and ncruces/go-sqlite3.
	Auto Dialect = iota
	// PostgreSQL is PostgreSQL 13 and newer.
	PostgreSQL
	// MySQL is MySQL 8. It is spoken by MariaDB, too.
	MySQL
	// SQLite is SQLite 3.35 and newer.
	SQLite
	// MariaDB is MariaDB 10.6 and newer: what MySQL takes two round trips for takes one. Auto asks the server which it is.
	MariaDB
)

// String returns the dialect's name.
func (d Dialect) String() string {
	names := [...]string{"auto", "PostgreSQL", "MySQL", "SQLite", "MariaDB"}
	if int(d) >= len(names) {
		return "invalid"
	}
	return names[d]
}

// recognise tells the dialect from the package that the driver's type is declared in.
func recognise(db *sql.DB) (Dialect, error) {
	t := reflect.TypeOf(db.Driver())
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	path := t.PkgPath()
	for _, known := range []struct {
		part    string
		dialect Dialect
	}{
		{"/pgx", PostgreSQL}, {"/lib/pq", PostgreSQL}, {"/mysql", MySQL}, {"sqlite", SQLite},
	} {
		if strings.Contains(path, known.part) {
			return known.dialect, nil
		}
	}
	return Auto, fmt.Errorf("sqlstore: the driver %T is not known: name the database in Config.Dialect", db.Driver())
}

// nowIn is an expression for the database's clock, in microseconds since 1970.
//
// PostgreSQL's now() stands still in a transaction (T28). MySQL's is read when the statement begins, in UTC, since a local
// time comes twice in the night in which the clocks are set back. SQLite's is this machine's, in milliseconds.
func nowIn(d Dialect) string {
	switch d {
	case PostgreSQL:
		return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
	case MySQL:
		return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
	default:
		return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000"
	}
}
