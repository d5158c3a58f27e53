// Package mail sends messages to customers: by SMTP, to telephones, or through a small post office in memory.
package mail

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Office delivers messages. It is safe for concurrent use.
type Office struct {
	delay       time.Duration
	onDelivered func(Message)

	mu      sync.Mutex
	seen    map[string]bool
	inboxes map[string][]Message
}

// New returns an office that takes that long over a message, and calls onDelivered (if it is not nil) for each that
// arrives.
func New(delay time.Duration, onDelivered func(Message)) *Office {
	return &Office{delay: delay, onDelivered: onDelivered, seen: make(map[string]bool), inboxes: make(map[string][]Message)}
}

// Send delivers a message. Of two with the same ID, which is not empty, the second is thrown away.
func (o *Office) Send(ctx context.Context, m Message) error {
	timer := time.NewTimer(o.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if o.deliver(m) && o.onDelivered != nil {
		o.onDelivered(m)
	}
	return nil
}

func (o *Office) deliver(m Message) (fresh bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m.ID != "" && o.seen[m.ID] {
		return false
	}
	o.seen[m.ID] = true
	o.inboxes[m.To] = append(o.inboxes[m.To], m)
	return true
}

// Inbox returns what has arrived at an address, oldest first.
func (o *Office) Inbox(address string) []Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.inboxes[address])
}
