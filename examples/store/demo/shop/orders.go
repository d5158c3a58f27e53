package shop

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/steadfast-go/steadfast/examples/store/goods"
	"github.com/steadfast-go/steadfast/idempotency"
)

// State is where an order stands.
type State string

// The states of an order.
const (
	Placed   State = "placed"   // nothing was paid yet
	Paying   State = "paying"   // a payment is under way: its outcome is not known
	Declined State = "declined" // the payment was declined: another one may be made
	Paid     State = "paid"
	Shipped  State = "shipped"
)

// moves are all the ways there are. Nothing leads from paying back to placed: a payment ends paid or declined, however long
// it takes.
var moves = map[State][]State{
	Placed:   {Paying},
	Declined: {Paying},
	Paying:   {Paid, Declined},
	Paid:     {Shipped},
}

// Order is an order and its one payment that counts.
type Order struct {
	ID       string
	Customer string
	Email    string
	Item     string
	Cents    int64
	State    State

	// Payment is the key of the payment that may be under way. It is made with the order, not when the customer clicks:
	// so two clicks, two tabs and the Back button all mean the same payment. Only a decline makes a new one.
	Payment  string
	Card     string // the provider's token for the card that the payment was begun with
	Decline  string // why the last payment was declined
	Tracking string
}

// Errors of orders.
var (
	ErrNoOrder = errors.New("shop: there is no such order")
	errMove    = errors.New("shop: the order cannot go there")
)

// Orders keeps orders in memory, and lets an order have one live payment at a time. In a database this is a unique index
// on the payments that are unsettled or successful.
type Orders struct {
	mu   sync.Mutex
	byID map[string]*Order
}

// NewOrders returns a table without orders. Like a database, it outlives the shops that are opened on it.
func NewOrders() *Orders { return &Orders{byID: make(map[string]*Order)} }

func (s *Orders) place(customer, email string, item goods.Item) Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &Order{
		ID:       fmt.Sprintf("order-%d", len(s.byID)+1),
		Customer: customer, Email: email, Item: item.Name, Cents: item.Cents,
		State: Placed, Payment: idempotency.NewKey(),
	}
	s.byID[o.ID] = o
	return *o
}

// get returns a customer's order. Somebody else's is answered like one that does not exist.
func (s *Orders) get(id, customer string) (Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.byID[id]
	if o == nil || o.Customer != customer {
		return Order{}, ErrNoOrder
	}
	return *o, nil
}

// beginPayment moves an order to paying, if payment is the one that its page offers. A form that was sent before (a second
// click, an old tab) changes nothing: begun says whether the named payment is the one that is under way.
func (s *Orders) beginPayment(id, customer, payment, card string) (o Order, begun bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	order := s.byID[id]
	if order == nil || order.Customer != customer {
		return Order{}, false, ErrNoOrder
	}
	if order.Payment != payment {
		return *order, false, nil
	}
	if order.State == Paying {
		return *order, true, nil
	}
	if order.move(Paying) != nil { // paid already
		return *order, false, nil
	}
	order.Card = card
	return *order, true, nil
}

// change moves an order on. It is called at least once for every event, so a move that was made before is no error.
func (s *Orders) change(id string, to State, set func(*Order)) (Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.byID[id]
	if o == nil {
		return Order{}, fmt.Errorf("%w: %q", ErrNoOrder, id)
	}
	if o.State == to {
		return *o, nil
	}
	if err := o.move(to); err != nil {
		return *o, err
	}
	set(o)
	return *o, nil
}

func (o *Order) move(to State) error {
	if !slices.Contains(moves[o.State], to) {
		return fmt.Errorf("%w: order %s from %s to %s", errMove, o.ID, o.State, to)
	}
	o.State = to
	return nil
}

// paying returns the orders whose payment is under way, or is to be.
func (s *Orders) paying() (list []Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.byID {
		if o.State == Paying {
			list = append(list, *o)
		}
	}
	return list
}

// underWay counts the orders that wait for something other than their customer.
func (s *Orders) underWay() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.byID {
		if o.State == Paying || o.State == Paid {
			n++
		}
	}
	return n
}
