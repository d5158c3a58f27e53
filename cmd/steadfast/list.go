package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

var listVerb = verb{
	name: "list", brief: "list calls: those that are not resolved, oldest first", access: reads, limit: queryLimit,
	help: `
Lists calls, of all operations and scopes unless told otherwise. By default those that somebody, the service's Run or a person,
still has to do something about: scheduled, running, accepted, unknown and abandoned ones.

  AGE    since the call was first made or started     TRIES  the attempts that were reported
  SENT   since it may last have been sent             NEXT   when Run does something about it; "-": it waits for a person
  NOTE   marks, then the last error or the provider's reason. lapsed: its process vanished; happened late: after it was
         given up (refund it?); to notify: OnSettled has not been told yet; no value: it could not be stored

A name that could be mistaken is printed in quotes, control characters escaped: -quoted reads it back. What is too wide is
cut (…): -wide prints all of it.

Oldest first, it prints at most 1000 calls. With -by key any number can be listed, page by page: each page says how to
get the next one, and each object of -json has its "cursor" for -after.`,
	setup: func(s *session, f *flags) action {
		l := &list{session: s, flags: f, n: 50, by: "age", states: idempotency.Unresolved()}
		f.Func("operation", "list calls of this operation only, a `name`", func(text string) error {
			l.operation = &text
			return nil
		})
		f.names("list calls of this scope only, a `name`; '' is the scope of calls without one")
		f.Func("state", "list calls in these `states`, as in unknown,abandoned; all: in any (default: those that are not resolved)", l.setStates)
		f.duration(&l.older, "older-than", "list calls of this age or more, a `duration`", 0)
		f.number(&l.n, "n", "list so many at most, a `number` up to 1000 (default: 50)", 1, mostListed)
		f.Func("by", "the `order`: age or key (default: age)", func(text string) error {
			if text != "age" && text != "key" {
				return errors.New("use age or key")
			}
			l.by = text
			return nil
		})
		f.Func("after", "go on behind this `cursor` (implies -by key)", l.setAfter)
		f.BoolVar(&l.wide, "wide", false, "cut nothing")
		return action{check: l.check, run: l.run}
	},
}

// mostListed is what a Store returns at once.
const mostListed = 1000

type list struct {
	*session
	flags     *flags
	operation *string
	scope     *string
	states    []idempotency.State
	older     time.Duration
	n         int
	by        string
	after     idempotency.ID
	wide      bool
}

func (l *list) setStates(text string) error {
	if text == "all" {
		l.states = nil
		return nil
	}
	l.states = nil
	for name := range strings.SplitSeq(text, ",") {
		state := idempotency.StateFree
		for state.String() != name {
			if state++; state > idempotency.StateCancelled {
				return fmt.Errorf("%q is no state: use scheduled, running, accepted, unknown, abandoned, succeeded, rejected, cancelled, or all", name)
			}
		}
		l.states = append(l.states, state)
	}
	return nil
}

// cursorOf is the place behind a call.
func cursorOf(id idempotency.ID) string {
	parts := []string{id.Operation, id.Scope, id.Key}
	for i, p := range parts {
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(p))
	}
	return strings.Join(parts, ".")
}

func (l *list) setAfter(text string) error {
	parts := strings.Split(text, ".")
	for i, p := range parts {
		name, err := base64.RawURLEncoding.DecodeString(p)
		if err != nil {
			parts = nil
			break
		}
		parts[i] = string(name)
	}
	if len(parts) == 3 {
		l.after = idempotency.ID{Operation: parts[0], Scope: parts[1], Key: parts[2]}
		if l.after.Validate() == nil {
			return nil
		}
	}
	return errors.New("take it from the end of the page before, or from its last object's \"cursor\"")
}

func (l *list) check(operands []string) (err error) {
	if err := none(operands); err != nil {
		return err
	}
	if l.flags.given("after") {
		if l.flags.given("by") && l.by != "key" {
			return errors.New("-after goes on in the order of keys, and -by is age: leave one out")
		}
		l.by = "key"
	}
	if l.operation != nil {
		if *l.operation, err = l.flags.name("operation", *l.operation); err != nil {
			return err
		}
		if err := (idempotency.ID{Operation: *l.operation, Key: "x"}).Validate(); err != nil {
			return err
		}
	}
	if l.flags.scope != nil {
		l.scope = l.flags.scope
		if *l.scope != "" {
			if *l.scope, err = l.flags.name("scope", *l.scope); err != nil {
				return err
			}
		}
		return idempotency.ID{Operation: "x", Scope: *l.scope, Key: "x"}.Validate()
	}
	return nil
}

