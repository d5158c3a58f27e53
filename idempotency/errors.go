package idempotency

import "errors"

// Errors that stores return; the wrapper's callers meet them too.
var (
	// ErrNoRecord: there is no call with this key.
	ErrNoRecord = errors.New("idempotency: no call with this key is recorded")
	// ErrLeaseLost: the claim has been taken over, or the record has moved on since its fence was read.
	ErrLeaseLost = errors.New("idempotency: the lease was lost, another process owns the call now")
	// ErrConflict: a verdict contradicts a settled outcome. One of the two is wrong; nothing was changed.
	ErrConflict = errors.New("idempotency: the verdict contradicts a settled outcome")
)
