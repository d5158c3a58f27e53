package idempotency

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/steadfast-go/steadfast/retry"
)

// Wrapper makes one kind of call idempotent. It is safe for concurrent use.
type Wrapper[In, Out any] struct {
	call   *Call[In, Out]
	e      *engine
	scope  string
	scoped bool
}

// Result is what a call that succeeded gives.
type Result[Out any] struct {
	Value Out
	// Replayed says that the call had succeeded before this Do.
	Replayed bool
	// Attempts counts the attempts it took.
	Attempts int
	// SettledAt is when the outcome was recorded, by the store's clock applied to this process's.
	SettledAt time.Time
}

// Wrap makes a [Wrapper] of a call over a store.
//
// Somebody must call [Wrapper.Run], in one process at least: without it, calls whose process crashed, whose outcome is
// unknown, or that were only started, are never finished unless somebody asks for them again.
//
// Wrap refuses a call whose fields cannot work, naming the field, its value and the remedy.
func Wrap[In, Out any](store Store, call Call[In, Out]) (*Wrapper[In, Out], error) {
	if v := reflect.ValueOf(store); store == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errors.New("idempotency: the store is nil: use memstore.New to try things out, a shared one in production")
	}
	c := &call
	if err := c.prepare(); err != nil {
		return nil, err
	}
	e := &engine{
		promises: promises{
			harmless:    c.Harmless,
			keyLife:     c.KeyLife,
			keyMargin:   c.keyMargin(),
			settling:    c.Settling,
			canAsk:      c.Lookup != nil,
			keyedErrors: c.KeyedErrors,
		},
		name:        c.Name,
		namespace:   c.Namespace,
		store:       store,
		timeout:     c.Timeout,
		grace:       c.Grace,
		leaseFor:    c.Lease,
		giveUp:      c.GiveUp,
		retention:   c.Retention,
		stubFor:     c.StubFor,
		settleFor:   c.SettleFor,
		poll:        c.Poll,
		concurrency: c.Concurrency,
		policy:      c.Retry,
		breaker:     c.Breaker,
		hooks:       c.Hooks,
		closing:     make(chan struct{}),
		wake:        make(chan struct{}, 1),
		flights:     map[flightKey]*flight{},
		stuck:       map[ID]int{},
		send:        c.send,
		lookup:      c.lookup,
		sameAs:      c.sameAs,
	}
	e.policy.Max = cmp.Or(e.policy.Max, retry.DefaultMax)
	e.policy.Initial = cmp.Or(e.policy.Initial, min(retry.DefaultInitial, e.policy.Max))
	e.recovery = recoveryPolicy(e.policy)
	e.leases = leases{e: e, held: map[*claim]struct{}{}, quit: make(chan struct{})}
	if e.peeker, _ = store.(Peeker); e.peeker == nil && c.CacheBytes > 0 {
		e.cache = newCache(c.CacheBytes, e.retention)
		e.peeker = e.cache
	}
	if c.MaxInFlight > 0 {
		e.slots = semaphore.NewWeighted(int64(c.MaxInFlight))
	}
	if c.OnSettled != nil {
		e.onSettled = c.settled
		e.tx, _ = store.(TxSettler)
	}
	return &Wrapper[In, Out]{call: c, e: e}, nil
}

// recoveryPolicy is how calls rest between two turns: the same delays, growing further, without an end.
func recoveryPolicy(p retry.Policy) retry.Policy {
	const longer = 30 // 5 min by default
	p.Max = min(p.Max, longest) * longer
	p.Attempts = retry.Unlimited
	p.Budget = nil
	return p
}

// For returns the wrapper for one scope: a tenant, a customer. Keys of different scopes never meet.
func (w *Wrapper[In, Out]) For(scope string) *Wrapper[In, Out] {
	scoped := *w
	scoped.scope, scoped.scoped = scope, true
	return &scoped
}

// Do makes the call that key names, joins it if it is under way, or returns its recorded outcome.
//
// It returns when the call has an outcome, when the policy is used up, or when ctx ends; the call goes on then. The error
// says what is known: see [ErrNotSent], [ErrCancelled], [*Rejection] (nothing was charged), [*PendingError] and
// [*UnknownError] (do not pay again), [*UnrecordedError] (Result.Value is set beside it), [ErrKeyReused] (the key belongs to
// another request) and the other errors of this package. It is never a bare context error.
//
// A key belongs to the request that it was first used with, also after ErrNotSent for as long as the store remembers it.
// The caller whose Do made the call gets the value that Send returned; every other one decodes a copy of its own.
func (w *Wrapper[In, Out]) Do(ctx context.Context, key string, in In) (Result[Out], error) {
	res, err := w.do(ctx, key, in)
	if err != nil {
		err = w.about(key, err)
	}
	return res, err
}

