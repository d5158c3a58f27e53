package storetest

import (
	"fmt"

	"github.com/steadfast-go/steadfast/idempotency"
)

func happened(value string) idempotency.Outcome {
	return idempotency.Outcome{State: idempotency.StateSucceeded, Value: []byte(value)}
}

// happenedRules: a success that is learned from outside: a webhook, a lookup, an operator, an owner that lost its claim.
var happenedRules = []rule{
	{
		"SettlesWhatIsOpen",
		"a success from outside settles accepted and unknown records, whatever fence it names or none",
		func(h *harness) { // T13
			for _, s := range []idempotency.State{idempotency.StateAccepted, idempotency.StateUnknown} {
				before := h.at(s.String(), s, long)
				l := idempotency.Lease{ID: before.ID}
				r := h.settle(l, happened("v"))
				h.must(r.State == idempotency.StateSucceeded && string(r.Value) == "v", "%s: it became %s", s, describe(r))
				h.must(!r.Ambiguous && r.Due == idempotency.Never && about(r.SettledAt, 0), "%s: it became %s", s, describe(r))
				h.same(h.settle(l, happened("v")), r, "the record after the repeated verdict") // T15
			}
			before := h.at("fence", idempotency.StateUnknown, long)
			h.state(h.settle(idempotency.Lease{ID: before.ID, Fence: before.Fence + 7}, happened("v")), idempotency.StateSucceeded)
		},
	},
	{
		"EndsARunningClaim",
		"a success from outside settles a running record; its owner has lost the claim, and what it says is not written",
		func(h *harness) { // T7, T13
			for _, s := range append(resting, final...) {
				r, l := h.own(run(s.String()))
				h.state(h.settle(outside(r), happened("first")), idempotency.StateSucceeded)
				h.extend(l, long, true, false)
				h.refused(l, idempotency.Outcome{State: s, Ambiguous: true, Value: []byte("second")}, idempotency.ErrLeaseLost)
				r = h.get(s.String())
				h.must(string(r.Value) == "first" && !r.Owned && r.Lease == 0, "it is %s", describe(r))
			}
			h.notDue("all are settled")
		},
	},
	{
		"EndsALapsedClaim",
		"a success from outside settles a claim that lapsed while sending; its owner has lost it",
		func(h *harness) { // T8
			r, l := h.own(run("k"))
			h.lapse(l)
			h.state(h.settle(outside(r), happened("v")), idempotency.StateSucceeded)
			h.refused(l, idempotency.Outcome{State: idempotency.StateUnknown, Ambiguous: true}, idempotency.ErrLeaseLost)
			h.notDue("it is settled")
		},
	},
	{
		"LateFromTheOldOwner",
		"a success that an owner reports after it lost its claim is a verdict, and counts like any other",
		func(h *harness) { // T7
			_, old := h.own(run("k"))
			_, l := h.own(again(h.lapse(old)))
			h.refused(old, happened("v"), idempotency.ErrLeaseLost)
			h.state(h.settle(idempotency.Lease{ID: old.ID, Fence: old.Fence}, happened("v")), idempotency.StateSucceeded)
			h.refused(l, idempotency.Outcome{State: idempotency.StateRejected}, idempotency.ErrLeaseLost)
		},
	},
	{
		"ContradictsWhatIsSettled",
		"a success from outside of a rejected or cancelled record is ErrConflict, of a free one ErrNoRecord; nothing changes",
		func(h *harness) { // T13
			for _, s := range []idempotency.State{idempotency.StateRejected, idempotency.StateCancelled} {
				before := h.at(s.String(), s, 0)
				h.refused(outside(before), happened("v"), idempotency.ErrConflict)
				h.refused(idempotency.Lease{ID: before.ID}, happened("v"), idempotency.ErrConflict)
			}
			before := h.at("free", idempotency.StateFree, 0)
			_, err := h.Settle(h.Context(), outside(before), happened("v"))
			h.isError(err, idempotency.ErrNoRecord, "Settle of a free record from outside")
			h.unchanged(before, "it")
		},
	},
	{
		"StopsAScheduledCall",
		"a success from outside of a scheduled record settles it: whatever was believed before, it must not be sent now",
		func(h *harness) { // T62
			before := h.at("k", idempotency.StateScheduled, 0)
			r := h.settle(idempotency.Lease{ID: before.ID}, happened("v"))
			h.must(r.State == idempotency.StateSucceeded && string(r.Value) == "v", "it became %s", describe(r))
			h.notDue("it has settled")
		},
	},
	{
		"LateIsNotClaimed",
		"an abandoned record whose success is known, or that is marked to notify, is not claimed for asking: the answer would overwrite it",
		func(h *harness) { // T52
			for _, notify := range []bool{false, true} {
				before := h.at(fmt.Sprint("notify=", notify), idempotency.StateAbandoned, 0)
				o := happened("v")
				o.Notify = notify
				h.settle(idempotency.Lease{ID: before.ID}, o)
				c := again(before)
				c.Sending = false
				r := h.acquire(c)
				h.must(!r.Owned && r.State == idempotency.StateAbandoned && string(r.Value) == "v", "it became %s", describe(r))
			}
		},
	},
	{
		"SucceededStays",
		"a success from outside of a record that succeeded changes nothing, not even its value",
		func(h *harness) { // T13
			before := h.at("k", idempotency.StateSucceeded, 0)
			o := happened("another value")
			o.Notify = true
			h.same(h.settle(outside(before), o), before, "the record")
			h.unchanged(before, "a second success")
		},
	},
	{
		"LateForTheAbandoned",
		"a success of an abandoned record is stored as Late, once; the state stays, and nothing but the notification follows",
		func(h *harness) { // T14, T52
			before := h.at("k", idempotency.StateAbandoned, 0)
			r := h.settle(outside(before), happened("first"))
			h.must(r.State == idempotency.StateAbandoned && r.Late && string(r.Value) == "first", "it became %s", describe(r))
			h.must(r.Ambiguous == before.Ambiguous, "Ambiguous went from %v to %v", before.Ambiguous, r.Ambiguous)
			h.must(!r.Notify && r.Due == idempotency.Never, "no more is to be asked, and no mark was wanted: %s", describe(r))
			h.notDue("no more is to be found out")
			h.same(h.settle(outside(before), happened("second")), r, "the record after a second success")
			h.unchanged(r, "a second success")
		},
	},
	{
		"LateNotifiesOnce",
		"a late success with Notify is to be notified at once; a second one does not mark it again",
		func(h *harness) { // T52
			h.at("k", idempotency.StateAbandoned, long)
			o := happened("v")
			o.Notify, o.NotifyIn = true, long
			r := h.settle(idempotency.Lease{ID: id("k")}, o)
			h.must(r.Late && r.Notify && r.Due <= 0, "it became %s", describe(r))
			r, l := h.dueOne("k")
			h.must(r.State == idempotency.StateAbandoned && r.Late && string(r.Value) == "v", "it was handed out as %s", describe(r))
			h.settle(l, idempotency.Outcome{State: idempotency.StateAbandoned, Due: idempotency.Never})
			r = h.settle(idempotency.Lease{ID: id("k")}, o)
			h.must(!r.Notify, "it is marked to notify for the second time")
			h.notDue("it was notified")
		},
	},
	{
		"LateWhileItIsAskedAbout",
		"a success of an abandoned record that is claimed for asking is Late as well: its caller was told \"cancelled\"",
		func(h *harness) { // T14, T52
			h.at("k", idempotency.StateAbandoned, 0)
			_, l := h.dueOne("k")
			r := h.settle(idempotency.Lease{ID: id("k")}, happened("v"))
			h.must(r.State == idempotency.StateAbandoned && r.Late && string(r.Value) == "v", "it became %s", describe(r))
			h.refused(l, idempotency.Outcome{State: idempotency.StateCancelled}, idempotency.ErrLeaseLost)
		},
	},
	{
		"LateAfterCancel",
		"a success of a call that was cancelled while unknown is not lost, and does not undo the cancellation",
		func(h *harness) { // T14, T52
			h.at("k", idempotency.StateUnknown, 0)
			h.cancel("k")
			r := h.settle(idempotency.Lease{ID: id("k")}, happened("v"))
			h.must(r.State == idempotency.StateAbandoned && r.Late, "it became %s", describe(r))
		},
	},
	{
		"MarksToNotifyAtOnce",
		"a success from outside with Notify is to be notified at once: whoever reported it does not hold the claim to notify",
		func(h *harness) { // T51
			r, owner := h.own(run("k"))
			o := happened("v")
			o.Notify, o.NotifyIn = true, long
			r = h.settle(outside(r), o)
			h.must(r.Notify && r.Due <= 0 && !r.Owned, "it became %s", describe(r))
			r, l := h.dueOne("k")
			h.must(r.State == idempotency.StateSucceeded && r.Owned && r.Fence == owner.Fence+1, "it was handed out as %s", describe(r))
			h.settle(l, idempotency.Outcome{State: idempotency.StateSucceeded})
			h.notDue("it was notified")
		},
	},
}
