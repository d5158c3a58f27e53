package shop

import (
	"context"
	"database/sql"
	"strings"

	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/goods"
)

// schema are the shop's tables. Moments are microseconds since 1970. Steadfast keeps its own table beside them.
//
// shop_payments.live is what lets an order have one payment that is unsettled or successful, and no second one: it holds
// the order's number for as long as the payment is that, else NULL, of which a unique index allows many.
const schema = `
CREATE TABLE IF NOT EXISTS shop_stock (
	item VARCHAR(40) NOT NULL PRIMARY KEY,
	available BIGINT NOT NULL CHECK (available >= 0)
);
CREATE TABLE IF NOT EXISTS shop_baskets (
	customer VARCHAR(64) NOT NULL PRIMARY KEY,
	payment VARCHAR(64)
);
CREATE TABLE IF NOT EXISTS shop_basket_lines (
	customer VARCHAR(64) NOT NULL,
	item VARCHAR(40) NOT NULL,
	quantity BIGINT NOT NULL,
	PRIMARY KEY (customer, item)
);
CREATE TABLE IF NOT EXISTS shop_orders (
	id VARCHAR(40) NOT NULL PRIMARY KEY,
	customer VARCHAR(64) NOT NULL,
	email VARCHAR(254) NOT NULL,
	phone VARCHAR(40) NOT NULL,
	cents BIGINT NOT NULL,
	state VARCHAR(16) NOT NULL,
	payment VARCHAR(64) NOT NULL,
	decline VARCHAR(255) NOT NULL,
	tracking VARCHAR(255) NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	UNIQUE (customer, id)
);
CREATE TABLE IF NOT EXISTS shop_order_lines (
	order_id VARCHAR(40) NOT NULL,
	item VARCHAR(40) NOT NULL,
	quantity BIGINT NOT NULL,
	cents BIGINT NOT NULL,
	PRIMARY KEY (order_id, item)
);
CREATE TABLE IF NOT EXISTS shop_payments (
	id VARCHAR(64) NOT NULL PRIMARY KEY,
	order_id VARCHAR(40) NOT NULL,
	customer VARCHAR(64) NOT NULL,
	card VARCHAR(64) NOT NULL,
	content VARCHAR(64) NOT NULL,
	live VARCHAR(40) UNIQUE,
	began BIGINT NOT NULL,
	ended BIGINT,
	UNIQUE (ended, id)
)`

// migrate makes the tables where there are none, and fills the shelves.
func migrate(ctx context.Context, db *database.DB) error {
	return db.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		c := db.In(tx)
		for statement := range strings.SplitSeq(schema, ";\n") {
			if db.Kind == database.MySQL {
				statement += " DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin" // the default folds 'A' and 'a'
			}
			if _, err := c.Exec(ctx, statement); err != nil {
				return err
			}
		}
		for _, item := range goods.All() {
			var known int
			if err := c.Row(ctx, "SELECT COUNT(*) FROM shop_stock WHERE item = ?", item.ID).Scan(&known); err != nil {
				return err
			}
			if known > 0 {
				continue
			}
			if _, err := c.Exec(ctx, "INSERT INTO shop_stock (item, available) VALUES (?, ?)", item.ID, item.Stock); err != nil {
				return err
			}
		}
		return nil
	})
}
