package shop

import (
	"context"
	"fmt"
	"strings"

	"github.com/steadfast-go/steadfast/examples/store/database"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/idempotency"
)

// letter says what a customer is told about an order, in the status that the message names.
func letter(o Order, status string) (subject, text string) {
	switch status {
	case "declined":
		return "Your card was declined", fmt.Sprintf("Nothing was charged. Your order %s is saved: you can choose another card on its page.", o.ID)
	case "cancelled":
		return "Your order is cancelled", fmt.Sprintf("We could not complete your payment in time, so your order %s is cancelled and nothing will be sent.\n\n"+
			"Should the charge turn up after all, we give it back at once, without your asking.", o.ID)
	case "refunded":
		return "Your money is on its way back", fmt.Sprintf("The charge of %s for your order %s has been given back.", Euros(o.Cents), o.ID)
	default:
		return "Your order is on its way", fmt.Sprintf("We have received your payment of %s, once. Your order %s has left as %s.", Euros(o.Cents), o.ID, o.Tracking)
	}
}

// write tells a customer of an event: a message on every channel that they gave, each a call of its own, which is started in the
// transaction of the event. The event and what it is about name the message, so it is written once.
func (s *Shop) write(ctx context.Context, db database.Conn, customer, order, event, about string) error {
	o, err := orderOf(ctx, db, customer, order, "")
	if err != nil {
		return err
	}
	subject, text := letter(o, event)
	for _, m := range []mail.Message{
		{Channel: mail.Email, To: o.Email, Subject: subject, Text: text},
		{Channel: mail.Text, To: o.Phone, Text: subject + ". Order " + o.ID + "."},
	} {
		if m.To == "" || s.senders[m.Channel] == nil {
			continue
		}
		m.Status = event
		if _, err := s.calls.mail.For(customer).Start(ctx, idempotency.KeyFrom(event, string(m.Channel), about), m); err != nil {
			return err
		}
	}
	return nil
}

// Euros writes an amount out.
func Euros(cents int64) string {
	return fmt.Sprintf("€%s.%02d", thousands(cents/100), cents%100)
}

func thousands(n int64) string {
	text := fmt.Sprint(n)
	var parts []string
	for len(text) > 3 {
		parts = append([]string{text[len(text)-3:]}, parts...)
		text = text[:len(text)-3]
	}
	return strings.Join(append([]string{text}, parts...), ",")
}
