package naive

import (
	"context"
	"fmt"

	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/goods"
)

const schema = `CREATE TABLE IF NOT EXISTS naive_orders (
	id VARCHAR(40) NOT NULL PRIMARY KEY,
	email VARCHAR(254) NOT NULL,
	item VARCHAR(40) NOT NULL,
	status VARCHAR(16) NOT NULL,
	thanks INTEGER NOT NULL
)`

// KeepIn keeps the orders in a database, a row for each, and takes over those that are there: it is called before the shop opens.
func (s *Shop) KeepIn(ctx context.Context, db *database.DB) error {
	if _, err := db.Exec(ctx, schema); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db = db
	return db.Query(ctx, func(scan func(...any) error) error {
		var o order
		var item string
		err := scan(&o.ID, &o.Email, &item, &o.Status, &o.Thanks)
		o.Item, _ = goods.Find(item)
		s.orders[o.ID] = &o
		return err
	}, "SELECT id, email, item, status, thanks FROM naive_orders")
}

func (s *Shop) add(item goods.Item, email string) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &order{ID: fmt.Sprintf("order-%d", len(s.orders)+1), Email: email, Item: item, Status: "open"}
	if s.db != nil {
		_, err = s.db.Exec(context.Background(), "INSERT INTO naive_orders (id, email, item, status, thanks) VALUES (?, ?, ?, ?, 0)", o.ID, email, item.ID, o.Status)
	}
	s.orders[o.ID] = o
	return o.ID, err
}

func (s *Shop) find(id string) (order, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.orders[id]; o != nil {
		return *o, true
	}
	return order{}, false
}

// set changes an order's status, and returns what it was.
func (s *Shop) set(id, status string) (was string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[id]
	was, o.Status = o.Status, status
	return was, s.save(o)
}

func (s *Shop) firstThanks(id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.orders[id]
	first := !o.Thanks
	o.Thanks = true
	return first, s.save(o)
}

func (s *Shop) save(o *order) (err error) {
	if s.db != nil {
		_, err = s.db.Exec(context.Background(), "UPDATE naive_orders SET status = ?, thanks = ? WHERE id = ?", o.Status, o.Thanks, o.ID)
	}
	return err
}
