package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// alike are keys that a store may take for each other: by case, by spaces, by Unicode, or as a separator of its own.
var alike = []string{
	"k", "K", "k ", " k", "k\t", "k\n", "k\x00", "\x00", "k%", "k_", "k*", "k?", "k[a]", "k\\", "k'", "k\"", "k:", "k|", "k/",
	"{k}", "é", "e\u0301", "É", "ß", "ss", "SS", "ı", "i", "I", "İ", "\ufb01", "fi", "\ufeffk", "k\u00a0", "k\u200b", "Å", "\u212b",
	"😀", "\xff", "\xff\xfe", "1", "01", "1.0", "1e0", "null", "NULL", "\u00c4", "A\u0308", "a", "A", "ä",
}

// keyRules: what makes two calls two.
var keyRules = []rule{
	{
		"AreBytes",
		"keys are bytes: no case, no spaces, no Unicode form is folded, and every byte is allowed",
		func(h *harness) { // T29
			h.eachID(func(s string) idempotency.ID { return idempotency.ID{Operation: operation, Scope: scope, Key: s} })
		},
	},
	{
		"ScopesAreBytes",
		"scopes are bytes: no case, no spaces, no Unicode form is folded, and every byte is allowed; a scope may be empty",
		func(h *harness) { // T24, T29
			h.eachID(func(s string) idempotency.ID { return idempotency.ID{Operation: operation, Scope: s, Key: "k"} })
			c := run("k")
			c.ID.Scope = ""
			h.own(c)
		},
	},
	{
		"OperationsAreBytes",
		"operations are bytes: no case, no spaces, no Unicode form is folded, and every byte is allowed",
		func(h *harness) { // T24, T29
			h.eachID(func(s string) idempotency.ID { return idempotency.ID{Operation: s, Scope: scope, Key: "k"} })
		},
	},
	{
		"PartsDoNotRunTogether",
		"operation, scope and key are three: what is the same when they are joined is not the same call",
		func(h *harness) { // T24
			for _, sep := range []string{"", ":", "/", "|", "\x00", "\x1f", ",", "{}", "}{"} {
				parts := []idempotency.ID{
					{Operation: "a" + sep + "b", Scope: "c", Key: "d"}, {Operation: "a", Scope: "b" + sep + "c", Key: "d"},
					{Operation: "a", Scope: "b", Key: "c" + sep + "d"},
				}
				if sep == "" {
					parts = []idempotency.ID{
						{Operation: "ab", Scope: "c", Key: "d"}, {Operation: "a", Scope: "bc", Key: "d"}, {Operation: "a", Scope: "b", Key: "cd"},
						{Operation: "abc", Key: "d"}, {Operation: "a", Key: "bcd"},
					}
				}
				for _, one := range parts {
					c := run("k")
					c.ID = one
					r := h.acquire(c)
					h.must(r.Owned && r.ID == one, "%q is taken, and it was not: it meets another of %q", one, parts)
				}
			}
		},
	},
	{
		"LongestIsAccepted",
		"operation, scope and key may be 255 bytes long each, all at once, and differ in the last byte alone",
		func(h *harness) {
			most := strings.Repeat("x", idempotency.MaxKey)
			other := most[1:] + "y"
			for _, one := range []idempotency.ID{
				{Operation: most, Scope: most, Key: most}, {Operation: other, Scope: most, Key: most},
				{Operation: most, Scope: other, Key: most}, {Operation: most, Scope: most, Key: other},
				{Operation: operation, Scope: scope, Key: strings.Repeat("é", 127) + "x"},
				{Operation: operation, Scope: scope, Key: strings.Repeat("\xff", idempotency.MaxKey)},
			} {
				c := run("k")
				c.ID = one
				r, l := h.own(c)
				h.must(r.ID == one, "the ID came back as %+v", r.ID)
				h.settle(l, idempotency.Outcome{State: idempotency.StateSucceeded})
				r, err := h.Get(h.Context(), one)
				h.noError(err, "Get")
				h.state(r, idempotency.StateSucceeded)
			}
		},
	},
	{
		"LongerIsRefused",
		"256 bytes are refused, in words that a caller can act on, and never cut off",
		func(h *harness) {
			most := strings.Repeat("x", idempotency.MaxKey+1)
			for field, one := range map[string]idempotency.ID{
				"operation": {Operation: most, Scope: scope, Key: "k"}, "scope": {Operation: operation, Scope: most, Key: "k"},
				"key": {Operation: operation, Scope: scope, Key: most},
			} {
				h.refusedID(one, "256 bytes of "+field)
			}
			short := run("k")
			short.ID.Key = most[1:]
			h.own(short) // had the long one been cut off, it would be here
		},
	},
	{
		"EmptyIsRefused",
		"an empty operation and an empty key are refused",
		func(h *harness) {
			h.refusedID(idempotency.ID{Scope: scope, Key: "k"}, "an empty operation")
			h.refusedID(idempotency.ID{Operation: operation, Scope: scope}, "an empty key")
		},
	},
	{
		"TimesAreDurations",
		"times are durations by the store's clock: ages count up, remaining times count down, Never stays Never",
		func(h *harness) { // T16
			c := run("k")
			c.GiveUp = long
			first, l := h.own(c)
			next := h.wait("k", "the clock to go on", func(r idempotency.Record) bool { return r.Created >= first.Created+brief })
			h.falls("Lease", first.Lease, next.Lease)
			h.falls("Due", first.Due, next.Due)
			h.falls("GiveUp", first.GiveUp, next.GiveUp)
			h.falls("the way to FirstSent", -first.FirstSent, -next.FirstSent)
			h.must(next.LastSent == idempotency.Never && next.SettledAt == idempotency.Never, "Never came: %s", describe(next))

			first = h.settle(l, idempotency.Outcome{State: idempotency.StateUnknown, Ambiguous: true, Due: idempotency.Never})
			next = h.wait("k", "the clock to go on", func(r idempotency.Record) bool { return r.Created >= first.Created+brief })
			h.falls("the way to LastSent", -first.LastSent, -next.LastSent)
			h.must(next.Due == idempotency.Never, "Due was Never, is %v", next.Due)

			first = h.at("other", idempotency.StateSucceeded, 0)
			next = h.wait("other", "the clock to go on", func(r idempotency.Record) bool { return r.Created >= first.Created+brief })
			h.falls("the way to SettledAt", -first.SettledAt, -next.SettledAt)
			h.must(next.GiveUp == idempotency.Never, "GiveUp was Never, is %v", next.GiveUp)
		},
	},
}

