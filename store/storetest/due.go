package storetest

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// dueRules: what AcquireDue hands out.
var dueRules = []rule{
	{
		"TakesWhatRestsAndIsDue",
		"AcquireDue claims scheduled, accepted, unknown and abandoned records that are due, none of them marked as sending",
		func(h *harness) { // T57
			for _, s := range resting {
				if s == idempotency.StateFree {
					continue
				}
				before := h.at(s.String(), s, 0)
				r, _ := h.dueOne(s.String())
				h.must(r.State == idempotency.StateRunning && r.From == s, "%s: State is %s and From %s, want running from %s",
					s, r.State, r.From, s)
				h.must(r.Owned, "%s: Owned is false", s)
				h.must(!r.Sending, "%s: the claim is marked as sending", s)
				h.must(r.Fence == before.Fence+1, "%s: Fence went from %d to %d", s, before.Fence, r.Fence)
				h.must(r.Lease > 0 && about(r.Lease, long), "%s: Lease is %v, want about %v", s, r.Lease, long)
				h.must(bytes.Equal(r.Request, before.Request), "%s: the request did not come along: %q", s, r.Request)
				h.must(r.Ambiguous == before.Ambiguous, "%s: Ambiguous went from %v to %v", s, before.Ambiguous, r.Ambiguous)
				h.unchanged(r, "AcquireDue, read back")
			}
		},
	},
	{
		"TakesAScheduledStart",
		"what ClaimSchedule has committed to is due at once",
		func(h *harness) {
			c := run("k")
			c.Mode = idempotency.ClaimSchedule
			h.acquire(c)
			r, _ := h.dueOne("k")
			h.must(r.From == idempotency.StateScheduled && r.Started, "it came as %s", describe(r))
		},
	},
	{
		"LeavesWhatIsNotDue",
		"AcquireDue leaves running and free records, settled ones of which everybody knows, and whatever is not due",
		func(h *harness) {
			h.own(run("running"))
			h.at("free", idempotency.StateFree, 0)
			for _, s := range final {
				h.at(s.String(), s, 0)
			}
			for _, s := range resting {
				h.at(s.String()+" later", s, long)
				h.at(s.String()+" never", s, idempotency.Never)
			}
			h.notDue("none of these has a next step that is due")
		},
	},
	{
		"ScheduledNoSoonerThanItRested",
		"ClaimSchedule does not bring forward when a free record may be claimed; one whose next step was never is due at once",
		func(h *harness) {
			for key, rested := range map[string]time.Duration{"busy": long, "never": idempotency.Never} {
				c := again(h.at(key, idempotency.StateFree, rested))
				c.Mode = idempotency.ClaimSchedule
				r := h.acquire(c)
				h.state(r, idempotency.StateScheduled)
				if rested == idempotency.Never {
					h.must(r.Due <= 0, "%s: due in %v", key, r.Due)
				} else {
					h.must(about(r.Due, long), "%s: due in %v, want %v", key, r.Due, long)
				}
			}
		},
	},
	{
		"OperationsDoNotMeet",
		"AcquireDue hands out records of its own operation only, in every scope of it",
		func(h *harness) { // T24
			c := run("k")
			c.Mode, c.ID.Operation = idempotency.ClaimSchedule, "refund"
			h.acquire(c)
			h.notDue("the record is another operation's")
			for _, s := range []string{"", "customer-1", "customer-2"} {
				c := run("k")
				c.Mode, c.ID.Scope = idempotency.ClaimSchedule, s
				h.acquire(c)
			}
			list := h.due(token(), 10)
			h.must(len(list) == 3, "AcquireDue returned %d records, want those of three scopes", len(list))
		},
	},
	{
		"AtMostN",
		"AcquireDue claims at most N records, and leaves the others to the next",
		func(h *harness) {
			for i := range 7 {
				h.at(strconv.Itoa(i), idempotency.StateUnknown, 0)
			}
			var got []string
			for _, want := range []int{3, 3, 1, 0} {
				list := h.due(token(), 3)
				h.must(len(list) == want, "AcquireDue of 3 returned %d records, want %d", len(list), want)
				got = append(got, keys(list)...)
			}
			slices.Sort(got)
			h.must(len(slices.Compact(got)) == 7, "a record was handed out twice: %v", got)
		},
	},
	{
		"LongestOverdueFirst",
		"AcquireDue takes what is longest overdue first, so that nothing starves",
		func(h *harness) {
			names := []string{"c", "a", "e", "b", "d"}
			for _, key := range names {
				h.at(key, idempotency.StateUnknown, 0)
				h.wait(key, "the clock to go on", func(r idempotency.Record) bool { return r.Due < 0 })
				h.pause()
			}
			for _, key := range names {
				list := h.due(token(), 1)
				h.must(len(list) == 1 && list[0].ID.Key == key, "AcquireDue of 1 returned %v, want %s, which is longest overdue",
					keys(list), key)
			}
		},
	},
	{
		"RepeatedReturnsTheSame",
		"AcquireDue repeated with the same token, after a lost reply, returns what it has claimed, and claims no more",
		func(h *harness) { // T15
			for i := range 4 {
				h.at(strconv.Itoa(i), idempotency.StateUnknown, 0)
			}
			t := token()
			first, second := h.due(t, 3), h.due(t, 3)
			a, b := keys(first), keys(second)
			slices.Sort(a)
			slices.Sort(b)
			h.must(len(a) == 3 && slices.Equal(a, b), "it claimed %v, and asked again %v", a, b)
			for _, r := range second {
				h.must(r.Owned && r.State == idempotency.StateRunning && r.Fence == 2,
					"asked again, the record is not the claim that was made: %s", describe(r))
			}
			rest := h.due(token(), 3)
			h.must(len(rest) == 1, "another token got %d records, want the one that is left", len(rest))
		},
	},
	{
		"RepeatedReturnsWhatIsStillHeld",
		"AcquireDue repeated with the same token does not return what that token has settled meanwhile",
		func(h *harness) { // T15
			for i := range 3 {
				h.at(strconv.Itoa(i), idempotency.StateUnknown, 0)
			}
			t := token()
			list := h.due(t, 3)
			h.must(len(list) == 3, "AcquireDue returned %d records, want 3", len(list))
			h.settle(lease(list[0], t), idempotency.Outcome{State: idempotency.StateSucceeded})
			h.settle(lease(list[1], t), idempotency.Outcome{State: idempotency.StateUnknown, Ambiguous: true, Due: long})
			left := h.due(t, 3)
			h.must(len(left) == 1 && left[0].ID == list[2].ID, "it returned %v, want %v alone", keys(left), list[2].ID.Key)

			// What has come into other hands is theirs.
			h.settle(lease(list[2], t), idempotency.Outcome{State: idempotency.StateUnknown, Ambiguous: true})
			h.dueOne(list[2].ID.Key)
			left = h.due(t, 3)
			h.must(len(left) == 0, "it returned %v, which another token has claimed since", keys(left))
		},
	},
	{
		"RepeatedTooLate",
		"AcquireDue repeated with a token whose claims have run out returns none of them as if they still stood",
		func(h *harness) { // T15
			h.at("k", idempotency.StateUnknown, 0)
			t := token()
			list := h.due(t, 1)
			h.must(len(list) == 1, "AcquireDue returned %d records, want 1", len(list))
			h.lapse(lease(list[0], t))
			for _, r := range h.due(t, 1) { // it may be claimed anew, or not be claimed
				h.must(r.State == idempotency.StateRunning && r.Owned && about(r.Lease, long) && r.Fence == list[0].Fence+1,
					"it returned a claim that has run out: %s", describe(r))
			}
		},
	},
	{
		"NotHandedOutTwice",
		"what AcquireDue has handed out is nobody else's while the lease lasts, neither by AcquireDue nor by its fence",
		func(h *harness) {
			before := h.at("k", idempotency.StateUnknown, 0)
			r, _ := h.dueOne("k")
			h.notDue("the record is claimed")
			for _, fence := range []uint64{before.Fence, r.Fence} {
				c := again(before)
				c.Fence = fence
				h.must(!h.acquire(c).Owned, "Acquire with fence %d took a record that AcquireDue had handed out", fence)
			}
		},
	},
	{
		"TakesWhatHasLapsed",
		"AcquireDue takes a record over whose owner has let the lease run out; the old owner has lost it",
		func(h *harness) { // T7
			r, l := h.own(run("k"))
			h.lapse(l)
			got, now := h.dueOne("k")
			h.must(got.Fence == r.Fence+1 && got.From == idempotency.StateUnknown, "it came as %s", describe(got))
			h.must(got.Ambiguous, "Ambiguous is false: the claim was marked as sending, the lapse makes it unknown")
			h.extend(l, long, false, false)
			h.refused(l, idempotency.Outcome{State: idempotency.StateFree}, idempotency.ErrLeaseLost)
			h.extend(now, long, true, true)
		},
	},
	{
		"BackoffAfterAsking",
		"a record that was claimed to be asked about is due again when its owner says, and not sooner",
		func(h *harness) {
			h.at("k", idempotency.StateAccepted, 0)
			_, l := h.dueOne("k")
			r := h.settle(l, idempotency.Outcome{State: idempotency.StateAccepted, Due: long})
			h.must(about(r.Due, long), "Due is %v, want about %v", r.Due, long)
			h.notDue("the next step is due in an hour")
		},
	},
}
