package idempotency

import (
	"bytes"
	"context"
	"runtime/debug"
	"sync"
	"time"
)

// flightKey keeps callers with different requests apart: each is judged against the record by itself (T21).
type flightKey struct {
	id          ID
	fingerprint fingerprint
}

// flight is one call under way on behalf of callers in this process. However many join, one goroutine sends, asks and
// polls. It is detached from all of them: each leaves when its own context ends, the flight goes on (P5, T19).
type flight struct {
	run
	key     flightKey
	request []byte
	done    chan struct{} // closed when the result is there

	waiters  int           // guarded by engine.mu
	gone     chan struct{} // guarded by engine.mu; closed when the last caller leaves a flight that waits
	nudged   chan struct{} // guarded by engine.mu; holds one hint that this process has moved the record
	deserted bool          // it ended because nobody waited; who joined it at the last moment begins anew
	once     sync.Once

	// The result; written once, before done is closed.
	told     *Record
	replayed bool // the call was settled before
	value    any  // what Send returned, for the caller that started the flight
	err      error
}

// do joins the flight of this call or starts it, and waits for it as long as ctx allows. The record is as the flight left
// it; answer says what it means.
func (e *engine) do(ctx context.Context, key flightKey, request []byte) (f *flight, joined bool, err error) {
	if ctx.Err() != nil { // T40
		return nil, false, e.left(ctx, key.id, StateAbsent)
	}
	if reentrant(ctx, key.id) {
		return nil, false, ErrReentrant
	}
	for {
		f, joined, err = e.join(ctx, key, request)
		if err != nil {
			return nil, false, err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
		}
		e.leave(f)
		select {
		case <-f.done: // also if both were ready
			if joined && f.deserted && ctx.Err() == nil {
				continue
			}
			return f, joined, nil
		default:
			return nil, joined, e.left(ctx, key.id, StateRunning)
		}
	}
}

// left is what a caller gets that does not wait for the end.
func (e *engine) left(ctx context.Context, id ID, state State) error {
	return &PendingError{ID: id, State: state, after: e.poll, hidden: hidden{context.Cause(ctx)}}
}

func (e *engine) join(ctx context.Context, key flightKey, request []byte) (f *flight, joined bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, false, ErrClosed
	}
	if f := e.flights[key]; f != nil {
		f.waiters++
		return f, true, nil
	}
	f = &flight{key: key, request: bytes.Clone(request), done: make(chan struct{}), waiters: 1}
	f.begin(ctx, e, key.id, f)
	e.flights[key] = f
	e.owned.Add(1)
	go f.fly()
	return f, false, nil
}

func (e *engine) leave(f *flight) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.waiters--; f.waiters == 0 && f.gone != nil {
		close(f.gone)
		f.gone = nil
	}
}

// wait waits for d, or until this process has done something to the record. It reports false when nobody waits any more.
func (e *engine) wait(f *flight, d time.Duration) bool {
	e.mu.Lock()
	if f.deserted = f.waiters == 0; f.deserted {
		e.mu.Unlock()
		return false
	}
	if f.gone == nil {
		f.gone = make(chan struct{})
	}
	if f.nudged == nil {
		f.nudged = make(chan struct{}, 1)
	}
	gone := f.gone
	e.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.nudged:
	case <-gone:
		e.mu.Lock()
		defer e.mu.Unlock()
		f.deserted = f.waiters == 0 // else somebody has joined since
		return !f.deserted
	case <-e.closing:
		return false
	}
	return true
}

// nudge wakes the flights that wait for a call which Run has just taken further.
func (e *engine) nudge(id ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, f := range e.flights {
		if key.id != id || f.nudged == nil {
			continue
		}
		select {
		case f.nudged <- struct{}{}:
		default:
		}
	}
}

// publish gives the result to the callers. Only the first one counts: what could not be recorded in time has been told
// already when it is recorded at last.
func (f *flight) publish(rec *Record, replayed bool, live any, err error) {
	if f == nil { // recovery: nobody waits
		return
	}
	f.once.Do(func() {
		f.told, f.replayed, f.value, f.err = rec, replayed, live, err
		close(f.done)
	})
}

func (f *flight) fly() {
	e, r := f.e, &f.run
	ended := false
	defer e.owned.Done()
	defer func() {
		if ended {
			return
		}
		// A panic, or Goexit, in a place where none is expected: nobody may hang because of it.
		cause := &PanicError{Value: recover(), Stack: debug.Stack()}
		err := r.explain(nil)
		if !r.rec.State.Settled() {
			err = &UnknownError{ID: r.id, State: StateUnknown, after: e.poll, hidden: hidden{cause}}
		}
		e.forget(f)
		f.publish(&r.rec, false, r.live, err)
	}()
	growStack(0)
	err := r.drive(f)
	ended = true
	e.cache.put(&r.rec)
	e.forget(f)
	f.publish(&r.rec, !r.worked, r.live, r.explain(err))
}

// forget lets the next caller begin anew.
func (e *engine) forget(f *flight) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flights[f.key] == f {
		delete(e.flights, f.key)
	}
}
