// Package database opens the shop's database, PostgreSQL, MariaDB or MySQL, or SQLite, and smooths over what differs
// between them.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Kind is what kind of database it is.
type Kind uint8

// The kinds.
const (
	SQLite Kind = iota
	PostgreSQL
	MySQL // and MariaDB
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	Conn
	Pool  *sql.DB
	Kind  Kind
	Place string // which one it is, for people: without its password
}

// Close closes it.
func (db *DB) Close() error { return db.Pool.Close() }

// Conn is where statements go: to the database, each by itself, or into a transaction. Their placeholders are question
// marks, whatever the database likes.
type Conn struct {
	to interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	}
	kind Kind
}

// In returns the connection that leads into a transaction of this database.
func (db *DB) In(tx *sql.Tx) Conn { return Conn{tx, db.Kind} }

// Exec makes a change, and says how many rows it changed.
func (c Conn) Exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	result, err := c.to.ExecContext(ctx, c.words(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Query asks for rows, and calls each for every one of them.
func (c Conn) Query(ctx context.Context, each func(scan func(into ...any) error) error, query string, args ...any) error {
	rows, err := c.to.QueryContext(ctx, c.words(query), args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Row asks for one row.
func (c Conn) Row(ctx context.Context, query string, args ...any) *sql.Row {
	return c.to.QueryRowContext(ctx, c.words(query), args...)
}

// Lock is what ends a SELECT whose rows must not change until the transaction ends. SQLite's transactions are alone anyway.
func (c Conn) Lock() string {
	if c.kind == SQLite {
		return ""
	}
	return " FOR UPDATE"
}

// words numbers the placeholders, where the database wants that. No statement of the shop has a question mark elsewhere.
func (c Conn) words(query string) string {
	if c.kind != PostgreSQL {
		return query
	}
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}

const tries = 8 // of a transaction that had to give way to another one

// Transact runs do in a transaction, and again if the database gave it up in favour of another one, or if somebody else
// was faster to insert what it meant to insert: do will find it then.
func (db *DB) Transact(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	for n := 1; ; n++ {
		err := db.transact(ctx, do)
		if err == nil || n == tries || !gaveWay(err) {
			return err
		}
		timer := time.NewTimer(rand.N(time.Duration(n) * 10 * time.Millisecond))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

func (db *DB) transact(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	var options *sql.TxOptions
	if db.Kind != SQLite {
		options = &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	tx, err := db.Pool.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := do(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}
