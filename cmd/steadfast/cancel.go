package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/steadfast-go/steadfast/idempotency"
)

var cancelVerb = verb{
	name: "cancel", args: "OPERATION KEY", brief: "see to it that a call is not sent, or not sent again", access: writes, limit: queryLimit,
	help: `
Closes the key of a call. What that means depends on where the call stands:

  never sent         cancelled: it never took effect, and never will. Exit status 0
  unknown, accepted  abandoned: it is not sent again, but it may have happened. The service goes on asking the
                     provider (Call.Lookup); if it turns out to have happened, OnSettled is told Late, to undo it. Exit status 4
  running            no further attempt is made; the outcome of this one decides. Exit status 4
  settled            nothing is changed. Exit status 4, unless it was cancelled

So only status 0 says that a new key is safe. An abandoned call is cancelled once the provider says that it did not happen:
see "steadfast help settle".

A key that was never heard of is most often a wrong one, so it is refused, unless -absent says that it is to be closed before
anybody uses it. The service is told: its Run calls OnSettled.`,
	setup: func(s *session, f *flags) action {
		v := &cancel{session: s}
		f.names("the scope of the call, a `name`")
		f.BoolVar(&v.absent, "absent", false, "close the key even if there is no call with it")
		return action{
			check: func(operands []string) (err error) {
				v.id, err = f.id(operands)
				return err
			},
			run: v.run,
		}
	},
}

type cancel struct {
	*session
	id     idempotency.ID
	absent bool
}

func (v *cancel) run(ctx context.Context) error {
	before, err := v.get(ctx, v.id)
	var f *failure
	if v.absent && errors.As(err, &f) && f.status == statusNoCall {
		before, err = idempotency.Record{ID: v.id}, nil
	}
	if err != nil {
		return err
	}
	store := &observed{Store: v.store}
	w, err := outsider(store, v.id, 0)
	if err != nil {
		return err
	}
	_, failed := w.Cancel(ctx, v.id.Key)
	after, err := v.outcome(ctx, v.id, store, failed)
	if err != nil {
		return err
	}
	if v.json {
		if err := v.print(changed(&before, &after)); err != nil {
			return err
		}
	} else {
		v.report(&before, &after)
	}
	return v.refusal(failed, &after)
}

// refusal says why the call is not cancelled, and what is to be done about that.
func (v *cancel) refusal(failed error, after *idempotency.Record) error {
	title := titleOf(v.id)
	switch {
	case after.State == idempotency.StateCancelled:
		return nil
	case after.State == idempotency.StateRunning:
		return refused("%s is being worked on: no further attempt is made, and the outcome of this one decides; show it again", title)
	case after.Late:
		return refused("%s was given up, and has happened all the same: undo it with a call of its own", title)
	case after.State == idempotency.StateAbandoned:
		return refused("%s is abandoned, not cancelled: it is not sent again, but it may have happened, and the service goes on asking, if it can; "+
			"a new key is not safe until the provider has said that it did not happen", title)
	case after.State.Settled():
		return refused("%s is settled, and cannot be cancelled: %s", title, recorded(after))
	}
	return fmt.Errorf("%s is %s: %w", title, after.State, failed)
}
