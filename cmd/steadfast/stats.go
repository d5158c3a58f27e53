package main

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

var statsVerb = verb{
	name: "stats", brief: "count calls by operation and state; how old is what is not resolved", access: reads, limit: queryLimit,
	help: `
Counts the calls, by operation and state.

  OLDEST     the age of the oldest of them
  DUE        how many the service's Run could take a step further now. If it stays, nobody calls Run, or it is slow
  TO NOTIFY  how many OnSettled has not been told of yet. If it stays, OnSettled fails, or nobody calls Run
  LAPSED     how many have lost their process, and wait for Run to take them over

For monitoring, -max-age exits with status 3 if a call is not resolved for longer than that. Calls that were given up and
turned out to have happened are known, and do not count. -open leaves out what is settled: an index finds the rest, however
large the table is.`,
	setup: func(s *session, f *flags) action {
		v := &stats{session: s}
		f.BoolVar(&v.open, "open", false, "count only what is not resolved, or not yet told to OnSettled")
		f.duration(&v.maxAge, "max-age", "exit with status 3 if a call has not been resolved for longer than this `duration`", time.Nanosecond)
		return action{check: none, run: v.run}
	},
}

type stats struct {
	*session
	open   bool
	maxAge time.Duration
}

// sums are over all operations.
type sums struct {
	unresolved, due, notify, lapsed int64
	oldest                          time.Duration // of what is not resolved; Never if nothing is
}

func (v *stats) run(ctx context.Context) error {
	count := v.store.Stats
	if v.open {
		count = v.store.Backlog
	}
	list, err := count(ctx)
	if err != nil {
		return err
	}
	total := sums{oldest: idempotency.Never}
	for _, st := range list {
		total.due, total.notify, total.lapsed = total.due+st.Due, total.notify+st.Notify, total.lapsed+st.Lapsed
		if unresolved(st) {
			total.unresolved += st.Calls
			if total.oldest == idempotency.Never || st.Oldest > total.oldest {
				total.oldest = st.Oldest
			}
		}
	}
	if v.json {
		err = v.objects(list, total)
	} else {
		err = v.report(list, total)
	}
	if err != nil {
		return err
	}
	if v.maxAge > 0 && total.oldest != idempotency.Never && total.oldest > v.maxAge {
		return &failure{statusTooOld, fmt.Sprintf("a call has not been resolved for %s, longer than %s: \"steadfast list\" shows it", age(total.oldest), age(v.maxAge))}
	}
	return nil
}

// unresolved reports whether somebody still has to do something about these calls.
func unresolved(s sqlstore.Stat) bool {
	return slices.Contains(idempotency.Unresolved(), s.State) && !s.Late
}

func (v *stats) objects(list []sqlstore.Stat, total sums) error {
	states := make([]object, len(list))
	for i, st := range list {
		o := &states[i]
		o.text("operation", st.Operation)
		o.set("state", st.State.String())
		if st.Late {
			o.set("late", true)
		}
		o.set("calls", st.Calls)
		o.seconds("oldest", st.Oldest)
		o.set("due", st.Due)
		o.set("notify", st.Notify)
		o.set("lapsed", st.Lapsed)
	}
	var o object
	o.set("states", states)
	o.set("unresolved", total.unresolved)
	o.seconds("oldest_unresolved", total.oldest)
	o.set("due", total.due)
	o.set("notify", total.notify)
	o.set("lapsed", total.lapsed)
	return v.print(o)
}

func (v *stats) report(list []sqlstore.Stat, total sums) error {
	if len(list) > 0 {
		w := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "OPERATION\tSTATE\tCALLS\tOLDEST\tDUE\tTO NOTIFY\tLAPSED")
		for _, st := range list {
			state := st.State.String()
			if st.Late {
				state += ", late"
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%d\t%d\n", cut(visibleName(st.Operation), 40), state, st.Calls, age(st.Oldest), st.Due, st.Notify, st.Lapsed)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if total.unresolved == 0 {
		fmt.Fprintln(v.out, "Nothing is unresolved.")
		return nil
	}
	fmt.Fprintf(v.out, "%d unresolved, the oldest for %s.\n", total.unresolved, age(total.oldest))
	return nil
}
