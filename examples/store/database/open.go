package database

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const forms = "use postgres://user:password@host/database, mysql://user:password@host/database, or the path of a SQLite file"

// Memory is the DSN of a SQLite database in memory, which lives as long as it is open.
const Memory = ":memory:"

// maxConns is how many connections to a server the shop takes.
const maxConns = 16

var (
	scheme     = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)
	driverForm = regexp.MustCompile(`^([^/]*@)?(tcp|unix)6?\(.*\)/`) // go-sql-driver's own
)

// Open opens the database that a DSN names, and asks whether it is there. Errors do not repeat the DSN: it may hold a
// password.
func Open(ctx context.Context, dsn string) (*DB, error) {
	kind := ""
	if m := scheme.FindStringSubmatch(dsn); m != nil {
		kind = strings.ToLower(m[1])
	}
	var db *DB
	var err error
	switch {
	case kind == "postgres" || kind == "postgresql":
		db, err = openPostgreSQL(dsn)
	case kind == "mysql" || kind == "mariadb":
		db, err = openMySQLURL(dsn)
	case driverForm.MatchString(dsn):
		db, err = openMySQL(dsn)
	case kind == "":
		db, err = openSQLite(dsn)
	default:
		err = fmt.Errorf("it begins with %s://: %s", kind, forms)
	}
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := db.Pool.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("database: %s does not answer: %w", db.Place, err), db.Close())
	}
	return db, nil
}

func newDB(pool *sql.DB, kind Kind, place string, conns int) *DB {
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return &DB{Conn: Conn{pool, kind}, Pool: pool, Kind: kind, Place: place}
}

func openPostgreSQL(dsn string) (*DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the DSN cannot be read as PostgreSQL's: write what is special in user and password as %XX")
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "steadfast shop"
	}
	place := fmt.Sprintf("PostgreSQL at %s, database %s", net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), cmp.Or(config.Database, config.User))
	return newDB(stdlib.OpenDB(*config), PostgreSQL, place, maxConns), nil
}

func openMySQLURL(dsn string) (*DB, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("the DSN cannot be read as a URL: write what is special in user and password as %XX")
	}
	form := fmt.Sprintf("tcp(%s)%s", net.JoinHostPort(cmp.Or(u.Hostname(), "127.0.0.1"), cmp.Or(u.Port(), "3306")), cmp.Or(u.Path, "/"))
	if u.User != nil {
		password, _ := u.User.Password()
		form = u.User.Username() + ":" + password + "@" + form
	}
	if u.RawQuery != "" {
		form += "?" + u.RawQuery
	}
	return openMySQL(form)
}

func openMySQL(form string) (*DB, error) {
	config, err := mysql.ParseDSN(form)
	if err != nil {
		return nil, errors.New("the DSN cannot be read as MySQL's: use mysql://user:password@host:3306/database")
	}
	config.Logger = &mysql.NopLogger{} // what matters comes back as an error
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return newDB(sql.OpenDB(connector), MySQL, fmt.Sprintf("MySQL at %s, database %s", config.Addr, config.DBName), maxConns), nil
}

// openSQLite gives the file one connection: SQLite has one writer, and those of one process queue better here, in turn, than
// at the file's lock. Other processes wait there for up to busy_timeout.
func openSQLite(path string) (*DB, error) {
	place := "SQLite in memory"
	parameters := url.Values{
		"_pragma": {"busy_timeout(10000)", "foreign_keys(1)"},
		"_txlock": {"immediate"}, // a transaction that became a writer later would be refused at once
	}
	if path != Memory {
		absolute, err := filepath.Abs(strings.TrimPrefix(path, "file:"))
		if err != nil {
			return nil, err
		}
		path, place = absolute, "SQLite file "+absolute
		parameters["_pragma"] = append(parameters["_pragma"], "journal_mode(WAL)", "synchronous(FULL)")
	}
	uri := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: parameters.Encode()}
	pool, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return nil, err
	}
	return newDB(pool, SQLite, place, 1), nil
}

// gaveWay says whether the same transaction may succeed if it is made again.
func gaveWay(err error) bool {
	var inSQLite *sqlite.Error
	var inPostgreSQL *pgconn.PgError
	var inMySQL *mysql.MySQLError
	switch {
	case errors.As(err, &inSQLite):
		switch inSQLite.Code() {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return true
		}
	case errors.As(err, &inPostgreSQL):
		switch inPostgreSQL.Code {
		case "23505", "40001", "40P01": // duplicate, serialization failure, deadlock
			return true
		}
	case errors.As(err, &inMySQL):
		switch inMySQL.Number {
		case 1062, 1205, 1213: // duplicate, lock wait, deadlock
			return true
		}
	}
	return false
}
