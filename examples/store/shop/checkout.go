package shop

import (
	"context"
	"database/sql"
	"errors"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/goods"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// Form is what the checkout sends.
type Form struct {
	Payment string // the key that BeginCheckout made
	Basket  string // the digest of the basket that the page showed
	Email   string
	Phone   string // may be empty
	Card    string // the bank's token for one
}

// content stands for everything that makes it the same form.
func (f Form) content() string { return digest(f.Basket, f.Email, f.Phone, f.Card) }

// Errors of Submit and PayAgain. Nothing was charged by the request that gets one.
var (
	// ErrNoCheckout: the key is not one that the shop has made for this customer.
	ErrNoCheckout = errors.New("shop: this checkout is not known")
	// ErrBasketChanged: the page showed another basket.
	ErrBasketChanged = errors.New("shop: the basket has changed since the page was shown")
	// ErrOtherDetails: the key was used, with another form.
	ErrOtherDetails = errors.New("shop: this payment was sent before, with other details")
)

// Submit places the order of a basket and commits to its payment, in one transaction: both exist, or neither does. A form
// that comes again (a second click, a second tab, the Back button) finds the order of the first: again is true then.
func (s *Shop) Submit(ctx context.Context, customer string, f Form) (order string, again bool, err error) {
	err = s.db.Transact(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		order, again, err = s.submit(ctx, tx, customer, f)
		return err
	})
	s.news.tell(customer)
	return order, again, err
}

func (s *Shop) submit(ctx context.Context, tx *sql.Tx, customer string, f Form) (order string, again bool, err error) {
	db := s.db.In(tx)
	payment, err := lockBasket(ctx, db, customer)
	if err != nil {
		return "", false, err
	}
	if order, err := paidBefore(ctx, db, customer, f.Payment, f.content()); err != nil || order != "" {
		return order, true, err
	}
	if payment == "" || payment != f.Payment {
		return "", false, ErrNoCheckout
	}
	b, err := basket(ctx, db, customer)
	if err != nil {
		return "", false, err
	}
	if b.Digest() != f.Basket {
		return "", false, ErrBasketChanged
	}
	o := Order{
		ID: s.number(), Customer: customer, Email: f.Email, Phone: f.Phone, Cents: b.Cents, State: Placed, Payment: payment,
	}
	if err := insertOrder(ctx, db, o, b.Lines); err != nil {
		return "", false, err
	}
	if err := s.beginPayment(ctx, tx, o, b.Lines, f.Card, f.content()); err != nil {
		return "", false, err
	}
	return o.ID, false, emptyBasket(ctx, db, customer)
}

// PayAgain commits to another payment for an order whose last one was declined.
func (s *Shop) PayAgain(ctx context.Context, customer, order, payment, card string) (again bool, err error) {
	err = s.db.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		db := s.db.In(tx)
		o, err := orderOf(ctx, db, customer, order, db.Lock())
		if err != nil {
			return err
		}
		var before string
		if before, err = paidBefore(ctx, db, customer, payment, digest(card)); err != nil || before == order {
			again = true
			return err
		}
		if before != "" || o.Payment != payment || !o.State.Payable() {
			return ErrNoCheckout
		}
		lines, err := orderLines(ctx, db, order)
		if err != nil {
			return err
		}
		return s.beginPayment(ctx, tx, o, lines, card, digest(card))
	})
	s.news.tell(customer)
	return again, err
}

// paidBefore returns the order that a payment was made for, or nothing.
func paidBefore(ctx context.Context, db database.Conn, customer, payment, content string) (order string, err error) {
	if !plain(payment) {
		return "", nil
	}
	var sent string
	err = db.Row(ctx, "SELECT order_id, content FROM shop_payments WHERE id = ? AND customer = ?", payment, customer).Scan(&order, &sent)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", nil
	case err == nil && sent != content:
		err = ErrOtherDetails
	}
	return order, err
}

// beginPayment sets the goods aside and commits to the payment. The unique index on live refuses it where another one may
// have taken the money (T60).
func (s *Shop) beginPayment(ctx context.Context, tx *sql.Tx, o Order, lines []Line, card, content string) error {
	db := s.db.In(tx)
	if err := takeStock(ctx, db, lines); err != nil {
		return err
	}
	if err := mustMove(ctx, db, o.ID, Paying); err != nil {
		return err
	}
	_, err := db.Exec(ctx, "INSERT INTO shop_payments (id, order_id, customer, card, content, live, began) VALUES (?, ?, ?, ?, ?, ?, ?)",
		o.Payment, o.ID, o.Customer, card, content, o.ID, now())
	if err != nil {
		return err
	}
	_, err = s.calls.charge.For(o.Customer).Start(sqlstore.WithTx(ctx, tx), o.Payment, paymentFor(o, lines, card))
	return err
}

const currency = "eur"

// paymentFor is what the bank is asked for. Money for what has yet to be made is only reserved.
func paymentFor(o Order, lines []Line, card string) bank.Payment {
	p := bank.Payment{Order: o.ID, Cents: o.Cents, Currency: currency, Card: card}
	for _, line := range lines {
		item, _ := goods.Find(line.Item)
		p.Hold = p.Hold || item.MadeToOrder
	}
	return p
}
