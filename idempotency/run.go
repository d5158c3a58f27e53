package idempotency

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/steadfast-go/steadfast/internal/chance"
	"github.com/steadfast-go/steadfast/retry"
)

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
	foreign bool            // the record belongs to another request, as far as can be said
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
		if err := e.belongs(&r.rec, f.key.fingerprint); err != nil {
			r.foreign = true
			return err
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
	return chance.Half(d)
}

// belongs returns nil if a record was made by this request, ErrKeyReused if by another one, and another error if its own request
// cannot be read: it may well be the same, so nobody must be told to make a new key for it (T34).
func (e *engine) belongs(rec *Record, fp fingerprint) error {
	if len(rec.Fingerprint) == 0 || bytes.Equal(rec.Fingerprint, fp[:]) { // a tombstone has none
		return nil
	}
	if rec.Expired {
		return ErrKeyReused
	}
	stored := *rec
	if same, err := e.sameAs(&stored, fp); err != nil || same {
		return err
	}
	return ErrKeyReused
}

func (r *run) get() error {
	rec, err := op(r.base(), r.e, "Get", func(ctx context.Context) (Record, error) { return r.e.store.Get(ctx, r.id) })
	if err == nil || isRuling(err) { // else what was seen last stands
		r.rec = rec
	}
	return err
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
