package breaker

import (
	"errors"
	"fmt"
	"time"
)

// ErrOpen is what errors.Is finds in the error of a call that was refused because of the service's failures. The call
// was not made.
var ErrOpen = errors.New("breaker: open")

// OpenError is the error of a refused call. One value may be returned to many callers; treat it as read-only.
type OpenError struct {
	Name  string // of the breaker
	State State  // Open, or HalfOpen: as many probes as may are under way

	breaker *Breaker
	until   time.Duration
}

func (e *OpenError) Error() string {
	name := "the breaker"
	if e.Name != "" {
		name = fmt.Sprintf("the breaker %q", e.Name)
	}
	if e.State == HalfOpen {
		return fmt.Sprintf("breaker: the call was not made: %s is half-open, and waits for its probes", name)
	}
	return fmt.Sprintf("breaker: the call was not made: %s is open for another %v", name, e.RetryAfter().Round(time.Millisecond))
}

// Unwrap returns [ErrOpen].
func (e *OpenError) Unwrap() error { return ErrOpen }

// RetryAfter returns the time from now until the breaker will let a call through. It is zero once that is over, and in
// state [HalfOpen], where it depends on the probes. Package retry obeys it.
func (e *OpenError) RetryAfter() time.Duration {
	if e.breaker == nil || e.State != Open {
		return 0
	}
	return max(e.until-e.breaker.now(), 0)
}
