package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

type purchase struct {
	Item  string
	Cents int
}

type payment struct {
	ID    string
	Notes []string
}

type (
	wrapper = idempotency.Wrapper[purchase, payment]
	call    = idempotency.Call[purchase, payment]
	verdict = idempotency.Verdict[payment]
	result  = idempotency.Result[payment]
	status  = idempotency.Status[payment]
	settled = idempotency.Settled[purchase, payment]
	attempt = idempotency.Attempt
)

var (
	book    = purchase{Item: "book", Cents: 4200}
	lamp    = purchase{Item: "lamp", Cents: 9900}
	errLost = errors.New("connection reset by peer") // nobody marked it: unknown
	errDown = errors.New("the store is down")
)

// bubble runs a test in virtual time. It fails if a goroutine is left when the test and its cleanups are over.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// Scripted provider.

type (
	step func(ctx context.Context, a attempt, in purchase) (payment, error)
	look func(ctx context.Context, a attempt, in purchase) (verdict, error)
)

// sending is one run of Send as the provider saw it.
type sending struct {
	attempt
	in purchase
	at time.Time
}

// provider answers the n-th Send with the n-th step of its script, and every later one with the last; looks likewise.
type provider struct {
	script []step
	looks  []look

	mu    sync.Mutex
	sent  []sending
	asked []sending
	now   int
	most  int // the most Sends under way at once
}

func (p *provider) send(ctx context.Context, a attempt, in purchase) (payment, error) {
	p.mu.Lock()
	do := p.script[min(len(p.sent), len(p.script)-1)]
	p.sent = append(p.sent, sending{a, in, time.Now()})
	p.now++
	p.most = max(p.most, p.now)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
	}()
	return do(ctx, a, in)
}

func (p *provider) look(ctx context.Context, a attempt, in purchase) (verdict, error) {
	p.mu.Lock()
	do := p.looks[min(len(p.asked), len(p.looks)-1)]
	p.asked = append(p.asked, sending{a, in, time.Now()})
	p.mu.Unlock()
	return do(ctx, a, in)
}

func (p *provider) sendings() []sending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]sending(nil), p.sent...)
}

func (p *provider) questions() []sending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]sending(nil), p.asked...)
}

// Steps of a script.

func pay(_ context.Context, a attempt, in purchase) (payment, error) { return paid(in, a.Number), nil }

func paid(in purchase, number int) payment {
	return payment{ID: fmt.Sprintf("%s #%d", in.Item, number)}
}

func fail(err error) step {
	return func(context.Context, attempt, purchase) (payment, error) { return payment{}, err }
}

// lost waits until the attempt's context ends, as a request does that is never answered.
func lost(ctx context.Context, _ attempt, _ purchase) (payment, error) {
	<-ctx.Done()
	return payment{}, ctx.Err()
}

// after takes its time, and ends with the attempt's context.
func after(d time.Duration, do step) step {
	return func(ctx context.Context, a attempt, in purchase) (payment, error) {
		select {
		case <-time.After(d):
			return do(ctx, a, in)
		case <-ctx.Done():
			return payment{}, ctx.Err()
		}
	}
}

// deaf takes its time whatever the attempt's context says.
func deaf(d time.Duration, do step) step {
	return func(ctx context.Context, a attempt, in purchase) (payment, error) {
		time.Sleep(d)
		return do(ctx, a, in)
	}
}

func panics(v any) step {
	return func(context.Context, attempt, purchase) (payment, error) { panic(v) }
}

func goexits(context.Context, attempt, purchase) (payment, error) {
	runtime.Goexit()
	return payment{}, nil
}

func says(v verdict) look {
	return func(context.Context, attempt, purchase) (verdict, error) { return v, nil }
}

// Calls by what their provider promises. Delays are exact, so that tests can say when things happen.

func blind(p *provider) call {
	return call{
		Name:    "charge",
		Send:    p.send,
		Timeout: 8 * time.Second,
		Retry:   retry.Policy{Initial: time.Second, Max: 10 * time.Second, Jitter: retry.NoJitter},
	}
}

func keyed(p *provider) call {
	c := blind(p)
	c.KeyLife, c.Namespace = 24*time.Hour, "shop-test"
	return c
}

func askable(p *provider) call {
	c := blind(p)
	c.Lookup, c.Settling = p.look, time.Minute
	return c
}

func newStore() *memstore.Store { return memstore.New(memstore.Config{}) }

// wrap makes a wrapper, a process so to speak, and closes it when the test ends.
func wrap[In, Out any](t *testing.T, store idempotency.Store, c idempotency.Call[In, Out]) *idempotency.Wrapper[In, Out] {
	t.Helper()
	w, err := idempotency.Wrap(store, c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close(context.Background()), "Close must end every goroutine") })
	return w
}

// runs runs the wrapper's recovery until the test ends.
func runs(t *testing.T, w *wrapper) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended, "Run returns nil when its context ends")
	})
}

// Scripted faulty store.

// trouble is what happens to one request to a store.
type trouble struct {
	wait   time.Duration // before it is made, deaf to its context: the process is paused
	before error         // it never arrives
	after  error         // it is done, its reply is lost
	stall  time.Duration // it is done, the process is paused before it reads the reply
}

