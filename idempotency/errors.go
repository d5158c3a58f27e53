package idempotency

import (
	"errors"
	"fmt"
	"time"
)

// Errors to branch on, with [errors.Is]. After [ErrNotSent], [ErrCancelled] and [*Rejection] nothing was charged; they are
// returned only when the store has confirmed what they say. After any other error the call may have taken effect, or may
// still: never answer it with a new key.
var (
	// ErrNotSent: the call certainly had no effect, and nothing will send it later. The same key may be tried again; where
	// that would be too soon the error has a method RetryAfter() time.Duration, as the others have. A new key is safe only
	// if nobody else may use the old one; otherwise Cancel the old one first.
	ErrNotSent = errors.New("idempotency: not sent, the same key may be tried again")
	// ErrCancelled: the call was cancelled before it had any effect. The key is closed for ever.
	ErrCancelled = errors.New("idempotency: cancelled before it had any effect")
	// ErrKeyReused: the key belongs to another request. Nothing was sent for this one.
	ErrKeyReused = errors.New("idempotency: the key was used with another request, make a new key for a new intent")
	// ErrLeaseLost: the claim has been taken over, or the record has moved on since its fence was read. It is also the
	// cause of the context of an attempt that lost its lease.
	ErrLeaseLost = errors.New("idempotency: the lease was lost, the call may belong to another process now")
	// ErrReentrant: Do was called from within Send or Lookup of the same key; it would wait for itself for ever.
	ErrReentrant = errors.New("idempotency: a call was made with its own key from inside its own Send")
	// ErrConflict: a verdict contradicts a settled outcome. One of the two is wrong; nothing was changed.
	ErrConflict = errors.New("idempotency: the verdict contradicts the recorded outcome")
	// ErrNoRecord: there is no call with this key.
	ErrNoRecord = errors.New("idempotency: no call with this key is recorded")
	// ErrExpired: the call succeeded, so long ago that its value is no longer kept.
	ErrExpired = errors.New("idempotency: the call succeeded, its value is no longer kept")
	// ErrValueOmitted: the call succeeded, with a value that could not be stored (too large, or not encodable).
	ErrValueOmitted = errors.New("idempotency: the call succeeded, its value could not be stored")
	// ErrStore: the store could not be asked. Do has sent nothing; what else was asked for may have been done.
	ErrStore = errors.New("idempotency: the store failed")
	// ErrClosed: the wrapper was closed.
	ErrClosed = errors.New("idempotency: the wrapper is closed")
)

// hidden keeps an error findable by errors.Is and errors.As, save for the three that say "a new key is safe", and the one
// that says "nothing was sent": what an attempt reported, or a nested call returned, says nothing about the call that
// failed with it (P9).
type hidden struct{ err error }

func (h hidden) Is(target error) bool {
	_, rejection := target.(*Rejection) // it matches by code
	return !rejection && target != ErrStore && target != ErrNotSent && target != ErrCancelled && errors.Is(h.err, target)
}

func (h hidden) As(target any) bool {
	_, rejection := target.(**Rejection)
	return !rejection && errors.As(h.err, target)
}

func (h hidden) text() string {
	if h.err == nil {
		return ""
	}
	return ": " + h.err.Error()
}

// PendingError says that the call goes on without its caller: it is under way, scheduled, or accepted by the provider.
// Ask again with the same key. It is also what a caller gets whose own context ended; errors.Is then finds the cause.
type PendingError struct {
	ID    ID
	State State // where the call stood; StateRunning when its caller left, StateAbsent if its context had ended before
	after time.Duration
	hidden
}

// Error says where the call stands.
func (e *PendingError) Error() string {
	if e.State == StateAbsent {
		return fmt.Sprintf("idempotency: nobody waits for %s %q, it was not looked at%s", e.ID.Operation, e.ID.Key, e.text())
	}
	return fmt.Sprintf("idempotency: %s %q is still %s, ask again with the same key%s", e.ID.Operation, e.ID.Key, e.State, e.text())
}

// RetryAfter is how long to wait before asking again makes sense; never negative.
func (e *PendingError) RetryAfter() time.Duration { return e.after }

// UnknownError says that the call may or may not have taken effect. It is never taken for a failure: the record stays,
// visible in List, until a lookup, a webhook or an operator settles it.
type UnknownError struct {
	ID    ID
	State State // StateUnknown or StateAbandoned
	after time.Duration
	hidden
}

// Error says what is known.
func (e *UnknownError) Error() string {
	next := "somebody must find out and call Settle"
	if e.after > 0 {
		next = "ask again with the same key"
	}
	return fmt.Sprintf("idempotency: the outcome of %s %q is unknown, it may have happened; %s%s", e.ID.Operation, e.ID.Key, next, e.text())
}

// RetryAfter is how long to wait before asking again makes sense. Zero: no automatic step is left, only Settle helps.
func (e *UnknownError) RetryAfter() time.Duration { return e.after }

// UnrecordedError says that an outcome is known and could not be recorded in time. It is returned beside the value, if
// there is one; recording goes on in the background for Call.SettleFor. Until it is recorded, other callers and
// processes find the call running and, once its lease has run out, unknown.
type UnrecordedError struct {
	ID    ID
	State State // what is to be recorded
	hidden
}

// Error says what was not recorded, and why.
func (e *UnrecordedError) Error() string {
	return fmt.Sprintf("idempotency: %s %q ended %s, which is not recorded yet%s", e.ID.Operation, e.ID.Key, e.State, e.text())
}

// Rejection is a definite no from the provider. Two rejections are the same for errors.Is when their codes are.
type Rejection struct {
	Code    string
	Message string
}

// Error gives code and message.
func (r *Rejection) Error() string {
	if r.Message == "" {
		return "idempotency: rejected: " + r.Code
	}
	return "idempotency: rejected: " + r.Code + ": " + r.Message
}

// Is reports whether target is a Rejection with the same code.
func (r *Rejection) Is(target error) bool {
	t, ok := target.(*Rejection)
	return ok && t.Code == r.Code
}

// PanicError is a panic, or a runtime.Goexit, in the caller's own code (Send, Lookup, OnSettled, a codec).
type PanicError struct {
	Value any // nil for Goexit
	Stack []byte
}

// Error gives the panic's value; the stack is in the field.
func (e *PanicError) Error() string {
	if e.Value == nil {
		return "idempotency: runtime.Goexit was called"
	}
	return fmt.Sprintf("idempotency: panic: %v", e.Value)
}

// Unwrap returns the panic's value, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
