package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// What is bought: as in internal/bench.
var (
	order   = []byte(`order-1 4999 EUR tok_visa`)
	receipt = []byte(`ch_1 4999`)
)

const operation, customer = "charge", "customer-1"

func (s *session) cases(ctx context.Context) error {
	many := 64
	if s.driver == "sqlite" {
		many = 32
	}
	for _, callers := range []int{1, 4, 16, many} {
		if err := s.run(ctx, "fresh", callers, s.fresh); err != nil {
			return err
		}
	}
	if s.driver == "sqlite" {
		if err := s.run(ctx, "fresh queued", many, s.freshQueued); err != nil {
			return err
		}
	}
	if err := s.run(ctx, "replay", 1, s.replay); err != nil {
		return err
	}
	if err := s.run(ctx, "cached", 1, s.cached); err != nil {
		return err
	}
	if s.million {
		return s.aMillion(ctx)
	}
	return nil
}

func (s *session) wanted(name string, callers int) bool {
	return s.match.MatchString(fmt.Sprintf("%s %d", name, callers))
}

// run runs a case, if it is wanted.
func (s *session) run(ctx context.Context, name string, callers int, measure func(ctx context.Context, callers int) (line, error)) error {
	if !s.wanted(name, callers) {
		return nil
	}
	l, err := measure(ctx, callers)
	if err != nil {
		return fmt.Errorf("%s %d: %w", name, callers, err)
	}
	s.print(name, &l)
	return nil
}

func (s *session) print(name string, l *line) {
	l.Store, l.Case, l.Server, l.Durability = s.name, name, s.server, s.durability
	s.emit(l)
}

func (s *session) fresh(ctx context.Context, callers int) (line, error) {
	l, err := s.freshBeside(ctx, callers, callers)
	l.atLeast(s.bars[fmt.Sprintf("fresh %d", callers)])
	return l, err
}

func (s *session) freshQueued(ctx context.Context, callers int) (line, error) {
	l, err := s.freshBeside(ctx, callers, 1)
	l.Floor += ", on one connection"
	l.atLeast(1)
	return l, err
}

// freshBeside compares with a floor that has so many connections.
func (s *session) freshBeside(ctx context.Context, callers, floors int) (l line, err error) {
	ours, floor, done, err := s.desks(ctx, callers, floors)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, done()) }()
	w, err := ours.wrap(remembers)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, w.Close(context.WithoutCancel(ctx))) }()
	before, after, err := ours.specimen(ctx)
	if err != nil {
		return l, err
	}
	two, closing, err := floor.twoStatements(ctx, before, after)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, closing()) }()
	l, err = contest(ctx, s.options, callers, w.fresh, two)
	l.Floor = "INSERT and UPDATE by primary key, prepared, each committed"
	return l, err
}

// buyer makes calls.
type buyer struct {
	*idempotency.Wrapper[[]byte, []byte]
	sent atomic.Int64
}

// What Call.CacheBytes is set to.
const (
	remembers  = 0 // the default
	asksAlways = -1
)

func (k *desk) wrap(cacheBytes int) (*buyer, error) {
	b := new(buyer)
	w, err := idempotency.Wrap(k.store, idempotency.Call[[]byte, []byte]{
		Name: operation,
		Send: func(_ context.Context, a idempotency.Attempt, _ []byte) ([]byte, error) {
			b.sent.Add(1)
			if a.Key == "" {
				return nil, errors.New("no provider key")
			}
			return receipt, nil
		},
		Namespace:  "bench",
		KeyLife:    24 * time.Hour,
		Codec:      idempotency.Raw,
		CacheBytes: cacheBytes,
	})
	if err != nil {
		return nil, err
	}
	b.Wrapper = w.For(customer)
	return b, nil
}

// fresh makes a call that was never made.
func (b *buyer) fresh(ctx context.Context, _ int) error {
	return b.buy(ctx, idempotency.NewKey(), false)
}

// buy makes a call and checks what comes back.
func (b *buyer) buy(ctx context.Context, key string, replayed bool) error {
	res, err := b.Do(ctx, key, order)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(res.Value, receipt) || res.Replayed != replayed:
		return fmt.Errorf("%s: the value is %q, replayed is %v", key, res.Value, res.Replayed)
	}
	return nil
}

// row is a row of the table: its columns' names and values.
type row struct {
	names  []string
	values []any
}

