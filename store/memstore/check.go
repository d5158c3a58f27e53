package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// The checks are made before anything changes. Their messages name the field, its value and what to do.

func check(ctx context.Context, id idempotency.ID) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: nothing was done, the context had ended: %w", err)
	}
	return checkID(id)
}

func checkID(id idempotency.ID) error {
	switch {
	case id.Operation == "":
		return fmt.Errorf("memstore: ID.Operation is empty: name the operation")
	case id.Key == "":
		return fmt.Errorf("memstore: ID.Key is empty: every call needs a key of its own")
	case len(id.Operation) > idempotency.MaxKey:
		return tooLong("Operation", id.Operation)
	case len(id.Scope) > idempotency.MaxKey:
		return tooLong("Scope", id.Scope)
	case len(id.Key) > idempotency.MaxKey:
		return tooLong("Key", id.Key)
	}
	return nil
}

func tooLong(field, value string) error {
	return fmt.Errorf("memstore: ID.%s is %d bytes long (%.32q…): at most %d are allowed, use a hash of it",
		field, len(value), value, idempotency.MaxKey)
}

func checkClaim(ctx context.Context, c *idempotency.Claim) error {
	if err := check(ctx, c.ID); err != nil {
		return err
	}
	switch {
	case c.Token == idempotency.Token{}:
		return errZeroToken("Claim")
	case c.Mode > idempotency.ClaimTombstone:
		return fmt.Errorf("memstore: Claim.Mode is %d: use ClaimRun, ClaimSchedule or ClaimTombstone", c.Mode)
	case c.Mode == idempotency.ClaimRun && c.Lease <= 0:
		return errLease("Claim.Lease", c.Lease)
	}
	return nil
}

func checkDueClaim(ctx context.Context, c *idempotency.DueClaim) error {
	if err := check(ctx, idempotency.ID{Operation: c.Operation, Key: "any"}); err != nil {
		return err
	}
	switch {
	case c.Token == idempotency.Token{}:
		return errZeroToken("DueClaim")
	case c.Lease <= 0:
		return errLease("DueClaim.Lease", c.Lease)
	case c.N < 1:
		return fmt.Errorf("memstore: DueClaim.N is %d: ask for at least one record", c.N)
	}
	return nil
}

func checkExtend(ctx context.Context, leases []idempotency.Lease, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: nothing was done, the context had ended: %w", err)
	}
	if d <= 0 {
		return errLease("d", d)
	}
	for i := range leases {
		if err := checkID(leases[i].ID); err != nil {
			return err
		}
		if leases[i].Token == (idempotency.Token{}) {
			return errZeroToken("Lease")
		}
	}
	return nil
}

func checkOutcome(ctx context.Context, l *idempotency.Lease, o *idempotency.Outcome) error {
	if err := check(ctx, l.ID); err != nil {
		return err
	}
	switch {
	case o.State == idempotency.StateAbsent, o.State == idempotency.StateRunning, o.State > idempotency.StateCancelled:
		return fmt.Errorf("memstore: Outcome.State is %d (%s): nothing can be settled to it", o.State, o.State)
	case o.Attempts < 0:
		return fmt.Errorf("memstore: Outcome.Attempts is %d: it is added, and must not be negative", o.Attempts)
	case l.Token != idempotency.Token{}:
		if o.State == idempotency.StateUnknown && !o.Ambiguous {
			return fmt.Errorf("memstore: Outcome.Ambiguous is false for StateUnknown: set it, unknown is ambiguous")
		}
	case l.Fence == 0 && o.State != idempotency.StateSucceeded && o.State != idempotency.StateCancelled:
		return fmt.Errorf("memstore: Lease.Fence is 0 for a verdict of %s from outside: name the fence that the verdict saw",
			o.State)
	}
	return nil
}

func checkQuery(ctx context.Context, q *idempotency.Query) error {
	if err := check(ctx, idempotency.ID{Operation: q.Operation, Key: "any"}); err != nil {
		return err
	}
	switch {
	case q.N < 1 || q.N > 1000:
		return fmt.Errorf("memstore: Query.N is %d: ask for 1 to 1000 records, and go on with After", q.N)
	case q.OldestFirst && q.After != idempotency.ID{}:
		return fmt.Errorf("memstore: Query.After is set with OldestFirst: a list by age cannot be continued, leave it zero")
	}
	return nil
}

func checkPurge(ctx context.Context, limit int) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: nothing was done, the context had ended: %w", err)
	}
	if limit < 1 {
		return fmt.Errorf("memstore: limit is %d: let Purge do at least one step", limit)
	}
	return nil
}

func errZeroToken(owner string) error {
	return fmt.Errorf("memstore: %s.Token is zero: make a random one for every claim", owner)
}

func errLease(field string, d time.Duration) error {
	return fmt.Errorf("memstore: %s is %v: a lease must be longer than zero", field, d)
}
