package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// These examples need a database and its driver, which this module does not import: they are compiled, not run. The shop in
// examples/store does the same on SQLite, PostgreSQL and MariaDB.

type order struct {
	Number string
	Cents  int64
}

type receipt struct{ ID string }

func charge(context.Context, idempotency.Attempt, order) (r receipt, err error) { return r, err }

// A service opens its database, makes the table, and lets Run finish what others have left.
func Example() {
	ctx := context.Background()
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL")) // import _ "github.com/jackc/pgx/v5/stdlib"
	if err != nil {
		panic(err)
	}
	store, err := sqlstore.New(db, sqlstore.Config{Warn: func(message string) { slog.Warn(message) }})
	if err != nil {
		panic(err)
	}
	if err := store.Migrate(ctx); err != nil { // by any number of processes at once
		panic(err)
	}
	charges, err := idempotency.Wrap(store, idempotency.Call[order, receipt]{
		Name: "charge", Namespace: "shop-prod", KeyLife: 24 * time.Hour, Send: charge,
	})
	if err != nil {
		panic(err)
	}
	go func() { _ = charges.Run(ctx) }()

	res, err := charges.For("customer-7").Do(ctx, "order-1", order{"order-1", 4200})
	fmt.Println(res.Value.ID, err)
}

// An order and the call that pays for it are committed together, or not at all. Run makes the call once they are.
func ExampleWithTx() {
	place := func(ctx context.Context, db *sql.DB, charges *idempotency.Wrapper[order, receipt], o order) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // does nothing after Commit
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (number, state) VALUES ($1, 'paying')", o.Number); err != nil {
			return err
		}
		if _, err := charges.Start(sqlstore.WithTx(ctx, tx), o.Number, o); err != nil {
			return err
		}
		return tx.Commit()
	}
	_ = place
}

// What follows from an outcome is written in the transaction that records it: once, whatever crashes.
func ExampleTx() {
	call := idempotency.Call[order, receipt]{
		Name: "charge", Send: charge,
		OnSettled: func(ctx context.Context, s idempotency.Settled[order, receipt]) error {
			_, err := sqlstore.Tx(ctx).ExecContext(ctx, "UPDATE orders SET state = $2 WHERE number = $1", s.In.Number, s.State.String())
			return err
		},
	}
	_ = call
}

// Backlog is what an alarm asks for every minute: the calls that nobody has resolved yet, and how old they are.
func ExampleStore_Backlog() {
	look := func(ctx context.Context, store *sqlstore.Store) error {
		stats, err := store.Backlog(ctx)
		for _, s := range stats {
			fmt.Println(s.Operation, s.State, s.Calls, s.Oldest.Round(time.Second))
		}
		return err
	}
	_ = look
}
