package memstore

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strings"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// List implements idempotency.Store. It looks at every record, one shard at a time, and keeps the first q.N.
func (s *Store) List(ctx context.Context, q idempotency.Query) ([]idempotency.Record, error) {
	if err := checks.Query(ctx, &q); err != nil {
		return nil, err
	}
	page := page{oldestFirst: q.OldestFirst}
	for i := range s.shards {
		s.shards[i].collect(s, &q, &page)
	}
	slices.SortFunc(page.rows, page.compare)
	list := make([]idempotency.Record, len(page.rows))
	for i := range page.rows {
		list[i] = page.rows[i].Record
	}
	return list, nil
}

func (s *shard) collect(store *Store, q *idempotency.Query, page *page) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := store.now()
	for _, first := range s.records {
		for e := first; e != nil; e = e.next {
			page.offer(e, q, now)
		}
	}
}

// offer adds e to the page if it is asked for and belongs to the first q.N.
func (p *page) offer(e *entry, q *idempotency.Query, now record.Moment) {
	if e.ID.Operation != q.Operation || q.Scope != nil && e.ID.Scope != *q.Scope ||
		!q.OldestFirst && compareIDs(e.ID, q.After) <= 0 {
		return
	}
	r := e.At(now)
	if len(q.States) == 0 && r.State == idempotency.StateFree ||
		len(q.States) > 0 && !slices.Contains(q.States, r.State) {
		return
	}
	at := row{created: r.CreatedAt, Record: idempotency.Record{ID: r.ID}}
	if len(p.rows) == q.N {
		if p.compare(at, p.rows[0]) >= 0 {
			return
		}
		heap.Pop(p)
	}
	at.Record = r.View(now, idempotency.Token{})
	heap.Push(p, at)
}

// row is a record and its place in the order by age: ages that were read at different moments do not compare.
type row struct {
	created record.Moment
	idempotency.Record
}

// page is a heap of the first rows in a list's order. The last of them, the first to go, is on top.
type page struct {
	rows        []row
	oldestFirst bool
}

func (p *page) compare(a, b row) int {
	if p.oldestFirst {
		if c := cmp.Compare(a.created, b.created); c != 0 {
			return c
		}
	}
	return compareIDs(a.ID, b.ID)
}

func compareIDs(a, b idempotency.ID) int {
	return cmp.Or(strings.Compare(a.Scope, b.Scope), strings.Compare(a.Key, b.Key))
}

func (p *page) Len() int           { return len(p.rows) }
func (p *page) Less(i, j int) bool { return p.compare(p.rows[i], p.rows[j]) > 0 }
func (p *page) Swap(i, j int)      { p.rows[i], p.rows[j] = p.rows[j], p.rows[i] }
func (p *page) Push(x any)         { p.rows = append(p.rows, x.(row)) }

func (p *page) Pop() any {
	last := len(p.rows) - 1
	r := p.rows[last]
	p.rows = p.rows[:last]
	return r
}
