package shop

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/goods"
	"github.com/steadfast-go/steadfast/idempotency"
)

// maxQuantity is how many of one item a basket holds at most.
const maxQuantity = 20

// Line is a number of one item, and what they cost together.
type Line struct {
	Item     string
	Quantity int64
	Cents    int64
}

// Name is the item's.
func (l Line) Name() string {
	item, _ := goods.Find(l.Item)
	return item.Name
}

// Basket is what a customer means to buy.
type Basket struct {
	Lines []Line
	Cents int64
	// Payment is the key of the payment that the checkout will make. It is made when the checkout begins and kept here, so
	// that reloading, going back and a second tab all mean the same payment. Empty: it has not begun.
	Payment string
}

// Count is how many things are in it.
func (b Basket) Count() (n int64) {
	for _, line := range b.Lines {
		n += line.Quantity
	}
	return n
}

// Digest stands for what is in it, and what that costs. A form that carries another one was made for another basket.
func (b Basket) Digest() string {
	var content []string
	for _, l := range b.Lines {
		content = append(content, fmt.Sprint(l.Item, l.Quantity, l.Cents))
	}
	return digest(content...)
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// ErrNoItem says that the shop does not sell it.
var ErrNoItem = errors.New("shop: there is no such item")

// SetQuantity puts so many of an item into the basket, or takes it out. Add adds to what is there.
func (s *Shop) SetQuantity(ctx context.Context, customer, item string, quantity int64) error {
	return s.putIn(ctx, customer, item, func(int64) int64 { return quantity })
}

// Add puts one more into the basket.
func (s *Shop) Add(ctx context.Context, customer, item string) error {
	return s.putIn(ctx, customer, item, func(n int64) int64 { return n + 1 })
}

func (s *Shop) putIn(ctx context.Context, customer, item string, change func(int64) int64) error {
	if _, known := goods.Find(item); !known {
		return ErrNoItem
	}
	return s.db.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		db := s.db.In(tx)
		if _, err := lockBasket(ctx, db, customer); err != nil {
			return err
		}
		var before int64
		err := db.Row(ctx, "SELECT quantity FROM shop_basket_lines WHERE customer = ? AND item = ?", customer, item).Scan(&before)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		after := min(max(change(before), 0), maxQuantity)
		if _, err := db.Exec(ctx, "DELETE FROM shop_basket_lines WHERE customer = ? AND item = ?", customer, item); err != nil || after == 0 {
			return err
		}
		_, err = db.Exec(ctx, "INSERT INTO shop_basket_lines (customer, item, quantity) VALUES (?, ?, ?)", customer, item, after)
		return err
	})
}

// Basket returns what is in a customer's basket.
func (s *Shop) Basket(ctx context.Context, customer string) (Basket, error) {
	return basket(ctx, s.db.Conn, customer)
}

// BeginCheckout returns the basket with the key of the payment that is to be made for it.
func (s *Shop) BeginCheckout(ctx context.Context, customer string) (b Basket, err error) {
	err = s.db.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		db := s.db.In(tx)
		payment, err := lockBasket(ctx, db, customer)
		if err != nil {
			return err
		}
		if b, err = basket(ctx, db, customer); err != nil || len(b.Lines) == 0 || payment != "" {
			return err
		}
		b.Payment = idempotency.NewKey()
		_, err = db.Exec(ctx, "UPDATE shop_baskets SET payment = ? WHERE customer = ?", b.Payment, customer)
		return err
	})
	return b, err
}

func basket(ctx context.Context, db database.Conn, customer string) (b Basket, err error) {
	var payment sql.NullString
	err = db.Row(ctx, "SELECT payment FROM shop_baskets WHERE customer = ?", customer).Scan(&payment)
	if errors.Is(err, sql.ErrNoRows) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	b.Payment = payment.String
	err = db.Query(ctx, func(scan func(...any) error) error {
		var line Line
		if err := scan(&line.Item, &line.Quantity); err != nil {
			return err
		}
		item, sold := goods.Find(line.Item)
		if !sold { // no longer
			return nil
		}
		line.Cents = item.Cents * line.Quantity
		b.Lines, b.Cents = append(b.Lines, line), b.Cents+line.Cents
		return nil
	}, "SELECT item, quantity FROM shop_basket_lines WHERE customer = ? ORDER BY item", customer)
	return b, err
}

// lockBasket makes whatever else one customer does at the same moment wait, and returns the basket's payment key.
func lockBasket(ctx context.Context, db database.Conn, customer string) (payment string, err error) {
	var key sql.NullString
	err = db.Row(ctx, "SELECT payment FROM shop_baskets WHERE customer = ?"+db.Lock(), customer).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = db.Exec(ctx, "INSERT INTO shop_baskets (customer, payment) VALUES (?, NULL)", customer)
	}
	return key.String, err
}

func emptyBasket(ctx context.Context, db database.Conn, customer string) error {
	if _, err := db.Exec(ctx, "DELETE FROM shop_basket_lines WHERE customer = ?", customer); err != nil {
		return err
	}
	_, err := db.Exec(ctx, "UPDATE shop_baskets SET payment = NULL WHERE customer = ?", customer)
	return err
}
