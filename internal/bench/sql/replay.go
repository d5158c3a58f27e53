package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/steadfast-go/steadfast/idempotency"
)

// settledKeys is how many settled calls are replayed in turn. It does not matter to a wrapper that remembers nothing.
const settledKeys = 1000

func (s *session) replay(ctx context.Context, callers int) (l line, err error) {
	ours, floor, done, err := s.desks(ctx, callers, callers)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, done()) }()
	for _, k := range []*desk{ours, floor} { // the same records in both
		if err := k.fill(ctx, 1, 0); err != nil {
			return l, err
		}
	}
	if err := floor.bare(ctx); err != nil {
		return l, err
	}
	w, err := ours.wrap(asksAlways)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, w.Close(context.WithoutCancel(ctx))) }()
	stmt, err := floor.db.PrepareContext(ctx, "SELECT * FROM "+floor.table+floor.byKey(1))
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	key := func() string { return filledKey(rand.IntN(settledKeys)) }

	replay := func(ctx context.Context, _ int) error { return w.buy(ctx, key(), true) }
	l, err = contest(ctx, s.options, callers, replay, func(ctx context.Context, _ int) error {
		_, err := query(ctx, stmt, key())
		return err
	})
	if err != nil {
		return l, err
	}
	if n := w.sent.Load(); n != 0 {
		return l, fmt.Errorf("%d replays were sent", n)
	}
	l.Floor = "SELECT by primary key, prepared"
	l.atLeast(s.bars[fmt.Sprintf("replay %d", callers)])
	written, err := ours.writtenBy(ctx, replay)
	if err != nil {
		return l, err
	}
	l.LogBytes, l.certain = &written, written == 0
	l.Bar += ", log 0 B"
	l.OK = l.OK && l.certain
	return l, nil
}

// writtenBy is how many bytes of the database's log a call costs. Others may write to a server meanwhile, so the least of many
// short bursts counts.
func (k *desk) writtenBy(ctx context.Context, do call) (float64, error) {
	if k.driver == "sqlite" { // nobody else has the file
		if err := k.rest(ctx); err != nil {
			return 0, err
		}
	}
	const burst = 20
	least := -1.0
	for range 300 {
		before, err := k.logged(ctx)
		if err != nil {
			return 0, err
		}
		for range burst {
			if err := do(ctx, 0); err != nil {
				return 0, err
			}
		}
		after, err := k.logged(ctx)
		if err != nil {
			return 0, err
		}
		if each := float64(after-before) / burst; least < 0 || each < least {
			least = each
		}
		if least == 0 && k.driver != "sqlite" {
			break
		}
	}
	return least, nil
}

// cached replays one call by a wrapper that remembers it.
func (s *session) cached(ctx context.Context, callers int) (l line, err error) {
	ours, _, done, err := s.desks(ctx, callers, callers)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, done()) }()
	w, err := ours.wrap(remembers)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, w.Close(context.WithoutCancel(ctx))) }()
	key := idempotency.NewKey()
	if err := w.buy(ctx, key, false); err != nil {
		return l, err
	}
	const batch = 100 // or asking for the time would be part of the price
	var rounds []round
	for n := range warmUps + s.rounds {
		r, err := play(ctx, callers, after(s.round/5), func(ctx context.Context, _ int) error {
			for range batch {
				if err := w.buy(ctx, key, true); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return l, err
		}
		if n >= warmUps {
			rounds = append(rounds, r)
		}
	}
	l = line{Callers: callers, CallsPerS: rate(rounds) * batch, certain: true}
	l.P50, l.P99 = percentiles(rounds)
	l.P50, l.P99 = l.P50/batch, l.P99/batch
	l.Bar, l.OK = "<= 1 µs", l.P50 <= 1
	return l, nil
}
