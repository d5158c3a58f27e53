package storetest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/steadfast-go/steadfast/idempotency"
)

// listRules: what List selects, and in which order.
var listRules = []rule{
	{
		"OrderedByScopeAndKey",
		"List is ordered by scope, then key, bytewise",
		func(h *harness) {
			var want []idempotency.ID
			for _, s := range []string{"", "B", "a", "a ", "aa", "ä", "\xff", "b", "ab"} {
				for _, k := range []string{"10", "9", "A", "a", "é", "~", "\x01", "aa"} {
					c := run("k")
					c.ID.Scope, c.ID.Key = s, k
					h.own(c)
					want = append(want, c.ID)
				}
			}
			slices.SortFunc(want, compareIDs)
			list := h.list(idempotency.Query{Operation: operation, N: 1000})
			h.must(len(list) == len(want), "List returned %d records of %d", len(list), len(want))
			for i := range list {
				h.must(list[i].ID == want[i], "record %d is %q, want %q", i, list[i].ID, want[i])
			}
		},
	},
	{
		"PagesMeet",
		"After continues behind a record: page by page, every record comes once",
		func(h *harness) {
			for _, s := range []string{"", "a", "b"} {
				for k := range 9 {
					c := run("k")
					c.ID.Scope, c.ID.Key = s, strings.Repeat("k", k+1)
					h.own(c)
				}
			}
			whole := h.list(idempotency.Query{Operation: operation, N: 1000})
			h.must(len(whole) == 27, "List returned %d records of 27", len(whole))
			for _, n := range []int{1, 4, 9, 26, 27, 28} {
				var pages []idempotency.Record
				q := idempotency.Query{Operation: operation, N: n}
				for {
					page := h.list(q)
					h.must(len(page) <= n, "List of %d returned %d", n, len(page))
					if len(page) == 0 {
						break
					}
					pages = append(pages, page...)
					h.must(len(pages) <= len(whole), "pages of %d do not end", n)
					q.After = page[len(page)-1].ID
					q.After.Operation = "ignored"
				}
				h.must(len(pages) == len(whole), "pages of %d have %d records together, want %d", n, len(pages), len(whole))
				for i := range pages {
					h.must(pages[i].ID == whole[i].ID, "pages of %d: record %d is %q, want %q", n, i, pages[i].ID, whole[i].ID)
				}
			}
		},
	},
	{
		"AfterNeedsNoRecord",
		"After may name a scope and key that no record has: the list goes on behind it",
		func(h *harness) {
			for _, k := range []string{"a", "c", "e"} {
				h.own(run(k))
			}
			list := h.list(idempotency.Query{Operation: operation, N: 10, After: id("b")})
			h.must(slices.Equal(keys(list), []string{"c", "e"}), "behind \"b\" List returned %q", keys(list))
			list = h.list(idempotency.Query{Operation: operation, N: 10, After: idempotency.ID{Scope: "customer-0", Key: "z"}})
			h.must(len(list) == 3, "behind a smaller scope List returned %q", keys(list))
		},
	},
	{
		"OfOneOperation",
		"List returns records of its operation only",
		func(h *harness) { // T24
			c := run("k")
			c.ID.Operation = "refund"
			h.own(c)
			h.own(run("k"))
			list := h.list(idempotency.Query{Operation: operation, N: 10})
			h.must(len(list) == 1 && list[0].ID == id("k"), "List returned %d records", len(list))
			h.must(len(h.list(idempotency.Query{Operation: "ship", N: 10})) == 0, "List returned records of another operation")
		},
	},
	{
		"OfOneScope",
		"Scope restricts the list to one scope, which may be the empty one; nil is all of them",
		func(h *harness) { // T24
			for _, s := range []string{"", "a", "A", "ab"} {
				c := run("k")
				c.ID.Scope = s
				h.own(c)
			}
			for _, s := range []string{"", "a", "A", "ab"} {
				list := h.list(idempotency.Query{Operation: operation, N: 10, Scope: &s})
				h.must(len(list) == 1 && list[0].ID.Scope == s, "List of scope %q returned %d records", s, len(list))
			}
			none := "b"
			h.must(len(h.list(idempotency.Query{Operation: operation, N: 10, Scope: &none})) == 0, "List of no scope returned records")
			h.must(len(h.list(idempotency.Query{Operation: operation, N: 10})) == 4, "List of all scopes did not return all")
		},
	},
	{
		"OfSomeStates",
		"States restricts the list to these states; without any, all but free records are listed",
		func(h *harness) {
			all := append([]idempotency.State{idempotency.StateRunning}, append(resting, final...)...)
			for _, s := range all {
				if s == idempotency.StateRunning {
					h.own(run("running"))
					continue
				}
				h.at(s.String(), s, long)
			}
			for _, s := range all {
				list := h.list(idempotency.Query{Operation: operation, N: 10, States: []idempotency.State{s}})
				h.must(len(list) == 1 && list[0].State == s, "List of %s records returned %q", s, keys(list))
			}
			list := h.list(idempotency.Query{
				Operation: operation, N: 10, States: []idempotency.State{idempotency.StateUnknown, idempotency.StateAbandoned},
			})
			h.must(slices.Equal(keys(list), []string{"abandoned", "unknown"}), "List of two states returned %q", keys(list))
			list = h.list(idempotency.Query{Operation: operation, N: 10})
			h.must(len(list) == len(all)-1 && !slices.Contains(keys(list), "free"), "List without states returned %q", keys(list))
		},
	},
	{
		"OldestFirst",
		"OldestFirst orders by age, so that the age of the oldest unresolved call can be seen with one record",
		func(h *harness) {
			names := []string{"m", "a", "z", "b"}
			for _, key := range names {
				h.at(key, idempotency.StateUnknown, long)
				first := h.get(key)
				h.wait(key, "the clock to go on", func(r idempotency.Record) bool { return r.Created > first.Created })
				h.pause()
			}
			list := h.list(idempotency.Query{Operation: operation, N: 10, OldestFirst: true})
			h.must(slices.Equal(keys(list), names), "List returned %q, made in the order %q", keys(list), names)
			list = h.list(idempotency.Query{Operation: operation, N: 1, OldestFirst: true})
			h.must(slices.Equal(keys(list), names[:1]), "the oldest one is %q, want %q", keys(list), names[0])
		},
	},
	{
		"RecordsAsTheyAre",
		"List returns records as Get does, requests and values included, and owned by nobody",
		func(h *harness) {
			for _, s := range append(resting, final...) {
				h.at(s.String(), s, long)
			}
			list := h.list(idempotency.Query{Operation: operation, N: 10})
			h.must(len(list) == len(resting)+len(final)-1, "List returned %q", keys(list))
			for _, r := range list {
				h.same(r, h.get(r.ID.Key), "the listed record")
				h.must(!r.Owned, "%s: Owned is true", r.State)
				h.must(bytes.Equal(r.Request, run(r.ID.Key).Request), "%s: the request is %q", r.State, r.Request)
			}
		},
	},
	{
		"NIsChecked",
		"N must be 1 to 1000, and After zero with OldestFirst: other queries are refused",
		func(h *harness) {
			for _, q := range []idempotency.Query{
				{Operation: operation, N: 0}, {Operation: operation, N: -1}, {Operation: operation, N: 1001},
				{Operation: operation, N: 1, OldestFirst: true, After: id("k")}, {N: 1},
			} {
				_, err := h.List(h.Context(), q)
				h.must(err != nil, "List took %+v", q)
			}
		},
	},
}

func compareIDs(a, b idempotency.ID) int {
	if c := strings.Compare(a.Scope, b.Scope); c != 0 {
		return c
	}
	return strings.Compare(a.Key, b.Key)
}
