package storetest

import (
	"bytes"

	"github.com/steadfast-go/steadfast/idempotency"
)

// acquireRules: what Acquire makes where there is nothing.
var acquireRules = []rule{
	{
		"NewKeyIsClaimed",
		"a claim with fence 0 on a key without record creates it: running, owned, fence 1, claimed from free",
		func(h *harness) {
			c := run("k")
			c.GiveUp = 2 * long
			r := h.acquire(c)
			h.state(r, idempotency.StateRunning)
			h.must(r.Owned, "Owned is false")
			h.must(r.ID == c.ID, "ID is %+v, want %+v", r.ID, c.ID)
			h.must(r.Fence == 1, "Fence is %d, want 1", r.Fence)
			h.must(r.From == idempotency.StateFree, "From is %s, want free", r.From)
			h.must(r.Sending, "Sending is false, the claim was marked as sending")
			h.must(!r.Lapsed && !r.CancelWanted && !r.Ambiguous && !r.ReplayedError && !r.Started && !r.Notify && !r.Late &&
				!r.Omitted && !r.Expired && r.Attempts == 0, "a new record says things of a past that it has not: %s", describe(r))
			h.must(bytes.Equal(r.Fingerprint, c.Fingerprint), "Fingerprint is %q, want %q", r.Fingerprint, c.Fingerprint)
			h.must(bytes.Equal(r.Request, c.Request), "Request is %q, want %q", r.Request, c.Request)
			h.must(r.Lease > 0 && about(r.Lease, long), "Lease is %v, want about %v", r.Lease, long)
			h.must(about(r.Due, long), "Due is %v, want the lease's end, about %v", r.Due, long)
			h.must(about(r.GiveUp, 2*long), "GiveUp is %v, want about %v", r.GiveUp, 2*long)
			h.must(about(r.Created, 0) && about(r.FirstSent, 0), "Created is %v and FirstSent %v, want both now", r.Created, r.FirstSent)
			h.must(r.LastSent == idempotency.Never && r.SettledAt == idempotency.Never,
				"LastSent is %v and SettledAt %v, want Never for both", r.LastSent, r.SettledAt)
			h.unchanged(r, "Acquire, read back")
		},
	},
	{
		"NotSendingHasNotBeenSent",
		"a claim that is not marked as sending has no first possible sending",
		func(h *harness) {
			c := run("k")
			c.Sending = false
			r, _ := h.own(c)
			h.must(!r.Sending, "Sending is true")
			h.must(r.FirstSent == idempotency.Never, "FirstSent is %v, want Never", r.FirstSent)
		},
	},
	{
		"RepeatedAcquireIsOwned",
		"Acquire repeated with the same token, after a lost reply, finds its own claim and not somebody in the way",
		func(h *harness) { // T15
			c := run("k")
			first, _ := h.own(c)
			second := h.acquire(c)
			h.must(second.Owned, "asked again with the token that holds the claim, Owned is false")
			h.same(second, first, "the record of the second Acquire")

			rested := h.at("resting", idempotency.StateUnknown, 0)
			c = again(rested)
			first, _ = h.own(c)
			second = h.acquire(c)
			h.must(second.Owned, "asked again for a resting record with the token that took it over, Owned is false")
			h.same(second, first, "the taken over record of the second Acquire")
		},
	},
	{
		"SecondCallerGetsWhatIsThere",
		"a claim that does not apply changes nothing and returns the record as it is, not owned",
		func(h *harness) {
			first, _ := h.own(run("k"))
			c := run("k")
			c.Request, c.Fingerprint, c.Lease = []byte("other"), []byte("other"), 2*long
			r := h.acquire(c)
			h.must(!r.Owned, "Owned is true for a second token")
			h.same(r, first, "the record that the second caller got")
			h.unchanged(first, "a second caller's Acquire")
		},
	},
	{
		"ScheduleNew",
		"ClaimSchedule commits to the call: scheduled, started, due at once, owned by nobody; repeated it returns the record",
		func(h *harness) {
			c := run("k")
			c.Mode, c.Sending, c.Lease = idempotency.ClaimSchedule, false, 0
			r := h.acquire(c)
			h.state(r, idempotency.StateScheduled)
			h.must(r.Started, "Started is false")
			h.must(!r.Owned && r.Lease == 0, "a scheduled record is claimed: %s", describe(r))
			h.must(r.Due <= 0, "Due is %v, want now", r.Due)
			h.must(r.Fence > 0, "Fence is 0, so no claim could name it")
			h.must(r.FirstSent == idempotency.Never && r.LastSent == idempotency.Never, "it says that it was sent: %s", describe(r))
			h.must(bytes.Equal(r.Request, c.Request), "Request is %q, want %q", r.Request, c.Request)
			h.same(h.acquire(c), r, "the record after the repeated Acquire") // T15
			c.Token = token()
			h.same(h.acquire(c), r, "the record after somebody else's ClaimSchedule")
		},
	},
	{
		"TombstoneNew",
		"ClaimTombstone writes a cancelled record, so that the key can never be sent",
		func(h *harness) { // T14
			c := run("k")
			c.Mode, c.Sending, c.Lease = idempotency.ClaimTombstone, false, 0
			r := h.acquire(c)
			h.state(r, idempotency.StateCancelled)
			h.must(!r.Owned && r.Lease == 0, "a tombstone is claimed: %s", describe(r))
			h.must(about(r.SettledAt, 0), "SettledAt is %v, want now", r.SettledAt)
			h.must(!r.Notify && r.Due == idempotency.Never, "without Notify nothing is to follow: %s", describe(r))
			h.same(h.acquire(c), r, "the record after the repeated Acquire") // T15
			sent := h.acquire(run("k"))
			h.must(!sent.Owned, "the key was claimed after its tombstone had been written")
			h.notDue("a tombstone without Notify has no next step")
		},
	},
	{
		"TombstoneNotifies",
		"a tombstone with Notify is to be notified at once",
		func(h *harness) { // T51
			c := run("k")
			c.Mode, c.Notify = idempotency.ClaimTombstone, true
			r := h.acquire(c)
			h.must(r.Notify && r.Due <= 0, "Notify is %v and Due %v, want true and now", r.Notify, r.Due)
			got, _ := h.dueOne("k")
			h.state(got, idempotency.StateCancelled)
		},
	},
	{
		"InputIsCopied",
		"a store copies what it is given: a caller that goes on using its buffers does not change the record",
		func(h *harness) {
			c := run("k")
			r, l := h.own(c)
			request, fingerprint := bytes.Clone(c.Request), bytes.Clone(c.Fingerprint)
			clear(c.Request)
			clear(c.Fingerprint)
			h.must(bytes.Equal(r.Request, request), "Request handed out became %q", r.Request)
			value := []byte("value")
			h.settle(l, idempotency.Outcome{State: idempotency.StateSucceeded, Value: value})
			clear(value)
			now := h.get("k")
			h.must(bytes.Equal(now.Request, request) && bytes.Equal(now.Fingerprint, fingerprint) &&
				string(now.Value) == "value", "stored are %q, %q, %q", now.Request, now.Fingerprint, now.Value)
		},
	},
	{
		"BytesAreKept",
		"requests and values are bytes that a store never interprets: all of them come back, as many as there are",
		func(h *harness) { // the store's part of T34
			c := run("k")
			c.Request = make([]byte, 256<<10)
			for i := range c.Request {
				c.Request[i] = byte(i * 7)
			}
			_, l := h.own(c)
			value := append([]byte("\x00\xff\xfe'\"\\%{}\r\n"), c.Request...)
			h.settle(l, idempotency.Outcome{State: idempotency.StateSucceeded, Value: value, Message: "naïve ' \" \\ 💥"})
			r := h.get("k")
			h.must(bytes.Equal(r.Request, c.Request), "%d bytes of request came back as %d others", len(c.Request), len(r.Request))
			h.must(bytes.Equal(r.Value, value), "%d bytes of value came back as %d others", len(value), len(r.Value))
			h.must(r.Message == "naïve ' \" \\ 💥", "the message came back as %q", r.Message)
		},
	},
	{
		"GetWithoutRecord",
		"Get returns ErrNoRecord for a key that was never used",
		func(h *harness) {
			_, err := h.Get(h.Context(), id("k"))
			h.isError(err, idempotency.ErrNoRecord, "Get")
		},
	},
}
