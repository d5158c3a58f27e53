package mail

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Received is a message that has arrived.
type Received struct {
	Message
	At     time.Time
	Copies int // that arrived after it, under the same ID
}

// maxKept bounds what a Mailbox keeps.
const maxKept = 2000

// Mailbox is where all messages of a demonstration arrive, whoever they are for. It is safe for concurrent use.
type Mailbox struct {
	mu   sync.Mutex
	list []*Received // the oldest first
	byID map[string]*Received
}

// NewMailbox returns an empty one.
func NewMailbox() *Mailbox { return &Mailbox{byID: make(map[string]*Received)} }

func (b *Mailbox) put(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.byID[m.ID]; known != nil {
		known.Copies++
		return
	}
	if len(b.list) == maxKept {
		delete(b.byID, b.list[0].ID)
		b.list = b.list[1:]
	}
	r := &Received{Message: m, At: time.Now()}
	b.list, b.byID[m.ID] = append(b.list, r), r
}

// Messages returns what has arrived, the youngest first.
func (b *Mailbox) Messages() []Received {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Received, 0, len(b.list))
	for _, r := range slices.Backward(b.list) {
		list = append(list, *r)
	}
	return list
}

// Texts sends text messages, which arrive in the mailbox, too: a network of telephones would cost money.
type Texts struct{ Mailbox *Mailbox }

// Send sends one.
func (t Texts) Send(_ context.Context, m Message) error {
	t.Mailbox.put(m)
	return nil
}
