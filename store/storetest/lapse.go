package storetest

import (
	"github.com/steadfast-go/steadfast/idempotency"
)

// lapseRules: what becomes of a claim whose lease runs out.
var lapseRules = []rule{
	{
		"SendingBecomesUnknown",
		"a claim marked as sending that runs out is unknown and ambiguous; the lease's end is the last possible sending",
		func(h *harness) { // T2
			_, l := h.own(run("k"))
			r := h.lapse(l)
			h.state(r, idempotency.StateUnknown)
			h.must(r.Lapsed, "Lapsed is false: nobody could see that the owner may still come back")
			h.must(r.Ambiguous, "Ambiguous is false")
			h.must(!r.Owned && r.Lease <= 0, "it still looks claimed: %s", describe(r))
			h.must(r.Due <= 0, "Due is %v, want the lease's end", r.Due)
			h.must(r.LastSent != idempotency.Never && r.LastSent >= 0, "LastSent is %v, want the lease's end", r.LastSent)
			h.must(r.FirstSent >= r.LastSent, "FirstSent is %v ago and LastSent %v", r.FirstSent, r.LastSent)
			drift := r.LastSent + r.Due // the age of the lease's end, and what is left until it
			h.must(drift.Abs() < brief, "LastSent is %v ago, but the lease ended %v ago", r.LastSent, -r.Due)
		},
	},
	{
		"NotSendingReturnsToWhereItWas",
		"a claim never marked as sending returns to the state that it was made from, ambiguity and sendings kept",
		func(h *harness) { // T57, T61
			for _, s := range resting {
				before := h.at(s.String(), s, 0)
				c := again(before)
				c.Sending = false
				_, l := h.own(c)
				r := h.lapse(l)
				h.must(r.State == s, "claimed from %s and never sent, it lapsed to %s", s, r.State)
				h.must(r.Lapsed, "%s: Lapsed is false", s)
				h.must(r.Ambiguous == before.Ambiguous, "%s: Ambiguous went from %v to %v", s, before.Ambiguous, r.Ambiguous)
				h.must((r.LastSent == idempotency.Never) == (before.LastSent == idempotency.Never) &&
					(r.FirstSent == idempotency.Never) == (before.FirstSent == idempotency.Never),
					"%s: the sendings changed, though nothing was sent: %s", s, describe(r))
			}
		},
	},
	{
		"AskingDoesNotMakeItSendable",
		"a claim of AcquireDue, taken only to ask, that lapses is still accepted or unknown, never scheduled",
		func(h *harness) { // T61
			for _, s := range []idempotency.State{idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned} {
				h.at(s.String(), s, 0)
				_, l := h.dueOne(s.String())
				h.state(h.lapse(l), s)
				r, _ := h.dueOne(s.String())
				h.must(r.From == s, "taken over, it is claimed from %s, want %s", r.From, s)
			}
		},
	},
	{
		"AmbiguityIsSticky",
		"an accepted record that is ambiguous stays so when a claim to ask about it lapses",
		func(h *harness) { // T65
			_, l := h.own(run("k"))
			h.settle(l, idempotency.Outcome{State: idempotency.StateAccepted, Ambiguous: true})
			_, l = h.dueOne("k")
			r := h.lapse(l)
			h.must(r.State == idempotency.StateAccepted && r.Ambiguous, "it became %s", describe(r))
			r, _ = h.dueOne("k")
			h.must(r.Ambiguous, "taken over, Ambiguous is false")
		},
	},
	{
		"FirstClaimReturnsToFree",
		"a first claim that lapses before anything was sent is free: due for its next caller, but not for AcquireDue",
		func(h *harness) { // T57
			c := run("k")
			c.Sending = false
			_, l := h.own(c)
			r := h.lapse(l)
			h.state(r, idempotency.StateFree)
			h.notDue("nobody is committed to a free record")
			h.must(!h.acquire(run("k")).Owned, "fence 0 claimed the free record")
			h.own(again(r))
		},
	},
	{
		"MarkedLaterIsUnknown",
		"a claim of AcquireDue that was marked as sending by Extend becomes unknown when it lapses",
		func(h *harness) { // T57
			h.at("k", idempotency.StateScheduled, 0)
			_, l := h.dueOne("k")
			h.extend(l, long, true, true)
			r := h.lapse(l)
			h.must(r.State == idempotency.StateUnknown && r.Ambiguous, "it became %s", describe(r))
		},
	},
	{
		"LapsedIsTakenByItsFence",
		"a lapsed record is at rest and due: a claim that names its fence takes it over, and the old owner has lost it",
		func(h *harness) { // T7
			first, l := h.own(run("k"))
			lapsed := h.lapse(l)
			h.must(!h.acquire(run("k")).Owned, "fence 0 took a lapsed record over")
			r, now := h.own(again(lapsed))
			h.must(r.Fence == first.Fence+1 && r.From == idempotency.StateUnknown && r.Ambiguous, "it came as %s", describe(r))
			h.refused(l, idempotency.Outcome{State: idempotency.StateFree}, idempotency.ErrLeaseLost)
			h.extend(l, long, false, false)
			h.extend(now, long, false, true)
		},
	},
	{
		"SeenLapsedIsNotSeenResting",
		"a claim says whether it saw the record lapsed: where the owner has come back and settled it since, a delayed copy is refused",
		func(h *harness) { // T7
			for _, s := range resting {
				_, l := h.own(run(s.String()))
				delayed := again(h.lapse(l))
				blind := delayed
				blind.Lapsed, blind.Token = false, token()
				h.must(!h.acquire(blind).Owned, "%s: a claim of a record at rest took a lapsed one", s)
				r := h.settle(l, idempotency.Outcome{State: s, Ambiguous: s == idempotency.StateUnknown})
				h.must(!h.acquire(delayed).Owned, "%s: a claim of the lapsed record took what its owner has made of it", s)
				h.own(again(r))
			}
		},
	},
	{
		"OwnerComesBack",
		"a lease that ran out and that nobody took over still stands: Extend brings the claim back as it was",
		func(h *harness) { // T8
			before, l := h.own(run("k"))
			h.lapse(l)
			h.extend(l, long, true, true)
			h.unchanged(before, "a lapse from which its owner came back")
			h.notDue("the claim stands again")
		},
	},
	{
		"LateResultCounts",
		"a result is not refused because the lease had run out: fence and token decide, not the time",
		func(h *harness) { // T8
			for _, s := range append(resting, final...) {
				_, l := h.own(run(s.String()))
				h.lapse(l)
				o := idempotency.Outcome{State: s, Ambiguous: s == idempotency.StateUnknown, Attempts: 1, Due: long}
				r := h.settle(l, o)
				h.must(r.State == s && !r.Lapsed, "settled to %s after the lease had run out, it is %s", s, describe(r))
				h.must(r.Ambiguous == o.Ambiguous, "%s: Ambiguous is %v, want the outcome's", s, r.Ambiguous)
				h.must(r.Attempts == 1, "%s: Attempts is %d, want 1", s, r.Attempts)
				h.must(r.Fence == l.Fence, "%s: Fence is %d, want %d", s, r.Fence, l.Fence)
			}
		},
	},
	{
		"ListedAsWhatItIs",
		"List sees a lapsed record in the state that it falls back to",
		func(h *harness) {
			_, l := h.own(run("k"))
			h.lapse(l)
			list := h.list(idempotency.Query{Operation: operation, N: 10, States: []idempotency.State{idempotency.StateUnknown}})
			h.must(len(list) == 1 && list[0].Lapsed && list[0].Ambiguous, "List of unknown records returned %d", len(list))
			list = h.list(idempotency.Query{Operation: operation, N: 10, States: []idempotency.State{idempotency.StateRunning}})
			h.must(len(list) == 0, "List of running records returned the lapsed one")
		},
	},
}
