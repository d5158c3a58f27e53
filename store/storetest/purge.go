package storetest

import (
	"strconv"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// ends makes a record that is settled to s, and kept for so long.
func (h *harness) ends(key string, s idempotency.State, retention, stub time.Duration) (idempotency.Record, idempotency.Lease) {
	h.Helper()
	c := run(key)
	c.Retention, c.StubFor = retention, stub
	_, l := h.own(c)
	r := h.settle(l, idempotency.Outcome{State: s, Value: []byte("value of " + key), Code: "code"})
	return r, l
}

// age waits until the record has rested for longer than brief.
func (h *harness) age(key string) {
	h.Helper()
	first := h.get(key)
	h.wait(key, "the record to age", func(r idempotency.Record) bool { return r.Created > first.Created+2*brief })
}

func (h *harness) purge(limit, want int) {
	h.Helper()
	n, err := h.Purge(h.Context(), limit)
	h.noError(err, "Purge")
	h.must(n == want, "Purge(%d) did %d steps, want %d", limit, n, want)
}

// purgeRules: what retention empties and removes.
var purgeRules = []rule{
	{
		"EmptiesWhatIsSettledAndOver",
		"Purge empties value and request of a settled record whose retention is over; the stub stays, and says so",
		func(h *harness) { // T33, T54
			for _, s := range final {
				before, _ := h.ends(s.String(), s, brief, idempotency.Never)
				h.must(!before.Expired, "%s: Expired is true before Purge", s)
				h.age(s.String())
				h.purge(10, 1)
				r := h.get(s.String())
				h.must(r.Expired && len(r.Value) == 0 && len(r.Request) == 0, "%s: it is %s", s, describe(r))
				h.must(string(r.Fingerprint) == string(before.Fingerprint), "%s: the fingerprint is gone: %q", s, r.Fingerprint)
				h.must(r.State == s && r.Fence == before.Fence && r.Code == before.Code, "%s: it is %s", s, describe(r))
				h.purge(10, 0)
				h.age(s.String())
				h.purge(10, 0)
				h.unchanged(r, "Purge of a stub that is kept for ever")
			}
		},
	},
	{
		"StubsAnswer",
		"a stub still answers every claim and verdict as its record did: the key is never sent again",
		func(h *harness) { // T54
			_, l := h.ends("k", idempotency.StateSucceeded, 0, idempotency.Never)
			h.age("k")
			h.purge(10, 1)
			stub := h.get("k")
			for _, mode := range modes {
				c := run("k")
				c.Mode = mode
				r := h.acquire(c)
				h.must(!r.Owned && r.Expired, "Acquire of a stub returned %s", describe(r))
			}
			h.same(h.cancel("k"), stub, "the stub after Cancel")
			h.same(h.settle(outside(stub), happened("v")), stub, "the stub after a second success")
			h.same(h.settle(l, happened("v")), stub, "the stub after its owner's repeated Settle")
			h.refused(outside(stub), idempotency.Outcome{State: idempotency.StateRejected}, idempotency.ErrConflict)
			h.unchanged(stub, "all this")
		},
	},
	{
		"RemovesStubs",
		"Purge removes a stub whose time is over; then the key is new",
		func(h *harness) {
			_, l := h.ends("k", idempotency.StateSucceeded, brief, brief)
			h.age("k")
			h.age("k")
			n, err := h.Purge(h.Context(), 10)
			h.noError(err, "Purge")
			m, err := h.Purge(h.Context(), 10)
			h.noError(err, "Purge")
			h.must(n+m > 0, "Purge does nothing about a stub whose time is over")
			_, err = h.Get(h.Context(), id("k"))
			h.isError(err, idempotency.ErrNoRecord, "Get of what was removed")
			r, _ := h.own(run("k"))
			h.must(r.Fence == 1 && r.Attempts == 0 && len(r.Value) == 0 && !r.Expired, "the new record is %s", describe(r))
			// The fence began anew: only the token tells the old owner from the new one.
			h.refused(l, idempotency.Outcome{State: idempotency.StateFree}, idempotency.ErrLeaseLost) // T7
			h.extend(l, long, false, false)
		},
	},
	{
		"KeepsWhatIsNotOver",
		"Purge leaves settled records alone until their retention is over, and stubs until theirs is",
		func(h *harness) { // T33
			before, _ := h.ends("retained", idempotency.StateSucceeded, long, brief)
			h.ends("stub", idempotency.StateSucceeded, 0, long)
			h.age("stub")
			h.purge(10, 1)
			h.unchanged(before, "Purge before its retention was over")
			h.age("stub")
			h.purge(10, 0)
			h.must(h.get("stub").Expired, "the stub is not empty")
		},
	},
	{
		"KeepsWhatIsNotSettled",
		"Purge never touches what is not settled, however old: running, lapsed, scheduled, accepted, unknown, abandoned, late",
		func(h *harness) { // T33
			made := map[string]idempotency.Record{}
			for _, s := range append(resting, idempotency.StateRunning) {
				c := run(s.String())
				c.Retention, c.StubFor = 0, 0
				r, l := h.own(c)
				if s != idempotency.StateRunning {
					r = h.settle(l, idempotency.Outcome{State: s, Ambiguous: s == idempotency.StateUnknown, Due: long})
				}
				made[s.String()] = r
			}
			for _, key := range []string{"lapsed", "late"} {
				c := run(key)
				c.Retention, c.StubFor = 0, 0
				_, l := h.own(c)
				if key == "lapsed" {
					made[key] = h.lapse(l)
					continue
				}
				h.settle(l, idempotency.Outcome{State: idempotency.StateAbandoned, Ambiguous: true})
				made[key] = h.settle(outside(h.get(key)), happened("v"))
			}
			h.age("late")
			h.purge(100, 0)
			for key, r := range made {
				h.unchanged(r, "Purge of what is "+key)
			}
		},
	},
	{
		"KeepsFreeRecordsForAWhile",
		"free records stay for about an hour: until then they refuse delayed copies of an Acquire",
		func(h *harness) { // T69
			c := run("k")
			c.Retention, c.StubFor = 0, 0
			_, l := h.own(c)
			h.settle(l, idempotency.Outcome{State: idempotency.StateFree})
			h.age("k")
			h.purge(10, 0)
			h.must(!h.acquire(c).Owned, "after Purge a delayed copy of Acquire was granted")
		},
	},
	{
		"KeepsWhatIsToBeNotified",
		"Purge leaves a record alone that somebody is yet to be told of",
		func(h *harness) { // T33, T51
			for _, s := range final {
				c := run(s.String())
				c.Retention, c.StubFor = 0, 0
				_, l := h.own(c)
				before := h.settle(l, toNotify(s))
				h.age(s.String())
				h.purge(10, 0)
				h.unchanged(before, "Purge of what is to be notified")
				h.settle(l, idempotency.Outcome{State: s})
				n, err := h.Purge(h.Context(), 10)
				h.noError(err, "Purge")
				h.must(n > 0, "Purge does nothing about a record that was told")
				for n > 0 {
					n, err = h.Purge(h.Context(), 10)
					h.noError(err, "Purge")
				}
			}
		},
	},
	{
		"AtMostLimit",
		"Purge does at most limit steps, and says how many it did, until there is nothing left to do",
		func(h *harness) { // T33
			for i := range 100 {
				h.ends(strconv.Itoa(i), idempotency.StateSucceeded, 0, idempotency.Never)
			}
			h.age("99")
			h.purge(1, 1)
			h.purge(4, 4)
			h.purge(90, 90)
			h.purge(90, 5)
			h.purge(90, 0)
			for i := range 100 {
				h.must(h.get(strconv.Itoa(i)).Expired, "record %d was not emptied", i)
			}
		},
	},
	{
		"TombstonesToo",
		"a tombstone is settled: Purge empties it, and keeps its stub",
		func(h *harness) { // T14
			c := run("k")
			c.Mode, c.Retention = idempotency.ClaimTombstone, 0
			h.acquire(c)
			h.age("k")
			h.purge(10, 1)
			r := h.get("k")
			h.must(r.State == idempotency.StateCancelled && r.Expired && len(r.Request) == 0, "it is %s", describe(r))
			h.must(!h.acquire(run("k")).Owned, "the key was claimed")
		},
	},
	{
		"HandedOutBytesStay",
		"what a store has handed out it does not change: a record read before Purge is whole after it",
		func(h *harness) {
			before, _ := h.ends("k", idempotency.StateSucceeded, 0, idempotency.Never)
			value, request := string(before.Value), string(before.Request)
			h.age("k")
			h.purge(10, 1)
			h.must(string(before.Value) == value && string(before.Request) == request, "they became %q and %q", before.Value, before.Request)
		},
	},
}
