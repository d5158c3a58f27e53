// Package model says what a store must answer: the contract of idempotency.Store for one key, written down a second time and as
// plainly as it can be, without clocks. Leases do not run out here, and what is due is due at once.
package model

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Op is what a store is asked.
type Op uint8

// What a store is asked.
const (
	Acquire Op = iota
	AcquireDue
	Extend
	Settle
	Get
)

// Input is one question. A key has an operation of its own, so that AcquireDue, too, is about one key.
type Input struct {
	Op      Op
	ID      idempotency.ID
	Claim   idempotency.Claim   // Acquire
	Token   idempotency.Token   // AcquireDue
	Lease   idempotency.Lease   // Extend, Settle
	Sending bool                // Extend
	Outcome idempotency.Outcome // Settle
}

// Kind is what an error says.
type Kind uint8

// What errors say.
const (
	None Kind = iota
	NoRecord
	LeaseLost
	Conflict
)

// View is what a record says, without its times.
type View struct {
	State, From                                            idempotency.State
	Owned, Sending, CancelWanted, Ambiguous, Started, Late bool
	Fence                                                  uint64
	Attempts                                               int
	Request, Value, Ref, Code                              string
}

// Output is an answer.
type Output struct {
	Unknown bool // the reply was lost
	Kind    Kind
	Found   bool // a record came
	View    View
	Stands  bool // Extend
}

// State is what is known of the key. The zero value is a key that nobody has heard of.
type State struct {
	Exists bool
	View   View // Owned is not used
	Token  idempotency.Token
	Held   bool // a claim is under way
}

// view is the record for who presented the token.
func (s State) view(t idempotency.Token) View {
	v := s.View
	v.Owned = s.Held && t != idempotency.Token{} && t == s.Token
	return v
}

// Step returns what the store must answer, and what it then knows.
func Step(s State, in *Input) (State, Output) {
	switch in.Op {
	case Acquire:
		return s.acquire(&in.Claim)
	case AcquireDue:
		return s.acquireDue(in.Token)
	case Extend:
		return s.extend(&in.Lease, in.Sending)
	case Settle:
		return s.settle(&in.Lease, &in.Outcome)
	default:
		if !s.Exists {
			return s, Output{Kind: NoRecord}
		}
		return s, Output{Found: true, View: s.view(idempotency.Token{})}
	}
}

// Allows reports whether an answer is one that the store may give, and what it then knows.
func Allows(s State, in *Input, got *Output) (State, bool) {
	next, want := Step(s, in)
	switch {
	case got.Unknown:
		return next, true
	case in.Op == AcquireDue && !got.Found && got.Kind == None:
		return s, true // somebody else was looking at it
	default:
		return next, *got == want
	}
}

func (s State) acquire(c *idempotency.Claim) (State, Output) {
	switch {
	case !s.Exists && c.Fence != 0:
		return s, Output{Kind: NoRecord}
	case !s.Exists:
		s = State{Exists: true, View: View{State: idempotency.StateFree, Request: string(c.Request)}}.claimed(c)
	case c.Fence != 0 && c.Fence == s.View.Fence && s.claimable(c.Mode):
		if s.View.State == idempotency.StateFree {
			s.View.Request = string(c.Request)
		}
		s = s.claimed(c)
	}
	return s, Output{Found: true, View: s.view(c.Token)}
}

func (s State) claimable(m idempotency.ClaimMode) bool {
	switch s.View.State {
	case idempotency.StateFree:
		return true
	case idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned:
		return m == idempotency.ClaimRun && !s.View.Late
	default:
		return false
	}
}

func (s State) claimed(c *idempotency.Claim) State {
	switch c.Mode {
	case idempotency.ClaimSchedule:
		s.View.Fence++
		s.Token = idempotency.Token{}
		return s.rest(idempotency.StateScheduled)
	case idempotency.ClaimTombstone:
		s.View.Fence++
		s.Token = idempotency.Token{}
		return s.rest(idempotency.StateCancelled)
	default:
		return s.take(c.Token, c.Sending)
	}
}

// take claims the record for a run.
func (s State) take(t idempotency.Token, sending bool) State {
	v := &s.View
	v.From, v.State, v.Sending, v.CancelWanted = v.State, idempotency.StateRunning, sending, false
	v.Fence++
	s.Token, s.Held = t, true
	return s
}

