package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// database is one kind of database, with the words that its SQL has of its own.
type database struct {
	name    string
	driver  string
	dsn     string // SQLite's has a %s for the file
	version string // a query
	durable string // a query that says how commits are made durable

	placeholder func(n int) string
	key         string   // an expression for the n-th key of a million
	integer     string   // the name of a type of 64 bits
	indexes     string   // a query for the names of a table's secondary indexes
	drop        string   // drops one: %[1]s is the index, %[2]s the table
	settle      []string // what is said to the database after many rows were written, %s is the table
	log         string   // a query for the position of the log; SQLite's is the size of a file

	bars map[string]float64 // by case and callers
}

func question(int) string   { return "?" }
func dollar(n int) string   { return fmt.Sprintf("$%d", n) }
func numbered(n int) string { return fmt.Sprintf("?%d", n) }

// oldKey begins the keys of a million: UUIDs of version 7, which [idempotency.NewKey] makes, of long ago.
const oldKey = "00000000-0000-7000-8000-"

func databases() []*database {
	return []*database{
		{
			name: "sqlite", driver: "sqlite",
			dsn:         "file:%s?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_txlock=immediate",
			version:     "SELECT 'SQLite ' || sqlite_version()",
			durable:     "SELECT 'WAL, synchronous ' || synchronous FROM pragma_synchronous",
			placeholder: numbered,
			key:         "CAST('" + oldKey + "' || printf('%012d', n) AS BLOB)",
			integer:     "INTEGER",
			indexes:     "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?1",
			drop:        "DROP INDEX %[1]s",
			settle:      []string{"PRAGMA wal_checkpoint(TRUNCATE)"},
			bars:        map[string]float64{"fresh 1": 0.85, "fresh 4": 1, "fresh 16": 3, "fresh 32": 7, "replay 1": 0.5},
		},
		{
			name: "postgres", driver: "pgx",
			dsn:         cmp.Or(os.Getenv("STEADFAST_TEST_POSTGRES"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable"),
			version:     "SELECT 'PostgreSQL ' || current_setting('server_version')",
			durable:     "SELECT 'fsync ' || current_setting('fsync') || ', synchronous_commit ' || current_setting('synchronous_commit')",
			placeholder: dollar,
			key:         "convert_to('" + oldKey + "' || lpad(n::text, 12, '0'), 'UTF8')",
			integer:     "bigint",
			indexes:     "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisprimary AND indrelid = to_regclass($1)",
			drop:        "DROP INDEX %[1]s",
			settle:      []string{"VACUUM ANALYZE %s"},
			log:         "SELECT CAST(pg_current_wal_insert_lsn() - '0/0' AS bigint)",
			bars:        map[string]float64{"fresh 1": 0.85, "fresh 4": 0.5, "fresh 16": 0.5, "fresh 64": 2.2, "replay 1": 0.5},
		},
		{
			name: "mysql", driver: "mysql",
			dsn:     cmp.Or(os.Getenv("STEADFAST_TEST_MYSQL"), "root@tcp(127.0.0.1:3306)/test"),
			version: "SELECT VERSION()",
			durable: "SELECT CONCAT('innodb_flush_log_at_trx_commit ', @@global.innodb_flush_log_at_trx_commit," +
				" CASE WHEN @@global.log_bin = 1 THEN CONCAT(', sync_binlog ', @@global.sync_binlog) ELSE ', no binlog' END)",
			placeholder: question,
			key:         "CONCAT('" + oldKey + "', LPAD(n, 12, '0'))",
			integer:     "SIGNED",
			indexes: "SELECT DISTINCT index_name FROM information_schema.statistics" +
				" WHERE table_schema = DATABASE() AND index_name <> 'PRIMARY' AND table_name = ?",
			drop:   "DROP INDEX %[1]s ON %[2]s",
			settle: []string{"ANALYZE TABLE %s", "FLUSH TABLES %s FOR EXPORT", "UNLOCK TABLES"}, // its pages are written
			log:    "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'INNODB_LSN_CURRENT'",
			bars:   map[string]float64{"fresh 1": 0.8, "fresh 4": 0.5, "fresh 16": 0.5, "fresh 64": 2, "replay 1": 0.5},
		},
	}
}

// absentError says that a database is not there.
type absentError struct {
	name string
	err  error
}

func (e *absentError) Error() string {
	return fmt.Sprintf("%s is skipped, it cannot be reached: %v", e.name, e.err)
}
func (e *absentError) Unwrap() error { return e.err }

// session is what the cases of one database share.
type session struct {
	*database
	options
	emit       func(*line)
	server     string
	durability string
	dir        string // SQLite's files
	files      int
}

// measure runs the cases of a database.
func (d *database) measure(ctx context.Context, o options, emit func(*line)) (err error) {
	s := &session{database: d, options: o, emit: emit}
	if d.driver == "sqlite" {
		if s.dir, err = os.MkdirTemp("", "steadfast-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
		if err := realDisk(s.dir); err != nil {
			return err
		}
	}
	db, err := s.open(1)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := db.PingContext(soon); err != nil {
		return &absentError{d.name, err}
	}
	if err := db.QueryRowContext(ctx, d.version).Scan(&s.server); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, d.durable).Scan(&s.durability); err != nil {
		return err
	}
	return s.cases(ctx)
}

// realDisk refuses a directory in memory, where a commit costs nothing.
func realDisk(dir string) error {
	f, err := os.Create(filepath.Join(dir, "sync")) //nolint:gosec // it is our own directory
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	const times = 20
	start := time.Now()
	for range times {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if each := time.Since(start) / times; each < 10*time.Microsecond {
		return fmt.Errorf("%s lies in memory (a sync takes %v), so that no commit there is durable: set TMPDIR to a directory on a disk", dir, each)
	}
	return nil
}

// open returns a pool of so many connections. Every pool of SQLite has a file of its own: the log that one side leaves behind
// is not for the other one to tidy up.
func (s *session) open(connections int) (*sql.DB, error) {
	dsn := s.dsn
	if s.driver == "sqlite" {
		s.files++
		dsn = fmt.Sprintf(dsn, s.file())
	}
	db, err := sql.Open(s.driver, dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// file is SQLite's latest.
func (s *session) file() string { return filepath.Join(s.dir, fmt.Sprintf("%d.db", s.files)) }

// desk is a store on a table of its own.
type desk struct {
	*session
	db    *sql.DB
	table string
	file  string // of SQLite
	store *sqlstore.Store
}

// desks returns two of them: on servers they share one pool of so many connections, as both sides of a case do not run at
// once; on SQLite each has a file of its own, and the floor's its own number of connections.
func (s *session) desks(ctx context.Context, connections, floors int) (ours, floor *desk, done func() error, err error) {
	var undo []func() error
	done = func() error {
		var errs []error
		for i := range undo {
			errs = append(errs, undo[len(undo)-1-i]())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, done())
		}
	}()
	var made [2]*desk
	for i := range made {
		k := &desk{session: s}
		if i == 1 && s.driver != "sqlite" {
			k.db = made[0].db
		} else {
			if k.db, err = s.open([]int{connections, floors}[i]); err != nil {
				return nil, nil, nil, err
			}
			undo = append(undo, k.db.Close)
			k.file = s.file()
		}
		k.table = "steadfast_bench_" + strings.ToLower(rand.Text()[:12])
		undo = append(undo, k.dropTables)
		if k.store, err = sqlstore.New(k.db, sqlstore.Config{Table: k.table, Warn: func(message string) {
			fmt.Fprintln(os.Stderr, "sql: what is measured is not durable:", message)
		}}); err != nil {
			return nil, nil, nil, err
		}
		if err := k.store.Migrate(ctx); err != nil {
			return nil, nil, nil, err
		}
		made[i] = k
	}
	return made[0], made[1], done, nil
}

func (k *desk) dropTables() error {
	var errs []error
	for _, name := range []string{k.table, k.table + "_version"} {
		_, err := k.db.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+name)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// bare drops the table's secondary indexes.
func (k *desk) bare(ctx context.Context) error {
	rows, err := k.db.QueryContext(ctx, k.indexes, k.table)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		names = append(names, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("%s has no secondary indexes: the floor would not be what it says", k.table)
	}
	for _, name := range names {
		if _, err := k.db.ExecContext(ctx, fmt.Sprintf(k.drop, name, k.table)); err != nil {
			return err
		}
	}
	return nil
}

// logged is the position of the database's log, in bytes.
func (k *desk) logged(ctx context.Context) (n int64, err error) {
	if k.driver == "sqlite" {
		info, err := os.Stat(k.file + "-wal")
		if errors.Is(err, os.ErrNotExist) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	}
	err = k.db.QueryRowContext(ctx, k.log).Scan(&n)
	return n, err
}
