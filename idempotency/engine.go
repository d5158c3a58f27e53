package idempotency

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/retry"
)

// engine is a Wrapper without its types: it moves records, and sees requests and values as bytes. The wrapper and its
// scoped copies share one.
type engine struct {
	promises
	name      string
	namespace string
	store     Store
	peeker    Peeker    // the store or, where it has no memory of its own, the cache; nil: replays ask the store
	cache     *cache    // nil if there is none
	tx        TxSettler // nil if the store has none, or nobody is to be told

	send      func(ctx context.Context, a Attempt, request []byte) sent
	lookup    func(ctx context.Context, a Attempt, request []byte) answer
	onSettled func(ctx context.Context, r *Record) error    // nil if nobody is to be told
	sameAs    func(r *Record, fp fingerprint) (bool, error) // reads r's request as today's In

	timeout     time.Duration
	grace       time.Duration
	leaseFor    time.Duration
	giveUp      time.Duration
	retention   time.Duration
	stubFor     time.Duration
	settleFor   time.Duration
	poll        time.Duration
	concurrency int
	policy      retry.Policy // within one flight
	recovery    retry.Policy // between flights
	breaker     *breaker.Breaker
	slots       *semaphore.Weighted // nil: no bound
	hooks       Hooks

	closing chan struct{} // closed by Close
	wake    chan struct{} // holds one hint that something is due
	leases  leases

	mu        sync.Mutex
	closed    bool
	flights   map[flightKey]*flight
	stuck     map[ID]int     // tries whose attempt is over and that have not returned
	orphans   []orphan       // claims to be given back
	returning bool           // whether a goroutine does that
	owned     sync.WaitGroup // every goroutine of this wrapper that Close waits for
}

// sent is what became of one Send.
type sent struct {
	value   []byte
	omitted error // why value could not be encoded
	live    any   // the value itself
	err     error
	local   bool // nothing was even tried: the stored request cannot be read
}

// answer is what became of one Lookup.
type answer struct {
	kind    verdictKind
	value   []byte
	omitted error
	code    string
	message string
	after   time.Duration
	err     error
}

// begin registers a goroutine with the wrapper, unless that is closed.
func (e *engine) begin() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.owned.Add(1)
	return nil
}

// close stops new calls, lets those under way end or hand over, and waits for them as long as ctx lasts.
func (e *engine) close(ctx context.Context) error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.closing)
	}
	e.mu.Unlock()
	done := make(chan struct{})
	go func() {
		e.owned.Wait()
		e.leases.stop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("idempotency: calls of %q are still under way, they go on: %w", e.name, context.Cause(ctx))
	}
}

// opTimeout bounds one request to the store: a store that hangs must be noticed before the lease runs out.
func (e *engine) opTimeout() time.Duration { return min(e.leaseFor/4, unrecordedAfter) }

// op makes one request to the store, bounded in time, with its errors reported.
func op[T any](ctx context.Context, e *engine, name string, do func(context.Context) (T, error)) (v T, err error) {
	limited := limit(ctx, e.opTimeout())
	defer e.answered(name, limited, &err)
	return do(limited)
}

// answered ends a request to the store. It must be deferred: a store that panics has failed.
func (e *engine) answered(name string, limited *bounded, err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
	limited.end(context.Canceled)
	if *err != nil && !isRuling(*err) {
		hook2(e.hooks.StoreError, name, *err)
		*err = storeFailed(name, *err)
	}
}

// isRuling tells the store's answers that are errors from its failures.
func isRuling(err error) bool {
	return errors.Is(err, ErrNoRecord) || errors.Is(err, ErrLeaseLost) || errors.Is(err, ErrConflict)
}

// isFinal says that the store must not be asked again.
func isFinal(err error) bool {
	var f interface{ Final() bool }
	return errors.As(err, &f) && f.Final()
}

// storeFailure is ErrStore with its reason. The reason's own context errors stay findable.
type storeFailure struct {
	op string
	hidden
}

func (s *storeFailure) Error() string        { return ErrStore.Error() + ": " + s.op + s.text() }
func (s *storeFailure) Is(target error) bool { return target == ErrStore || s.hidden.Is(target) }

func storeFailed(op string, err error) error { return &storeFailure{op, hidden{err}} }

// guard runs code that is not ours and turns a panic into an error. (Goexit cannot be stopped: see [try].)
func guard(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return fn()
}

// sleep waits and reports whether it waited to the end.
func sleep(d time.Duration, stop ...<-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	var a, b, c <-chan struct{}
	switch len(stop) {
	case 3:
		c = stop[2]
		fallthrough
	case 2:
		b = stop[1]
		fallthrough
	case 1:
		a = stop[0]
	}
	select {
	case <-t.C:
		return true
	case <-a:
	case <-b:
	case <-c:
	}
	return false
}

// growStack grows a goroutine's stack at once, while there is little on it to move. Stores take claims and give records by
// value, so that a flight would otherwise outgrow its stack twice. BenchmarkFresh shows what that costs.
//
//go:noinline
func growStack(i int) byte {
	var room [7 << 10]byte
	room[i&1023] = 1
	return room[(i+1)&1023]
}
