package idempotency

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/retry"
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

// run is one goroutine's work on one call: a flight's, or recovery's.
type run struct {
	e *engine
	detached
	sched   *retry.Schedule // nil until it is needed
	flight  *flight         // nil in recovery
	first   claim           // the claim, or the first of several
	stop    <-chan struct{} // closed when no further attempt is wanted; the claim is handed over
	rec     Record          // as it was seen last; while a claim is worked on, as it was claimed
	worked  bool            // at least one claim was worked on
	lastErr error
	live    any // what Send returned
}

func (r *run) begin(ctx context.Context, e *engine, id ID, f *flight) {
	r.e, r.values, r.id, r.flight = e, ctx, id, f
}

func (r *run) schedule() {
	s := r.e.policy.Schedule()
	r.sched = &s
}

// base is the context of everything that is done for the call.
func (r *run) base() context.Context { return &r.detached }

// drive takes the call as far as it goes: acquire, attempt, settle, or wait for who does. It leaves the record in r.rec.
func (r *run) drive(f *flight) error {
	e := r.e
	c, err := r.acquire(f, 0, true)
	for polls := 0; ; {
		if errors.Is(err, ErrNoRecord) { // freed, and forgotten since we looked
			c, err = r.acquire(f, 0, true)
		}
		if err != nil {
			return err
		}
		if c != nil {
			r.worked = true
			if more, err := r.work(c); err != nil || !more {
				return err
			}
			c, polls = nil, 0
		}
		if !e.same(&r.rec, f.key.fingerprint) {
			return ErrKeyReused
		}
		todo, wait := e.next(&r.rec), r.rec.Due
		switch {
		case r.rec.State.Settled():
			return nil
		case r.rec.State == StateRunning:
			wait = e.pollDelay(polls)
			polls++
		case todo == stepHold, wait > e.policy.Max:
			return nil
		}
		if wait > 0 {
			if !e.wait(f, wait) {
				return nil
			}
			err = r.get()
			continue
		}
		if c, err = r.acquire(f, r.rec.Fence, todo == stepSend); c == nil && err == nil {
			polls++ // somebody was faster
			if !e.wait(f, e.pollDelay(polls)) {
				return nil
			}
		}
	}
}

// pollDelay grows from a twentieth of Poll, jittered: one poller per key and process, however many wait (T22).
func (e *engine) pollDelay(n int) time.Duration {
	d := e.poll / 20 << min(n, 5)
	d = min(d, e.poll)
	return d/2 + rand.N(d/2+1)
}

// same says whether a record was made by this request.
func (e *engine) same(rec *Record, fp fingerprint) bool {
	if len(rec.Fingerprint) == 0 || bytes.Equal(rec.Fingerprint, fp[:]) { // a tombstone has none
		return true
	}
	stored := *rec
	return !stored.Expired && e.sameAs(&stored, fp)
}

func (r *run) get() error {
	rec, err := op(r.base(), r.e, "Get", func(ctx context.Context) (Record, error) { return r.e.store.Get(ctx, r.id) })
	if err == nil || isRuling(err) { // else what was seen last stands
		r.rec = rec
	}
	return err
}

// acquireTries bounds how often one claim is asked for again when the store fails.
const acquireTries = 3

// acquire asks for a claim; nil if it was not granted. If the store fails nothing is sent (P7, T25), but the claim may have
// been granted all the same: it is given back in the background.
func (r *run) acquire(f *flight, fence uint64, sending bool) (*claim, error) {
	e := r.e
	cl := Claim{
		ID:          r.id,
		Token:       newToken(),
		Fence:       fence,
		Sending:     sending,
		Lease:       e.leaseFor,
		Fingerprint: f.key.fingerprint[:],
		Request:     f.request,
		GiveUp:      e.giveUp,
		Retention:   e.retention,
		StubFor:     e.stubFor,
	}
	began := time.Now()
	if err := e.claim(r.base(), &cl, &r.rec); err != nil {
		if !isRuling(err) {
			e.disown(cl)
		}
		return nil, err
	}
	if !r.rec.Owned {
		return nil, nil
	}
	return r.hold(cl.Token, began), nil
}

