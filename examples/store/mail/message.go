package mail

import "context"

// Channel is how a message is sent.
type Channel string

// The channels.
const (
	Email Channel = "email"
	Text  Channel = "text" // to a telephone
)

// Message is what a customer is told.
type Message struct {
	ID      string // what makes it the same message: a reader, or the office, throws a second copy away
	Channel Channel
	To      string
	Subject string
	Status  string // what it says about the order, in one word
	Text    string
}

// Sender sends messages: SMTP, Texts, or an Office in memory.
type Sender interface {
	Send(ctx context.Context, m Message) error
}
