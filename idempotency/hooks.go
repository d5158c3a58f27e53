package idempotency

import "time"

// Hooks are told what happens. Any of them may be nil. They are called synchronously, from several goroutines at once,
// and must return quickly; a panic in one is swallowed, runtime.Goexit is not. Errors and messages may hold what a provider said.
type Hooks struct {
	// Attempt is called after every attempt.
	Attempt func(AttemptEvent)
	// Asked is called after every Lookup.
	Asked func(AskedEvent)
	// Settled is called by the process that moved a call to a state, after the store confirmed it.
	Settled func(SettledEvent)
	// Answered is called for every Do that found a settled call (Replayed) or joined one that was under way here.
	Answered func(AnsweredEvent)
	// Conflict is called when a verdict contradicts what is recorded, or no record is found for it (err is ErrConflict or
	// ErrNoRecord). It may prove a charge that nobody expects: see to it.
	Conflict func(ConflictEvent)
	// Unrecorded is called with an outcome that could not be recorded within SettleFor, in full: keep it.
	Unrecorded func(UnrecordedEvent)
	// LeaseLost is called when a claim was lost while an attempt was under way.
	LeaseLost func(ID)
	// Stuck is called when Send or Lookup has not returned Grace after its context ended.
	Stuck func(ID)
	// StoreError is called for every error of the store; op names the method.
	StoreError func(op string, err error)
	// NotifyError is called when OnSettled failed; it is called again later.
	NotifyError func(ID, error)
	// Oldest is called by Run after every pass with the age of the oldest unresolved call (scheduled, running, accepted,
	// unknown or abandoned without an answer), or zero if there is none. It is the figure to put an alarm on.
	Oldest func(operation string, age time.Duration)
}

// AttemptEvent describes one attempt.
type AttemptEvent struct {
	ID          ID
	ProviderKey string
	Number      int
	Class       string // succeeded, rejected, accepted, not sent or unknown
	Err         error
	Took        time.Duration
}

// AskedEvent describes one Lookup.
type AskedEvent struct {
	ID       ID
	Verdict  string // happened, declined, did not happen, still pending or don't know
	Believed bool   // false for a negative verdict that came too early
	Err      error
	Took     time.Duration
}

// SettledEvent describes a transition.
type SettledEvent struct {
	ID       ID
	State    State
	Late     bool // it is abandoned, and turned out to have happened
	Attempts int
	Age      time.Duration // since the record was made
}

// AnsweredEvent describes an answer that needed no attempt of its own.
type AnsweredEvent struct {
	ID       ID
	Replayed bool
	Joined   bool
}

// ConflictEvent describes what could not be believed.
type ConflictEvent struct {
	ID       ID
	Recorded State // StateAbsent where there is no record
	Claimed  State
	Value    []byte
	Code     string
	Err      error
}

// UnrecordedEvent holds an outcome that only this process knows.
type UnrecordedEvent struct {
	ID      ID
	Outcome Outcome
	Err     error
}

func (v verdictKind) String() string {
	return [...]string{"don't know", "happened", "declined", "did not happen", "still pending"}[v]
}

// hook calls fn unless it is nil, and survives it: hooks watch, they do not take part.
func hook[E any](fn func(E), event E) {
	if fn == nil {
		return
	}
	_ = guard(func() error { fn(event); return nil })
}

func hook2[A, B any](fn func(A, B), a A, b B) {
	if fn == nil {
		return
	}
	_ = guard(func() error { fn(a, b); return nil })
}
