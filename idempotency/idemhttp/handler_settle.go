package idemhttp

import (
	"context"
	"errors"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// outcome is what an execution came to, as it is recorded.
func (m *middleware) outcome(c *claim, e Effect, response []byte, over bool) idempotency.Outcome {
	o := idempotency.Outcome{Attempts: 1, Due: idempotency.Never}
	rec := &c.record
	if e == EffectNone && rec.Ambiguous { // this execution had none, an earlier one may have had (T49)
		e = EffectUnknown
	}
	switch e {
	case EffectDone:
		o.State, o.Value, o.Omitted = idempotency.StateSucceeded, response, over
	case EffectNone:
		o.State = idempotency.StateFree
		if rec.Started || rec.From == idempotency.StateScheduled {
			o.State, o.Due = idempotency.StateScheduled, 0
		}
	default:
		o.State, o.Ambiguous, o.Due = idempotency.StateUnknown, true, 0
		if m.Harmless {
			o.Due = m.RetryAfter
		}
	}
	return o
}

// settle records the outcome of c. Nothing is lost: not with the client, not with the lease (fence and token decide), not while the store
// is away (P4, T8, T9, T26). After a while the client is answered, and recording goes on.
func (m *middleware) settle(ctx context.Context, c *claim, o idempotency.Outcome) {
	m.leases.remove(c) // T17
	err := m.record(ctx, c, &o)
	if err == nil {
		m.leases.end(c)
		return
	}
	m.leases.add(c, time.Now().Add(m.SettleFor)) // while the store fails, the claim is renewed again
	for n, deadline := 1, time.Now().Add(unrecordedAfter); err != nil; n++ {
		pause := backoff(n)
		if time.Now().Add(pause).After(deadline) {
			m.later.add(job{
				until: time.Now().Add(m.SettleFor),
				try:   func() error { return m.record(ctx, c, &o) },
				end: func(err error) {
					m.leases.remove(c)
					m.leases.end(c)
					if err != nil {
						hook(m.Hooks.Unrecorded, idempotency.UnrecordedEvent{ID: c.lease.ID, Outcome: o, Err: err})
					}
				},
			})
			return
		}
		wait(pause)
		err = m.record(ctx, c, &o)
	}
	m.leases.remove(c)
	m.leases.end(c)
}

// record asks the store once. Its rulings are final.
func (m *middleware) record(ctx context.Context, c *claim, o *idempotency.Outcome) error {
	rec, err := op(ctx, m, "Settle", func(ctx context.Context) (idempotency.Record, error) { return m.store.Settle(ctx, c.lease, *o) })
	if err != nil && isRuling(err) {
		hook(m.Hooks.LeaseLost, c.lease.ID)
		if o.State != idempotency.StateSucceeded {
			return nil // it only concerned an execution that no longer counts
		}
		rec, err = op(ctx, m, "Settle", func(ctx context.Context) (idempotency.Record, error) { // T7
			return m.store.Settle(ctx, idempotency.Lease{ID: c.lease.ID}, *o)
		})
		if err != nil && isRuling(err) {
			recorded := rec.State
			if errors.Is(err, idempotency.ErrNoRecord) {
				recorded = idempotency.StateAbsent
			}
			hook(m.Hooks.Conflict, idempotency.ConflictEvent{ID: c.lease.ID, Recorded: recorded, Claimed: o.State, Value: o.Value, Err: err})
			return nil
		}
	}
	if err == nil {
		hook(m.Hooks.Settled, idempotency.SettledEvent{ID: c.lease.ID, State: rec.State, Late: rec.Late, Attempts: rec.Attempts, Age: rec.Created})
	}
	return err
}
