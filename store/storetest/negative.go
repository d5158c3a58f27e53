package storetest

import (
	"github.com/steadfast-go/steadfast/idempotency"
)

// verdicts are the negative verdicts and the states that each applies to.
var verdicts = map[idempotency.State][]idempotency.State{
	idempotency.StateAccepted:  {idempotency.StateRejected, idempotency.StateScheduled},
	idempotency.StateUnknown:   {idempotency.StateRejected, idempotency.StateScheduled},
	idempotency.StateAbandoned: {idempotency.StateCancelled},
}

// eachVerdict calls f with every negative verdict and a key of its own.
func eachVerdict(f func(key string, from idempotency.State, o idempotency.Outcome)) {
	for from, list := range verdicts {
		for _, to := range list {
			f(from.String()+" to "+to.String(), from, idempotency.Outcome{State: to, Code: "code", Message: "message", Due: long})
		}
	}
}

// negativeRules: what is learned from outside and is no success.
var negativeRules = []rule{
	{
		"SettlesWhatItSaw",
		"a negative verdict that names the record's fence applies: accepted and unknown to rejected or scheduled, abandoned to cancelled",
		func(h *harness) { // T63
			eachVerdict(func(key string, from idempotency.State, o idempotency.Outcome) {
				before := h.at(key, from, 0)
				r := h.settle(outside(before), o)
				h.must(r.State == o.State, "%s: it is %s", key, r.State)
				h.must(!r.Ambiguous && r.Code == "code" && r.Message == "message", "%s: it is %s", key, describe(r))
				if o.State == idempotency.StateScheduled {
					h.must(r.Started && about(r.Due, long), "%s: Started is %v, Due %v", key, r.Started, r.Due)
					h.must(r.FirstSent == idempotency.Never && r.LastSent == idempotency.Never,
						"%s: the sendings were not forgotten: %s", key, describe(r))
					return
				}
				h.must(r.Due == idempotency.Never && about(r.SettledAt, 0), "%s: it is %s", key, describe(r))
				h.same(h.settle(outside(before), o), r, "the record after the repeated verdict") // T15
				h.unchanged(r, "a repeated verdict")
			})
		},
	},
	{
		"RepeatedDidNotHappen",
		"the verdict \"did not happen\", repeated after a lost reply, returns the record",
		func(h *harness) { // T15
			before := h.at("k", idempotency.StateUnknown, 0)
			o := idempotency.Outcome{State: idempotency.StateScheduled, Due: long}
			r := h.settle(outside(before), o)
			h.same(h.settle(outside(before), o), r, "the record")
		},
	},
	{
		"OtherFence",
		"a negative verdict based on another fence is ErrLeaseLost: something may have been sent since it was asked for",
		func(h *harness) { // T62, T63
			eachVerdict(func(key string, from idempotency.State, o idempotency.Outcome) {
				first := h.at(key, from, 0)
				_, l := h.own(again(first))
				now := h.settle(l, idempotency.Outcome{State: from, Ambiguous: true, Due: long})
				h.must(now.Fence != first.Fence, "%s: the fence did not grow", key)
				for _, fence := range []uint64{first.Fence, now.Fence + 1} {
					h.refused(idempotency.Lease{ID: now.ID, Fence: fence}, o, idempotency.ErrLeaseLost)
				}
			})
		},
	},
	{
		"WhileRunning",
		"a negative verdict or a hint for a running record is ErrLeaseLost: it may speak of an earlier attempt",
		func(h *harness) { // T64
			eachVerdict(func(key string, from idempotency.State, o idempotency.Outcome) {
				r, l := h.own(again(h.at(key, from, 0)))
				h.refused(outside(r), o, idempotency.ErrLeaseLost)
				h.refused(outside(r), idempotency.Outcome{State: from, Ambiguous: true}, idempotency.ErrLeaseLost)
				h.extend(l, long, false, true)
			})
		},
	},
	{
		"WhileLapsed",
		"a negative verdict for a lapsed record is ErrLeaseLost: its owner may still come back, with a sending under way",
		func(h *harness) { // T8, T63
			for _, from := range []idempotency.State{idempotency.StateUnknown, idempotency.StateAccepted, idempotency.StateAbandoned} {
				c := again(h.at(from.String(), from, 0))
				c.Sending = false
				_, l := h.own(c)
				r := h.lapse(l)
				for _, to := range verdicts[from] {
					h.refused(outside(r), idempotency.Outcome{State: to}, idempotency.ErrLeaseLost)
				}
				h.extend(l, long, false, true)
			}
			_, l := h.own(run("sending"))
			r := h.lapse(l)
			for _, to := range verdicts[idempotency.StateUnknown] {
				h.refused(outside(r), idempotency.Outcome{State: to}, idempotency.ErrLeaseLost)
			}
		},
	},
	{
		"ContradictsWhatIsSettled",
		"a negative verdict that says otherwise than a settled record is ErrConflict; nothing changes",
		func(h *harness) { // T13
			for _, s := range final {
				before := h.at(s.String(), s, 0)
				for _, o := range []idempotency.State{idempotency.StateRejected, idempotency.StateCancelled, idempotency.StateScheduled} {
					if o != s {
						h.refused(outside(before), idempotency.Outcome{State: o}, idempotency.ErrConflict)
					}
				}
			}
		},
	},
	{
		"ContradictsALateSuccess",
		"once a success of an abandoned record is known, negative verdicts are ErrConflict: there is something to refund",
		func(h *harness) { // T52
			before := h.at("k", idempotency.StateAbandoned, 0)
			h.settle(outside(before), happened("v"))
			h.refused(outside(before), idempotency.Outcome{State: idempotency.StateCancelled}, idempotency.ErrConflict)
			h.refused(outside(before), idempotency.Outcome{State: idempotency.StateRejected}, idempotency.ErrConflict)
		},
	},
	{
		"HintSetsOnlyDue",
		"a hint, which names the fence and the record's own state, sets when the next step is due, and nothing else",
		func(h *harness) { // T64
			for from := range verdicts {
				before := h.at(from.String(), from, long)
				r := h.settle(outside(before), idempotency.Outcome{
					State: from, Value: []byte("v"), Code: "c", Message: "m", Ref: "r", Attempts: 5, Omitted: true, ReplayedError: true,
				})
				h.must(r.Due <= 0, "%s: Due is %v, want now", from, r.Due)
				r.Due = before.Due
				h.same(r, before, "the record, Due aside,")
				h.dueOne(from.String())
			}
		},
	},
	{
		"BasedOnAnotherState",
		"a verdict for a state in which the record is not, and one that no table knows, is refused; nothing changes",
		func(h *harness) { // T63
			for _, s := range resting {
				before := h.at(s.String(), s, 0)
				for _, to := range append(resting, final...) {
					known := to == s || to == idempotency.StateSucceeded
					for _, v := range verdicts[s] {
						known = known || v == to
					}
					if known {
						continue
					}
					_, err := h.Settle(h.Context(), outside(before), idempotency.Outcome{State: to, Ambiguous: true})
					h.must(err != nil, "a verdict took a record from %s to %s", s, to)
					h.unchanged(before, "a verdict from "+s.String()+" to "+to.String())
				}
			}
		},
	},
	{
		"WithoutFence",
		"a negative verdict that names no fence is refused: nobody knows what it saw. Cancelled without a fence is a cancellation",
		func(h *harness) { // T63
			for _, s := range []idempotency.State{idempotency.StateUnknown, idempotency.StateAccepted} {
				before := h.at(s.String(), s, 0)
				for _, to := range verdicts[s] {
					_, err := h.Settle(h.Context(), idempotency.Lease{ID: before.ID}, idempotency.Outcome{State: to})
					h.must(err != nil, "a verdict without a fence took a record from %s to %s", s, to)
					h.unchanged(before, "a verdict without a fence")
				}
			}
		},
	},
	{
		"OldOwnerOfTheJudged",
		"the owner whose attempt had ended gets ErrLeaseLost once a verdict changed the record: it is not what he settled",
		func(h *harness) { // T7
			eachVerdict(func(key string, from idempotency.State, o idempotency.Outcome) {
				before, l := h.settled(key, from, 0)
				h.settle(outside(before), o)
				h.refused(l, idempotency.Outcome{State: from, Ambiguous: true}, idempotency.ErrLeaseLost)
			})
		},
	},
	{
		"MarksToNotifyAtOnce",
		"a negative verdict that settles with Notify is to be notified at once",
		func(h *harness) { // T51
			eachVerdict(func(key string, from idempotency.State, o idempotency.Outcome) {
				o.Notify, o.NotifyIn, o.Due = true, long, long
				r := h.settle(outside(h.at(key, from, 0)), o)
				if o.State == idempotency.StateScheduled {
					h.must(!r.Notify, "%s: a scheduled record is marked to notify", key)
					return
				}
				h.must(r.Notify && r.Due <= 0, "%s: it is %s", key, describe(r))
				r, _ = h.dueOne(key)
				h.state(r, o.State)
			})
		},
	},
}
