package breaker

import (
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// State is what a [Breaker] does with calls. Its constants are explained in the package's documentation.
type State uint8

// The states.
const (
	Closed State = iota
	Open
	HalfOpen
)

// String returns "closed", "open" or "half-open".
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	}
	return "unknown"
}

// Breaker is a circuit breaker for one service. Make it with [New], and share it: all of its methods are safe for
// concurrent use. It has no goroutine and needs no closing.
//
// A nil *Breaker lets every call through and counts nothing. A Breaker that was not made by New refuses every call.
type Breaker struct {
	cfg  Config // complete
	err  error  // why it cannot be used
	born time.Time
	gen  atomic.Pointer[generation]
}

// generation is the time between two changes of state. Each has counters of its own, and a call reports to the
// generation in which it began. So a result that comes late ends in counters that nobody reads any more, and a change
// of state is one compare-and-swap, without a lock that calls would have to take.
type generation struct {
	state   State
	window  window        // while closed
	until   time.Duration // while open: the end, by the breaker's clock
	probes  probes        // while half-open
	refusal *OpenError    // while open and half-open: made once, because refusing must be cheap
}

// New returns a closed Breaker. It does not fail: where the Config is invalid, the breaker refuses every call with the
// error of [Config.Validate], which is never [ErrOpen]; ask [Breaker.Validate] when the program starts.
func New(c Config) *Breaker {
	b := &Breaker{err: c.Validate(), born: time.Now()}
	if b.err == nil {
		b.cfg = c.withDefaults()
		b.gen.Store(b.closed())
	}
	return b
}

// Validate returns the error with which the breaker refuses every call: nil, unless its [Config] was invalid or it was
// not made by [New].
func (b *Breaker) Validate() error {
	if b == nil || b.gen.Load() != nil {
		return nil
	}
	if b.err != nil {
		return b.err
	}
	return errors.New("breaker: this Breaker was not made by breaker.New: every call is refused")
}

// State returns what the breaker would do with a call now. It changes nothing: an open breaker whose time is up reads
// as [HalfOpen], and becomes it with the next call. One that cannot be used, see [Breaker.Validate], reads as [Open].
func (b *Breaker) State() State {
	if b == nil {
		return Closed
	}
	g := b.gen.Load()
	switch {
	case g == nil:
		return Open
	case g.state == Open && b.now() >= g.until:
		return HalfOpen
	}
	return g.state
}

// Counts are the results in the window of a closed breaker.
type Counts struct {
	Calls    int // that reported; those under way and those cancelled by their callers are not in it
	Failures int
	Slow     int // failed or not; zero unless Config.SlowCall is set
}

// Snapshot returns the state, as [Breaker.State] does, and the results in the window, which are zero unless the state
// is [Closed].
func (b *Breaker) Snapshot() (State, Counts) {
	state := b.State()
	if b == nil {
		return state, Counts{}
	}
	if g := b.gen.Load(); g != nil && g.state == Closed {
		return Closed, g.window.sum(b.now())
	}
	return state, Counts{}
}

// Trip opens the breaker for Config.OpenFor from now, whatever its state.
func (b *Breaker) Trip() {
	b.force(func() *generation { return b.opened(b.now()) })
}

// Reset closes the breaker and empties its window, whatever its state.
func (b *Breaker) Reset() { b.force(b.closed) }

func (b *Breaker) force(make func() *generation) {
	if b == nil {
		return
	}
	for {
		from := b.gen.Load()
		if from == nil || b.move(from, make()) {
			return
		}
	}
}

// move ends the generation from. It does nothing if somebody else was first.
func (b *Breaker) move(from, to *generation) bool {
	if !b.gen.CompareAndSwap(from, to) {
		return false
	}
	if hook := b.cfg.OnStateChange; hook != nil && from.state != to.state {
		hook(from.state, to.state)
	}
	return true
}

func (b *Breaker) closed() *generation {
	if b.cfg.LastCalls > 0 {
		return &generation{state: Closed, window: newCountWindow(b.cfg.LastCalls)}
	}
	return &generation{state: Closed, window: newTimeWindow(b.cfg.Window)}
}

func (b *Breaker) opened(now time.Duration) *generation {
	return b.openedUntil(later(now, b.cfg.OpenFor))
}

func (b *Breaker) openedUntil(until time.Duration) *generation {
	return &generation{state: Open, until: until, refusal: &OpenError{Name: b.cfg.Name, State: Open, breaker: b, until: until}}
}

func (b *Breaker) halfOpen() *generation {
	return &generation{
		state:   HalfOpen,
		probes:  probes{slots: make([]slot, b.cfg.Probes), timeout: b.cfg.ProbeTimeout},
		refusal: &OpenError{Name: b.cfg.Name, State: HalfOpen, breaker: b},
	}
}

// tripped is the condition for opening.
func (b *Breaker) tripped(c Counts) bool {
	calls := float64(c.Calls)
	return c.Calls >= b.cfg.MinCalls &&
		(float64(c.Failures) >= b.cfg.FailureRate*calls || b.cfg.SlowCall > 0 && float64(c.Slow) >= b.cfg.SlowRate*calls)
}

// now is the breaker's clock: monotonic, and at half the price of time.Now.
func (b *Breaker) now() time.Duration { return time.Since(b.born) }

// later adds two durations that are not negative; an OpenFor of "for ever" must not wrap around.
func later(t, d time.Duration) time.Duration {
	if t > math.MaxInt64-d {
		return math.MaxInt64
	}
	return t + d
}
