package storetest

import (
	"github.com/steadfast-go/steadfast/idempotency"
)

func toNotify(s idempotency.State) idempotency.Outcome {
	return idempotency.Outcome{State: s, Value: []byte("v"), Notify: true, NotifyIn: long, Due: idempotency.Never}
}

// told are the states of which somebody is to be told.
var told = append([]idempotency.State{idempotency.StateAbandoned}, final...)

// notifyRules: the mark to notify, and the claim to.
var notifyRules = []rule{
	{
		"OwnerKeepsTheClaim",
		"an owner that settles with Notify holds the claim to notify until NotifyIn has passed; nobody else gets it until then",
		func(h *harness) { // T51
			for _, s := range told {
				_, l := h.own(run(s.String()))
				r := h.settle(l, toNotify(s))
				h.must(r.State == s && r.Notify, "%s: it is %s", s, describe(r))
				h.must(r.Owned, "%s: Owned is false", s)
				h.must(about(r.Lease, long) && about(r.Due, long), "%s: Lease is %v and Due %v, want NotifyIn", s, r.Lease, r.Due)
				h.must(r.Fence == l.Fence, "%s: Fence went from %d to %d", s, l.Fence, r.Fence)
				h.notDue("the owner holds the claim to notify")
				h.must(!h.acquire(run(s.String())).Owned, "%s: another token owns it", s)
				h.extend(l, long, false, true)
			}
		},
	},
	{
		"RepeatedIsOwned",
		"Settle with Notify, and Acquire, repeated with the owner's token find its claim to notify",
		func(h *harness) { // T15
			for _, s := range told {
				c := run(s.String())
				_, l := h.own(c)
				first := h.settle(l, toNotify(s))
				second := h.settle(l, toNotify(s))
				h.must(second.Owned && second.Notify, "%s: settled again it is %s", s, describe(second))
				h.same(second, first, "the record after a repeated Settle")
				h.must(h.acquire(c).Owned, "%s: the owner's token does not own it", s)
				h.unchanged(first, "Acquire by the owner")
			}
		},
	},
	{
		"TellingEndsIt",
		"an outcome that names the record's own state ends the claim to notify: the mark goes, all else stays",
		func(h *harness) { // T51
			for _, s := range told {
				_, l := h.own(run(s.String()))
				before := h.settle(l, toNotify(s))
				r := h.settle(l, idempotency.Outcome{State: s, Due: idempotency.Never})
				h.must(!r.Notify && !r.Owned && r.Lease == 0 && r.Due == idempotency.Never, "%s: it is %s", s, describe(r))
				r.Notify, r.Due, r.Lease = before.Notify, before.Due, before.Lease
				h.same(r, before, "the record, the mark aside,")
				again := h.settle(l, idempotency.Outcome{State: s, Due: idempotency.Never}) // T15
				h.must(!again.Notify && again.State == s, "%s: told again it is %s", s, describe(again))
				h.notDue("everybody was told")
			}
		},
	},
	{
		"HandedOutAfterNotifyIn",
		"once NotifyIn has passed, AcquireDue hands the claim to notify to somebody: a new fence, the state as it is",
		func(h *harness) { // T51
			for _, s := range told {
				_, l := h.own(run(s.String()))
				o := toNotify(s)
				o.NotifyIn = brief
				h.settle(l, o)
				before := h.wait(s.String(), "NotifyIn to pass", func(r idempotency.Record) bool { return r.Due <= 0 })
				r, now := h.dueOne(s.String())
				h.must(r.State == s && r.Notify && r.Owned && string(r.Value) == "v", "%s: it was handed out as %s", s, describe(r))
				h.must(r.Fence == l.Fence+1, "%s: Fence went from %d to %d", s, l.Fence, r.Fence)
				h.must(!r.Sending && about(r.Lease, long), "%s: it was handed out as %s", s, describe(r))
				h.must((r.SettledAt-before.SettledAt).Abs() < slack, "%s: SettledAt was %v, is %v", s, before.SettledAt, r.SettledAt)
				h.notDue("the claim to notify is held")
				h.extend(l, long, false, false)
				h.refused(l, idempotency.Outcome{State: s}, idempotency.ErrLeaseLost) // T7
				h.settle(now, idempotency.Outcome{State: s, Due: idempotency.Never})
				h.notDue("everybody was told")
			}
		},
	},
	{
		"AtOnceWithoutNotifyIn",
		"with NotifyIn zero the record is to be notified at once, by anybody",
		func(h *harness) {
			_, l := h.own(run("k"))
			o := toNotify(idempotency.StateSucceeded)
			o.NotifyIn = 0
			r := h.settle(l, o)
			h.must(r.Notify && r.Due <= 0, "it is %s", describe(r))
			h.dueOne("k")
		},
	},
	{
		"FailedTellingIsRepeated",
		"a claim to notify that ends with Notify keeps the mark, and is due again after NotifyIn",
		func(h *harness) { // T51
			for _, s := range told {
				_, l := h.own(run(s.String()))
				h.settle(l, toNotify(s))
				o := toNotify(s)
				o.NotifyIn = 2 * long
				r := h.settle(l, o)
				h.must(r.Notify && about(r.Due, 2*long), "%s: it is %s", s, describe(r))
				h.notDue("the next try is due later")
				o.NotifyIn, o.Due = 0, 0
				h.settle(l, o)
				r, _ = h.dueOne(s.String())
				h.state(r, s)
			}
		},
	},
	{
		"RepeatedDueReturnsIt",
		"AcquireDue repeated with the same token returns the claims to notify that it still holds",
		func(h *harness) { // T15
			_, l := h.own(run("k"))
			o := toNotify(idempotency.StateSucceeded)
			o.NotifyIn = 0
			h.settle(l, o)
			t := token()
			first, second := h.due(t, 5), h.due(t, 5)
			h.must(len(first) == 1 && len(second) == 1, "it returned %d records, and asked again %d", len(first), len(second))
			h.same(second[0], first[0], "the record that the second AcquireDue returned")
			h.settle(lease(first[0], t), idempotency.Outcome{State: idempotency.StateSucceeded})
			h.must(len(h.due(t, 5)) == 0, "it returned what was told meanwhile")
		},
	},
	{
		"LateTellerStillEndsIt",
		"a claim to notify whose time ran out and that nobody took over still ends",
		func(h *harness) { // T8
			_, l := h.own(run("k"))
			o := toNotify(idempotency.StateSucceeded)
			o.NotifyIn = brief
			h.settle(l, o)
			h.wait("k", "NotifyIn to pass", func(r idempotency.Record) bool { return r.Due <= 0 })
			r := h.settle(l, idempotency.Outcome{State: idempotency.StateSucceeded})
			h.must(!r.Notify, "the mark is still there")
			h.notDue("everybody was told")
		},
	},
	{
		"TellerThatDied",
		"a claim to notify that AcquireDue handed out and that ran out is handed out again",
		func(h *harness) { // T51
			_, l := h.own(run("k"))
			o := toNotify(idempotency.StateSucceeded)
			o.NotifyIn = 0
			h.settle(l, o)
			first, l := h.dueOne("k")
			h.lapse(l)
			second, _ := h.dueOne("k")
			h.must(second.State == idempotency.StateSucceeded && second.Notify && second.Fence == first.Fence+1,
				"it was handed out as %s", describe(second))
		},
	},
	{
		"AbandonedIsAskedAboutAfterwards",
		"the end of a claim to notify sets when an abandoned record is asked about",
		func(h *harness) {
			_, l := h.own(run("k"))
			o := toNotify(idempotency.StateAbandoned)
			o.Ambiguous = true
			h.settle(l, o)
			r := h.settle(l, idempotency.Outcome{State: idempotency.StateAbandoned, Due: brief})
			h.must(!r.Notify && r.Due != idempotency.Never && r.Ambiguous, "it is %s", describe(r))
			h.wait("k", "it to be due", func(r idempotency.Record) bool { return r.Due <= 0 })
			r, _ = h.dueOne("k")
			h.must(r.State == idempotency.StateRunning && r.From == idempotency.StateAbandoned, "it was handed out as %s", describe(r))
		},
	},
	{
		"OnlyWhatHasEnded",
		"the mark is for records that end up settled or abandoned; others are not marked",
		func(h *harness) {
			for _, s := range resting {
				if s == idempotency.StateAbandoned {
					continue
				}
				_, l := h.own(run(s.String()))
				o := toNotify(s)
				o.Ambiguous = s == idempotency.StateUnknown
				r := h.settle(l, o)
				h.must(!r.Notify && r.Due == idempotency.Never, "%s: it is %s", s, describe(r))
			}
			h.notDue("nobody is to be told of these")
		},
	},
	{
		"CancelNotifies",
		"a cancellation with Notify that takes effect at once is to be notified at once",
		func(h *harness) { // T51
			for _, s := range resting {
				if s == idempotency.StateAbandoned {
					continue
				}
				h.at(s.String(), s, long)
				o := idempotency.Outcome{State: idempotency.StateCancelled, Notify: true, NotifyIn: long, Due: long}
				r := h.settle(idempotency.Lease{ID: id(s.String())}, o)
				h.must(r.Notify && r.Due <= 0, "%s: it is %s", s, describe(r))
				got, _ := h.dueOne(s.String())
				h.must(got.State == r.State, "%s: it was handed out as %s, want %s", s, got.State, r.State)
			}
		},
	},
	{
		"WantedCancelNotifies",
		"a cancellation with Notify that waited for a claim which then lapses is to be notified, though no owner came back",
		func(h *harness) { // T51
			want := map[idempotency.State]idempotency.State{
				idempotency.StateFree: idempotency.StateCancelled, idempotency.StateScheduled: idempotency.StateCancelled,
				idempotency.StateAccepted: idempotency.StateAbandoned, idempotency.StateUnknown: idempotency.StateAbandoned,
			}
			for s, state := range want {
				c := again(h.at(s.String(), s, 0))
				c.Sending = false
				_, l := h.own(c)
				o := idempotency.Outcome{State: idempotency.StateCancelled, Notify: true}
				h.settle(idempotency.Lease{ID: l.ID}, o)
				h.settle(idempotency.Lease{ID: l.ID}, o) // T15
				r := h.lapse(l)
				h.must(r.State == state && r.Notify && r.Due <= 0, "%s: it is %s", s, describe(r))
				r, now := h.dueOne(s.String())
				h.must(r.State == state && r.Notify, "%s: it was handed out as %s", s, describe(r))
				h.settle(now, idempotency.Outcome{State: state, Due: idempotency.Never})
				h.notDue("everybody was told")
			}
		},
	},
	{
		"UnknownOutcomeOfACancelledCall",
		"an owner whose unknown outcome becomes abandoned, as Cancel wanted, holds the claim to notify as well",
		func(h *harness) { // T51
			_, l := h.own(run("k"))
			h.cancel("k")
			o := toNotify(idempotency.StateUnknown)
			o.Ambiguous = true
			r := h.settle(l, o)
			h.must(r.State == idempotency.StateAbandoned && r.Notify && r.Owned && about(r.Lease, long), "it is %s", describe(r))
			h.same(h.settle(l, o), r, "the record after a repeated Settle") // T15
			r = h.settle(l, idempotency.Outcome{State: idempotency.StateAbandoned, Due: idempotency.Never})
			h.must(!r.Notify, "it is %s", describe(r))
		},
	},
}
