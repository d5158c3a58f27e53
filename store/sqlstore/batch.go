package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// request is one that may go together with others: a claim of a new key, or the usual end of a claim.
type request struct {
	id      idempotency.ID
	token   idempotency.Token
	settles bool
	makes   row   // what it makes at moment zero: its moments are distances from the statement's own now
	args    []any // of the statement by which it goes alone

	rec idempotency.Record
	err error

	gone bool     // it has gone with others, and rec and err are its own
	cue  chan cue // how it goes on, of one that waits in a lane
	turn int      // the lane's, in which it went by itself
}

// do makes a request, together with others where there are some.
func (c *conn) do(ctx context.Context, r *request) (idempotency.Record, error) {
	if c.tx != nil {
		err := c.single(ctx, r)
		return r.rec, err
	}
	return c.lane(r).do(ctx, c, r)
}

// lane returns where a request goes. On MariaDB, claims and settlements are statements of their own, which do not wait for each
// other.
func (c *conn) lane(r *request) *lane {
	if r.settles && c.maria {
		return &c.store.settlements
	}
	return &c.store.claims
}

// abreast is how many requests go by themselves side by side before others gather. A statement for some costs as much as two or
// three by themselves, and the database lets these share its commits.
func (c *conn) abreast() int {
	if c.dialect == SQLite { // it has one writer
		return 1
	}
	return 4
}

func (c *conn) single(ctx context.Context, r *request) error {
	if r.settles {
		return c.settleOne(ctx, r)
	}
	return c.createOne(ctx, r)
}

// together makes some requests, of different keys, as one: all or none. Where it fails it may have made them all the same, and only
// one may be at fault: each caller then asks again by itself, which its token allows.
//
// The batch belongs to none of its callers, and goes on when one of them leaves.
func (c *conn) together(batch []*request) {
	limit := patience
	if c.dialect == SQLite {
		limit *= 10 // no row is locked there but with all others: each of them by itself would wait no less
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// In one order, so that two processes do not wait for each other.
	slices.SortFunc(batch, func(a, b *request) int {
		return cmp.Or(strings.Compare(a.id.Operation, b.id.Operation), strings.Compare(a.id.Scope, b.id.Scope),
			strings.Compare(a.id.Key, b.id.Key))
	})
	done := false
	defer func() {
		_ = recover() // a driver that panics does so again, to the caller
		for _, r := range batch {
			r.gone = r.gone && done
		}
	}()
	if c.gathers() {
		done = c.inOneStatement(ctx, batch) == nil
	} else {
		done = c.inOneTransaction(ctx, batch) == nil
	}
}

// inOneStatement makes requests with one statement. A claim for which nothing comes back has met another insert, and asks again. Such a
// settlement is none of the usual ones.
func (c *conn) inOneStatement(ctx context.Context, batch []*request) error {
	byID := make(map[idempotency.ID]*request, len(batch))
	claims := 0
	for _, r := range batch {
		byID[r.id] = r
		if r.settles {
			r.err, r.gone = idempotency.ErrNoRecord, true
		} else {
			claims++
		}
	}
	var made row
	statement, args := c.batch.fill(batch)
	err := c.each(ctx, &statement, args, func(said row, now record.Moment) {
		r := byID[said.ID]
		if r == nil {
			made = said
			return
		}
		if !r.settles {
			claims--
		}
		r.answer(&said, now)
		r.err, r.gone = nil, true
	})
	if err != nil || claims != int(made.Fence) { // else each of them made its own
		return err
	}
	for _, r := range batch {
		if !r.gone {
			r.answer(&made, made.clock)
			r.gone = true
		}
	}
	return nil
}

// inOneTransaction makes requests one after the other, and pays once for the commit.
func (c *conn) inOneTransaction(ctx context.Context, batch []*request) error {
	for _, s := range []*statement{&c.insert, &c.texts.settle} { // in the transaction it would be too late for that
		c.prepare(ctx, s)
	}
	return c.transact(ctx, func(c *conn) error {
		for _, r := range batch {
			r.err = c.single(ctx, r)
			r.gone = r.err == nil || errors.Is(r.err, idempotency.ErrNoRecord)
			if !r.gone {
				return r.err
			}
		}
		return nil
	})
}

// answer takes what the database says of the request: what it has made, of which the database only says what is not known
// here, or, to a claim, the record that was there.
func (r *request) answer(said *row, now record.Moment) {
	at := said.Record
	switch {
	case said.State != idempotency.StateAbsent:
	case r.settles:
		at = r.makes.settled(said)
	default:
		at = r.makes.from(said.clock)
	}
	at = at.At(now)
	r.rec = at.View(now, r.token)
}
