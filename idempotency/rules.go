package idempotency

import "time"

// step is what may be done next with a call.
type step uint8

const (
	// stepHold: nothing; somebody outside must find out.
	stepHold step = iota
	// stepSend: it may be sent.
	stepSend
	// stepAsk: the provider is asked.
	stepAsk
	// stepGiveUp: its give-up time has passed; it is cancelled or abandoned.
	stepGiveUp
)

// promises are what the provider promises, as the Call says. All decisions about unknown outcomes are made here, from a
// record and these, and nowhere else (DESIGN section 5).
type promises struct {
	harmless    bool
	keyLife     time.Duration
	keyMargin   time.Duration
	settling    time.Duration
	canAsk      bool
	keyedErrors func(*Rejection) bool
}

// next says what a record allows, in the order of DESIGN section 5. It does not say when: that is the record's Due.
func (p promises) next(r *Record) step {
	base := r.base()
	if r.GiveUp <= 0 && (base == StateScheduled || base == StateUnknown || base == StateAccepted) {
		return stepGiveUp
	}
	switch base {
	case StateFree, StateScheduled:
		return stepSend
	case StateUnknown:
		if p.maySendAgain(r.FirstSent, r.ReplayedError) {
			return stepSend
		}
	case StateAbandoned:
		if r.Late {
			return stepHold
		}
	case StateAccepted: // asked, never sent
	default:
		return stepHold
	}
	if p.canAsk {
		return stepAsk
	}
	return stepHold
}

// maySendAgain says whether sending once more is harmless although an earlier sending may have taken effect: it is by
// nature, or the provider still knows the key and will answer with the first result (T6, T11).
func (p promises) maySendAgain(firstSent time.Duration, replayedError bool) bool {
	return p.harmless || p.keyAlive(firstSent) && !replayedError
}

// keyAlive says whether the provider still remembers a key that it may have seen firstSent ago, with time to spare for
// the sending itself.
func (p promises) keyAlive(firstSent time.Duration) bool { return firstSent < p.keyLife-p.keyMargin }

// settles says whether a rejection that Send reported is the answer to the whole call. After an unknown attempt it may be
// the echo of that one ("already exists"), unless repeating is harmless or the provider stores this class of answer by
// key (T3).
func (p promises) settles(no *Rejection, ambiguous bool) bool {
	if !ambiguous || p.harmless {
		return true
	}
	keyed := false
	_ = guard(func() error {
		keyed = p.keyedErrors != nil && p.keyedErrors(no)
		return nil
	})
	return keyed
}

// believes says whether a negative answer to a question counts. It was asked under the claim that r was returned for, so
// what matters is how quiet it had been then (T4, T62). An accepted call that is not ambiguous has been answered: nothing
// is on its way, and "declined" is the answer it was waiting for.
func (p promises) believes(kind verdictKind, r *Record) bool {
	return r.LastSent >= p.settling || kind == declined && r.base() == StateAccepted && !r.Ambiguous
}

// base is where a record stands apart from being claimed.
func (r *Record) base() State {
	if r.State == StateRunning {
		return r.From
	}
	return r.State
}
