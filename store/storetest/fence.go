package storetest

import (
	"bytes"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Where records rest, and where they end.
var (
	resting = []idempotency.State{
		idempotency.StateFree, idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown,
		idempotency.StateAbandoned,
	}
	final = []idempotency.State{idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled}
	modes = []idempotency.ClaimMode{idempotency.ClaimRun, idempotency.ClaimSchedule, idempotency.ClaimTombstone}
)

// fenceRules: what Acquire does where there is a record.
var fenceRules = []rule{
	{
		"ZeroClaimsNothingThatExists",
		"fence 0 applies only where no record exists: a delayed copy of an Acquire can never bring one back",
		func(h *harness) { // T58, T69
			for _, s := range append(resting, final...) {
				for _, mode := range modes {
					key := s.String() + string('0'+rune(mode))
					before := h.at(key, s, 0)
					c := run(key)
					c.Mode = mode
					r := h.acquire(c)
					h.must(!r.Owned, "fence 0 (mode %d) claimed a record that is %s", mode, s)
					h.same(r, before, "the "+s.String()+" record that Acquire returned")
					h.unchanged(before, "Acquire with fence 0")
				}
			}
		},
	},
	{
		"NamedWithoutRecord",
		"a claim that names a fence returns ErrNoRecord where there is no record, and makes none",
		func(h *harness) {
			for _, mode := range modes {
				c := run("k")
				c.Fence, c.Mode = 1, mode
				_, err := h.Acquire(h.Context(), c)
				h.isError(err, idempotency.ErrNoRecord, "Acquire with fence 1")
				_, err = h.Get(h.Context(), c.ID)
				h.isError(err, idempotency.ErrNoRecord, "Get after it")
			}
		},
	},
	{
		"NamedClaimsWhatRests",
		"a claim that names the fence of a due record at rest is granted: fence one higher, From the state at rest",
		func(h *harness) {
			for _, s := range resting {
				before := h.at(s.String(), s, 0)
				c := again(before)
				c.Sending = false
				r, _ := h.own(c)
				h.must(r.Fence == before.Fence+1, "%s: Fence went from %d to %d, want one higher", s, before.Fence, r.Fence)
				h.must(r.From == s, "From is %s, want %s", r.From, s)
				h.must(!r.Sending, "%s: Sending is true, the claim was not marked", s)
				h.must(r.Ambiguous == before.Ambiguous, "%s: Ambiguous went from %v to %v", s, before.Ambiguous, r.Ambiguous)
				h.must(r.Attempts == before.Attempts, "%s: Attempts went from %d to %d", s, before.Attempts, r.Attempts)
				h.must(r.Ref == before.Ref, "%s: Ref went from %q to %q", s, before.Ref, r.Ref)
			}
		},
	},
	{
		"OtherFenceClaimsNothing",
		"a fence that is not the record's claims nothing: the record has moved on since it was read",
		func(h *harness) { // T7
			for _, s := range resting {
				first := h.at(s.String(), s, 0)
				_, l := h.own(again(first))
				before := h.settle(l, idempotency.Outcome{State: s, Ambiguous: true})
				for _, fence := range []uint64{first.Fence, before.Fence + 1, 1 << 62} {
					c := again(before)
					c.Fence = fence
					r := h.acquire(c)
					h.must(!r.Owned, "fence %d claimed a %s record whose fence is %d", fence, s, before.Fence)
					h.unchanged(before, "Acquire with another fence")
				}
			}
		},
	},
	{
		"RunningIsNotClaimed",
		"a running record is claimed by no fence, not even its own, while its lease lasts",
		func(h *harness) {
			before, _ := h.own(run("k"))
			for _, mode := range modes {
				c := again(before)
				c.Mode = mode
				r := h.acquire(c)
				h.must(!r.Owned, "a live claim was taken over")
				h.unchanged(before, "Acquire with the fence of a live claim")
			}
		},
	},
	{
		"NotDueIsNotClaimed",
		"a record is claimed no sooner than its backoff allows, however many callers come",
		func(h *harness) { // T58
			for _, s := range resting {
				before := h.at(s.String(), s, long)
				h.must(about(before.Due, long), "%s: Due is %v, want about %v", s, before.Due, long)
				r := h.acquire(again(before))
				h.must(!r.Owned, "a %s record was claimed %v before it was due", s, before.Due)
				h.unchanged(before, "Acquire before it was due")
				if s == idempotency.StateFree {
					continue
				}
				before = h.at(s.String()+" for ever", s, idempotency.Never)
				r = h.acquire(again(before))
				h.must(!r.Owned, "a %s record was claimed, its next step is never", s)
				h.unchanged(before, "Acquire of what is never due")
			}
		},
	},
	{
		"DueComes",
		"what was not due is claimed once its time has come",
		func(h *harness) {
			h.at("k", idempotency.StateUnknown, brief)
			r := h.wait("k", "it to be due", func(r idempotency.Record) bool { return r.Due <= 0 })
			h.own(again(r))
		},
	},
	{
		"SettledIsReturned",
		"a settled record is final: every claim, of any mode and with any fence, gets it as it is",
		func(h *harness) {
			for _, s := range final {
				before := h.at(s.String(), s, 0)
				for _, mode := range modes {
					c := again(before)
					c.Mode = mode
					r := h.acquire(c)
					h.must(!r.Owned, "a %s record was claimed (mode %d)", s, mode)
					h.same(r, before, "the settled record")
					h.unchanged(before, "Acquire of a settled record")
				}
			}
		},
	},
	{
		"FreeTakesTheNewRequest",
		"a claim that takes a free record stores its own request; claims of other records leave theirs",
		func(h *harness) {
			for _, s := range resting {
				before := h.at(s.String(), s, 0)
				c := again(before)
				c.GiveUp = 3 * long
				h.own(c)
				r := h.get(s.String())
				if s == idempotency.StateFree {
					h.must(bytes.Equal(r.Request, c.Request) && bytes.Equal(r.Fingerprint, c.Fingerprint) &&
						about(r.GiveUp, 3*long), "the new claim's request was not stored: %q, %q, GiveUp %v",
						r.Request, r.Fingerprint, r.GiveUp)
					continue
				}
				h.must(bytes.Equal(r.Request, before.Request) && bytes.Equal(r.Fingerprint, before.Fingerprint) &&
					r.GiveUp == idempotency.Never, "a %s record's request was replaced: %q, %q, GiveUp %v",
					s, r.Request, r.Fingerprint, r.GiveUp)
			}
		},
	},
	{
		"ScheduleAndTombstoneTakeOnlyFree",
		"ClaimSchedule and ClaimTombstone with a fence apply to free records only",
		func(h *harness) {
			want := map[idempotency.ClaimMode]idempotency.State{
				idempotency.ClaimSchedule: idempotency.StateScheduled, idempotency.ClaimTombstone: idempotency.StateCancelled,
			}
			for mode, state := range want {
				for _, s := range resting {
					key := s.String() + " to " + state.String()
					before := h.at(key, s, 0)
					c := again(before)
					c.Mode = mode
					r := h.acquire(c)
					if s != idempotency.StateFree {
						h.unchanged(before, "a claim that applies to free records only")
						continue
					}
					h.state(r, state)
					h.must(r.Started == (state == idempotency.StateScheduled), "Started is %v", r.Started)
					h.must(bytes.Equal(r.Request, c.Request), "Request is %q, want the new claim's", r.Request)
					h.must(r.Fence > before.Fence, "the fence stayed %d: whoever saw the free record could still claim it", r.Fence)
				}
			}
		},
	},
	{
		"FreedTokenIsRefused",
		"a delayed copy of an Acquire whose record was freed meanwhile brings nothing back",
		func(h *harness) { // T69
			c := run("k")
			_, l := h.own(c)
			freed := h.settle(l, idempotency.Outcome{State: idempotency.StateFree})
			r := h.acquire(c)
			h.must(!r.Owned, "the copy of a claim that had ended was granted")
			h.unchanged(freed, "the delayed copy")

			c = again(freed)
			r, l = h.own(c)
			h.settle(l, idempotency.Outcome{State: idempotency.StateFree})
			copied := h.acquire(c)
			h.must(!copied.Owned, "the copy of a claim that named fence %d was granted after it had ended", r.Fence-1)
			h.notDue("nobody is committed to a free record")
		},
	},
	{
		"FirstSentIsSetOnce",
		"the first possible sending stays the first: the age of the provider's key counts from it",
		func(h *harness) { // T6
			h.at("k", idempotency.StateUnknown, 0)
			before := h.wait("k", "some time since the first sending", func(r idempotency.Record) bool { return r.FirstSent >= brief })
			r, _ := h.own(again(before))
			h.must(r.FirstSent != idempotency.Never && r.FirstSent >= before.FirstSent,
				"FirstSent was %v ago, and is %v ago after another claim", before.FirstSent, r.FirstSent)
		},
	},
}