// specimen makes a call and returns its row as it is while the provider is asked, and as it is in the end.
func (k *desk) specimen(ctx context.Context) (before, after row, err error) {
	const key = "specimen"
	w, err := idempotency.Wrap(k.store, idempotency.Call[[]byte, []byte]{
		Name: operation, Namespace: "bench", KeyLife: 24 * time.Hour, Codec: idempotency.Raw,
		Send: func(ctx context.Context, _ idempotency.Attempt, _ []byte) ([]byte, error) {
			before, err = k.row(ctx, key)
			return receipt, err
		},
	})
	if err != nil {
		return before, after, err
	}
	if _, err := w.For(customer).Do(ctx, key, order); err != nil {
		return before, after, err
	}
	if err := w.Close(ctx); err != nil {
		return before, after, err
	}
	after, err = k.row(ctx, key)
	return before, after, err
}

func (k *desk) byKey(first int) string {
	return fmt.Sprintf(" WHERE operation = %s AND scope = %s AND call_key = %s", k.placeholder(first), k.placeholder(first+1), k.placeholder(first+2))
}

func keyArgs(key string) []any { return []any{[]byte(operation), []byte(customer), []byte(key)} }

func (k *desk) row(ctx context.Context, key string) (r row, err error) {
	stmt, err := k.db.PrepareContext(ctx, "SELECT * FROM "+k.table+k.byKey(1))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	return query(ctx, stmt, key)
}

// query reads a row, all of it.
func query(ctx context.Context, stmt *sql.Stmt, key string) (r row, err error) {
	rows, err := stmt.QueryContext(ctx, keyArgs(key)...)
	if err != nil {
		return r, err
	}
	defer func() { _ = rows.Close() }()
	if r.names, err = rows.Columns(); err != nil {
		return r, err
	}
	r.values = make([]any, len(r.names))
	into := make([]any, len(r.names))
	for i := range into {
		into[i] = &r.values[i]
	}
	if !rows.Next() {
		return r, errors.Join(rows.Err(), errors.New("there is no such row"))
	}
	if err := rows.Scan(into...); err != nil {
		return r, err
	}
	return r, errors.Join(rows.Err(), rows.Close())
}

// twoStatements is the floor of a fresh call: what nobody can do without who wants to find the same rows in the end.
func (k *desk) twoStatements(ctx context.Context, before, after row) (two call, closing func() error, err error) {
	if err := k.bare(ctx); err != nil {
		return nil, nil, err
	}
	// What is NULL at first is not mentioned, and what does not change is not set.
	var columns, marks, sets []string
	var inserted, updated []any
	keyAt := 0
	for i, name := range before.names {
		if name == "call_key" {
			keyAt = len(inserted)
		}
		if before.values[i] != nil {
			columns, inserted = append(columns, name), append(inserted, before.values[i])
			marks = append(marks, k.placeholder(len(inserted)))
		}
		if !same(before.values[i], after.values[i]) {
			updated = append(updated, after.values[i])
			sets = append(sets, name+" = "+k.placeholder(len(updated)))
		}
	}
	insert, err := k.db.PrepareContext(ctx, "INSERT INTO "+k.table+" ("+strings.Join(columns, ", ")+") VALUES ("+strings.Join(marks, ", ")+")")
	if err != nil {
		return nil, nil, err
	}
	update, err := k.db.PrepareContext(ctx, "UPDATE "+k.table+" SET "+strings.Join(sets, ", ")+k.byKey(len(updated)+1))
	if err != nil {
		return nil, nil, errors.Join(err, insert.Close())
	}
	return func(ctx context.Context, _ int) error {
		key := idempotency.NewKey()
		first := append([]any(nil), inserted...)
		first[keyAt] = []byte(key)
		if _, err := insert.ExecContext(ctx, first...); err != nil {
			return err
		}
		second := append(append([]any(nil), updated...), keyArgs(key)...)
		result, err := update.ExecContext(ctx, second...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("the floor's UPDATE met %d rows: %w", n, err)
		}
		return nil
	}, func() error { return errors.Join(insert.Close(), update.Close()) }, nil
}

func same(a, b any) bool {
	x, ok := a.([]byte)
	y, too := b.([]byte)
	if ok && too {
		return bytes.Equal(x, y)
	}
	return !ok && !too && a == b
}
