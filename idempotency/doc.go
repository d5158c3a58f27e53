// Package idempotency makes calls to somebody else's API safe to retry, to repeat and to crash in: payments, refunds,
// shipments, e-mails.
//
// A [Wrapper] made by [Wrap] runs a call once for each key, however many callers, processes and retries there are, and
// remembers its outcome. What sets it apart is the outcome that nobody knows: a request was sent and no answer came. That
// is neither a success nor a failure. The wrapper never guesses: it sends again only where the provider promises that this
// is harmless ([Call.KeyLife], [Call.Harmless]), else asks the provider ([Call.Lookup]), else keeps the call visible
// until somebody finds out ([Wrapper.Settle]).
//
// # Using it
//
// Make a key when the intent is made ([NewKey], [KeyFrom]), store it with the order, and call [Wrapper.Do] with it, as
// often as you like. Somebody must call [Wrapper.Run]: it finishes what crashed, timed out or was only started. What an
// error allows you to do stands with [Wrapper.Do]: a new key is safe after [*Rejection], [ErrCancelled] and, if nobody
// else uses the old one, [ErrNotSent]; after nothing else.
//
// # What no library can promise
//
// A lease does not reach the provider: a process that stops between its last check and the wire, for longer than its
// lease, can send what another one has sent meanwhile. Only the provider's own keys, or a truthful Call.Settling, protect
// then. Where a provider neither remembers keys nor can be asked, exactly once is impossible, and this package prefers at
// most once, visibly unknown. A store that is restored from a backup forgets: see [Wrapper.Reconcile].
package idempotency
