package shop

import "sync"

// news tells those who look at a customer's orders that there may be something new. What happens in another process is not
// heard of here: so they also look by themselves, now and then.
type news struct {
	mu      sync.Mutex
	readers map[string]map[chan struct{}]struct{} // by customer
	total   int
}

const (
	// A browser has six connections to a host. What follows an order keeps one, and some must be left for pages.
	maxReaders = 4 // of one customer
	maxTotal   = 2000
)

func newNews() *news { return &news{readers: make(map[string]map[chan struct{}]struct{})} }

// follow returns a channel that receives when there may be news, until end is called. It is not ok where too many follow
// already.
func (n *news) follow(customer string) (fresh <-chan struct{}, end func(), ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.readers[customer]) >= maxReaders || n.total >= maxTotal {
		return nil, nil, false
	}
	if n.readers[customer] == nil {
		n.readers[customer] = make(map[chan struct{}]struct{})
	}
	ch := make(chan struct{}, 1)
	n.readers[customer][ch] = struct{}{}
	n.total++
	return ch, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.total--
		delete(n.readers[customer], ch)
		if len(n.readers[customer]) == 0 {
			delete(n.readers, customer)
		}
	}, true
}

func (n *news) tell(customer string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ch := range n.readers[customer] {
		select {
		case ch <- struct{}{}:
		default: // told already
		}
	}
}
