package storetest

import (
	"errors"

	"github.com/steadfast-go/steadfast/idempotency"
)

// settleRules: who may settle, and how often.
var settleRules = []rule{
	{
		"EndsTheClaim",
		"Settle writes the outcome into the state that it names, and ends the claim",
		func(h *harness) {
			for _, s := range append(resting, final...) {
				_, l := h.own(run(s.String()))
				r := h.settle(l, idempotency.Outcome{State: s, Ambiguous: s == idempotency.StateUnknown, Due: 2 * long})
				h.state(r, s)
				h.must(!r.Owned && r.Lease == 0 && !r.Sending && !r.Lapsed, "%s: it still looks claimed: %s", s, describe(r))
				h.must(r.Fence == l.Fence, "%s: Fence went from %d to %d, and no claim was made", s, l.Fence, r.Fence)
				settled := s.Settled() || s == idempotency.StateAbandoned
				h.must(settled == (r.SettledAt != idempotency.Never), "%s: SettledAt is %v", s, r.SettledAt)
				if s.Settled() {
					h.must(r.Due == idempotency.Never, "%s: Due is %v, a settled record has no next step", s, r.Due)
				} else {
					h.must(about(r.Due, 2*long), "%s: Due is %v, want about %v", s, r.Due, 2*long)
				}
				h.must(r.Started == (s == idempotency.StateScheduled), "%s: Started is %v", s, r.Started)
				h.unchanged(r, "Settle, read back")
			}
		},
	},
	{
		"RepeatedReturnsTheRecord",
		"Settle repeated with the same lease, after a lost reply, returns the record and writes nothing again",
		func(h *harness) { // T15
			for _, s := range append(resting, final...) {
				_, l := h.own(run(s.String()))
				o := idempotency.Outcome{State: s, Ambiguous: s == idempotency.StateUnknown, Attempts: 1, Value: []byte("v"), Due: long}
				first := h.settle(l, o)
				h.same(h.settle(l, o), first, "the "+s.String()+" record that the second Settle returned")
				h.unchanged(first, "a repeated Settle")
				// What is settled stays so, even for its owner.
				o.State, o.Ambiguous, o.Value = idempotency.StateUnknown, true, []byte("other")
				h.same(h.settle(l, o), first, "the "+s.String()+" record after a Settle that says otherwise")
				h.unchanged(first, "a repeated Settle that says otherwise")
			}
		},
	},
	{
		"SupersededOwnerIsRefused",
		"an owner whose record was taken over gets ErrLeaseLost and the record as it is; it overwrites nothing",
		func(h *harness) { // T7
			for _, s := range append(resting, final...) {
				_, l := h.own(run(s.String()))
				h.own(again(h.lapse(l)))
				h.refused(l, idempotency.Outcome{State: s, Ambiguous: true, Value: []byte("v")}, idempotency.ErrLeaseLost)
			}
		},
	},
	{
		"SupersededAfterTheEnd",
		"an old owner is refused also once the new one has settled",
		func(h *harness) { // T7
			for _, s := range append(resting, final...) {
				_, old := h.own(run(s.String()))
				_, l := h.own(again(h.lapse(old)))
				h.settle(l, idempotency.Outcome{State: s, Ambiguous: s == idempotency.StateUnknown})
				h.refused(old, idempotency.Outcome{State: idempotency.StateSucceeded, Value: []byte("v")}, idempotency.ErrLeaseLost)
			}
		},
	},
	{
		"TokenAndFenceBoth",
		"fence and token must both match: a fence may begin anew, and a token may have been claimed with before",
		func(h *harness) { // T7
			_, l := h.own(run("k"))
			o := idempotency.Outcome{State: idempotency.StateSucceeded, Value: []byte("v")}
			for _, other := range []idempotency.Lease{
				{ID: l.ID, Fence: l.Fence, Token: token()},
				{ID: l.ID, Fence: l.Fence + 1, Token: l.Token},
				{ID: l.ID, Fence: l.Fence - 1, Token: l.Token},
			} {
				h.refused(other, o, idempotency.ErrLeaseLost)
			}
			h.state(h.settle(l, o), idempotency.StateSucceeded)
		},
	},
	{
		"WithoutRecord",
		"where there is no record, an owner gets ErrLeaseLost or ErrNoRecord, a verdict or a cancellation ErrNoRecord",
		func(h *harness) {
			l := idempotency.Lease{ID: id("k"), Fence: 1, Token: token()}
			_, err := h.Settle(h.Context(), l, idempotency.Outcome{State: idempotency.StateSucceeded})
			h.must(errors.Is(err, idempotency.ErrLeaseLost) || errors.Is(err, idempotency.ErrNoRecord),
				"an owner's Settle: error is %v", err)
			for _, l := range []idempotency.Lease{{ID: id("k")}, {ID: id("k"), Fence: 1}} {
				for _, s := range final {
					if l.Fence == 0 && s == idempotency.StateRejected {
						continue
					}
					_, err := h.Settle(h.Context(), l, idempotency.Outcome{State: s})
					h.isError(err, idempotency.ErrNoRecord, "Settle from outside to "+s.String())
				}
			}
			_, err = h.Get(h.Context(), l.ID)
			h.isError(err, idempotency.ErrNoRecord, "Get after it")
		},
	},
	{
		"OtherScopesAndOperations",
		"a lease settles its own record only: not one of the same key in another scope or operation",
		func(h *harness) { // T24
			before, l := h.own(run("k"))
			for _, other := range []idempotency.ID{
				{Operation: "refund", Scope: scope, Key: "k"}, {Operation: operation, Scope: "customer-2", Key: "k"},
			} {
				_, err := h.Settle(h.Context(), idempotency.Lease{ID: other, Fence: l.Fence, Token: l.Token},
					idempotency.Outcome{State: idempotency.StateSucceeded})
				h.must(err != nil, "Settle of %+v succeeded, there is no such record", other)
				h.unchanged(before, "Settle of another record")
			}
		},
	},
	{
		"PeekSeesOnlyWhatIsSettled",
		"a store that can Peek says false for what is not settled, and otherwise what Get says",
		func(h *harness) { // P2
			p, ok := h.Store.(idempotency.Peeker)
			if !ok {
				h.Skip("the store is no idempotency.Peeker")
			}
			_, l := h.own(run("running"))
			_, found := p.Peek(l.ID)
			h.must(!found, "Peek returned a running record")
			for _, s := range append(resting, final...) {
				_, l := h.own(run(s.String()))
				want := h.settle(l, idempotency.Outcome{State: s, Ambiguous: s == idempotency.StateUnknown, Value: []byte("v")})
				r, found := p.Peek(l.ID)
				h.must(!found || s.Settled(), "Peek returned a record that is %s", s)
				if found {
					h.same(r, want, "the record that Peek returned")
					h.must(!r.Owned, "%s: Owned is true, Peek is given no token", s)
				}
			}
		},
	},
	{
		"NextClaimGoesOn",
		"an attempt that ended at rest is followed by others, each with a fence one higher, and their sendings add up",
		func(h *harness) {
			r := h.at("k", idempotency.StateUnknown, 0)
			for i := range 5 {
				_, l := h.own(again(r))
				h.must(l.Fence == r.Fence+1, "Fence went from %d to %d", r.Fence, l.Fence)
				r = h.settle(l, idempotency.Outcome{State: idempotency.StateUnknown, Ambiguous: true, Attempts: 2})
				h.must(r.Attempts == 1+2*(i+1), "Attempts is %d after %d claims, want %d", r.Attempts, i+2, 1+2*(i+1))
			}
			_, l := h.dueOne("k")
			r = h.settle(l, idempotency.Outcome{State: idempotency.StateSucceeded, Value: []byte("v")})
			h.must(r.State == idempotency.StateSucceeded && string(r.Value) == "v" && r.Attempts == 11, "it ended as %s", describe(r))
		},
	},
}
