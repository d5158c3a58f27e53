package integration_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// gate is a driver around a database's own. It counts what is committed, can hold a statement back, and can break off.
type gate struct {
	driver.Connector
	abreast int // how many requests go by themselves before others gather

	mu      sync.Mutex
	commits int
	text    string        // the next statements with this text
	holds   int           // so many of them
	held    chan struct{} // wait until this is closed,
	reached chan struct{} // and the last of them closes this before
	down    bool
	last    string // the text of the last batch
	args    []any
	heard   strings.Builder // texts and values of all statements
}

var errDown = errors.New("the database has gone away")

// gated returns a store on a new table of the database, through a gate.
func (d database) gated(t *testing.T) (*gate, *sqlstore.Store, *sql.DB, string) {
	t.Helper()
	plain := d.open(t) // or skip
	dialect, dsn := sqlstore.PostgreSQL, postgresDSN("")
	switch d.name {
	case "sqlite-file":
		dialect, dsn = sqlstore.SQLite, "file:"+filepath.Join(dir(t), "calls.db")+
			"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(60000)&_txlock=immediate"
	case "sqlite-memory":
		t.Skip("it has one connection, and so no company")
	case "mysql":
		dialect, dsn = sqlstore.MariaDB, mysqlDSN("")
		var version string
		if err := plain.QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&version); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(version, "MariaDB") {
			dialect = sqlstore.MySQL
		}
	case "mysql-dialect":
		dialect, dsn = sqlstore.MySQL, mysqlDSN("")
	}
	g := &gate{abreast: 4}
	if dialect == sqlstore.SQLite {
		g.abreast = 1
	}
	if opener, ok := plain.Driver().(driver.DriverContext); ok {
		connector, err := opener.OpenConnector(dsn)
		if err != nil {
			t.Fatal(err)
		}
		g.Connector = connector
	} else {
		g.Connector = opened{plain.Driver(), dsn}
	}
	db := sql.OpenDB(g)
	db.SetMaxOpenConns(80)
	db.SetMaxIdleConns(80)
	t.Cleanup(func() { _ = db.Close() })
	name := table(t, plain)
	s, err := sqlstore.New(db, sqlstore.Config{Dialect: dialect, Table: name})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g, s, plain, name
}

// opened is a driver that has no connectors of its own.
type opened struct {
	driver driver.Driver
	dsn    string
}

func (o opened) Connect(context.Context) (driver.Conn, error) { return o.driver.Open(o.dsn) }
func (o opened) Driver() driver.Driver                        { return o.driver }

// hold makes the next n INSERTs wait, and returns a channel that tells when they all do, and what lets them go.
func (g *gate) hold(n int) (reached chan struct{}, release func()) {
	return g.holdText("INSERT INTO", n)
}

func (g *gate) holdText(text string, n int) (reached chan struct{}, release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := make(chan struct{})
	g.text, g.holds, g.held, g.reached = text, n, held, make(chan struct{})
	return g.reached, sync.OnceFunc(func() { close(held) })
}

// count returns how many commits there were since it was last asked.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.commits
	g.commits = 0
	return n
}

func (g *gate) breakDown(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

// listen returns all statements since it was last called, with their values, bytes in hexadecimal notation.
func (g *gate) listen() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.heard.Reset()
	return g.heard.String()
}

// pass is called before each statement.
func (g *gate) pass(ctx context.Context, text string, args []driver.NamedValue, commits bool) error {
	g.mu.Lock()
	if commits {
		g.commits++
	}
	g.heard.WriteString(text)
	for _, a := range args {
		if b, ok := a.Value.([]byte); ok {
			g.heard.WriteString(" " + hex.EncodeToString(b))
		} else {
			fmt.Fprint(&g.heard, " ", a.Value)
		}
	}
	if strings.Contains(text, "WITH ORDINALITY") {
		g.last, g.args = text, nil
		for _, a := range args {
			g.args = append(g.args, a.Value)
		}
	}
	var held chan struct{}
	if g.holds > 0 && strings.Contains(text, g.text) {
		held = g.held
		if g.holds--; g.holds == 0 {
			close(g.reached)
		}
	}
	g.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return errDown
	}
	return nil
}

func (g *gate) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := g.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &gatedConn{Conn: c, gate: g}, nil
}

type gatedConn struct {
	driver.Conn
	gate *gate
	tx   bool
}

func (c *gatedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.gate.pass(ctx, text, args, !c.tx && !strings.HasPrefix(text, "SELECT")); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
}

func (c *gatedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.gate.pass(ctx, text, args, !c.tx); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
}

func (c *gatedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return &gatedStmt{Stmt: s, conn: c, text: text}, nil
}

func (c *gatedConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.gate.pass(ctx, "BEGIN", nil, true); err != nil {
		return nil, err
	}
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	c.tx = true
	return &gatedTx{tx, c}, nil
}

func (c *gatedConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *gatedConn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *gatedConn) IsValid() bool {
	v, ok := c.Conn.(driver.Validator)
	return !ok || v.IsValid()
}

type gatedTx struct {
	driver.Tx
	conn *gatedConn
}

func (x *gatedTx) Commit() error {
	x.conn.tx = false
	return x.Tx.Commit()
}

func (x *gatedTx) Rollback() error {
	x.conn.tx = false
	return x.Tx.Rollback()
}

type gatedStmt struct {
	driver.Stmt
	conn *gatedConn
	text string
}

func (s *gatedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.conn.gate.pass(ctx, s.text, args, !s.conn.tx && !strings.HasPrefix(s.text, "SELECT")); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

func (s *gatedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.conn.gate.pass(ctx, s.text, args, !s.conn.tx); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s *gatedStmt) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}