func (w *Wrapper[In, Out]) do(ctx context.Context, key string, in In) (Result[Out], error) {
	id, request, err := w.begin(key, in)
	if err != nil {
		return Result[Out]{}, err
	}
	var peeked Record
	settled := false
	if w.e.peeker != nil {
		if peeked, settled = w.e.peeker.Peek(id); settled && w.call.sameBytes(&peeked, request) {
			return w.replay(&peeked)
		}
	}
	fp, err := w.call.guardedFingerprint(id, in, request)
	if err != nil {
		return Result[Out]{}, err
	}
	if settled && bytes.Equal(peeked.Fingerprint, fp[:]) {
		return w.replay(&peeked)
	}
	f, joined, err := w.e.do(ctx, flightKey{id, fp}, request)
	if err != nil {
		return Result[Out]{}, err
	}
	if joined || f.replayed {
		hook(w.e.hooks.Answered, AnsweredEvent{ID: id, Replayed: f.replayed, Joined: joined})
	}
	if f.foreign {
		return Result[Out]{}, f.err
	}
	if live, ok := f.value.(Out); ok && !joined { // this caller's own Send made it: as it is, also where it could not be stored
		res, err := w.settledResult(f.told, false), f.err
		res.Value = live
		if errors.Is(err, ErrValueOmitted) {
			err = nil
		}
		return res, err
	}
	return w.result(f.told, f.err, f.replayed)
}

// about names the call in an error that does not: whoever reads it in a log must know which one it was.
func (w *Wrapper[In, Out]) about(key string, err error) error {
	bare := []error{ErrCancelled, ErrKeyReused, ErrReentrant, ErrConflict, ErrNoRecord, ErrExpired, ErrValueOmitted}
	switch {
	case !slices.Contains(bare, err):
		return err
	case w.scope == "":
		return fmt.Errorf("%w: %s %q", err, w.e.name, key)
	default:
		return fmt.Errorf("%w: %s %q of %q", err, w.e.name, key, w.scope)
	}
}

// replay answers from memory.
func (w *Wrapper[In, Out]) replay(rec *Record) (Result[Out], error) {
	hook(w.e.hooks.Answered, AnsweredEvent{ID: rec.ID, Replayed: true})
	return w.result(rec, w.e.explain(rec, nil), true)
}

// begin checks a key and encodes a request, before anything else happens.
func (w *Wrapper[In, Out]) begin(key string, in In) (id ID, request []byte, err error) {
	if id, err = w.id(key); err != nil {
		return id, nil, err
	}
	select {
	case <-w.e.closing:
		return id, nil, ErrClosed
	default:
	}
	err = guard(func() error {
		if request, err = encodeWith(w.call.Codec, id, in); err != nil {
			return fmt.Errorf("idempotency: the request of %s %q, a %T, cannot be encoded: %w", id.Operation, id.Key, in, err)
		}
		if len(request) > w.call.MaxBytes {
			return fmt.Errorf("idempotency: the request of %s %q has %d bytes, more than Call.MaxBytes %d: leave out what Send does not need", id.Operation, id.Key, len(request), w.call.MaxBytes)
		}
		return nil
	})
	return id, request, err
}

func (w *Wrapper[In, Out]) id(key string) (ID, error) {
	id := ID{Operation: w.e.name, Scope: w.scope, Key: key}
	if w.call.Scoped && w.scope == "" {
		return id, fmt.Errorf("idempotency: %s %q has no scope and Call.Scoped is set: say whose key it is with For, which must not be empty", id.Operation, key)
	}
	return id, id.Validate()
}

// result decodes a copy of its own for every caller (T20).
func (w *Wrapper[In, Out]) result(rec *Record, err error, replayed bool) (Result[Out], error) {
	res := w.settledResult(rec, replayed)
	if rec.State != StateSucceeded || rec.Omitted || rec.Expired {
		return res, err
	}
	var broken error
	if res.Value, broken = decode[Out](w.call.Codec, rec.ID, rec.Value); broken != nil {
		return Result[Out]{}, errors.Join(broken, err)
	}
	return res, err
}

func (w *Wrapper[In, Out]) settledResult(rec *Record, replayed bool) Result[Out] {
	res := Result[Out]{Replayed: replayed, Attempts: rec.Attempts}
	if rec.State == StateSucceeded && rec.SettledAt != Never {
		res.SettledAt = time.Now().Add(-rec.SettledAt)
	}
	return res
}

// Start commits to the call and returns at once: it will be made by whichever process runs [Wrapper.Run]. Starting a call
// that exists changes nothing and returns where it stands.
//
// [ErrKeyReused] means that nothing was committed to. After [ErrStore] it may have been, and the call may be made: start it
// again with the same key. A [*PendingError] means that a Do has the call under way, which is not committed to it: start
// it again later.
func (w *Wrapper[In, Out]) Start(ctx context.Context, key string, in In) (Status[Out], error) {
	id, request, err := w.begin(key, in)
	if err != nil {
		return Status[Out]{}, err
	}
	fp, err := w.call.guardedFingerprint(id, in, request)
	if err != nil {
		return Status[Out]{}, err
	}
	rec, err := w.e.start(ctx, flightKey{id, fp}, request)
	if err != nil {
		return Status[Out]{}, w.about(key, err)
	}
	return w.status(rec)
}

