package storetest

import (
	"github.com/steadfast-go/steadfast/idempotency"
)

// outcomeRules: what Settle writes.
var outcomeRules = []rule{
	{
		"FieldsAreStored",
		"value, code, message, ref, attempts and the marks of an outcome are stored with it",
		func(h *harness) {
			for _, s := range append(resting, final...) {
				_, l := h.own(run(s.String()))
				r := h.settle(l, idempotency.Outcome{
					State: s, Ambiguous: true, ReplayedError: true, Omitted: true, Attempts: 3,
					Value: []byte("value"), Ref: "ref", Code: "code", Message: "message", Due: long,
				})
				h.must(r.Ambiguous && r.ReplayedError && r.Omitted && r.Attempts == 3 && string(r.Value) == "value" &&
					r.Ref == "ref" && r.Code == "code" && r.Message == "message", "%s: stored is %s", s, describe(r))
			}
		},
	},
	{
		"MarksAreReplaced",
		"Ambiguous and ReplayedError are what the last outcome says, not what an earlier one said",
		func(h *harness) {
			_, l := h.own(run("k"))
			h.settle(l, idempotency.Outcome{State: idempotency.StateUnknown, Ambiguous: true, ReplayedError: true, Code: "500"})
			_, l = h.dueOne("k")
			r := h.settle(l, idempotency.Outcome{State: idempotency.StateScheduled, Message: "did not happen"})
			h.must(!r.Ambiguous && !r.ReplayedError && r.Code == "" && r.Message == "did not happen", "stored is %s", describe(r))
		},
	},
	{
		"AmbiguityIsStoredWithAnyState",
		"an outcome that is ambiguous is stored so whatever its state: an earlier attempt may still land",
		func(h *harness) { // T65
			for _, s := range []idempotency.State{idempotency.StateAccepted, idempotency.StateScheduled, idempotency.StateAbandoned} {
				_, l := h.own(run(s.String()))
				h.settle(l, idempotency.Outcome{State: s, Ambiguous: true})
				r, _ := h.dueOne(s.String())
				h.must(r.Ambiguous, "settled %s and ambiguous, it was claimed unambiguous", s)
			}
		},
	},
	{
		"UnknownIsAmbiguous",
		"an unknown record is always ambiguous: an outcome that says otherwise is refused, or stored as ambiguous",
		func(h *harness) { // T3
			before, l := h.own(run("k"))
			r, err := h.Settle(h.Context(), l, idempotency.Outcome{State: idempotency.StateUnknown})
			if err != nil {
				h.unchanged(before, "an outcome that was refused")
				return
			}
			h.must(r.Ambiguous, "an unknown record is not ambiguous, its next negative answer would be believed")
		},
	},
	{
		"RefIsKept",
		"an outcome without a ref keeps the record's: the provider's id is what it can be asked by",
		func(h *harness) { // T50
			_, l := h.own(run("k"))
			h.settle(l, idempotency.Outcome{State: idempotency.StateAccepted, Ref: "ch_1"})
			_, l = h.dueOne("k")
			r := h.settle(l, idempotency.Outcome{State: idempotency.StateAccepted})
			h.must(r.Ref == "ch_1", "Ref is %q, want that of the earlier outcome", r.Ref)
			_, l = h.dueOne("k")
			r = h.settle(l, idempotency.Outcome{State: idempotency.StateSucceeded, Ref: "ch_2"})
			h.must(r.Ref == "ch_2", "Ref is %q, want that of the last outcome", r.Ref)
		},
	},
	{
		"NotSentForgetsItsSendings",
		"free and scheduled records forget their sendings: the provider's key is as young as the next one",
		func(h *harness) {
			for _, s := range []idempotency.State{idempotency.StateFree, idempotency.StateScheduled} {
				r := h.at(s.String(), s, 0)
				h.must(r.FirstSent == idempotency.Never && r.LastSent == idempotency.Never,
					"%s: FirstSent is %v and LastSent %v, want Never for both", s, r.FirstSent, r.LastSent)
			}
			h.at("unknown", idempotency.StateUnknown, 0)
			_, l := h.own(again(h.get("unknown")))
			r := h.settle(l, idempotency.Outcome{State: idempotency.StateScheduled})
			h.must(r.FirstSent == idempotency.Never && r.LastSent == idempotency.Never,
				"unknown, then scheduled: FirstSent is %v and LastSent %v, want Never for both", r.FirstSent, r.LastSent)
		},
	},
	{
		"LastSentIsTheEndOfTheAttempt",
		"for other states the last possible sending is the settling, if the claim was sending",
		func(h *harness) { // T4
			for _, s := range resting {
				if s == idempotency.StateFree || s == idempotency.StateScheduled {
					continue
				}
				_, l := h.own(run(s.String()))
				before := h.wait(s.String(), "the attempt to take some time",
					func(r idempotency.Record) bool { return r.FirstSent >= brief })
				r := h.settle(l, idempotency.Outcome{State: s, Ambiguous: true})
				h.must(r.LastSent != idempotency.Never && r.LastSent < r.FirstSent && r.LastSent >= 0,
					"%s: LastSent is %v ago, want the settling; the attempt began %v ago", s, r.LastSent, r.FirstSent)
				h.must(r.FirstSent >= before.FirstSent, "%s: FirstSent was %v ago and became %v", s, before.FirstSent, r.FirstSent)
			}
		},
	},
	{
		"AskingIsNoSending",
		"a claim that only asked leaves the last possible sending where it was: Settling counts from it",
		func(h *harness) { // T4, T62
			before := h.at("k", idempotency.StateUnknown, 0)
			before = h.wait("k", "some time since the last sending",
				func(r idempotency.Record) bool { return r.LastSent >= before.LastSent+brief })
			_, l := h.dueOne("k")
			r := h.settle(l, idempotency.Outcome{State: idempotency.StateUnknown, Ambiguous: true, Due: long})
			h.must(r.LastSent != idempotency.Never && r.LastSent >= before.LastSent,
				"the last sending was %v ago; after asking it is %v ago", before.LastSent, r.LastSent)
		},
	},
	{
		"StartedIsNeverFreed",
		"a record that was committed to is never freed: an outcome free leaves it scheduled",
		func(h *harness) { // T66
			c := run("k")
			c.Mode = idempotency.ClaimSchedule
			_, l := h.own(again(h.acquire(c)))
			r := h.settle(l, idempotency.Outcome{State: idempotency.StateFree})
			h.must(r.State == idempotency.StateScheduled && r.Started, "it is %s, and nobody would ever send it", describe(r))
			h.dueOne("k")
		},
	},
	{
		"ProvenAbsentIsStarted",
		"a record that went back to scheduled counts as started from then on",
		func(h *harness) {
			_, l := h.own(again(h.at("k", idempotency.StateUnknown, 0)))
			r := h.settle(l, idempotency.Outcome{State: idempotency.StateScheduled})
			h.must(r.Started, "Started is false")
			r, _ = h.dueOne("k")
			h.must(r.Started && r.From == idempotency.StateScheduled, "it was claimed as %s", describe(r))
		},
	},
	{
		"SuccessOfTheAbandonedIsLate",
		"a claim on an abandoned record that finds a success stores it as Late and keeps the state: its caller was told \"cancelled\"",
		func(h *harness) { // T14, T52
			h.at("k", idempotency.StateAbandoned, 0)
			_, l := h.dueOne("k")
			r := h.settle(l, idempotency.Outcome{State: idempotency.StateSucceeded, Value: []byte("v"), Notify: true})
			h.must(r.State == idempotency.StateAbandoned && r.Late && string(r.Value) == "v" && r.Notify, "it is %s", describe(r))
		},
	},
}
