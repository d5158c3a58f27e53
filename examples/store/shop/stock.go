package shop

import (
	"context"
	"fmt"

	"github.com/steadfast-go/steadfast/examples/store/database"
)

// SoldOutError says that there is not enough of an item.
type SoldOutError struct{ Line Line }

// Error names the item.
func (e *SoldOutError) Error() string {
	return fmt.Sprintf("shop: there are no %d of %q left", e.Line.Quantity, e.Line.Item)
}

// takeStock sets aside what an order needs. The lines come ordered by item, so that two orders cannot wait for each other.
func takeStock(ctx context.Context, db database.Conn, lines []Line) error {
	for _, line := range lines {
		n, err := db.Exec(ctx, "UPDATE shop_stock SET available = available - ? WHERE item = ? AND available >= ?", line.Quantity, line.Item, line.Quantity)
		if err != nil {
			return err
		}
		if n == 0 {
			return &SoldOutError{line}
		}
	}
	return nil
}

// returnStock puts it back.
func returnStock(ctx context.Context, db database.Conn, order string) error {
	lines, err := orderLines(ctx, db, order)
	if err != nil {
		return err
	}
	for _, line := range lines {
		if _, err := db.Exec(ctx, "UPDATE shop_stock SET available = available + ? WHERE item = ?", line.Quantity, line.Item); err != nil {
			return err
		}
	}
	return nil
}

// Available says how many of an item there are.
func (s *Shop) Available(ctx context.Context, item string) (n int64, err error) {
	err = s.db.Row(ctx, "SELECT available FROM shop_stock WHERE item = ?", item).Scan(&n)
	return n, err
}
