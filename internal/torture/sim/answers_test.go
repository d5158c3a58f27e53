package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/steadfast-go/steadfast/idempotency"
)

// What the oracle hears: everything that people are told, while it goes on and at the end.

// calling notes that a call with the key begins. It returns its number, or zero if another one may be under way.
func (w *world) calling(k *call) (alone int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k.calls++
	if k.active == 0 && !k.loose {
		alone = k.calls
	}
	k.active++
	return alone
}

// called notes how it ended.
func (w *world) called(k *call, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k.active--
	var no *idempotency.Rejection
	if err != nil && !errors.Is(err, idempotency.ErrNotSent) && !errors.As(err, &no) &&
		!errors.Is(err, idempotency.ErrCancelled) && !errors.Is(err, idempotency.ErrKeyReused) {
		k.loose = true
	}
}

// judgeAnswer checks what Do told a caller. alone is what calling returned: nobody else asked for the key until then.
func (w *world) judgeAnswer(k *call, in order, res idempotency.Result[receipt], err error, alone int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event(nil, k, "a caller is told", 0, 0, err)
	rec := w.look(k)
	charge := k.charged()
	reused := rec.State != idempotency.StateAbsent && len(k.request) > 0 && !sameOrder(k.request, in)
	var (
		no         *idempotency.Rejection
		pending    *idempotency.PendingError
		unknown    *idempotency.UnknownError
		unrecorded *idempotency.UnrecordedError
	)
	safe := errors.As(err, &no) || errors.Is(err, idempotency.ErrCancelled) || errors.Is(err, idempotency.ErrNotSent)
	if errors.As(err, &unrecorded) {
		if safe {
			w.fail(k, "P9: an UnrecordedError must not unwrap to a safe error: %v", err)
		}
		if unrecorded.State == idempotency.StateSucceeded {
			w.judgeReceipt(k, res.Value, "a caller was told, beside an UnrecordedError,")
		}
		return
	}
	if (safe || err == nil) && reused {
		w.fail(k, "P8: a caller with another request was told: %v", err)
	}
	switch {
	case err == nil:
		w.judgeReceipt(k, res.Value, "a caller was told")
		if res.Value.Amount != in.Amount {
			w.fail(k, "P8: a caller got the result of another request: %v for %v", res.Value, in)
		}
	case errors.As(err, &no), errors.Is(err, idempotency.ErrCancelled):
		if charge != nil {
			w.fail(k, "P9: a caller was told %q, %s was charged", err, charge.ref)
		}
		if k.closed == "" {
			k.closed = "a caller was told: " + err.Error()
		}
	case errors.Is(err, idempotency.ErrNotSent):
		if alone == k.calls { // nobody has begun another one since: what Do says is true now
			if charge != nil {
				w.fail(k, "P9: a caller was told %q, %s was charged", err, charge.ref)
			}
			k.quietAt = k.calls
		}
	case errors.Is(err, idempotency.ErrKeyReused):
		if !reused {
			w.fail(k, "P8: the key's own request was refused: %v", err)
		}
	case errors.Is(err, idempotency.ErrExpired):
		if charge == nil || !rec.Expired {
			w.fail(k, "a caller was told %q", err)
		}
	case errors.As(err, &pending), errors.As(err, &unknown), errors.Is(err, idempotency.ErrStore):
	default:
		w.fail(k, "P9: a caller got an error that says nothing: %v", err)
	}
}

// judgeReplay checks an answer that came when all was quiet: it is what is recorded.
func (w *world) judgeReplay(k *call, res idempotency.Result[receipt], err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rec := w.look(k)
	var no *idempotency.Rejection
	var unknown *idempotency.UnknownError
	ok := false
	switch rec.State {
	case idempotency.StateSucceeded:
		ok = err == nil && res.Replayed || rec.Expired && errors.Is(err, idempotency.ErrExpired)
	case idempotency.StateRejected:
		ok = errors.As(err, &no) && no.Code == rec.Code
	case idempotency.StateCancelled:
		ok = errors.Is(err, idempotency.ErrCancelled)
	case idempotency.StateAbandoned:
		ok = errors.As(err, &unknown)
	}
	if !ok {
		w.fail(k, "at the end it is %s, and Do says: %v", rec.State, err)
	}
}

func (w *world) judgeStatus(k *call, s status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event(nil, k, "a caller reads "+s.State.String(), 0, 0, nil)
	switch s.State {
	case idempotency.StateSucceeded:
		if s.Expired {
			return
		}
		w.judgeReceipt(k, s.Value, "Status says")
	case idempotency.StateRejected, idempotency.StateCancelled:
		if charge := k.charged(); charge != nil {
			w.fail(k, "Status says %s, %s was charged", s.State, charge.ref)
		}
	}
}

func (w *world) judgeCancel(k *call, s status, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.event(nil, k, "a caller cancels", 0, 0, err)
	var no *idempotency.Rejection
	if err == nil && s.State != idempotency.StateCancelled {
		w.fail(k, "Cancel says nothing, the call is %s", s.State)
	}
	if err == nil || errors.As(err, &no) || errors.Is(err, idempotency.ErrCancelled) {
		if charge := k.charged(); charge != nil {
			w.fail(k, "P9: Cancel says %v, %s was charged", err, charge.ref)
		}
		if k.closed == "" {
			k.closed = "its canceller was told that it is closed"
		}
	}
}

