package integration_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// effects is a table of the business: a row for each time that something was done for a key.
type effects struct {
	db   *sql.DB
	name string
	mark string // the first placeholder
}

func effectsTable(t *testing.T, db *sql.DB) *effects {
	t.Helper()
	e := &effects{db: db, name: table(t, db), mark: "?"}
	if strings.Contains(reflectName(db), "stdlib") {
		e.mark = "$1"
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE "+e.name+" (call_key varchar(100) NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *effects) add(ctx context.Context, tx *sql.Tx, key string) error {
	if tx == nil {
		return errors.New("the context carries no transaction")
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO "+e.name+" (call_key) VALUES ("+e.mark+")", key)
	return err
}

func (e *effects) want(t *testing.T, key string, want int) {
	t.Helper()
	var n int
	if err := e.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+e.name+" WHERE call_key = "+e.mark, key).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != want {
		t.Errorf("%s: %d effects are committed, want %d", key, n, want)
	}
}

func begin(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// An order and the intent to pay for it exist together, or not at all.
func TestStartInTheCallersTransaction(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		orders := effectsTable(t, db)
		var provider sends
		w := wrap(t, d.store(t, db), provider.send, nil)
		for _, commits := range []bool{false, true, true} { // the last one finds it there
			tx := begin(t, db)
			ctx := sqlstore.WithTx(t.Context(), tx)
			if err := orders.add(ctx, tx, "k"); err != nil {
				t.Fatal(err)
			}
			st, err := w.Start(ctx, "k", order{"book"})
			if err != nil || st.State != idempotency.StateScheduled {
				t.Fatalf("Start: %s, %v", st.State, err)
			}
			if st, err := w.Status(ctx, "k"); err != nil || st.State != idempotency.StateScheduled {
				t.Fatalf("Status in the transaction: %s, %v", st.State, err)
			}
			if !commits {
				if err := tx.Rollback(); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Status(t.Context(), "k"); !errors.Is(err, idempotency.ErrNoRecord) {
					t.Fatalf("Status after the rollback: %v", err)
				}
				orders.want(t, "k", 0)
				continue
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		orders.want(t, "k", 2)
		if n, err := w.Recover(t.Context()); n != 1 || err != nil || provider.of("k") != 1 {
			t.Fatalf("Recover: %d, %v; it was sent %d times", n, err, provider.of("k"))
		}
	})
}

// No transaction is open while the provider is called: Do in one is refused, and so is whatever makes attempts.
func TestDoInATransactionIsRefused(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		var provider sends
		s := d.store(t, db)
		w := wrap(t, s, provider.send, nil)
		tx := begin(t, db)
		ctx := sqlstore.WithTx(t.Context(), tx)
		_, err := w.Do(ctx, "k", order{"book"})
		if !errors.Is(err, idempotency.ErrStore) || !strings.Contains(err.Error(), "WithTx") {
			t.Errorf("Do: %v, want an error that names WithTx", err)
		}
		l := idempotency.Lease{ID: idempotency.ID{Operation: "charge", Key: "k"}, Fence: 1, Token: idempotency.Token{1}}
		_, err = s.Settle(ctx, l, idempotency.Outcome{State: idempotency.StateSucceeded})
		wantText(t, err, "WithTx")
		_, err = s.Extend(ctx, []idempotency.Lease{l}, 1, false)
		wantText(t, err, "WithTx")
		_, err = s.AcquireDue(ctx, idempotency.DueClaim{Operation: "charge", Token: idempotency.Token{1}, Lease: 1, N: 1})
		wantText(t, err, "WithTx")
		_, err = s.Purge(ctx, 1)
		wantText(t, err, "WithTx")
		wantText(t, s.Migrate(ctx), "WithTx")
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		if provider.of("k") != 0 {
			t.Error("it was sent")
		}
	})
}

// OnSettled's effects are committed with the outcome: once, also when it fails at first (T51).
func TestOnSettledOnceInTheSettlingTransaction(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		done := effectsTable(t, db)
		var provider sends
		fails := true
		w := wrap(t, d.store(t, db), provider.send, func(c *call) {
			c.OnSettled = func(ctx context.Context, s settled) error {
				if err := done.add(ctx, sqlstore.Tx(ctx), s.Key); err != nil {
					return err
				}
				if fails && s.Key == "fails" {
					return errors.New("out of paper")
				}
				return nil
			}
		})
		for _, key := range []string{"works", "fails"} {
			res, err := w.Do(t.Context(), key, order{"book"})
			if err != nil || res.Value.ID != "book of "+key {
				t.Fatalf("Do %s: %+v, %v", key, res, err)
			}
		}
		done.want(t, "works", 1)
		done.want(t, "fails", 0) // rolled back; the outcome stands
		fails = false
		eventually(t, func() bool {
			n, err := w.Recover(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return n == 1
		})
		done.want(t, "fails", 1)
		if n, err := w.Recover(t.Context()); n != 0 || err != nil {
			t.Errorf("Recover after it was told: %d, %v", n, err)
		}
	})
}

// What OnSettled starts is committed with the outcome, and what cancels or settles in the caller's transaction, with that.
func TestOnSettledStartsTheNextCall(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		s := d.store(t, db)
		var provider, shipper sends
		ships := wrap(t, s, shipper.send, func(c *call) { c.Name = "ship" })
		w := wrap(t, s, provider.send, func(c *call) {
			c.OnSettled = func(ctx context.Context, s settled) error {
				_, err := ships.Start(ctx, s.Key, order{"parcel"})
				if err == nil && s.Key == "refused" {
					err = errors.New("no address")
				}
				return err
			}
		})
		for _, key := range []string{"k", "refused"} {
			if _, err := w.Do(t.Context(), key, order{"book"}); err != nil {
				t.Fatal(err)
			}
		}
		if st, err := ships.Status(t.Context(), "k"); err != nil || st.State != idempotency.StateScheduled {
			t.Errorf("the shipment is %s, %v", st.State, err)
		}
		if _, err := ships.Status(t.Context(), "refused"); !errors.Is(err, idempotency.ErrNoRecord) {
			t.Errorf("a shipment whose transaction was rolled back: %v", err)
		}
	})
}

// A verdict in the caller's transaction is told in it; where OnSettled fails, only its own effects are undone.
func TestVerdictInTheCallersTransaction(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		done := effectsTable(t, db)
		var provider sends
		w := wrap(t, d.store(t, db), provider.send, func(c *call) {
			c.OnSettled = func(ctx context.Context, s settled) error {
				if err := done.add(ctx, sqlstore.Tx(ctx), s.Key); err != nil {
					return err
				}
				if s.Key == "fails" {
					return errors.New("out of paper")
				}
				return nil
			}
		})
		for _, key := range []string{"works", "fails", "rolled back"} {
			if _, err := w.Start(t.Context(), key, order{"book"}); err != nil {
				t.Fatal(err)
			}
			tx := begin(t, db)
			ctx := sqlstore.WithTx(t.Context(), tx)
			if err := done.add(ctx, tx, "webhook"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Cancel(ctx, key); err != nil {
				t.Fatalf("Cancel %s: %v", key, err)
			}
			end, state := tx.Commit, idempotency.StateCancelled
			if key == "rolled back" {
				end, state = tx.Rollback, idempotency.StateScheduled
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			if st, err := w.Status(t.Context(), key); err != nil || st.State != state {
				t.Errorf("%s: it is %s, %v, want %s", key, st.State, err, state)
			}
		}
		done.want(t, "works", 1)
		done.want(t, "fails", 0)
		done.want(t, "rolled back", 0)
		done.want(t, "webhook", 2)
	})
}
