package breaker

import (
	"cmp"
	"fmt"
	"time"
)

// Defaults of the fields of [Config].
const (
	DefaultWindow       = 10 * time.Second
	DefaultFailureRate  = 0.5
	DefaultSlowRate     = 0.5
	DefaultMinCalls     = 20
	DefaultOpenFor      = 10 * time.Second
	DefaultProbes       = 1
	DefaultProbeTimeout = 30 * time.Second
)

// The largest values that make sense, so that a slip of the keyboard does not cost gigabytes.
const (
	maxLastCalls = 1_000_000
	maxProbes    = 1000
)

// Config says when a [Breaker] opens and how it recovers. The zero value is sound: it opens when half of at least 20
// calls of the last ten seconds failed, and tries one call ten seconds later.
type Config struct {
	// Name stands in errors. It may be empty.
	Name string

	// Window is the time for which a result counts, at least a millisecond. It moves on in tenths of itself. Zero
	// means [DefaultWindow].
	Window time.Duration

	// LastCalls, if not zero, takes the place of Window: the results of that many last calls count, however long ago.
	// It keeps one byte a call, and a lock that all calls share; Window is the choice for calls at high rates. At most
	// a million.
	LastCalls int

	// FailureRate is the share of failures in the window, above 0 and at most 1, at which the breaker opens. Zero
	// means [DefaultFailureRate].
	FailureRate float64

	// SlowCall is the time from which on a call is slow, even if it succeeds. Zero: calls are not timed.
	SlowCall time.Duration

	// SlowRate is the share of slow calls in the window, above 0 and at most 1, at which the breaker opens. Zero means
	// [DefaultSlowRate]. It needs SlowCall.
	SlowRate float64

	// MinCalls is the number of calls in the window below which the breaker does not open. Zero means
	// [DefaultMinCalls], or LastCalls if that is less.
	MinCalls int

	// OpenFor is the time from opening to the first probe. Zero means [DefaultOpenFor].
	OpenFor time.Duration

	// Probes is how many calls a half-open breaker lets through at a time, and how many must succeed for it to close.
	// A slow probe is a failed one. Zero means [DefaultProbes]; at most a thousand.
	Probes int

	// ProbeTimeout is the time within which a probe must report. One that does not (it hangs, its goroutine is gone,
	// its done was lost) counts as failed; the next call is then a new probe, without another wait of OpenFor, since
	// ProbeTimeout has been waited already. Choose it longer than a call may take. Zero means [DefaultProbeTimeout].
	ProbeTimeout time.Duration

	// Counts tells whether an error is the service's failure; what is not, such as a declined card, counts as a success,
	// since the service answered. Nil: every error is a failure. It is not asked about errors that wrap
	// context.Canceled, which count neither way, nor about panics, which are failures. It is called concurrently.
	Counts func(error) bool

	// OnStateChange, if not nil, is called after each change, outside of any lock, on the goroutine of the call that
	// caused it. When changes follow each other closely, calls of it may overlap or come out of order.
	OnStateChange func(from, to State)
}

// Validate reports the first field that makes no sense: its name, its value, and what to set instead.
func (c Config) Validate() error {
	switch {
	case c.Window != 0 && c.Window < time.Millisecond:
		return fmt.Errorf("breaker: Config.Window is %v: give at least 1ms, or 0 for %v", c.Window, DefaultWindow)
	case c.LastCalls < 0 || c.LastCalls > maxLastCalls:
		return fmt.Errorf("breaker: Config.LastCalls is %d: give a number from 1 to %d, or 0 to use Window", c.LastCalls, maxLastCalls)
	case c.Window != 0 && c.LastCalls != 0:
		return fmt.Errorf("breaker: Config.Window is %v and Config.LastCalls is %d: set only one of them", c.Window, c.LastCalls)
	case badRate(c.FailureRate):
		return fmt.Errorf("breaker: Config.FailureRate is %v: give a share above 0 and at most 1, or 0 for %v", c.FailureRate, DefaultFailureRate)
	case c.SlowCall < 0:
		return fmt.Errorf("breaker: Config.SlowCall is %v: give a positive duration, or 0 to not watch for slow calls", c.SlowCall)
	case badRate(c.SlowRate):
		return fmt.Errorf("breaker: Config.SlowRate is %v: give a share above 0 and at most 1, or 0 for %v", c.SlowRate, DefaultSlowRate)
	case c.SlowRate != 0 && c.SlowCall == 0:
		return fmt.Errorf("breaker: Config.SlowRate is %v, but Config.SlowCall is 0: set SlowCall to the time from which on a call is slow", c.SlowRate)
	case c.MinCalls < 0:
		return fmt.Errorf("breaker: Config.MinCalls is %d: give a positive number, or 0 for %d", c.MinCalls, DefaultMinCalls)
	case c.LastCalls != 0 && c.MinCalls > c.LastCalls:
		return fmt.Errorf("breaker: Config.MinCalls is %d, above Config.LastCalls, %d, so that it would never open: lower MinCalls or raise LastCalls", c.MinCalls, c.LastCalls)
	case c.OpenFor < 0:
		return fmt.Errorf("breaker: Config.OpenFor is %v: give a positive duration, or 0 for %v", c.OpenFor, DefaultOpenFor)
	case c.Probes < 0 || c.Probes > maxProbes:
		return fmt.Errorf("breaker: Config.Probes is %d: give a number from 1 to %d, or 0 for %d", c.Probes, maxProbes, DefaultProbes)
	case c.ProbeTimeout < 0:
		return fmt.Errorf("breaker: Config.ProbeTimeout is %v: give a positive duration, or 0 for %v", c.ProbeTimeout, DefaultProbeTimeout)
	}
	return nil
}

func badRate(r float64) bool { return !(r >= 0 && r <= 1) } // written so that NaN is bad

// withDefaults fills in a valid Config.
func (c Config) withDefaults() Config {
	if c.LastCalls == 0 {
		c.Window = cmp.Or(c.Window, DefaultWindow)
		c.MinCalls = cmp.Or(c.MinCalls, DefaultMinCalls)
	} else {
		c.MinCalls = cmp.Or(c.MinCalls, min(DefaultMinCalls, c.LastCalls))
	}
	c.FailureRate = cmp.Or(c.FailureRate, DefaultFailureRate)
	c.SlowRate = cmp.Or(c.SlowRate, DefaultSlowRate)
	c.OpenFor = cmp.Or(c.OpenFor, DefaultOpenFor)
	c.Probes = cmp.Or(c.Probes, DefaultProbes)
	c.ProbeTimeout = cmp.Or(c.ProbeTimeout, DefaultProbeTimeout)
	return c
}