// Status tells where the call stands, or [ErrNoRecord].
func (w *Wrapper[In, Out]) Status(ctx context.Context, key string) (Status[Out], error) {
	id, err := w.id(key)
	if err != nil {
		return Status[Out]{}, err
	}
	rec, err := w.e.get(ctx, id)
	if err != nil {
		return Status[Out]{}, w.about(key, err)
	}
	return w.status(rec)
}

// Settle applies an answer from outside: a webhook, an operator.
//
// [Happened] is believed at once. A negative verdict counts only with [Verdict.AsOf], or for the call whose id it names
// ([Verdict.ForRef]); otherwise it makes the next step due at once, as [StillPending] does after its time. While the call
// runs, and when it has moved on since the status was read, the error is a [*PendingError]: try again later. A verdict that
// contradicts what is recorded is [ErrConflict], one for a call that nobody made [ErrNoRecord]; both are worth an alarm.
func (w *Wrapper[In, Out]) Settle(ctx context.Context, key string, v Verdict[Out]) (Status[Out], error) {
	id, err := w.id(key)
	if err != nil {
		return Status[Out]{}, err
	}
	ans := answer{kind: v.kind, code: v.code, message: v.message, after: v.after}
	if v.kind == happened {
		ans.value, _, ans.omitted = w.call.encode(id, v.value)
	}
	rec, err := w.e.verdict(ctx, id, ans, v.asOf, v.ref)
	if err != nil {
		return Status[Out]{}, w.about(key, err)
	}
	return w.status(rec)
}

// Cancel closes the key. A call that was never sent, or never heard of, is cancelled for good: no Do and no Run will ever
// send it. Otherwise no further attempt is made, and the error says what is known: a [*PendingError] while an attempt is
// under way, an [*UnknownError] for a call that is now abandoned, a [*Rejection], or [ErrConflict] for one that succeeded.
func (w *Wrapper[In, Out]) Cancel(ctx context.Context, key string) (Status[Out], error) {
	id, err := w.id(key)
	if err != nil {
		return Status[Out]{}, err
	}
	rec, err := w.e.cancel(ctx, id)
	if err != nil {
		return Status[Out]{}, w.about(key, err)
	}
	status, err := w.status(rec)
	if err != nil {
		return status, err
	}
	switch rec.State {
	case StateCancelled:
		return status, nil
	case StateSucceeded:
		return status, fmt.Errorf("%w: %s %q has succeeded and cannot be cancelled, undo it with a call of its own", ErrConflict, id.Operation, key)
	}
	return status, w.e.explain(&rec, nil)
}

// List returns calls of this operation: of the scope, if the wrapper was made by For, else of all that q asks for. See
// [Query]; its Operation is set by the wrapper, and an N of zero means 100. Calls whose value cannot be read are listed
// too, beside an error that names them.
func (w *Wrapper[In, Out]) List(ctx context.Context, q Query) ([]Status[Out], error) {
	q.Operation = w.e.name
	if w.scoped {
		q.Scope = &w.scope
	}
	if q.N == 0 {
		q.N = 100
	}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	recs, err := op(ctx, w.e, "List", func(ctx context.Context) ([]Record, error) { return w.e.store.List(ctx, q) })
	if err != nil {
		return nil, err
	}
	list := make([]Status[Out], len(recs))
	var broken []error
	for i, rec := range recs {
		if list[i], err = w.status(rec); err != nil {
			broken = append(broken, err)
		}
	}
	return list, errors.Join(broken...)
}

// Recover makes one pass over what is due, in all scopes, and waits for it: calls that were started or whose process
// crashed, unknown and accepted ones that may be sent or asked about, and outcomes that OnSettled has not heard of. It
// returns how many it took up.
func (w *Wrapper[In, Out]) Recover(ctx context.Context) (int, error) { return w.e.recoverOnce(ctx) }

// Run recovers what is due until ctx ends or the wrapper is closed, then hands over what it had under way and returns nil.
// On a wrapper that was closed before it returns [ErrClosed].
// Any number of processes may run it at once. It also does the store's purging.
func (w *Wrapper[In, Out]) Run(ctx context.Context) error { return w.e.run(ctx) }

// Close refuses new calls with [ErrClosed], lets attempts under way end, hands everything else over, and returns when no
// goroutine of the wrapper is left. If ctx ends first it returns an error and they end by themselves. It closes all scopes.
// Status, List and Reconcile go on working.
func (w *Wrapper[In, Out]) Close(ctx context.Context) error { return w.e.close(ctx) }
