package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	thousands = 1000   // of records, in the large table
	purged    = 100000 // of them
	purgeStep = 1000   // as Wrapper.Run purges
)

// filledKey is the n-th key that fill makes.
func filledKey(n int) string { return fmt.Sprintf(oldKey+"%012d", n) }

// fill puts so many thousands of settled records into the table: copies of one that was made by a call, under keys and with
// retention times that differ. As in a table that grew, the youngest are retained longest. Of the first, expired ones the
// retention is over: every tenth.
func (k *desk) fill(ctx context.Context, thousands, expired int) error {
	_, after, err := k.specimen(ctx)
	if err != nil {
		return err
	}
	values := slices.Clone(after.names)
	for i, name := range after.names {
		switch name {
		case "call_key":
			values[i] = k.key
		case "expires":
			late := "expires - 10000000000 + 1000 * n" // ten thousand seconds, and a millisecond for each
			values[i] = fmt.Sprintf("CASE WHEN n < %d AND MOD(n, 10) = 0 THEN 1000 + n ELSE %s END", expired*10, late)
			if k.driver == "sqlite" { // MOD is not built into every one
				values[i] = strings.ReplaceAll(values[i], "MOD(n, 10)", "n % 10")
			}
		}
	}
	digit := "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4" +
		" UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) AS "
	for first := 0; first < thousands; first += 10 {
		digits := "a.d + 10 * b.d + 100 * c.d"
		from := digit + "a, " + digit + "b, " + digit + "c"
		if thousands-first >= 10 {
			digits, from = digits+" + 1000 * e.d", from+", "+digit+"e"
		}
		text := fmt.Sprintf("INSERT INTO %[1]s (%[2]s) SELECT %[3]s FROM %[1]s, (SELECT CAST(%[4]d + %[5]s AS %[8]s) AS n FROM %[6]s) AS numbers"+
			" WHERE call_key = %[7]s ORDER BY n",
			k.table, strings.Join(after.names, ", "), strings.Join(values, ", "), first*1000, digits, from, k.placeholder(1), k.integer)
		if _, err := k.db.ExecContext(ctx, text, []byte("specimen")); err != nil {
			return err
		}
	}
	return k.rest(ctx)
}

// rest lets the database do at once what it would do later, while it is measured.
func (k *desk) rest(ctx context.Context) error {
	c, err := k.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for _, text := range k.settle {
		if _, err := c.ExecContext(ctx, strings.ReplaceAll(text, "%s", k.table)); err != nil {
			return err
		}
	}
	return nil
}

// aMillion runs the cases on one pair of tables: ours has a million settled records, the floor's has none.
func (s *session) aMillion(ctx context.Context) (err error) {
	const callers, purging = 1, 8
	if !s.wanted("million fresh", callers) && !s.wanted("million replay", callers) && !s.wanted("million purge", purging) {
		return nil
	}
	full, empty, done, err := s.desks(ctx, purging+2, purging+2)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := full.fill(ctx, thousands, purged); err != nil {
		return err
	}
	if err := empty.fill(ctx, 1, 0); err != nil { // what is replayed there
		return err
	}
	inFull, err := full.wrap(asksAlways)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inFull.Close(context.WithoutCancel(ctx))) }()
	inEmpty, err := empty.wrap(asksAlways)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inEmpty.Close(context.WithoutCancel(ctx))) }()
	const most = 1.3 // times the cost
	err = s.run(ctx, "million fresh", callers, func(ctx context.Context, callers int) (line, error) {
		l, err := contest(ctx, s.options, callers, inFull.fresh, inEmpty.fresh)
		l.Floor = "the same call on an empty table"
		l.atLeast(1 / most)
		return l, err
	})
	if err != nil {
		return err
	}
	err = s.run(ctx, "million replay", callers, func(ctx context.Context, callers int) (line, error) {
		// A thousand calls that lie evenly among all, and are not those that expire: how large the table is shall count, not how
		// much of it the server was given memory for.
		replay := func(w *buyer, apart, first int) call {
			return func(ctx context.Context, _ int) error {
				return w.buy(ctx, filledKey(rand.IntN(settledKeys)*apart+first), true)
			}
		}
		l, err := contest(ctx, s.options, callers, replay(inFull, thousands, 1), replay(inEmpty, 1, 0))
		l.Floor = "the same call on a table of a thousand"
		l.atLeast(1 / most)
		return l, err
	})
	if err != nil {
		return err
	}
	return s.run(ctx, "million purge", purging, func(ctx context.Context, callers int) (line, error) {
		return s.purging(ctx, callers, full, inFull)
	})
}

// purging measures rounds with a purge of a part of what has expired, and rounds without. A round lasts as long as its purge
// takes.
func (s *session) purging(ctx context.Context, callers int, full *desk, w *buyer) (line, error) {
	purge := func(ctx context.Context, n int) error {
		for n > 0 {
			did, err := full.store.Purge(ctx, min(n, purgeStep))
			if err != nil {
				return err
			}
			if did == 0 {
				return fmt.Errorf("nothing is left to purge, and %d were to be", n)
			}
			n -= did
		}
		return nil
	}
	var with, without []round
	for n := range warmUps + s.rounds {
		quiet := func() error {
			r, err := play(ctx, callers, after(s.round), w.fresh)
			if err == nil && n >= warmUps {
				without = append(without, r)
			}
			return err
		}
		busy := func() error {
			if n < warmUps {
				return nil
			}
			var over atomic.Bool
			failed := make(chan error, 1)
			go func() {
				defer over.Store(true)
				failed <- purge(ctx, purged/s.rounds)
			}()
			r, err := play(ctx, callers, func(time.Duration) bool { return over.Load() }, w.fresh)
			with = append(with, r)
			return errors.Join(err, <-failed)
		}
		both := []func() error{quiet, busy}
		for i := range both {
			if err := both[(n+i)%2](); err != nil {
				return line{}, err
			}
		}
	}
	l := compared(callers, with, without)
	l.Floor = "the same call without the purge"
	const most = 3
	l.P99Ratio = l.P99 / l.FloorP99
	l.Bar, l.OK = fmt.Sprintf("p99 <= %d times", most), l.P99Ratio <= most
	return l, nil
}
