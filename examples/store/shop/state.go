package shop

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/database"
)

// State is where an order stands.
type State string

// The states of an order.
const (
	Placed    State = "placed"    // exists, with no payment under way
	Paying    State = "paying"    // a payment is under way
	Checking  State = "checking"  // it still is, and the customer's wait is over: nobody can say yet what became of it
	Declined  State = "declined"  // the bank said no: another payment may be made
	Paid      State = "paid"      // the money is ours
	Shipped   State = "shipped"   // the parcel has left
	Cancelled State = "cancelled" // nothing will be sent; a charge that turns up is given back
	Refunded  State = "refunded"  // it was given back
)

// moves are all the ways there are. None leads from paying back to placed: a payment ends, however long it takes, and what
// nobody knows is not taken for a no.
var moves = map[State][]State{
	Placed:    {Paying},
	Declined:  {Paying, Cancelled},
	Paying:    {Checking, Paid, Declined, Cancelled},
	Checking:  {Paid, Declined, Cancelled},
	Paid:      {Shipped, Refunded},
	Cancelled: {Refunded},
}

// move takes an order to a state, if one of the moves leads there from where it is; moved says whether it did. It is one
// conditional UPDATE, so of two that want to move an order at the same moment, one does.
func move(ctx context.Context, db database.Conn, order string, to State) (moved bool, err error) {
	args := []any{to, now(), order}
	var from []string
	for state, ways := range moves {
		for _, way := range ways {
			if way == to {
				from, args = append(from, "?"), append(args, state)
			}
		}
	}
	n, err := db.Exec(ctx, "UPDATE shop_orders SET state = ?, changed = ? WHERE id = ? AND state IN ("+strings.Join(from, ", ")+")", args...)
	return n == 1, err
}

// mustMove is move where nothing else may have happened.
func mustMove(ctx context.Context, db database.Conn, order string, to State) error {
	moved, err := move(ctx, db, order, to)
	if err == nil && !moved {
		err = fmt.Errorf("shop: order %s cannot become %s from where it is", order, to)
	}
	return err
}

// Payable says that another payment may be made.
func (s State) Payable() bool { return s == Declined }

// Pending says that a payment is under way.
func (s State) Pending() bool { return s == Paying || s == Checking }

func now() int64 { return time.Now().UnixMicro() }