// onSettled is Call.OnSettled.
func (p *process) onSettled(_ context.Context, s idempotency.Settled[order, receipt]) error {
	w := p.w
	w.alone(p.name, "OnSettled", s.Scope, s.Key)
	p.step("OnSettled", 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.byID[idempotency.ID{Operation: "charge", Scope: s.Scope, Key: s.Key}]
	if w.chance(p.rng, 0.05) {
		return errors.New("sim: the shop's database is down")
	}
	w.event(p, k, "OnSettled", s.State, 0, nil)
	if k.told == nil {
		k.told = map[idempotency.State]int{}
	}
	k.told[s.State]++
	k.toldLate = k.toldLate || s.Late
	if s.State == idempotency.StateSucceeded || s.Late {
		w.judgeReceipt(k, s.Value, "OnSettled was told")
	}
	if final := w.look(k); final.State != s.State {
		// An abandoned call may have been cancelled since.
		if s.State != idempotency.StateAbandoned || final.State != idempotency.StateCancelled && final.State != idempotency.StateRunning {
			w.fail(k, "OnSettled is told %s, the record is %s", s.State, final.State)
		}
	}
	return nil
}

func (p *process) onConflict(e idempotency.ConflictEvent) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	k := p.w.byID[e.ID]
	p.w.event(p, k, "Hooks.Conflict, recorded "+e.Recorded.String()+", claimed "+e.Claimed.String(), 0, 0, e.Err)
	if e.Claimed == idempotency.StateSucceeded {
		k.reported = true
	}
}

func (p *process) onUnrecorded(e idempotency.UnrecordedEvent) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	k := p.w.byID[e.ID]
	p.w.event(p, k, "Hooks.Unrecorded "+e.Outcome.State.String(), 0, 0, e.Err)
	k.gaveUp = true
	if e.Outcome.State == idempotency.StateSucceeded {
		k.reported = true
	}
}

func (p *process) onLeaseLost(id idempotency.ID) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.event(p, p.w.byID[id], "Hooks.LeaseLost", 0, 0, nil)
}

// unresolved lists what should not be as it is, now that all is quiet. The lock is held.
func (w *world) unresolved() (stuck []string) {
	for _, k := range w.keys {
		rec := w.look(k)
		ok := false
		switch rec.State {
		case idempotency.StateAbsent, idempotency.StateFree:
			ok = true
		case idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled:
			ok = !rec.Notify
		case idempotency.StateAbandoned:
			ok = !rec.Notify && (rec.Late || !w.lookup)
		case idempotency.StateAccepted:
			ok = !w.lookup && rec.GiveUp == idempotency.Never
		case idempotency.StateUnknown:
			ok = !w.lookup && (w.mode != modeKeys || rec.ReplayedError || rec.FirstSent >= w.keyLife-margin)
			ok = ok && rec.Due == idempotency.Never && rec.GiveUp == idempotency.Never
		}
		if !ok {
			stuck = append(stuck, fmt.Sprintf("%s is %s, due in %v, notify %v", k, rec.State, rec.Due, rec.Notify))
		}
		for _, at := range k.attempts { // P4
			if at.ok && !at.p.dead && rec.State != idempotency.StateSucceeded && !rec.Late && !k.reported {
				stuck = append(stuck, fmt.Sprintf("P4: %s: %s learned of a success that is neither recorded nor reported", k, at.p.name))
			}
		}
	}
	return stuck
}

// listed checks that what is left for people is listed.
func (w *world) listed(p *process) {
	open := []idempotency.State{
		idempotency.StateScheduled, idempotency.StateRunning, idempotency.StateAccepted, idempotency.StateUnknown,
		idempotency.StateAbandoned,
	}
	list, err := p.wrapper.List(context.Background(), idempotency.Query{States: open})
	if err != nil {
		w.failNow("List failed without a fault: " + err.Error())
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.keys {
		rec := w.look(k)
		has := slices.ContainsFunc(list, func(s status) bool { return s.Scope == k.id.Scope && s.Key == k.id.Key })
		if want := slices.Contains(open, rec.State); want != has {
			w.fail(k, "it is %s, and in List: %v", rec.State, has)
		}
	}
}

// balance compares the books when everything is over.
func (w *world) balance() {
	for _, k := range w.keys {
		rec := w.look(k)
		charge := k.charged()
		switch rec.State {
		case idempotency.StateSucceeded:
			if !rec.Expired {
				w.judgeValue(k, rec.Value, "at the end the record holds")
			} else if charge == nil {
				w.fail(k, "at the end it is %s, nothing was charged", rec.State)
			}
		case idempotency.StateAbandoned:
			if charge == nil {
				w.fail(k, "at the end it is abandoned, nothing was charged")
			} else {
				w.judgeValue(k, rec.Value, "at the end the record holds")
			}
			if !k.toldLate {
				w.fail(k, "OnSettled was never told of the late success")
			}
		case idempotency.StateAbsent, idempotency.StateFree, idempotency.StateRejected, idempotency.StateCancelled:
			if charge != nil {
				w.fail(k, "at the end it is %s, %s was charged", rec.State, charge.ref)
			}
		default:
			w.fail(k, "at the end it is %s", rec.State)
		}
		if rec.State.Settled() && k.told[rec.State] == 0 {
			w.fail(k, "OnSettled was never told that it is %s", rec.State)
		}
	}
}

func sameOrder(request []byte, in order) bool {
	var stored order
	return json.Unmarshal(request, &stored) == nil && stored == in
}