// faulty is one process's way to a store. It hides the store's optional interfaces.
type faulty struct {
	inner idempotency.Store

	mu     sync.Mutex
	script func(op string, n int) trouble // n counts the requests of this kind, from 1
	counts map[string]int
	claims []idempotency.Claim
}

func newFaulty(inner idempotency.Store) *faulty {
	return &faulty{inner: inner, counts: map[string]int{}}
}

func (s *faulty) set(script func(op string, n int) trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// down makes every request fail: the store is away, or the process has crashed.
func (s *faulty) down() { s.set(func(string, int) trouble { return trouble{before: errDown} }) }
func (s *faulty) up()   { s.set(nil) }

// only makes trouble for the first n requests of one kind.
func (s *faulty) only(op string, n int, what trouble) {
	s.mu.Lock()
	seen := s.counts[op]
	s.mu.Unlock()
	s.set(func(o string, i int) trouble {
		if o == op && i <= seen+n {
			return what
		}
		return trouble{}
	})
}

func (s *faulty) count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[op]
}

func through[T any](s *faulty, op string, do func() (T, error)) (v T, err error) {
	s.mu.Lock()
	s.counts[op]++
	var what trouble
	if s.script != nil {
		what = s.script(op, s.counts[op])
	}
	s.mu.Unlock()
	time.Sleep(what.wait)
	if what.before != nil {
		return v, what.before
	}
	v, err = do()
	time.Sleep(what.stall)
	if what.after != nil {
		var zero T
		return zero, what.after
	}
	return v, err
}

func (s *faulty) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	s.mu.Lock()
	s.claims = append(s.claims, c)
	s.mu.Unlock()
	return through(s, "Acquire", func() (idempotency.Record, error) { return s.inner.Acquire(ctx, c) })
}

func (s *faulty) AcquireDue(ctx context.Context, c idempotency.DueClaim) ([]idempotency.Record, error) {
	return through(s, "AcquireDue", func() ([]idempotency.Record, error) { return s.inner.AcquireDue(ctx, c) })
}

func (s *faulty) Extend(ctx context.Context, l []idempotency.Lease, d time.Duration, sending bool) ([]bool, error) {
	return through(s, "Extend", func() ([]bool, error) { return s.inner.Extend(ctx, l, d, sending) })
}

func (s *faulty) Settle(ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	return through(s, "Settle", func() (idempotency.Record, error) { return s.inner.Settle(ctx, l, o) })
}

func (s *faulty) Get(ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
	return through(s, "Get", func() (idempotency.Record, error) { return s.inner.Get(ctx, id) })
}

func (s *faulty) List(ctx context.Context, q idempotency.Query) ([]idempotency.Record, error) {
	return through(s, "List", func() ([]idempotency.Record, error) { return s.inner.List(ctx, q) })
}

func (s *faulty) Purge(ctx context.Context, limit int) (int, error) {
	return through(s, "Purge", func() (int, error) { return s.inner.Purge(ctx, limit) })
}

// Callers and checks.

// patience is a context for a caller that waits no longer than d.
func patience(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// answered is what one caller's Do returned.
type answered struct {
	result
	err error
}

// goDo calls Do in a goroutine of its own.
func goDo(ctx context.Context, w *wrapper, key string, in purchase) <-chan answered {
	c := make(chan answered, 1)
	go func() {
		res, err := w.Do(ctx, key, in)
		c <- answered{res, err}
	}()
	return c
}

// requireUnsafe checks that an error does not say "a new key is safe", in whichever way a caller may ask (P9).
func requireUnsafe(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.NotErrorIs(t, err, idempotency.ErrNotSent, "a caller would pay again")
	require.NotErrorIs(t, err, idempotency.ErrCancelled, "a caller would pay again")
	var no *idempotency.Rejection
	require.NotErrorAs(t, err, &no, "a caller would pay again")
}

func requireUnknown(t *testing.T, err error) *idempotency.UnknownError {
	t.Helper()
	var unknown *idempotency.UnknownError
	require.ErrorAs(t, err, &unknown)
	requireUnsafe(t, err)
	return unknown
}

func requirePending(t *testing.T, err error) *idempotency.PendingError {
	t.Helper()
	var pending *idempotency.PendingError
	require.ErrorAs(t, err, &pending)
	requireUnsafe(t, err)
	return pending
}

func requireRejected(t *testing.T, err error, code string) {
	t.Helper()
	var no *idempotency.Rejection
	require.ErrorAs(t, err, &no)
	require.Equal(t, code, no.Code)
	require.ErrorIs(t, err, &idempotency.Rejection{Code: code}, "rejections match by code")
}

func requireState(t *testing.T, w *wrapper, key string, want idempotency.State) status {
	t.Helper()
	s, err := w.Status(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, want.String(), s.State.String(), "state of %q", key)
	return s
}

// recorder collects what hooks and callbacks were told.
type recorder[T any] struct {
	mu   sync.Mutex
	list []T
}

func (r *recorder[T]) add(v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, v)
}

func (r *recorder[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]T(nil), r.list...)
}
