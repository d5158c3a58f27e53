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

// lane is where requests go. A few go by themselves, side by side. While those are under way, others gather, and go together
// when one of them is back, if there are enough: so many callers do not pay for a commit each, and a few do not wait for each other.
// Who finds room goes at once.
//
// Its zero value is a free lane. A batch has a goroutine of its own, which ends with it.
type lane struct {
	mu      sync.Mutex
	alone   int  // how many requests are under way by themselves
	batch   bool // others are under way together
	crowded bool // those who were together are expected back
	waiting []*request
	went    time.Time   // when a request last went
	alarm   *time.Timer // set while anybody waits
	turn    int         // what has gone in an earlier one takes too long, and is not counted any more
}

// cue says how a request that has waited goes on.
type cue uint8

const (
	leads    cue = iota // by itself, in a place of its own
	repeats             // by itself, beside others: what it was together with has failed
	answered            // it has gone, with others
)

// do makes a request, by itself or together with others.
//
// A caller whose context ends leaves at once. A request that waits has then changed nothing; one that is under way may, and is not
// the caller's to read any more.
func (l *lane) do(ctx context.Context, c *conn, r *request) (idempotency.Record, error) {
	next, err := l.enter(ctx, c, r)
	switch {
	case err != nil:
		return idempotency.Record{}, err
	case next == leads:
		defer l.leave(c, r.turn)
		err = c.single(ctx, r)
	case next == repeats:
		err = c.single(ctx, r)
	default:
		err = r.err
	}
	return r.rec, err
}

// enter waits until there is room for the request, or it has gone with others.
//
// Those who were together come back at the same time. So whoever finds room lets them come before it goes: else it would go by
// itself, and all the others would wait for it.
func (l *lane) enter(ctx context.Context, c *conn, r *request) (cue, error) {
	l.mu.Lock()
	room := len(l.waiting) == 0 && !l.batch && l.alone < c.abreast()
	if room {
		l.alone++
		r.turn = l.turn
		if l.crowded {
			l.mu.Unlock()
			runtime.Gosched()
			l.mu.Lock()
			l.crowded = l.batch || len(l.waiting) > 0
		}
		if !l.crowded {
			l.went = time.Now()
			l.mu.Unlock()
			return leads, nil
		}
	}
	r.cue = make(chan cue, 1) // who gives it does not wait for who has left
	l.waiting = append(l.waiting, r)
	if room { // and not used
		l.vacate(c, r.turn)
	}
	l.watch(c)
	l.mu.Unlock()
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
			l.leave(c, r.turn)
		}
	default:
	}
	return 0, ctx.Err()
}

// leave makes room where a request of that turn was by itself.
func (l *lane) leave(c *conn, turn int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.vacate(c, turn)
	l.watch(c)
}

// vacate is leave, with the lane locked.
func (l *lane) vacate(c *conn, turn int) {
	if turn == l.turn {
		l.alone--
	}
	l.next(c)
}

// next lets those go who wait, as far as there is room. It is called with the lane locked.
func (l *lane) next(c *conn) {
	for !l.batch && len(l.waiting) > 0 {
		switch {
		case len(l.waiting) >= max(c.abreast(), 2):
			l.batch, l.crowded = true, true
			go l.together(c, l.take(), l.turn)
		case l.alone < c.abreast():
			l.alone++
			r := l.waiting[0]
			l.waiting = slices.Delete(l.waiting, 0, 1)
			r.turn = l.turn
			r.cue <- leads
		default:
			return
		}
		l.went = time.Now()
	}
}

// together makes a batch.
func (l *lane) together(c *conn, batch []*request, turn int) {
	defer func() { // also if a driver ends this goroutine
		for _, r := range batch {
			if r.gone {
				r.cue <- answered
			} else {
				r.cue <- repeats
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if turn == l.turn {
			l.batch = false
		}
		l.next(c)
		l.watch(c)
	}()
	c.together(batch)
}

// watch sets the alarm: those who wait do so no longer than patience after somebody went. It is called with the lane locked.
func (l *lane) watch(c *conn) {
	if l.alarm != nil {
		l.alarm.Stop()
	}
	if len(l.waiting) == 0 {
		return
	}
	turn := l.turn
	l.alarm = time.AfterFunc(patience-time.Since(l.went), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if turn == l.turn && len(l.waiting) > 0 {
			l.turn++
			l.alone, l.batch = 0, false
			l.next(c)
			l.watch(c)
		}
	})
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
