package main

import (
	"context"
	"fmt"
)

var purgeVerb = verb{
	name: "purge", brief: "do what retention asks for: empty and remove old settled calls", access: writes,
	help: `
Empties settled calls whose Call.Retention is over of request and value, and removes what Call.StubFor no longer keeps, in
short transactions, until nothing is left to do. Each such step counts as one. Retention stands in each record; calls that
are not settled, or that OnSettled has not been told of, are never touched.

The service's Run does the same by itself: this is for a backlog, or a service that is not running. It may be interrupted at
any time.`,
	setup: func(s *session, f *flags) action {
		v := &purge{session: s}
		f.number(&v.limit, "limit", "do so many steps at most, a `number` (default: all there are)", 1, 0)
		return action{check: none, run: v.run}
	},
}

type purge struct {
	*session
	limit int
}

// purgeBatch is after how many steps purge says how far it is.
const purgeBatch = 5000

func (v *purge) run(ctx context.Context) error {
	done, complete := 0, false
	for !complete && (v.limit == 0 || done < v.limit) {
		want := purgeBatch
		if v.limit > 0 {
			want = min(want, v.limit-done)
		}
		n, err := v.store.Purge(ctx, want)
		done += n
		if err != nil {
			return fmt.Errorf("after %d steps: %w", done, err)
		}
		complete = n < want
		if !complete {
			fmt.Fprintf(v.err, "purged %d…\n", done)
		}
	}
	if v.json {
		var o object
		o.set("purged", done)
		o.set("complete", complete)
		return v.print(o)
	}
	switch {
	case done == 0:
		fmt.Fprintln(v.out, "Nothing was to be purged.")
	case complete:
		fmt.Fprintf(v.out, "Purged %d; nothing is left to do.\n", done)
	default:
		fmt.Fprintf(v.out, "Purged %d; more may be left to do.\n", done)
	}
	return nil
}
