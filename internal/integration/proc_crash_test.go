package integration_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// The moments in which a process is killed, and what its provider promises.
const (
	inSend         = "in Send, the provider knows the key"
	inSendAsk      = "in Send, the provider can be asked"
	inSendUnknown  = "in Send, the provider promises nothing"
	inOnSettled    = "in OnSettled"
	afterOnSettled = "when OnSettled's transaction has been committed"
)

// crashing is the call that is made, by the process that is killed and by the one that goes on.
func crashing(moment string, onSettled func(context.Context, settled) error) func(*call) {
	return func(c *call) {
		c.Lease = 2 * time.Second
		c.OnSettled = onSettled
		switch moment {
		case inSendUnknown:
		case inSendAsk:
			c.Settling = time.Millisecond
			c.Lookup = func(_ context.Context, a idempotency.Attempt, in order) (idempotency.Verdict[receipt], error) {
				return idempotency.Happened(charged(a, in)), nil
			}
		default:
			c.Namespace, c.KeyLife = "test", time.Hour
		}
	}
}

// crash is what becomes of the call of a process that was killed.
type crash struct {
	moment  string
	event   string // the moment, in the process's words
	resent  int    // by who goes on
	effects int
	state   idempotency.State
}

var crashes = []crash{
	{inSend, "sending", 1, 1, idempotency.StateSucceeded},
	{inSendAsk, "sending", 0, 1, idempotency.StateSucceeded},
	{inSendUnknown, "sending", 0, 0, idempotency.StateUnknown},
	{inOnSettled, "in OnSettled", 1, 1, idempotency.StateSucceeded},
	{afterOnSettled, "committed", 0, 1, idempotency.StateSucceeded},
}

