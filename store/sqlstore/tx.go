package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/steadfast-go/steadfast/store/internal/record"
)

type txKey struct{}

// WithTx returns a context by which the store's requests join the caller's transaction, so that a call and the rows of the
// business are committed together or not at all:
//
//	err = shipments.Start(sqlstore.WithTx(ctx, tx), order.ID, parcel)
//
// Start, Cancel, Settle, Status and List join. What makes attempts does not, and is refused: the provider would be called while the
// transaction is open, and it would not know of its rollback. tx must be one of the store's own database. The store neither
// commits it nor rolls it back.
//
// A failed statement ends a transaction of PostgreSQL: roll it back. On SQLite, begin it as a writer (_txlock=immediate).
func WithTx(ctx context.Context, tx *sql.Tx) context.Context {
	return context.WithValue(ctx, txKey{}, tx)
}

// Tx returns the transaction that ctx carries, or nil: that of WithTx, and in OnSettled the one that settles.
func Tx(ctx context.Context) *sql.Tx {
	tx, _ := ctx.Value(txKey{}).(*sql.Tx)
	return tx
}

// alone refuses a request that must not be part of the caller's transaction.
func alone(ctx context.Context, request string) error {
	if Tx(ctx) == nil {
		return nil
	}
	return record.Final(fmt.Errorf("sqlstore: %s cannot join the transaction that its context carries (sqlstore.WithTx): "+
		"it is about an attempt, and no transaction may be open while the provider is called; use Start, or another context", request))
}
