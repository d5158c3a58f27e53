package idemhttp

import (
	"context"
	"net/http"
)

// Effect is what an execution has done.
type Effect uint8

const (
	// EffectUnknown: nobody knows whether it took effect. It is not executed again, unless Config.Harmless says so.
	EffectUnknown Effect = iota + 1
	// EffectDone: it took effect, or was refused for good. The response is recorded and replayed.
	EffectDone
	// EffectNone: it certainly had no effect, and will have none. Nothing is recorded: the next request with the key is
	// executed, also if it is another one.
	EffectNone
)

// String names the effect.
func (e Effect) String() string {
	names := [...]string{"not said", "unknown", "done", "none"}
	if int(e) >= len(names) {
		return "invalid"
	}
	return names[e]
}

// SetEffect lets a handler say what its request has done, whatever its response's status, or a panic, would mean: that a transaction
// was rolled back and nothing happened ([EffectNone]), that a 500 must be replayed since it was too late to undo ([EffectDone]), or
// that a 200 was a guess ([EffectUnknown]). ctx is that of the handler's request. The last word counts, and none counts after the
// handler has returned. It reports whether anybody listens: outside a [Handler] nobody does.
//
// Say EffectNone only of what is certain. An error from a commit, or from somebody else's API, is not: it may have arrived.
func SetEffect(ctx context.Context, e Effect) bool {
	x := executionOf(ctx)
	if x == nil || e > EffectNone {
		return false
	}
	x.effect.Store(uint32(e))
	return true
}

// Key returns the key and the principal that a handler's request is executed under, and false outside a [Handler]. A call to a provider
// that the handler makes for it may derive its own key from them (idempotency.KeyFrom).
func Key(ctx context.Context) (principal, key string, ok bool) {
	x := executionOf(ctx)
	if x == nil {
		return "", "", false
	}
	return x.claim.lease.Scope, x.claim.lease.Key, true
}

// said returns what the handler said, or else what its response means.
func (x *execution) said(m *middleware, r *http.Request, status int) (e Effect) {
	if e = Effect(x.effect.Load()); e != 0 {
		return e
	}
	if m.Classify != nil {
		_ = guard(func() error { e = m.Classify(r, status); return nil })
		if e == EffectDone || e == EffectNone {
			return e
		}
		return EffectUnknown
	}
	if status < http.StatusInternalServerError {
		return EffectDone
	}
	return EffectUnknown // T11
}
