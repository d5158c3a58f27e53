package idempotency

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/steadfast-go/steadfast/internal/chance"
)

// crew drives due calls, a bounded number at once.
type crew struct {
	e     *engine
	size  int64
	slots *semaphore.Weighted
	wg    sync.WaitGroup

	token Token     // of the last AcquireDue
	asked time.Time // when, if it was not answered; else zero
}

func (e *engine) crew() *crew {
	n := int64(e.concurrency)
	return &crew{e: e, size: n, slots: semaphore.NewWeighted(n)}
}

// pass claims what is due, as much as there are hands for, until nothing is. It does not wait for the calls to end.
func (w *crew) pass(ctx context.Context) (taken int, err error) {
	e := w.e
	for {
		if err := w.slots.Acquire(ctx, 1); err != nil {
			return taken, nil // ctx ended: nothing more is wanted
		}
		free := int64(1)
		for free < w.size && w.slots.TryAcquire(1) {
			free++
		}
		if err := e.begin(); err != nil {
			w.slots.Release(free)
			return taken, err
		}
		// A question whose reply was lost is asked again with its token, or what it claimed would wait for its lease (T15).
		if w.asked.IsZero() || between(w.asked, time.Now()) >= e.leaseFor {
			w.token, w.asked = newToken(), time.Now()
		}
		token, began := w.token, w.asked
		recs, err := op(ctx, e, "AcquireDue", func(ctx context.Context) ([]Record, error) {
			return e.store.AcquireDue(ctx, DueClaim{Operation: e.name, Token: token, Lease: e.leaseFor, N: int(free)})
		})
		if err == nil {
			w.asked = time.Time{}
		}
		for _, rec := range recs {
			e.owned.Add(1)
			w.wg.Add(1)
			go func() {
				defer w.wg.Done()
				defer e.owned.Done()
				defer w.slots.Release(1)
				e.driveDue(ctx, rec, token, began)
			}()
		}
		w.slots.Release(free - int64(len(recs)))
		e.owned.Done()
		taken += len(recs)
		if err != nil || int64(len(recs)) < free {
			return taken, err
		}
	}
}

// driveDue takes one due call a step further. It is detached from ctx, which only says that no new attempt is wanted.
func (e *engine) driveDue(ctx context.Context, rec Record, token Token, began time.Time) {
	r := &run{stop: ctx.Done(), rec: rec}
	r.begin(ctx, e, rec.ID, nil)
	defer e.nudge(rec.ID)
	if rec.State != StateRunning { // a claim to notify: it is not renewed, it runs out
		if rec.Notify {
			e.notify(r.base(), &Lease{ID: rec.ID, Fence: rec.Fence, Token: token}, rec)
		}
		return
	}
	defer func() { // what is not ours is guarded where it is called; should one have been missed, the claim lapses
		if v := recover(); v != nil {
			hook2(e.hooks.StoreError, "Run", error(&PanicError{Value: v, Stack: debug.Stack()}))
		}
	}()
	c := r.hold(token, began)
	if _, err := r.work(c); err == nil && r.rec.Due <= 0 && !r.rec.State.Settled() {
		e.hint() // "did not happen": it may be sent now
	}
}

// recoverOnce makes one pass and waits for it.
func (e *engine) recoverOnce(ctx context.Context) (int, error) {
	w := e.crew()
	defer w.wg.Wait()
	taken, err := w.pass(ctx)
	for n := 1; n < acquireTries && err != nil && sleep(e.backoff(n), ctx.Done(), e.closing); n++ {
		var more int
		more, err = w.pass(ctx)
		taken += more
	}
	return taken, err
}

// purgeEvery is how often Run lets the store do what retention asks for, in requests of purgeSteps each.
const (
	purgeEvery = time.Minute
	purgeSteps = 1000
)

func (e *engine) purge(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := op(ctx, e, "Purge", func(ctx context.Context) (int, error) { return e.store.Purge(ctx, purgeSteps) })
		if err != nil || n < purgeSteps {
			return
		}
	}
}

// run makes passes until ctx ends or the wrapper is closed.
func (e *engine) run(ctx context.Context) error {
	if err := e.begin(); err != nil {
		return err
	}
	defer e.owned.Done()
	w := e.crew()
	defer w.wg.Wait()
	purged := time.Now()
	for failed := 0; ; {
		wait := e.poll/2 + chance.Upto(e.poll) // jittered around Poll, so that processes spread
		if _, err := w.pass(ctx); errors.Is(err, ErrClosed) {
			return nil
		} else if err != nil {
			failed++
			wait = max(wait, e.backoff(failed))
		} else {
			failed = 0
		}
		if time.Since(purged) >= purgeEvery {
			e.purge(ctx)
			purged = time.Now()
		}
		e.reportOldest(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-e.wake:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-e.closing:
			timer.Stop()
			return nil
		}
	}
}

// hint tells this wrapper's Run that something is due. A lost hint only costs time.
func (e *engine) hint() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Unresolved returns the states that somebody, Run or a person, still has to do something about: for [Query.States]. Of the abandoned ones, those with
// [Status.Late] are known, and only wait for what OnSettled made of them.
func Unresolved() []State {
	return []State{StateScheduled, StateRunning, StateAccepted, StateUnknown, StateAbandoned}
}

// lateLooked is how many abandoned calls are looked through for one that is still without an answer.
const lateLooked = 100

func (e *engine) reportOldest(ctx context.Context) {
	if e.hooks.Oldest == nil {
		return
	}
	oldest := func(n int, states ...State) (age time.Duration, err error) {
		recs, err := op(ctx, e, "List", func(ctx context.Context) ([]Record, error) {
			return e.store.List(ctx, Query{Operation: e.name, States: states, OldestFirst: true, N: n})
		})
		for _, rec := range recs {
			if !rec.Late { // what has happened is known, however late
				return rec.Created, err
			}
		}
		return 0, err
	}
	age, err := oldest(1, StateScheduled, StateRunning, StateAccepted, StateUnknown)
	if err != nil {
		return
	}
	abandoned, err := oldest(lateLooked, StateAbandoned)
	if err != nil {
		return
	}
	hook2(e.hooks.Oldest, e.name, max(age, abandoned))
}
