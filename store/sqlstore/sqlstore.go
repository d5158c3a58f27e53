// Package sqlstore keeps the records of calls in a table of a SQL database: PostgreSQL 13+, MySQL 8, MariaDB 10.6+ or SQLite
// 3.35+, over any database/sql driver (for PostgreSQL, pgx). So calls outlive the process, any process with the database can
// finish them, and what is settled can commit together with the rows of the business.
//
//	store, err := sqlstore.New(db, sqlstore.Config{})
//	err = store.Migrate(ctx) // or run the files of the schema directory yourself
//	charges, err := idempotency.Wrap(store, call)
//
// # What it costs
//
// A fresh call takes two statements, each a transaction of its own: one that claims and one that settles. No transaction is
// open while the provider is called. A replay is one read, which writes nothing. On SQLite, where a statement is no round
// trip, a claim reads first; MySQL 8, which cannot return rows from a write, needs a second, reading statement for each.
// Verdicts, cancellations and claims of what lies there take a short transaction.
//
// Many callers do not each pay for a commit. Up to four claims of new keys or settlements of one Store go by themselves, side by side
// (SQLite, which has one writer: one). While they are under way others gather, and when one of them is back those go together, if there
// are four of them (SQLite: two), on PostgreSQL and MariaDB in one statement, elsewhere in one transaction. Who finds room goes at once. A batch
// takes what its statement takes: where it fails, each of its callers goes by itself, so that a row that the database refuses fails
// alone; and where it waits for a row that somebody has locked, it is given up after a second (SQLite, which locks all rows at once:
// ten), likewise.
// A caller whose context ends leaves at once, and what it asked for may still be done: that is what tokens are for.
//
// # What it needs
//
// Give it the primary, for claims and for replays: a replica that lags says "no such key" of a call that was made. One that follows another
// server is refused, and a session that may only read fails before anything is sent. Times are the database
// server's own (SQLite: the machine's, in milliseconds); those of other clients do not matter.
//
// PostgreSQL: synchronous_commit on, which is the default. MySQL: innodb_flush_log_at_trx_commit and sync_binlog 1. SQLite: WAL,
// synchronous FULL, and a busy_timeout of some seconds; with modernc.org/sqlite
// "file:calls.db?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_txlock=immediate". A database in
// memory belongs to one connection: call db.SetMaxOpenConns(1). Where the server may lose what it has acknowledged,
// [Config].Warn says so.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// DefaultTable is the table where Config names none.
const DefaultTable = "steadfast_calls"

// Config configures a Store. The zero value is sound.
type Config struct {
	// Dialect says which database it is. Auto, the zero value, recognises it from the driver, if that is not wrapped in
	// another.
	Dialect Dialect
	// Table is the name of the table: letters, digits and underscores, at most 40. Empty means DefaultTable. A second table,
	// with the schema's version, has this name and "_version".
	Table string
	// Schema is the schema of PostgreSQL, or the database of MySQL, that the tables are in. Empty means the connection's own.
	// SQLite has none.
	Schema string
	// Warn is called, at the first use, for each setting of the server by which it may lose what it has acknowledged. Nil:
	// nobody is warned.
	Warn func(message string)
}

// Store keeps records in a table. It is made by New, and safe for concurrent use by any number of goroutines, and the table
// by any number of processes. It implements idempotency.Store and idempotency.TxSettler.
type Store struct {
	db      *sql.DB
	dialect Dialect
	maria   bool // the dialect is MySQL, with what MariaDB has beside
	ask     bool // whether it has, the server must say
	names   names
	warn    func(string)

	opening sync.Mutex
	texts   atomic.Pointer[texts] // nil until the table has been looked at

	writer      chan struct{} // holds one: whose turn it is to write to SQLite
	claims      lane          // and settlements, but on MariaDB
	settlements lane

	prepared sync.Map // text to *sql.Stmt
}

var (
	_ idempotency.Store     = (*Store)(nil)
	_ idempotency.TxSettler = (*Store)(nil)
)

const checks = record.Checks("sqlstore")

// names are the names of the tables.
type names struct{ schema, table string }

func (n names) qualified() string {
	if n.schema == "" {
		return n.table
	}
	return n.schema + "." + n.table
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,39}$`)

// New returns a Store in db. It asks the database nothing: the table is looked at when the store is first used. The Store
// has nothing to close; db is the caller's.
func New(db *sql.DB, config Config) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlstore: db is nil: open a database first")
	}
	s := &Store{
		db: db, dialect: config.Dialect, names: names{config.Schema, config.Table},
		warn: config.Warn, writer: make(chan struct{}, 1),
	}
	if s.names.table == "" {
		s.names.table = DefaultTable
	}
	if s.warn == nil {
		s.warn = func(string) {}
	}
	if s.dialect == Auto {
		var err error
		if s.dialect, err = recognise(db); err != nil {
			return nil, err
		}
		s.ask = s.dialect == MySQL
	}
	if s.dialect == MariaDB {
		s.dialect, s.maria = MySQL, true
	}
	switch {
	case s.dialect > MariaDB:
		return nil, fmt.Errorf("sqlstore: Config.Dialect is %d: use PostgreSQL, MySQL, MariaDB or SQLite", config.Dialect)
	case !identifier.MatchString(s.names.table):
		return nil, fmt.Errorf("sqlstore: Config.Table is %q: use letters, digits and underscores, at most 40", config.Table)
	case config.Schema != "" && s.dialect == SQLite:
		return nil, fmt.Errorf("sqlstore: Config.Schema is %q: SQLite has none, leave it empty", config.Schema)
	case config.Schema != "" && !identifier.MatchString(config.Schema):
		return nil, fmt.Errorf("sqlstore: Config.Schema is %q: use letters, digits and underscores, at most 40", config.Schema)
	}
	return s, nil
}

// Get returns the record, or ErrNoRecord. In the caller's transaction (see WithTx) it sees what that has done.
func (s *Store) Get(ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
	if err := checks.Call(ctx, id); err != nil {
		return idempotency.Record{}, err
	}
	c, err := s.open(ctx)
	if err != nil {
		return idempotency.Record{}, failed("Get", err)
	}
	var rec idempotency.Record
	err = c.retry(ctx, func() error {
		r, now, err := c.one(ctx, &c.read, keyArgs(&id))
		if err == nil {
			at := r.At(now)
			rec = at.View(now, idempotency.Token{})
		}
		return err
	})
	return rec, failed("Get", err)
}