// P6: a process is killed, and another one finishes its call: it is sent again only with the same provider key and only where that
// is harmless, or asked about, and what OnSettled does to the database is done exactly once.
func TestKilledProcess(t *testing.T) {
	eachServed(t, func(t *testing.T, d database) {
		atOnce(t, crashes, func(row crash) string { return row.moment }, func(t *testing.T, row crash) {
			db := d.open(t)
			name := table(t, db)
			done := effectsTable(t, db)
			s := d.storeOn(t, db, name)
			var mu sync.Mutex
			var resent []string
			w := wrap(t, s, func(_ context.Context, a idempotency.Attempt, in order) (receipt, error) {
				mu.Lock()
				defer mu.Unlock()
				resent = append(resent, a.Key)
				return charged(a, in), nil
			}, crashing(row.moment, func(ctx context.Context, s settled) error { return done.add(ctx, sqlstore.Tx(ctx), s.Key) }))

			p := spawn(t, d, role{Part: "crash", Table: name, Key: "k", Effects: done.name, Case: row.moment})
			key := p.want("sending").Key
			if row.event != "sending" {
				p.tell("paid")
				p.want(row.event)
			}
			p.kill()

			eventually(t, func() bool {
				if _, err := w.Recover(t.Context()); err != nil {
					t.Fatal(err)
				}
				st, err := w.Status(t.Context(), "k")
				if err != nil {
					t.Fatal(err)
				}
				return st.State == row.state
			})
			for range 3 { // and then nothing more happens
				if _, err := w.Recover(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			mu.Lock()
			if len(resent) != row.resent || slices.ContainsFunc(resent, func(k string) bool { return k != key }) {
				t.Errorf("it was sent again with %q, want %d times the first provider key %s", resent, row.resent, key)
			}
			mu.Unlock()
			done.want(t, "k", row.effects)
			res, err := w.Do(t.Context(), "k", order{"book"})
			var unknown *idempotency.UnknownError
			switch {
			case row.state == idempotency.StateUnknown && !errors.As(err, &unknown):
				t.Errorf("Do: %+v, %v, want an UnknownError", res, err)
			case row.state == idempotency.StateSucceeded && (err != nil || res.Value.ID != "book of k"):
				t.Errorf("Do: %+v, %v", res, err)
			}
		})
	})
}

func playCrash(t *testing.T, p *player) {
	done := &effects{db: p.store.db, name: p.Effects, mark: "?"}
	if p.Driver == "pgx" {
		done.mark = "$1"
	}
	w := wrap(t, &committing{p.store, p}, func(_ context.Context, a idempotency.Attempt, in order) (receipt, error) {
		p.say(event{What: "sending", Key: a.Key})
		p.hear()
		return charged(a, in), nil
	}, crashing(p.Case, func(ctx context.Context, s settled) error {
		err := done.add(ctx, sqlstore.Tx(ctx), s.Key)
		if p.Case == inOnSettled {
			p.say(event{What: "in OnSettled"})
			p.hear()
		}
		return err
	}))
	res, err := w.Do(t.Context(), p.Key, order{"book"})
	t.Errorf("it should have been killed: %+v, %v", res, err)
}

// committing is a store whose process ends when a settlement has been committed.
type committing struct {
	*counted
	p *player
}

func (c *committing) SettleTx(
	ctx context.Context, l idempotency.Lease, o idempotency.Outcome, fn func(context.Context, idempotency.Record) error,
) (idempotency.Record, error) {
	r, err := c.counted.SettleTx(ctx, l, o, fn)
	if err == nil && c.p.Case == afterOnSettled {
		c.p.say(event{What: "committed"})
		c.p.hear()
	}
	return r, err
}

// P6: the order and the intent to pay for it are committed together. A process that is killed before the commit leaves neither.
func TestKilledBesideACommit(t *testing.T) {
	eachServed(t, func(t *testing.T, d database) {
		db := d.open(t)
		name := table(t, db)
		orders := effectsTable(t, db)
		var provider sends
		w := wrap(t, d.storeOn(t, db, name), provider.send, nil)
		for _, row := range []struct {
			moment string
			want   int // orders, and sendings
		}{{"before the commit", 0}, {"after the commit", 1}} {
			p := spawn(t, d, role{Part: "start", Table: name, Key: row.moment, Effects: orders.name, Case: row.moment})
			p.want(row.moment)
			p.kill()
			orders.want(t, row.moment, row.want)
			st, err := w.Status(t.Context(), row.moment)
			if row.want == 0 && !errors.Is(err, idempotency.ErrNoRecord) || row.want == 1 && st.State != idempotency.StateScheduled {
				t.Errorf("killed %s: the intent is %s, %v", row.moment, st.State, err)
			}
			if n, err := w.Recover(t.Context()); n != row.want || err != nil || provider.of(row.moment) != row.want {
				t.Errorf("killed %s: Recover: %d, %v; it was sent %d times, want %d", row.moment, n, err, provider.of(row.moment), row.want)
			}
			// Nothing is in the way of who does it again.
			tx := begin(t, db)
			ctx := sqlstore.WithTx(t.Context(), tx)
			if err := orders.add(ctx, tx, row.moment); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Start(ctx, row.moment, order{"book"}); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			orders.want(t, row.moment, row.want+1)
			if _, err := w.Recover(t.Context()); err != nil || provider.of(row.moment) != 1 {
				t.Errorf("killed %s, and done again: Recover: %v; it was sent %d times, want once", row.moment, err, provider.of(row.moment))
			}
		}
	})
}

func playStart(t *testing.T, p *player) {
	orders := &effects{db: p.store.db, name: p.Effects, mark: "?"}
	if p.Driver == "pgx" {
		orders.mark = "$1"
	}
	var provider sends
	w := wrap(t, p.store, provider.send, nil)
	tx := begin(t, p.store.db)
	ctx := sqlstore.WithTx(t.Context(), tx)
	if err := orders.add(ctx, tx, p.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Start(ctx, p.Key, order{"book"}); err != nil {
		t.Fatal(err)
	}
	if p.Case == "after the commit" {
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	p.say(event{What: p.Case})
	p.hear()
}