// eachID makes a record for each of the alike strings, and insists that they do not meet.
func (h *harness) eachID(of func(string) idempotency.ID) {
	h.Helper()
	for _, s := range alike {
		c := run("k")
		c.ID, c.Request = of(s), []byte(s)
		r := h.acquire(c)
		h.must(r.Owned, "%q is taken, by %q, and they are not the same", s, r.Request)
		h.must(r.ID == c.ID, "%q came back as %+q", c.ID, r.ID)
	}
	for _, s := range alike {
		r, err := h.Get(h.Context(), of(s))
		h.noError(err, fmt.Sprintf("Get of %q", s))
		h.must(string(r.Request) == s && r.ID == of(s), "asked for %q, Get returned %q", s, r.Request)
	}
}

// refusedID insists that no method takes the ID.
func (h *harness) refusedID(one idempotency.ID, what string) {
	h.Helper()
	c := run("k")
	c.ID = one
	_, err := h.Acquire(h.Context(), c)
	h.must(err != nil, "Acquire took %s", what)
	_, err = h.Get(h.Context(), one)
	h.must(err != nil, "Get took %s", what)
	_, err = h.Settle(h.Context(), idempotency.Lease{ID: one}, idempotency.Outcome{State: idempotency.StateCancelled})
	h.must(err != nil, "Settle took %s", what)
}

// falls insists that a remaining time has become less, by about what a case takes.
func (h *harness) falls(what string, from, to time.Duration) {
	h.Helper()
	h.must(to != idempotency.Never && to < from && from-to < slack, "%s was %v, and is %v some time later", what, from, to)
}
