package sqlstore

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

const (
	// batchSize is how many requests go together at most, so that the first of them does not wait long for the last.
	batchSize = 128
	// patience is how long others wait for what is under way. What takes longer waits for a row that somebody has locked, or for a
	// database that does not answer, and that is no reason for others to wait.
	patience = time.Second
)

// lane is where requests gather while others are under way, and go together when those are back: so many callers do not pay
// for a commit each. Nobody waits for company. Who finds the lane free goes at once and alone, as if there were no lane.
//
// Its zero value is a free lane. A batch has a goroutine of its own, which ends with it.
type lane struct {
	mu      sync.Mutex
	busy    bool
	waiting []*request
}

// cue says how a request that has waited goes on.
type cue uint8

const (
	leads    cue = iota // by itself, and the lane is its own meanwhile
	repeats             // by itself, beside others: what it was together with has failed
	answered            // it has gone, with others
)

// do makes a request, by single or, with others, by together.
//
// A caller whose context ends leaves at once. A request that waits has then changed nothing; one that is under way may, and is not
// the caller's to read any more.
func (l *lane) do(
	ctx context.Context, r *request, single func(context.Context, *request) error, together func([]*request),
) (idempotency.Record, error) {
	next, err := l.enter(ctx, r, together)
	switch {
	case err != nil:
		return idempotency.Record{}, err
	case next == leads:
		l.hold(together, func() { err = single(ctx, r) })
	case next == repeats:
		err = single(ctx, r)
	default:
		err = r.err
	}
	return r.rec, err
}

// enter waits until the lane is free, or the request has gone with others.
//
// Those who were together in one lane come to the next one at the same time. So whoever finds it free lets them come before it goes:
// else it would go by itself, and all the others would wait for it.
func (l *lane) enter(ctx context.Context, r *request, together func([]*request)) (cue, error) {
	l.mu.Lock()
	first := !l.busy
	if first {
		l.busy = true
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
		if len(l.waiting) == 0 {
			l.mu.Unlock()
			return leads, nil
		}
	}
	r.cue = make(chan cue, 1) // who gives it does not wait for who has left
	l.waiting = append(l.waiting, r)
	l.mu.Unlock()
	if first {
		l.next(together)
	}
	select {
	case next := <-r.cue:
		return next, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	if i := slices.Index(l.waiting, r); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	l.mu.Unlock()
	select {
	case next := <-r.cue:
		if next == leads {
			l.next(together)
		}
	default:
	}
	return 0, ctx.Err()
}

// hold does something on behalf of who waits, or who leads, and then lets others go. If it takes too long they go before.
func (l *lane) hold(together func([]*request), do func()) {
	pass := sync.OnceFunc(func() { l.next(together) })
	defer pass()
	defer time.AfterFunc(patience, pass).Stop()
	do()
}

// next lets those go who wait, or frees the lane.
func (l *lane) next(together func([]*request)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.take()
	switch len(batch) {
	case 0:
		l.busy = false
	case 1:
		batch[0].cue <- leads
	default:
		go l.hold(together, func() {
			together(batch)
			for _, r := range batch {
				if r.gone {
					r.cue <- answered
				} else {
					r.cue <- repeats
				}
			}
		})
	}
}

// take takes those who have waited longest, each key once (T59).
func (l *lane) take() []*request {
	var batch []*request
	keys := make(map[idempotency.ID]bool, min(len(l.waiting), batchSize))
	l.waiting = slices.DeleteFunc(l.waiting, func(r *request) bool {
		if len(batch) == batchSize || keys[r.id] {
			return false
		}
		keys[r.id] = true
		batch = append(batch, r)
		return true
	})
	return batch
}
