package idempotency

import (
	"errors"
	"time"
)

// class is what an error from Send means (DESIGN section 6).
type class uint8

const (
	classUnknown class = iota
	classSucceeded
	classRejected
	classAccepted
	classNotSent
)

// String returns the class as hooks report it.
func (c class) String() string {
	return [...]string{"unknown", "succeeded", "rejected", "accepted", "not sent"}[c]
}

type rejectedError struct {
	code string
	error
}

func (e *rejectedError) Unwrap() error { return e.error }

// Rejected marks an error of Send: the provider definitely refused the call, and it had no effect. The code is stored
// and handed to every caller in a [*Rejection]; err gives its message and may be nil.
func Rejected(code string, err error) error {
	if err == nil {
		err = errors.New(code)
	}
	return &rejectedError{code, err}
}

type acceptedError struct {
	ref   string
	after time.Duration
}

func (e *acceptedError) Error() string {
	return "idempotency: accepted by the provider as " + e.ref + ", the answer comes later"
}

// Accepted is returned by Send when the provider took the call and will answer later (a 202, "processing", 3-D Secure).
// The call is never sent again. ref is the provider's id for it, at most [MaxKey] bytes, handed to Lookup in [Attempt.Ref];
// after is when to ask for the first time.
func Accepted(ref string, after time.Duration) error { return &acceptedError{ref, max(after, 0)} }

type notSentError struct{ error }

func (e *notSentError) Unwrap() error { return e.error }

// NotSent marks an error of Send: this attempt certainly had no effect, because nothing left this process. Only say so
// when you know: a dial error after an earlier request of the same attempt does not prove it.
func NotSent(err error) error {
	if err == nil {
		err = errors.New("nothing was sent")
	}
	return &notSentError{err}
}

type replayedError struct{ error }

func (e *replayedError) Unwrap() error { return e.error }

// Replayed marks an error that the provider had stored under the provider key and only repeated (Stripe's
// Idempotent-Replayed header, for instance). Sending again would get the same answer for as long as the key lives, so
// the provider is asked instead, if it can be. Replayed may be put around [Rejected].
func Replayed(err error) error {
	if err == nil {
		return nil
	}
	return &replayedError{err}
}

// Marked reports whether err carries one of the marks [Rejected], [Accepted] and [NotSent], so that code between a provider's
// client and Send adds its own only where nobody has said yet what happened.
func Marked(err error) bool {
	var m marks
	if err != nil {
		m.read(err)
	}
	return m.class != classUnknown // not found: that also counts what is missing
}

// marks are what an error from Send carries.
type marks struct {
	class    class
	rejected *rejectedError
	accepted *acceptedError
	replayed bool
	found    int  // how many marks there are; two for an error that none was put around
	under    bool // a mark was put around all of this
}

// classify never looks at an error's text. What nobody marked, and what carries marks that disagree, is unknown (T1).
func classify(err error) marks {
	m := marks{class: classSucceeded}
	if err != nil {
		m.class = classUnknown
		m.read(err)
	}
	if m.found != 1 && err != nil {
		m.class = classUnknown
	}
	return m
}

// read walks the tree of err. Where several errors are joined, each must carry the mark. It does not go into this package's other errors: what a nested call was told, and what a
// panic carried, are not this Send's words.
func (m *marks) read(err error) {
	switch e := err.(type) {
	case *PendingError, *UnknownError, *UnrecordedError, *PanicError, *storeFailure, *notSentYet:
		return
	case *rejectedError:
		m.class, m.rejected = classRejected, e
		m.found++
	case *acceptedError:
		m.class, m.accepted = classAccepted, e
		m.found++
	case *notSentError:
		m.class = classNotSent
		m.found++
	case *replayedError:
		m.replayed = true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			m.read(inner)
		}
	case interface{ Unwrap() []error }:
		under := m.under || m.found > 0
		for _, inner := range e.Unwrap() {
			if inner == nil {
				continue
			}
			branch := marks{under: under}
			branch.read(inner)
			if branch.found == 0 && !branch.under { // it may speak of something that did arrive
				branch.found = 2
			}
			m.found += branch.found
			m.replayed = m.replayed || branch.replayed
			if branch.found == 1 {
				m.class, m.rejected, m.accepted = branch.class, branch.rejected, branch.accepted
			}
		}
	}
}
