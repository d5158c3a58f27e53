package idempotency

import (
	"errors"
	"time"
)

// Verdict is an answer about a call that does not come from Send: from Lookup, a webhook, or an operator.
type Verdict[Out any] struct {
	kind    verdictKind
	value   Out
	code    string
	message string
	ref     string
	after   time.Duration
	asOf    *asOf
}

type verdictKind uint8

const (
	dontKnow verdictKind = iota
	happened
	declined
	didNotHappen
	stillPending
)

// asOf is what a negative verdict from outside is based on.
type asOf struct {
	fence    uint64
	state    State
	lapsed   bool
	lastSent time.Duration
}

// Happened says that the call took effect, with this result. It is believed at once.
func Happened[Out any](out Out) Verdict[Out] { return Verdict[Out]{kind: happened, value: out} }

// Declined says that the provider definitely refused the call. From Lookup it is believed once Call.Settling had passed
// since the last possible sending when the question was asked; see [Verdict.AsOf] and [Verdict.ForRef] for one from
// outside. err gives the message and may be nil.
func Declined[Out any](code string, err error) Verdict[Out] {
	if err == nil {
		err = errors.New(code)
	}
	return Verdict[Out]{kind: declined, code: code, message: err.Error()}
}

// DidNotHappen says that the provider knows of no such call. It is believed under the same conditions as [Declined], and
// means that the call may be sent again.
func DidNotHappen[Out any]() Verdict[Out] { return Verdict[Out]{kind: didNotHappen} }

// StillPending says that the provider has not decided; ask again after that long.
func StillPending[Out any](after time.Duration) Verdict[Out] {
	return Verdict[Out]{kind: stillPending, after: max(after, 0)}
}

// DontKnow is no answer: ask again later.
func DontKnow[Out any]() Verdict[Out] { return Verdict[Out]{} }

// AsOf says what a negative verdict from outside is based on: a status that was read before the provider was asked. It
// counts only if Settling (a minute, where that is zero) had passed then, nothing ran, and the call has not moved on since
// (T63).
func (v Verdict[Out]) AsOf(s Status[Out]) Verdict[Out] {
	v.asOf = &asOf{fence: s.fence, state: s.State, lapsed: s.lapsed, lastSent: s.LastSent}
	return v
}

// ForRef names the provider's id that a webhook speaks of. A negative webhook may speak of an earlier attempt, so it only
// makes a lookup due at once, except for an accepted call that is not ambiguous and has this very id (T64).
func (v Verdict[Out]) ForRef(ref string) Verdict[Out] {
	v.ref = ref
	return v
}
