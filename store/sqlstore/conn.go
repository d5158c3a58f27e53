package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/chance"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// querier is what *sql.DB and *sql.Tx share.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// conn is where statements go: to the database, or into a transaction.
type conn struct {
	*texts
	store *Store
	tx    *sql.Tx // nil: each statement by itself
}

// open returns the connection for a request: into the caller's transaction if ctx carries one.
func (s *Store) open(ctx context.Context) (*conn, error) {
	tx := Tx(ctx)
	t := s.texts.Load()
	if t == nil {
		var err error
		if t, err = s.look(ctx, tx); err != nil {
			return nil, err
		}
	}
	return &conn{texts: t, store: s, tx: tx}, nil
}

// prepare returns the statement, prepared, where that saves the driver a round trip or the database its parsing. pgx keeps
// prepared statements by itself, if it is allowed to.
func (c *conn) prepare(ctx context.Context, s *statement) *sql.Stmt {
	if c.dialect == PostgreSQL || s.once {
		return nil
	}
	if stmt, ok := c.store.prepared.Load(s.text); ok {
		return stmt.(*sql.Stmt)
	}
	if c.tx != nil {
		return nil // it would need another connection, and there may be none
	}
	stmt, err := c.store.db.PrepareContext(ctx, s.text)
	if err != nil {
		return nil // the statement itself will say why
	}
	kept, also := c.store.prepared.LoadOrStore(s.text, stmt)
	if also { // by somebody at the same time; nobody waits for another one's connection
		_ = stmt.Close()
	}
	return kept.(*sql.Stmt)
}

func (c *conn) query(ctx context.Context, s *statement, args []any) (*sql.Rows, error) {
	args = s.arrange(args)
	stmt := c.prepare(ctx, s)
	switch {
	case stmt != nil && c.tx != nil:
		return c.tx.StmtContext(ctx, stmt).QueryContext(ctx, args...)
	case stmt != nil:
		return stmt.QueryContext(ctx, args...)
	default:
		return c.querier().QueryContext(ctx, s.text, args...)
	}
}

// exec makes a change and returns how many rows it met (on MySQL: changed).
func (c *conn) exec(ctx context.Context, s *statement, args []any) (int64, error) {
	args = s.arrange(args)
	stmt := c.prepare(ctx, s)
	var result sql.Result
	var err error
	switch {
	case stmt != nil && c.tx != nil:
		result, err = c.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	case stmt != nil:
		result, err = stmt.ExecContext(ctx, args...)
	default:
		result, err = c.querier().ExecContext(ctx, s.text, args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (c *conn) querier() querier {
	if c.tx != nil {
		return c.tx
	}
	return c.store.db
}

// one asks for one record. Without one it returns ErrNoRecord.
func (c *conn) one(ctx context.Context, s *statement, args []any) (row, record.Moment, error) {
	var r row
	var now record.Moment
	found := false
	err := c.each(ctx, s, args, func(next row, at record.Moment) { r, now, found = next, at, true })
	if err == nil && !found {
		err = idempotency.ErrNoRecord
	}
	return r, now, err
}

// each asks for records. Its result is known only when all rows were read: a statement that also writes may fail at its end.
func (c *conn) each(ctx context.Context, s *statement, args []any, do func(r row, now record.Moment)) error {
	rows, err := c.query(ctx, s, args)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r row
		now, err := r.scan(rows)
		if err != nil {
			return err
		}
		do(r, now)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return rows.Close()
}

// The database is asked again this often where it gave way to another transaction.
const tries = 12

// retry repeats what the database gave up in favour of others (a deadlock, a busy file). In the caller's transaction
// nothing is repeated: what has failed there has ended it.
func (c *conn) retry(ctx context.Context, do func() error) error {
	for n := 1; ; n++ {
		err := do()
		if err == nil || n == tries || c.tx != nil || !gaveWay(err) {
			return err
		}
		timer := time.NewTimer(chance.Upto(time.Duration(n) * 5 * time.Millisecond))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

// turn waits until it is this goroutine's turn to write; done ends the turn. SQLite has one writer, and whoever finds it busy sleeps
// and looks again, which is neither fast nor fair: so the goroutines of one process queue here, and one of them waits there.
// The caller's transaction has, or takes, the file's lock by itself.
func (c *conn) turn(ctx context.Context) (done func(), err error) {
	if c.dialect != SQLite || c.tx != nil {
		return func() {}, nil
	}
	select {
	case c.store.writer <- struct{}{}:
		return func() { <-c.store.writer }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// transact runs do in a transaction: the caller's, or one of its own, which is repeated where the database gave way.
func (c *conn) transact(ctx context.Context, do func(c *conn) error) error {
	if c.tx != nil {
		return do(c)
	}
	return c.retry(ctx, func() error {
		options := &sql.TxOptions{Isolation: sql.LevelReadCommitted} // T29
		if c.dialect == SQLite {
			options = nil // it knows one level
		}
		done, err := c.turn(ctx)
		if err != nil {
			return err
		}
		defer done()
		tx, err := c.store.db.BeginTx(ctx, options)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // does nothing after Commit
		if err := do(&conn{texts: c.texts, store: c.store, tx: tx}); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// savepoint is transact whose failure undoes, in the caller's transaction, no more than what do has done.
func (c *conn) savepoint(ctx context.Context, do func(c *conn) error) error {
	if c.tx == nil {
		return c.transact(ctx, do)
	}
	if _, err := c.tx.ExecContext(ctx, "SAVEPOINT steadfast"); err != nil {
		return err
	}
	err := do(c)
	if err != nil {
		if _, undone := c.tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT steadfast"); undone != nil {
			return errors.Join(err, undone)
		}
	}
	if _, released := c.tx.ExecContext(ctx, "RELEASE SAVEPOINT steadfast"); released != nil {
		return errors.Join(err, released)
	}
	return err
}

// locked reads a record and keeps others from changing it until the transaction ends.
func (c *conn) locked(ctx context.Context, id *idempotency.ID) (row, record.Moment, error) {
	if err := c.write(ctx, id); err != nil {
		return row{}, 0, err
	}
	return c.one(ctx, &c.lock, keyArgs(id))
}

// write makes a transaction of SQLite a writer before it reads anything: one that becomes a writer later is told "busy" at
// once if another has written meanwhile (T30).
func (c *conn) write(ctx context.Context, id *idempotency.ID) error {
	if c.dialect != SQLite {
		return nil
	}
	_, err := c.exec(ctx, &c.begin, keyArgs(id))
	return err
}

// put writes down what a transition has made of a record that is locked. A batch keeps what its token still holds.
func (c *conn) put(ctx context.Context, r *row, old idempotency.Token) error {
	if r.Token != old || r.LeaseEnd == 0 {
		r.batch = nil
	}
	_, err := c.exec(ctx, &c.update, r.restArgs(keyArgs(&r.ID)))
	return err
}