// rest ends a claim.
func (s State) rest(state idempotency.State) State {
	v := &s.View
	v.State, v.From, v.Sending, v.CancelWanted = state, idempotency.StateAbsent, false, false
	v.Started = v.Started || state == idempotency.StateScheduled
	s.Held = false
	return s
}

func (s State) acquireDue(t idempotency.Token) (State, Output) {
	if s.Held && s.Token == t {
		return s, Output{Found: true, View: s.view(t)}
	}
	switch s.View.State {
	case idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned:
		if s.View.Late {
			return s, Output{}
		}
		s = s.take(t, false)
		return s, Output{Found: true, View: s.view(t)}
	default:
		return s, Output{}
	}
}

func (s State) owned(l *idempotency.Lease) bool {
	return s.Exists && l.Token != idempotency.Token{} && l.Token == s.Token && l.Fence == s.View.Fence
}

func (s State) extend(l *idempotency.Lease, sending bool) (State, Output) {
	if !s.owned(l) || s.View.State != idempotency.StateRunning || sending && s.View.CancelWanted {
		return s, Output{}
	}
	s.View.Sending = s.View.Sending || sending
	return s, Output{Stands: true}
}

func (s State) settle(l *idempotency.Lease, o *idempotency.Outcome) (State, Output) {
	if !s.Exists {
		if l.Token != (idempotency.Token{}) {
			return s, Output{Kind: LeaseLost}
		}
		return s, Output{Kind: NoRecord}
	}
	kind := None
	switch {
	case l.Token != idempotency.Token{}:
		s, kind = s.settleOwn(l, o)
	case o.State == idempotency.StateSucceeded:
		s, kind = s.happened(o)
	case o.State == idempotency.StateCancelled && l.Fence == 0:
		s = s.cancel()
	default:
		s, kind = s.judge(l, o)
	}
	return s, Output{Kind: kind, Found: true, View: s.view(l.Token)}
}

// cancelled is what a wanted cancellation makes of a state at rest.
func cancelled(s idempotency.State) idempotency.State {
	switch s {
	case idempotency.StateFree, idempotency.StateScheduled:
		return idempotency.StateCancelled
	case idempotency.StateUnknown, idempotency.StateAccepted:
		return idempotency.StateAbandoned
	default:
		return s
	}
}

func (s State) settleOwn(l *idempotency.Lease, o *idempotency.Outcome) (State, Kind) {
	switch {
	case !s.owned(l):
		return s, LeaseLost
	case s.View.State != idempotency.StateRunning:
		return s, None // it was settled by this lease before
	}
	state, late := o.State, false
	if state == idempotency.StateFree && s.View.Started {
		state = idempotency.StateScheduled
	}
	if s.View.CancelWanted {
		state = cancelled(state)
	}
	if s.View.From == idempotency.StateAbandoned && state == idempotency.StateSucceeded {
		state, late = idempotency.StateAbandoned, true
	}
	s = s.rest(state).write(o)
	s.View.Late = s.View.Late || late
	return s, None
}

// write stores what an outcome says.
func (s State) write(o *idempotency.Outcome) State {
	v := &s.View
	v.Ambiguous, v.Value, v.Code = o.Ambiguous, string(o.Value), o.Code
	v.Attempts += o.Attempts
	if o.Ref != "" {
		v.Ref = o.Ref
	}
	return s
}

// verdict brings the record into a state from outside; whoever held it has lost it.
func (s State) verdict(state idempotency.State, o *idempotency.Outcome) State {
	s.Token = idempotency.Token{}
	return s.rest(state).write(o)
}

func (s State) happened(o *idempotency.Outcome) (State, Kind) {
	state := s.View.State
	if state == idempotency.StateRunning && s.View.From == idempotency.StateAbandoned {
		state = idempotency.StateAbandoned
	}
	switch state {
	case idempotency.StateRunning, idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown:
		return s.verdict(idempotency.StateSucceeded, o), None
	case idempotency.StateAbandoned:
		if s.View.Late {
			return s, None
		}
		ambiguous := s.View.Ambiguous
		s = s.verdict(idempotency.StateAbandoned, o)
		s.View.Late, s.View.Ambiguous = true, ambiguous
		return s, None
	case idempotency.StateSucceeded:
		return s, None
	case idempotency.StateFree:
		return s, NoRecord
	default:
		return s, Conflict
	}
}

