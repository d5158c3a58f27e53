package memstore

import "github.com/steadfast-go/steadfast/store/internal/record"

// The two orders in which an entry can wait.
const (
	byDue = iota
	byExpiry
	orders
)

// entry is a record in its shard, with its places in the shard's queues.
type entry struct {
	record.Record
	hash   uint64      // of the ID
	next   *entry      // another entry with this hash
	place  [orders]int // index in the queue plus one; zero: not queued
	queued *queue      // the due queue that the entry is in
	batch  bool        // claimed by AcquireDue and listed under its token
}

// queue is a binary heap of entries by moment. It knows where each entry is, so that one can be moved or taken out.
type queue struct {
	order int
	items []item
}

type item struct {
	at record.Moment
	e  *entry
}

func (q *queue) len() int { return len(q.items) }

// set puts e into the queue at the moment at, moves it there, or, if at is record.Never, takes it out.
func (q *queue) set(e *entry, at record.Moment) {
	i := e.place[q.order] - 1
	switch {
	case at == record.Never && i < 0:
	case at == record.Never:
		q.remove(i)
	case i < 0:
		q.items = append(q.items, item{})
		q.up(len(q.items)-1, item{at, e})
	case at < q.items[i].at:
		q.up(i, item{at, e})
	case at > q.items[i].at:
		q.down(i, item{at, e})
	}
}

func (q *queue) remove(i int) {
	q.items[i].e.place[q.order] = 0
	last := len(q.items) - 1
	moved := q.items[last]
	q.items[last] = item{}
	q.items = q.items[:last]
	switch {
	case i == last:
	case i > 0 && moved.at < q.items[(i-1)/2].at:
		q.up(i, moved)
	default:
		q.down(i, moved)
	}
}

func (q *queue) up(i int, it item) {
	for i > 0 {
		parent := (i - 1) / 2
		if q.items[parent].at <= it.at {
			break
		}
		q.lay(i, q.items[parent])
		i = parent
	}
	q.lay(i, it)
}

func (q *queue) down(i int, it item) {
	for {
		child := 2*i + 1
		if child >= len(q.items) {
			break
		}
		if child+1 < len(q.items) && q.items[child+1].at < q.items[child].at {
			child++
		}
		if it.at <= q.items[child].at {
			break
		}
		q.lay(i, q.items[child])
		i = child
	}
	q.lay(i, it)
}

func (q *queue) lay(i int, it item) {
	q.items[i] = it
	it.e.place[q.order] = i + 1
}
