package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// argumentRules: what is refused before anything changes.
var argumentRules = []rule{
	{
		"ClaimIsChecked",
		"a claim without token, without lease or of no known mode is refused, and makes no record",
		func(h *harness) {
			for what, change := range map[string]func(*idempotency.Claim){
				"a zero token":     func(c *idempotency.Claim) { c.Token = idempotency.Token{} },
				"a zero lease":     func(c *idempotency.Claim) { c.Lease = 0 },
				"a negative lease": func(c *idempotency.Claim) { c.Lease = -time.Second },
				"an unknown mode":  func(c *idempotency.Claim) { c.Mode = 77 },
				"a zero token for a schedule": func(c *idempotency.Claim) {
					c.Mode, c.Token = idempotency.ClaimSchedule, idempotency.Token{}
				},
			} {
				c := run("k")
				change(&c)
				_, err := h.Acquire(h.Context(), c)
				h.must(err != nil, "Acquire took %s", what)
				_, err = h.Get(h.Context(), c.ID)
				h.isError(err, idempotency.ErrNoRecord, "Get after a claim with "+what)
			}
		},
	},
	{
		"DueClaimIsChecked",
		"a DueClaim without operation, token or lease, or for fewer than one record, is refused, and claims nothing",
		func(h *harness) {
			before := h.at("k", idempotency.StateUnknown, 0)
			whole := idempotency.DueClaim{Operation: operation, Token: token(), Lease: long, N: 1}
			for what, change := range map[string]func(*idempotency.DueClaim){
				"no operation":   func(c *idempotency.DueClaim) { c.Operation = "" },
				"a zero token":   func(c *idempotency.DueClaim) { c.Token = idempotency.Token{} },
				"a zero lease":   func(c *idempotency.DueClaim) { c.Lease = 0 },
				"N 0":            func(c *idempotency.DueClaim) { c.N = 0 },
				"N less than 0":  func(c *idempotency.DueClaim) { c.N = -1 },
				"a lease of -1s": func(c *idempotency.DueClaim) { c.Lease = -time.Second },
			} {
				c := whole
				change(&c)
				_, err := h.AcquireDue(h.Context(), c)
				h.must(err != nil, "AcquireDue took %s", what)
				h.unchanged(before, "AcquireDue with "+what)
			}
		},
	},
	{
		"ExtendIsChecked",
		"Extend by no time is refused, and extends nothing",
		func(h *harness) {
			before, l := h.own(run("k"))
			for _, d := range []time.Duration{0, -time.Second} {
				_, err := h.Extend(h.Context(), []idempotency.Lease{l}, d, false)
				h.must(err != nil, "Extend took %v", d)
				h.unchanged(before, "it")
			}
		},
	},
	{
		"OutcomeIsChecked",
		"nothing is settled to absent, running or a state that does not exist",
		func(h *harness) {
			before, l := h.own(run("k"))
			for _, s := range []idempotency.State{idempotency.StateAbsent, idempotency.StateRunning, 10, 255} {
				for _, l := range []idempotency.Lease{l, outside(before), {ID: before.ID}} {
					_, err := h.Settle(h.Context(), l, idempotency.Outcome{State: s})
					h.must(err != nil, "Settle took the state %d", s)
					h.unchanged(before, "it")
				}
			}
		},
	},
	{
		"EndedContextChangesNothing",
		"a context that has ended is an error, and nothing is changed",
		func(h *harness) { // T40
			ctx, cancel := context.WithCancel(h.Context())
			cancel()
			failed := func(err error, doing string) {
				h.Helper()
				h.must(errors.Is(err, context.Canceled), "%s with a context that has ended: error is %v, want context.Canceled", doing, err)
			}
			_, err := h.Acquire(ctx, run("new"))
			failed(err, "Acquire")
			_, err = h.Get(h.Context(), id("new"))
			h.isError(err, idempotency.ErrNoRecord, "Get after it")

			rests := h.at("rests", idempotency.StateUnknown, 0)
			_, err = h.AcquireDue(ctx, idempotency.DueClaim{Operation: operation, Token: token(), Lease: long, N: 1})
			failed(err, "AcquireDue")
			h.unchanged(rests, "it")

			runs, l := h.own(run("runs"))
			_, err = h.Extend(ctx, []idempotency.Lease{l}, 2*long, false)
			failed(err, "Extend")
			_, err = h.Settle(ctx, l, happened("v"))
			failed(err, "Settle")
			h.unchanged(runs, "it")

			ended, _ := h.ends("ended", idempotency.StateSucceeded, 0, idempotency.Never)
			h.age("ended")
			_, err = h.Purge(ctx, 10)
			failed(err, "Purge")
			h.unchanged(ended, "it")

			_, err = h.Get(ctx, id("runs"))
			failed(err, "Get")
			_, err = h.List(ctx, idempotency.Query{Operation: operation, N: 10})
			failed(err, "List")
		},
	},
}
