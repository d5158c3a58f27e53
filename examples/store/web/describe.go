package web

import (
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// When a customer who waits is told more.
const (
	slowAfter  = 3 * time.Second
	leaveAfter = 10 * time.Second
	// firstTries is how many attempts are announced: they take about half a minute. Those after them come more slowly, and have
	// no end that a customer would wait for.
	firstTries = 5
)

// orderPage is what is said about an order: what is known, and never more.
type orderPage struct {
	shop.Progress
	Status  string // in one word
	News    string // the sentence that is announced when it changes
	Advice  string
	Notice  string // to who has sent the form again
	Steps   []step
	Bar     *bar // nil: there is nothing to compare with
	Payable bool // there is something to pay
	Stop    bool // the order can still be given up
}

// step is one of those that an order takes.
type step struct {
	Name  string
	Note  string
	State string // done, now, todo or failed
}

// bar compares the time that has passed with how long payments take. It does not know when this one ends, and says so.
type bar struct {
	Percent int
	Over    bool // it takes longer than nearly all: there is no end to draw
	Text    string
}

func describe(p shop.Progress, again bool) orderPage {
	// Who was to write down that the wait is over may have been killed: so the time counts as well.
	waited := p.State == shop.Checking || p.State == shop.Paying && p.Elapsed >= slowAfter
	page := orderPage{Progress: p, Payable: p.State.Payable(), Stop: waited && !p.Held}
	page.say()
	page.Steps = steps(p)
	if p.State.Pending() && !p.Paused {
		page.Bar = compare(p.Elapsed, p.Estimate)
	}
	if again {
		page.Notice = notices[p.State]
	}
	return page
}

// notices are for who has sent the form of a payment again.
var notices = map[shop.State]string{
	shop.Paying:   "This order is already being paid: you were not charged again.",
	shop.Checking: "This order is already being paid: you were not charged again.",
	shop.Paid:     "This order is paid already: you were not charged again.",
	shop.Shipped:  "This order is paid already: you were not charged again.",
	shop.Declined: "That payment had been declined already: you were not charged.",
}

const leave = "You can close this page, we will e-mail you. Please don't pay again."

func (p *orderPage) say() {
	switch p.State {
	case shop.Placed, shop.Paying, shop.Checking:
		p.Status, p.News = "pending", "We are contacting your bank."
		switch {
		case p.Paused:
			p.Status = "paused"
			p.News, p.Advice = "Card payments are paused at the moment. Your order is saved.", leave
		case p.Held:
			p.News = "Your money is reserved. We are confirming it."
		case p.Elapsed >= leaveAfter:
			p.News, p.Advice = "We are still checking your payment with the bank.", leave
		case p.Elapsed >= slowAfter:
			p.News, p.Advice = "Slower than usual: we are still checking your payment.", "Please don't pay again."
		}
	case shop.Declined:
		p.Status, p.News = "declined", "Your card was declined. Nothing was charged."
		p.Advice = "Your order is saved. You can use another card."
	case shop.Paid:
		p.Status, p.News, p.Advice = "paid", "Thank you, your payment has arrived.", "We are packing your parcel."
	case shop.Shipped:
		p.Status, p.News = "shipped", "Thank you. Your parcel is on its way."
		p.Advice = "Its number is " + p.Tracking + "."
	case shop.Cancelled:
		p.Status, p.News = "cancelled", "This order is cancelled. Nothing will be sent."
		p.Advice = "Should a charge for it turn up after all, we give it back at once, without your asking."
	case shop.Refunded:
		p.Status, p.News = "refunded", "This order is cancelled, and your money has been given back."
		p.Advice = "It can take some days until your bank shows it."
	}
}

// steps are the way of an order, and where on it this one is.
func steps(p shop.Progress) []step {
	received, contact := step{"Order received", clock(p.Created, time.Now()), "done"}, step{"Contacting the bank", "", "done"}
	paid, shipped := step{"Paid", "", "todo"}, step{"Shipped", "", "todo"}
	switch p.State {
	case shop.Placed, shop.Paying, shop.Checking:
		contact.State, contact.Note = "now", attempt(p)
	case shop.Declined:
		contact.Name, contact.Note, contact.State = "Declined by the bank", why(p.Decline), "failed"
	case shop.Paid:
		contact.Name, paid.State, shipped.State, shipped.Note = "The bank has answered", "done", "now", "packing"
	case shop.Shipped:
		contact.Name, paid.State, shipped.State, shipped.Note = "The bank has answered", "done", "done", p.Tracking
	case shop.Cancelled:
		return []step{received, {"Cancelled", clock(p.Changed, time.Now()), "failed"}}
	case shop.Refunded:
		return []step{received, {"Cancelled", "", "failed"}, {"Money given back", clock(p.Changed, time.Now()), "done"}}
	}
	return []step{received, contact, paid, shipped}
}

// why says in words why the bank has declined a card. What is not listed is the bank's own affair.
func why(code string) string {
	switch code {
	case fakepay.CodeInsufficientFunds:
		return "there is not enough money on the card"
	case fakepay.CodeExpiredCard:
		return "the card has expired"
	default:
		return "the card was refused"
	}
}

// attempt says how far the bank has been asked.
func attempt(p shop.Progress) string {
	switch {
	case p.Held:
		return "reserved"
	case p.Paused:
		return "paused, we try again by ourselves"
	case p.Asking:
		return count(p.Attempts + 1)
	case p.Attempts == 0:
		return ""
	case p.Next > 0:
		return fmt.Sprintf("%s, next in %.0f s", count(p.Attempts), max(p.Next.Seconds(), 1))
	default:
		return count(p.Attempts) + ", next at once"
	}
}

func count(n int) string {
	if n > firstTries {
		return fmt.Sprintf("attempt %d", n)
	}
	return fmt.Sprintf("attempt %d of %d", n, firstTries)
}

// enough is how many payments there must have been to say how long they take.
const enough = 5

func compare(elapsed time.Duration, e shop.Estimate) *bar {
	b := &bar{Text: "So far " + seconds(elapsed)}
	if e.Of < enough || e.P95 <= 0 {
		b.Over = true
		return b
	}
	b.Text += fmt.Sprintf(". Recent payments took %s; 19 of 20 were done within %s.", seconds(e.Median), seconds(e.P95))
	b.Percent = int(100 * elapsed / e.P95)
	b.Over = b.Percent >= 100
	return b
}