func (s State) cancel() State {
	switch s.View.State {
	case idempotency.StateRunning:
		s.View.CancelWanted = s.View.CancelWanted || s.View.From != idempotency.StateAbandoned
	case idempotency.StateFree, idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown:
		s.Token = idempotency.Token{}
		s = s.rest(cancelled(s.View.State))
	}
	return s
}

// judge applies a negative verdict, or a hint.
func (s State) judge(l *idempotency.Lease, o *idempotency.Outcome) (State, Kind) {
	now := s.View.State
	switch open := now == idempotency.StateAccepted || now == idempotency.StateUnknown; {
	case (now.Settled() || s.View.Late) && o.State == now:
		return s, None
	case (now.Settled() || s.View.Late) && (o.State.Settled() || o.State == idempotency.StateScheduled):
		return s, Conflict
	case now.Settled(), s.View.Late, now == idempotency.StateRunning, l.Fence != s.View.Fence:
		return s, LeaseLost
	case o.State == now:
		return s, None
	case open && (o.State == idempotency.StateRejected || o.State == idempotency.StateScheduled),
		now == idempotency.StateAbandoned && o.State == idempotency.StateCancelled:
		return s.verdict(o.State, o), None
	}
	return s, LeaseLost
}

// Leased is how long claims are held: longer than any test.
const Leased = time.Hour

// Ask asks a store. The reply is unknown if the store failed.
func Ask(ctx context.Context, store idempotency.Store, in *Input) Output {
	var r idempotency.Record
	var err error
	var out Output
	found := true
	switch in.Op {
	case Acquire:
		r, err = store.Acquire(ctx, in.Claim)
	case AcquireDue:
		var list []idempotency.Record
		list, err = store.AcquireDue(ctx, idempotency.DueClaim{Operation: in.ID.Operation, Token: in.Token, Lease: Leased, N: 1})
		if found = len(list) > 0; found {
			r = list[0]
		}
	case Extend:
		var stands []bool
		stands, err = store.Extend(ctx, []idempotency.Lease{in.Lease}, Leased, in.Sending)
		found, out.Stands = false, len(stands) == 1 && stands[0]
	case Settle:
		r, err = store.Settle(ctx, in.Lease, in.Outcome)
	default:
		r, err = store.Get(ctx, in.ID)
	}
	switch {
	case err == nil:
	case errors.Is(err, idempotency.ErrLeaseLost):
		out.Kind = LeaseLost
	case errors.Is(err, idempotency.ErrNoRecord):
		out.Kind = NoRecord
	case errors.Is(err, idempotency.ErrConflict):
		out.Kind = Conflict
	default:
		return Output{Unknown: true}
	}
	if found && r.ID == in.ID { // beside an error there may be none
		out.Found = true
		out.View = View{
			State: r.State, From: r.From, Owned: r.Owned, Sending: r.Sending, CancelWanted: r.CancelWanted, Ambiguous: r.Ambiguous,
			Started: r.Started, Late: r.Late, Fence: r.Fence, Attempts: r.Attempts,
			Request: string(r.Request), Value: string(r.Value), Ref: r.Ref, Code: r.Code,
		}
	}
	return out
}

// String says what was asked.
func (in *Input) String() string {
	switch in.Op {
	case Acquire:
		return fmt.Sprintf("Acquire(mode %d, fence %d, token %x, sending %v, %s)", in.Claim.Mode, in.Claim.Fence, in.Claim.Token[:3], in.Claim.Sending, in.Claim.Request)
	case AcquireDue:
		return fmt.Sprintf("AcquireDue(token %x)", in.Token[:3])
	case Extend:
		return fmt.Sprintf("Extend(fence %d, token %x, sending %v)", in.Lease.Fence, in.Lease.Token[:3], in.Sending)
	case Settle:
		return fmt.Sprintf("Settle(fence %d, token %x, %s, ambiguous %v, value %q, ref %q, code %q, attempts %d)", in.Lease.Fence, in.Lease.Token[:3],
			in.Outcome.State, in.Outcome.Ambiguous, in.Outcome.Value, in.Outcome.Ref, in.Outcome.Code, in.Outcome.Attempts)
	default:
		return "Get()"
	}
}

// String says what was answered.
func (o *Output) String() string {
	if o.Unknown {
		return "lost"
	}
	kind := [...]string{"", "no record ", "lease lost ", "conflict "}[o.Kind]
	if !o.Found {
		return fmt.Sprintf("%sstands %v", kind, o.Stands)
	}
	return fmt.Sprintf("%s%+v", kind, o.View)
}