// claim asks until the store answers; the token makes that one question (T15).
func (e *engine) claim(ctx context.Context, cl *Claim, rec *Record) (err error) {
	for n := 1; n <= acquireTries; n++ {
		err = e.askClaim(ctx, cl, rec)
		if err == nil || isRuling(err) || ctx.Err() != nil {
			break
		}
		if !sleep(e.backoff(n), e.closing) {
			break
		}
	}
	return err
}

// askClaim and askSettle are what every call needs: op without its closure, which would move records about.
func (e *engine) askClaim(ctx context.Context, cl *Claim, rec *Record) (err error) {
	limited := limit(ctx, e.opTimeout())
	defer e.answered("Acquire", limited, &err)
	got, err := e.store.Acquire(limited, *cl)
	if err == nil || isRuling(err) { // else what was seen last stands
		*rec = got
	}
	return err
}

func (e *engine) askSettle(ctx context.Context, l *Lease, o *Outcome, rec *Record) (err error) {
	limited := limit(ctx, e.opTimeout())
	defer e.answered("Settle", limited, &err)
	got, err := e.store.Settle(limited, *l, *o)
	if err == nil || isRuling(err) {
		*rec = got
	}
	return err
}

// backoff is the pause between two tries at a store that fails.
func (e *engine) backoff(n int) time.Duration {
	d := min(e.leaseFor/600<<min(n, 10), e.leaseFor/6) // 50 ms to 5 s with a lease of 30 s
	return d/2 + rand.N(d/2+1)
}

// rest is the outcome that puts a claimed record back where it came from, or, if it became ambiguous, among the unknown.
func (e *engine) rest(rec *Record, ambiguous bool, due time.Duration) Outcome {
	state := rec.From
	switch {
	case state == StateAccepted, state == StateAbandoned:
	case ambiguous:
		state = StateUnknown
	case rec.Started || state == StateScheduled:
		state = StateScheduled
	default:
		state = StateFree
	}
	o := Outcome{
		State:         state,
		Ambiguous:     ambiguous || state == StateUnknown,
		ReplayedError: rec.ReplayedError,
		Code:          rec.Code,
		Message:       rec.Message,
		Due:           due,
	}
	return o
}

// explain turns what is known into the error that callers get; nil for a success. err is what kept the flight from going on.
func (r *run) explain(err error) error {
	if err != nil && !(r.worked && errors.Is(err, ErrStore)) { // ErrStore says that nothing was sent
		return err
	}
	return r.e.explain(&r.rec, cmp.Or(err, r.lastErr))
}

func (e *engine) explain(rec *Record, cause error) error {
	switch rec.State {
	case StateSucceeded:
		switch {
		case rec.Omitted:
			return ErrValueOmitted
		case rec.Expired:
			return ErrExpired
		}
		return nil
	case StateRejected:
		return &Rejection{Code: rec.Code, Message: rec.Message}
	case StateCancelled:
		return ErrCancelled
	case StateFree:
		return &notSentYet{hidden{cause}}
	case StateAbsent, StateUnknown, StateAbandoned:
		after := time.Duration(0)
		if e.next(rec) != stepHold && rec.Due != Never {
			after = max(rec.Due, e.poll)
		}
		if rec.Late {
			cause = errHappenedLate
		}
		if cause == nil && rec.Message != "" {
			cause = errors.New(rec.Message)
		}
		return &UnknownError{ID: rec.ID, State: rec.State, after: after, hidden: hidden{cause}}
	default:
		after := e.poll
		if rec.State != StateRunning && rec.Due != Never {
			after = max(rec.Due, e.poll)
		}
		return &PendingError{ID: rec.ID, State: rec.State, after: after, hidden: hidden{cause}}
	}
}

var errHappenedLate = errors.New("it happened after it was given up, and must be compensated for")

// notSentYet is ErrNotSent with its reason.
type notSentYet struct{ hidden }

func (e *notSentYet) Error() string        { return ErrNotSent.Error() + e.text() }
func (e *notSentYet) Is(target error) bool { return target == ErrNotSent || e.hidden.Is(target) }
