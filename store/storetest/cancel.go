package storetest

import (
	"github.com/steadfast-go/steadfast/idempotency"
)

// cancelRules: what a cancellation does, at once or when the claim ends.
var cancelRules = []rule{
	{
		"AtRest",
		"Cancel: scheduled and free records are cancelled, accepted and unknown ones abandoned, all others stay",
		func(h *harness) { // T14
			want := map[idempotency.State]idempotency.State{
				idempotency.StateFree: idempotency.StateCancelled, idempotency.StateScheduled: idempotency.StateCancelled,
				idempotency.StateAccepted: idempotency.StateAbandoned, idempotency.StateUnknown: idempotency.StateAbandoned,
			}
			for _, s := range append(resting, final...) {
				before := h.at(s.String(), s, 0)
				r := h.cancel(s.String())
				if want[s] == 0 {
					h.same(r, before, "the "+s.String()+" record")
					h.settle(idempotency.Lease{ID: before.ID}, idempotency.Outcome{State: idempotency.StateCancelled, Notify: true})
					h.unchanged(before, "Cancel of a record that is "+s.String())
					continue
				}
				h.must(r.State == want[s], "cancelled while %s, it is %s, want %s", s, r.State, want[s])
				h.must(about(r.SettledAt, 0), "%s: SettledAt is %v, want now", s, r.SettledAt)
				h.must(!r.Notify, "%s: it is marked to notify, the outcome did not ask for it", s)
				h.same(h.cancel(s.String()), r, "the record after a second Cancel")
			}
		},
	},
	{
		"CancelProvesNothing",
		"an abandoned record is as ambiguous as it was, its sendings and its ref are kept: it is still asked about",
		func(h *harness) { // T3, T65
			for key, o := range map[string]idempotency.Outcome{
				"accepted":           {State: idempotency.StateAccepted},
				"accepted ambiguous": {State: idempotency.StateAccepted, Ambiguous: true},
				"unknown":            {State: idempotency.StateUnknown, Ambiguous: true},
			} {
				_, l := h.own(run(key))
				o.Ref, o.Attempts = "ref", 1
				before := h.settle(l, o)
				r := h.settle(idempotency.Lease{ID: l.ID}, idempotency.Outcome{State: idempotency.StateCancelled})
				h.must(r.Ambiguous == o.Ambiguous, "%s: Ambiguous went from %v to %v", key, o.Ambiguous, r.Ambiguous)
				h.must(r.Ref == "ref" && r.Attempts == 1 && r.FirstSent != idempotency.Never &&
					r.LastSent != idempotency.Never && r.Fence == before.Fence, "%s: it became %s", key, describe(r))
				h.dueOne(key)
			}
		},
	},
	{
		"CancelledIsNotSent",
		"a cancelled record is claimed by nobody any more",
		func(h *harness) { // T14
			for _, s := range []idempotency.State{idempotency.StateFree, idempotency.StateScheduled} {
				before := h.at(s.String(), s, 0)
				r := h.cancel(s.String())
				c := again(before)
				h.must(!h.acquire(c).Owned, "a claim that saw the %s record was granted after its cancellation", s)
				h.unchanged(r, "Acquire of a cancelled record")
				h.notDue("a cancelled record has no next step")
			}
		},
	},
	{
		"RunningIsMarked",
		"Cancel of a running record is noted, and the claim goes on: the outcome decides",
		func(h *harness) { // T14
			before, l := h.own(run("k"))
			r := h.cancel("k")
			h.must(r.CancelWanted, "CancelWanted is false")
			r.CancelWanted = false
			h.same(r, before, "the running record, CancelWanted aside,")
			h.must(h.get("k").CancelWanted && h.cancel("k").CancelWanted, "CancelWanted is gone")
			h.extend(l, long, false, true)
		},
	},
	{
		"OutcomeDecides",
		"a wanted cancellation turns free and scheduled into cancelled, unknown and accepted into abandoned; definite outcomes stay",
		func(h *harness) { // T14
			want := map[idempotency.State]idempotency.State{
				idempotency.StateFree: idempotency.StateCancelled, idempotency.StateScheduled: idempotency.StateCancelled,
				idempotency.StateAccepted: idempotency.StateAbandoned, idempotency.StateUnknown: idempotency.StateAbandoned,
				idempotency.StateAbandoned: idempotency.StateAbandoned, idempotency.StateSucceeded: idempotency.StateSucceeded,
				idempotency.StateRejected: idempotency.StateRejected, idempotency.StateCancelled: idempotency.StateCancelled,
			}
			for _, s := range append(resting, final...) {
				_, l := h.own(run(s.String()))
				h.cancel(s.String())
				o := idempotency.Outcome{State: s, Ambiguous: s == idempotency.StateUnknown, Value: []byte("v"), Due: long}
				r := h.settle(l, o)
				h.must(r.State == want[s], "the attempt ended %s with a cancellation waiting, the record is %s, want %s",
					s, r.State, want[s])
				h.must(r.Ambiguous == o.Ambiguous, "%s: Ambiguous is %v, want the outcome's", s, r.Ambiguous)
				h.must(r.SettledAt != idempotency.Never && r.Lease == 0, "%s: it became %s", s, describe(r))
				h.same(h.settle(l, o), r, "the record after a repeated Settle") // T15
			}
		},
	},
	{
		"AbandonedOnce",
		"Cancel of an abandoned call that somebody is asking about changes nothing: it is not told a second time",
		func(h *harness) {
			c := again(h.at("k", idempotency.StateAbandoned, 0))
			c.Sending = false
			before, l := h.own(c)
			r := h.settle(idempotency.Lease{ID: id("k")}, idempotency.Outcome{State: idempotency.StateCancelled, Notify: true})
			h.same(r, before, "the record that somebody is asking about")
			r = h.settle(l, idempotency.Outcome{State: idempotency.StateAbandoned, Ambiguous: true, Due: long})
			h.must(r.State == idempotency.StateAbandoned && !r.Notify, "asked about without an answer, it is %s", describe(r))
		},
	},
	{
		"LapsedWhileCancelWaits",
		"a claim that lapses with a cancellation waiting: free and scheduled become cancelled, accepted and unknown abandoned",
		func(h *harness) { // T61
			want := map[idempotency.State]idempotency.State{
				idempotency.StateFree: idempotency.StateCancelled, idempotency.StateScheduled: idempotency.StateCancelled,
				idempotency.StateAccepted: idempotency.StateAbandoned, idempotency.StateUnknown: idempotency.StateAbandoned,
				idempotency.StateAbandoned: idempotency.StateAbandoned,
			}
			for _, s := range resting {
				before := h.at(s.String(), s, 0)
				c := again(before)
				c.Sending = false
				_, l := h.own(c)
				h.cancel(s.String())
				r := h.lapse(l)
				h.must(r.State == want[s], "claimed from %s, cancelled and lapsed, it is %s, want %s", s, r.State, want[s])
				h.must(r.Ambiguous == before.Ambiguous, "%s: Ambiguous went from %v to %v", s, before.Ambiguous, r.Ambiguous)
				h.must(r.SettledAt != idempotency.Never, "%s: SettledAt is Never", s)
			}
			_, l := h.own(run("sending"))
			h.cancel("sending")
			r := h.lapse(l)
			h.must(r.State == idempotency.StateAbandoned && r.Ambiguous && r.LastSent != idempotency.Never,
				"sending, cancelled and lapsed, it is %s, want abandoned and ambiguous", describe(r))
		},
	},
	{
		"LapsedIntoCancelledIsFinal",
		"what has been seen as cancelled stays so: an owner whose claim lapsed with a cancellation waiting cannot bring it back",
		func(h *harness) { // T14, P2
			for _, s := range []idempotency.State{idempotency.StateFree, idempotency.StateScheduled} {
				for _, outcome := range []idempotency.State{s, idempotency.StateUnknown, idempotency.StateSucceeded} {
					key := s.String() + ", then " + outcome.String()
					c := again(h.at(key, s, 0))
					c.Sending = false
					_, l := h.own(c)
					h.cancel(key)
					h.state(h.lapse(l), idempotency.StateCancelled)
					h.extend(l, long, false, false)
					h.extend(l, long, true, false)
					h.state(h.get(key), idempotency.StateCancelled)
					// Whether it is refused or answered with the record is the store's choice.
					_, _ = h.Settle(h.Context(), l, idempotency.Outcome{State: outcome, Ambiguous: true})
					h.state(h.get(key), idempotency.StateCancelled)
					h.notDue("a cancelled record has no next step")
				}
			}
		},
	},
	{
		"LapsedCountsByItsFallback",
		"Cancel of a lapsed claim counts by what it fell back to, at once; the owner has lost it",
		func(h *harness) {
			_, l := h.own(run("sent"))
			h.lapse(l)
			r := h.cancel("sent")
			h.must(r.State == idempotency.StateAbandoned && r.Ambiguous && !r.Lapsed, "lapsed while sending, it became %s", describe(r))
			h.extend(l, long, true, false)
			h.refused(l, idempotency.Outcome{State: idempotency.StateFree}, idempotency.ErrLeaseLost)

			c := run("unsent")
			c.Sending = false
			_, l = h.own(c)
			h.lapse(l)
			h.state(h.cancel("unsent"), idempotency.StateCancelled)
			h.extend(l, long, true, false)
			h.refused(l, idempotency.Outcome{State: idempotency.StateFree}, idempotency.ErrLeaseLost)
		},
	},
	{
		"OldOwnerOfTheCancelled",
		"the owner whose attempt had ended before gets ErrLeaseLost once the record was cancelled: it is not what he settled",
		func(h *harness) { // T7
			for _, s := range []idempotency.State{idempotency.StateFree, idempotency.StateScheduled, idempotency.StateUnknown} {
				_, l := h.settled(s.String(), s, 0)
				h.cancel(s.String())
				h.refused(l, idempotency.Outcome{State: s, Ambiguous: true}, idempotency.ErrLeaseLost)
			}
		},
	},
}
