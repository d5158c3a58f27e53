package shop

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/steadfast-go/steadfast/examples/store/database"
)

// Order is an order, and the payment of it that counts.
type Order struct {
	ID       string
	Customer string
	Email    string
	Phone    string
	Cents    int64
	State    State

	// Payment is the key of the payment that is or was made last, or after a decline, of the next one.
	Payment  string
	Decline  string // why the last payment was declined
	Tracking string
	Created  time.Time
	Changed  time.Time
}

// ErrNoOrder says that there is no such order, or that it is somebody else's, which is the same.
var ErrNoOrder = errors.New("shop: there is no such order")

const orderColumns = "id, customer, email, phone, cents, state, payment, decline, tracking, created, changed"

func (o *Order) scan(scan func(...any) error) error {
	var created, changed int64
	err := scan(&o.ID, &o.Customer, &o.Email, &o.Phone, &o.Cents, &o.State, &o.Payment, &o.Decline, &o.Tracking, &created, &changed)
	o.Created, o.Changed = time.UnixMicro(created), time.UnixMicro(changed)
	return err
}

// Order returns a customer's order.
func (s *Shop) Order(ctx context.Context, customer, id string) (Order, error) {
	return orderOf(ctx, s.db.Conn, customer, id, "")
}

// plain says whether every database takes s as text.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func orderOf(ctx context.Context, db database.Conn, customer, id, lock string) (o Order, err error) {
	if !plain(id) {
		return o, ErrNoOrder
	}
	err = o.scan(db.Row(ctx, "SELECT "+orderColumns+" FROM shop_orders WHERE customer = ? AND id = ?"+lock, customer, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoOrder
	}
	return o, err
}

// Orders returns a customer's orders, the youngest first.
func (s *Shop) Orders(ctx context.Context, customer string) (list []Order, err error) {
	err = s.db.Query(ctx, func(scan func(...any) error) error {
		var o Order
		err := o.scan(scan)
		list = append(list, o)
		return err
	}, "SELECT "+orderColumns+" FROM shop_orders WHERE customer = ? ORDER BY created DESC LIMIT 50", customer)
	return list, err
}

// Lines returns what was ordered.
func (s *Shop) Lines(ctx context.Context, order string) ([]Line, error) {
	return orderLines(ctx, s.db.Conn, order)
}

func orderLines(ctx context.Context, db database.Conn, order string) (lines []Line, err error) {
	err = db.Query(ctx, func(scan func(...any) error) error {
		var l Line
		err := scan(&l.Item, &l.Quantity, &l.Cents)
		lines = append(lines, l)
		return err
	}, "SELECT item, quantity, cents FROM shop_order_lines WHERE order_id = ? ORDER BY item", order)
	return lines, err
}

func insertOrder(ctx context.Context, db database.Conn, o Order, lines []Line) error {
	at := now()
	_, err := db.Exec(ctx, "INSERT INTO shop_orders ("+orderColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		o.ID, o.Customer, o.Email, o.Phone, o.Cents, o.State, o.Payment, o.Decline, o.Tracking, at, at)
	for _, l := range lines {
		if err == nil {
			_, err = db.Exec(ctx, "INSERT INTO shop_order_lines (order_id, item, quantity, cents) VALUES (?, ?, ?, ?)", o.ID, l.Item, l.Quantity, l.Cents)
		}
	}
	return err
}

// newNumber returns an order number that can be read out on the telephone, and that nobody can guess from another one.
func newNumber() string {
	text := rand.Text() // 26 letters and digits of base32
	return text[:4] + "-" + text[4:8] + "-" + text[8:12]
}

// ordersUnderWay counts the orders that wait for something other than their customer.
func (s *Shop) ordersUnderWay(ctx context.Context) (n int, err error) {
	err = s.db.Row(ctx, "SELECT COUNT(*) FROM shop_orders WHERE state IN (?, ?, ?, ?)", Placed, Paying, Checking, Paid).Scan(&n)
	return n, err
}
