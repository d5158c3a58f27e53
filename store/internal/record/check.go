package record

import (
	"context"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Checks are made before anything changes. Their messages name the store (which is what a Checks is), the field, its value
// and what to do.
type Checks string

func (s Checks) errorf(format string, args ...any) error {
	return Final(fmt.Errorf(string(s)+": "+format, args...))
}

// Call checks what every request names.
func (s Checks) Call(ctx context.Context, id idempotency.ID) error {
	if err := ctx.Err(); err != nil {
		return s.errorf("nothing was done, the context had ended: %w", err)
	}
	return s.ID(id)
}

// ID checks that an ID can be kept.
func (s Checks) ID(id idempotency.ID) error {
	switch {
	case id.Operation == "":
		return s.errorf("ID.Operation is empty: name the operation")
	case id.Key == "":
		return s.errorf("ID.Key is empty: every call needs a key of its own")
	case len(id.Operation) > idempotency.MaxKey:
		return s.tooLong("Operation", id.Operation)
	case len(id.Scope) > idempotency.MaxKey:
		return s.tooLong("Scope", id.Scope)
	case len(id.Key) > idempotency.MaxKey:
		return s.tooLong("Key", id.Key)
	}
	return nil
}

func (s Checks) tooLong(field, value string) error {
	return s.errorf("ID.%s is %d bytes long (%.32q…): at most %d are allowed, use a hash of it",
		field, len(value), value, idempotency.MaxKey)
}

// Claim checks an Acquire.
func (s Checks) Claim(ctx context.Context, c *idempotency.Claim) error {
	if err := s.Call(ctx, c.ID); err != nil {
		return err
	}
	switch {
	case c.Token == idempotency.Token{}:
		return s.zeroToken("Claim")
	case c.Mode > idempotency.ClaimTombstone:
		return s.errorf("Claim.Mode is %d: use ClaimRun, ClaimSchedule or ClaimTombstone", c.Mode)
	case c.Mode == idempotency.ClaimRun && c.Lease <= 0:
		return s.shortLease("Claim.Lease", c.Lease)
	}
	return nil
}

// DueClaim checks an AcquireDue.
func (s Checks) DueClaim(ctx context.Context, c *idempotency.DueClaim) error {
	if err := s.Call(ctx, idempotency.ID{Operation: c.Operation, Key: "any"}); err != nil {
		return err
	}
	switch {
	case c.Token == idempotency.Token{}:
		return s.zeroToken("DueClaim")
	case c.Lease <= 0:
		return s.shortLease("DueClaim.Lease", c.Lease)
	case c.N < 1:
		return s.errorf("DueClaim.N is %d: ask for at least one record", c.N)
	}
	return nil
}

// Extend checks an Extend.
func (s Checks) Extend(ctx context.Context, leases []idempotency.Lease, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return s.errorf("nothing was done, the context had ended: %w", err)
	}
	if d <= 0 {
		return s.shortLease("d", d)
	}
	for i := range leases {
		if err := s.ID(leases[i].ID); err != nil {
			return err
		}
		if leases[i].Token == (idempotency.Token{}) {
			return s.zeroToken("Lease")
		}
	}
	return nil
}

// Outcome checks a Settle.
func (s Checks) Outcome(ctx context.Context, l *idempotency.Lease, o *idempotency.Outcome) error {
	if err := s.Call(ctx, l.ID); err != nil {
		return err
	}
	switch {
	case o.State == idempotency.StateAbsent, o.State == idempotency.StateRunning, o.State > idempotency.StateCancelled:
		return s.errorf("Outcome.State is %d (%s): nothing can be settled to it", o.State, o.State)
	case o.Attempts < 0:
		return s.errorf("Outcome.Attempts is %d: it is added, and must not be negative", o.Attempts)
	case l.Token != idempotency.Token{}:
		if o.State == idempotency.StateUnknown && !o.Ambiguous {
			return s.errorf("Outcome.Ambiguous is false for StateUnknown: set it, unknown is ambiguous")
		}
	case l.Fence == 0 && o.State != idempotency.StateSucceeded && o.State != idempotency.StateCancelled:
		return s.errorf("Lease.Fence is 0 for a verdict of %s from outside: name the fence that the verdict saw",
			o.State)
	}
	return nil
}

// Query checks a List.
func (s Checks) Query(ctx context.Context, q *idempotency.Query) error {
	if err := s.Call(ctx, idempotency.ID{Operation: q.Operation, Key: "any"}); err != nil {
		return err
	}
	if err := q.Validate(); err != nil {
		return s.errorf("%w", err)
	}
	return nil
}

// Purge checks a Purge.
func (s Checks) Purge(ctx context.Context, limit int) error {
	if err := ctx.Err(); err != nil {
		return s.errorf("nothing was done, the context had ended: %w", err)
	}
	if limit < 1 {
		return s.errorf("limit is %d: let Purge do at least one step", limit)
	}
	return nil
}

func (s Checks) zeroToken(owner string) error {
	return s.errorf("%s.Token is zero: make a random one for every claim", owner)
}

func (s Checks) shortLease(field string, d time.Duration) error {
	return s.errorf("%s is %v: a lease must be longer than zero", field, d)
}
