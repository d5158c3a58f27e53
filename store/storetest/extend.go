package storetest

import (
	"slices"
	"strconv"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

var extendRules = []rule{
	{
		"SetsTheLease",
		"Extend sets the lease to end d from now, later or sooner, and changes nothing else",
		func(h *harness) {
			before, l := h.own(run("k"))
			for _, want := range []time.Duration{3 * long, long / 2, 2 * long} {
				h.extend(l, want, false, true)
				r := h.get("k")
				h.must(about(r.Lease, want) && about(r.Due, want), "Lease is %v and Due %v, want about %v", r.Lease, r.Due, want)
				r.Lease, r.Due = before.Lease, before.Due
				h.same(r, before, "the extended record")
			}
		},
	},
	{
		"EachLeaseByItself",
		"Extend of many leases answers for each, in their order; what does not stand does not harm the others",
		func(h *harness) { // T17, T59
			var leases []idempotency.Lease
			var want []bool
			for i := range 64 {
				_, l := h.own(run(strconv.Itoa(i)))
				switch i % 8 {
				case 1:
					l.Token = token()
				case 2:
					l.Fence++
				case 3:
					l.Key = "nobody's"
				case 4:
					h.settle(l, idempotency.Outcome{State: idempotency.StateSucceeded})
				case 5:
					l.Scope = "another"
				case 6:
					l.Fence = 0
				}
				leases, want = append(leases, l), append(want, i%8 == 0 || i%8 == 7)
			}
			got, err := h.Extend(h.Context(), leases, 2*long, false)
			h.noError(err, "Extend")
			h.must(slices.Equal(got, want), "Extend says\n\t%v, want\n\t%v", got, want)
			for i := range 64 {
				r := h.get(strconv.Itoa(i))
				extended := r.State == idempotency.StateRunning && about(r.Lease, 2*long)
				h.must(extended == want[i], "lease %d: reported %v, but the record is %s", i, want[i], describe(r))
			}
		},
	},
	{
		"NoLeases",
		"Extend of no leases does nothing",
		func(h *harness) {
			got, err := h.Extend(h.Context(), nil, long, true)
			h.noError(err, "Extend")
			h.must(len(got) == 0, "it returned %v", got)
		},
	},
	{
		"MarksAsSending",
		"with sending, Extend marks the claim; the first possible sending is set once, and never by a plain Extend",
		func(h *harness) { // T6, T57
			h.at("k", idempotency.StateScheduled, 0)
			r, l := h.dueOne("k")
			h.must(!r.Sending && r.FirstSent == idempotency.Never, "a scheduled record was claimed as %s", describe(r))
			h.extend(l, long, false, true)
			r = h.get("k")
			h.must(!r.Sending && r.FirstSent == idempotency.Never, "a plain Extend marked it: %s", describe(r))
			h.extend(l, long, true, true)
			r = h.wait("k", "some time since the first sending", func(r idempotency.Record) bool { return r.FirstSent >= brief })
			h.must(r.Sending && r.FirstSent != idempotency.Never, "Extend with sending did not mark it: %s", describe(r))
			first := r.FirstSent
			h.extend(l, long, true, true)
			r = h.get("k")
			h.must(r.FirstSent >= first, "FirstSent was %v ago, and is %v ago after another Extend", first, r.FirstSent)
			h.extend(l, long, false, true)
			h.must(h.get("k").Sending, "a plain Extend took the mark away")
		},
	},
	{
		"NoSendingOnceCancelIsWanted",
		"with sending, a claim whose cancellation is wanted is refused: nothing is sent after Cancel. A plain Extend goes on",
		func(h *harness) { // T14
			c := run("k")
			c.Sending = false
			_, l := h.own(c)
			h.cancel("k")
			before := h.get("k")
			h.extend(l, 2*long, true, false)
			h.unchanged(before, "an Extend with sending that was refused")
			h.extend(l, long, false, true)
			h.must(!h.get("k").Sending, "it is marked as sending")

			_, first := h.own(run("other"))
			got, err := h.Extend(h.Context(), []idempotency.Lease{l, first}, long, true)
			h.noError(err, "Extend")
			h.must(slices.Equal(got, []bool{false, true}), "together with another lease: %v, want [false true]", got)
		},
	},
	{
		"EndedDoesNotStand",
		"a claim that was settled, or that a verdict has ended, does not stand",
		func(h *harness) { // T17
			for _, s := range append(resting, final...) {
				_, l := h.settled(s.String(), s, long)
				for _, sending := range []bool{false, true} {
					before := h.get(s.String())
					h.extend(l, long, sending, false)
					h.unchanged(before, "Extend of a claim that had ended")
				}
			}
			r, l := h.own(run("verdict"))
			h.settle(outside(r), idempotency.Outcome{State: idempotency.StateSucceeded})
			h.extend(l, long, false, false)
		},
	},
}