func (l *list) run(ctx context.Context) error {
	var operations []string
	var err error
	if l.operation != nil {
		operations = []string{*l.operation}
	} else if operations, err = l.store.Operations(ctx); err != nil {
		return err
	}
	var found []idempotency.Record
	if l.by == "key" {
		found, err = l.byKey(ctx, operations)
	} else {
		found, err = l.byAge(ctx, operations)
	}
	if err != nil {
		return err
	}
	more := len(found) > l.n
	found = found[:min(len(found), l.n)]
	if l.json {
		for i := range found {
			o := describe(&found[i])
			o.set("cursor", cursorOf(found[i].ID))
			if err := l.print(o); err != nil {
				return err
			}
		}
		return nil
	}
	return l.table(found, more)
}

// byAge returns the oldest calls, and one more than is wanted if there are more.
func (l *list) byAge(ctx context.Context, operations []string) ([]idempotency.Record, error) {
	var found []idempotency.Record
	for _, operation := range operations {
		some, err := l.store.List(ctx, idempotency.Query{
			Operation: operation, Scope: l.scope, States: l.states, OldestFirst: true, N: min(l.n+1, mostListed),
		})
		if err != nil {
			return nil, err
		}
		found = append(found, slices.DeleteFunc(some, func(r idempotency.Record) bool { return r.Created < l.older })...)
		slices.SortStableFunc(found, func(a, b idempotency.Record) int { return cmp.Compare(b.Created, a.Created) })
		found = found[:min(len(found), l.n+1)]
	}
	return found, nil
}

// byKey returns the calls behind after, and one more than is wanted if there are more.
func (l *list) byKey(ctx context.Context, operations []string) ([]idempotency.Record, error) {
	const page = 100 // each has its request and its value with it
	var found []idempotency.Record
	for _, operation := range operations {
		if operation < l.after.Operation {
			continue
		}
		var after idempotency.ID
		if operation == l.after.Operation {
			after = l.after
		}
		for {
			some, err := l.store.List(ctx, idempotency.Query{Operation: operation, Scope: l.scope, States: l.states, After: after, N: page})
			if err != nil {
				return nil, err
			}
			for _, r := range some {
				if r.Created >= l.older {
					r.Request, r.Value = nil, nil
					found = append(found, r)
				}
				if len(found) > l.n {
					return found, nil
				}
			}
			if len(some) < page {
				break
			}
			after = some[len(some)-1].ID
		}
	}
	return found, nil
}

func (l *list) table(found []idempotency.Record, more bool) error {
	if len(found) == 0 {
		if l.flags.given("state") || l.flags.given("operation") || l.flags.given("scope") || l.flags.given("older-than") || l.flags.given("after") {
			fmt.Fprintln(l.out, "There is no such call.")
		} else {
			fmt.Fprintln(l.out, "Nothing is unresolved.")
		}
		return nil
	}
	width := func(n int) int {
		if l.wide {
			return 0
		}
		return n
	}
	w := tabwriter.NewWriter(l.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AGE\tSTATE\tTRIES\tSENT\tNEXT\tOPERATION\tSCOPE\tKEY\tNOTE")
	for i := range found {
		r := &found[i]
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", age(r.Created), r.State, r.Attempts, age(r.LastSent), next(r),
			cut(visibleName(r.ID.Operation), width(24)), cut(column(r.ID.Scope), width(24)), cut(visibleName(r.ID.Key), width(40)),
			cut(note(r), width(60)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case more && l.by == "key":
		fmt.Fprintf(l.out, "There are more: go on with -after %s\n", cursorOf(found[len(found)-1].ID))
	case more:
		fmt.Fprintf(l.out, "There are more, younger than these: list more with -n, or page by page with -by key.\n")
	}
	return nil
}
