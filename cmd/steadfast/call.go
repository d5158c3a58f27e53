package main

import (
	"fmt"
	"strings"

	"github.com/steadfast-go/steadfast/idempotency"
)

// marks are what is special about a call, beside its state.
func marks(r *idempotency.Record) []string {
	var list []string
	for _, m := range []struct {
		set  bool
		name string
	}{
		{r.Lapsed, "lapsed"},
		{r.CancelWanted, "cancel wanted"},
		{r.Late, "happened late"},
		{r.Omitted, "no value"},
		{r.Expired, "expired"},
		{r.Notify, "to notify"},
	} {
		if m.set {
			list = append(list, m.name)
		}
	}
	return list
}

// note is the last column of a call's line.
func note(r *idempotency.Record) string {
	parts := []string{}
	if list := marks(r); len(list) > 0 {
		parts = append(parts, "["+strings.Join(list, ", ")+"]")
	}
	if r.Code != "" {
		parts = append(parts, visibleText(r.Code)+":")
	}
	if r.Message != "" {
		parts = append(parts, visibleText(r.Message))
	}
	return strings.Join(parts, " ")
}

// next is when something happens to a call by itself.
func next(r *idempotency.Record) string {
	switch {
	case r.State == idempotency.StateRunning:
		return "runs"
	case r.State.Settled() && !r.Notify:
		return "-"
	}
	return in(r.Due)
}

// next in words.
func nextWords(r *idempotency.Record) string {
	switch {
	case r.State == idempotency.StateRunning && r.Sending:
		return fmt.Sprintf("an attempt is under way; its lease lasts %s more, unless it is renewed", age(r.Lease))
	case r.State == idempotency.StateRunning:
		return fmt.Sprintf("a process has claimed it, and has not sent anything under this claim; its lease lasts %s more, unless it is renewed", age(r.Lease))
	case r.Lapsed:
		return "its process has vanished; the service's Run takes it over"
	case r.Notify:
		return "the service's Run tells its OnSettled, " + in(r.Due)
	case r.State.Settled():
		return "-, it is settled"
	case r.Late:
		return "-, it is known to have happened after it was given up"
	case r.Due == idempotency.Never:
		return "-, it waits for somebody to settle it"
	}
	return "the service's Run goes on with it, " + in(r.Due)
}

// describe is the call as -json prints it, without request and value.
func describe(r *idempotency.Record) object {
	var o object
	o.text("operation", r.ID.Operation)
	o.text("scope", r.ID.Scope)
	o.text("key", r.ID.Key)
	o.set("state", r.State.String())
	o.set("attempts", r.Attempts)
	o.seconds("age", r.Created)
	o.seconds("first_sent_ago", r.FirstSent)
	o.seconds("last_sent_ago", r.LastSent)
	o.seconds("settled_ago", r.SettledAt)
	if r.State == idempotency.StateRunning {
		o.seconds("lease_for", r.Lease)
	} else if !r.State.Settled() || r.Notify {
		o.seconds("due_in", r.Due)
	}
	if !r.State.Settled() {
		o.seconds("give_up_in", r.GiveUp)
	}
	for _, m := range []struct {
		name string
		set  bool
	}{
		{"ambiguous", r.Ambiguous}, {"sending", r.Sending && r.State == idempotency.StateRunning}, {"lapsed", r.Lapsed},
		{"cancel_wanted", r.CancelWanted}, {"started", r.Started}, {"replayed_error", r.ReplayedError}, {"late", r.Late},
		{"omitted", r.Omitted}, {"expired", r.Expired}, {"notify", r.Notify},
	} {
		if m.set {
			o.set(m.name, true)
		}
	}
	for _, t := range []struct{ name, text string }{{"ref", r.Ref}, {"code", r.Code}, {"message", r.Message}} {
		if t.text != "" {
			o.text(t.name, t.text)
		}
	}
	o.set("fence", r.Fence)
	return o
}
