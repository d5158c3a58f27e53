package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

var showVerb = verb{
	name: "show", args: "OPERATION KEY", brief: "show all that is recorded of one call", access: reads, limit: queryLimit,
	help: `
Shows one call: where it stands, what was sent and when, the request and the value, and how it can be settled.

Show it before you ask the provider: a verdict that it was declined, or did not happen, must name what was seen before
(-as-of), and show prints that.

The provider key, by which the provider's dashboard finds the call, is derived from the service's Call.Namespace; give it
as -namespace.`,
	setup: func(s *session, f *flags) action {
		v := &show{session: s, flags: f}
		f.names("the scope of the call, a `name`")
		f.Func("namespace", "the service's Call.Namespace, a `name`, to show the provider key; '' if it has none", func(text string) error {
			if len(text) > idempotency.MaxKey {
				return fmt.Errorf("use at most %d bytes, as Call.Namespace does", idempotency.MaxKey)
			}
			v.namespace = &text
			return nil
		})
		return action{
			check: func(operands []string) (err error) {
				v.id, err = f.id(operands)
				return err
			},
			run: v.run,
		}
	},
}

type show struct {
	*session
	flags     *flags
	id        idempotency.ID
	namespace *string
}

func (v *show) run(ctx context.Context) error {
	rec, err := v.get(ctx, v.id)
	if err != nil {
		return err
	}
	if v.json {
		return v.print(v.object(&rec))
	}
	v.page(&rec)
	if rec.State.Settled() || rec.Late {
		return nil
	}
	like, err := v.store.List(ctx, idempotency.Query{Operation: rec.ID.Operation, States: []idempotency.State{idempotency.StateSucceeded}, N: 1})
	if err != nil {
		return err
	}
	v.advice(&rec, template(like))
	return nil
}

// template is what the values of the operation look like, if one is known: the fields, without what is in them. It is no JSON, so that
// nobody can settle a call with it as it is.
func template(like []idempotency.Record) string {
	var fields map[string]any
	if len(like) == 0 || json.Unmarshal(like[0].Value, &fields) != nil || len(fields) == 0 {
		return "{…}"
	}
	text := make([]string, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		quoted, _ := json.Marshal(name) // a string always can be
		text = append(text, string(quoted)+": …")
	}
	return visibleText("{" + strings.Join(text, ", ") + "}")
}

// object is the call as -json prints it: what list prints, and what only concerns one call.
func (v *show) object(rec *idempotency.Record) object {
	o := describe(rec)
	if v.namespace != nil {
		o.set("provider_key", providerKey(*v.namespace, v.id))
	}
	if known, _ := seeing(rec); known != nil {
		o.set("as_of", known.String())
	}
	o.set("fingerprint", hex.EncodeToString(rec.Fingerprint))
	if rec.Request != nil {
		o.bytes("request", rec.Request)
	}
	if hasValue(rec) {
		o.bytes("value", rec.Value)
	}
	return o
}

// providerKey is what every attempt gives the provider as Attempt.Key.
func providerKey(namespace string, id idempotency.ID) string {
	return idempotency.KeyFrom(namespace, id.Operation, id.Scope, id.Key)
}

func hasValue(rec *idempotency.Record) bool {
	return (rec.State == idempotency.StateSucceeded || rec.Late) && !rec.Omitted && !rec.Expired
}

func (v *show) page(rec *idempotency.Record) {
	w := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', 0)
	line := func(name, text string) { fmt.Fprintf(w, "%s\t%s\n", name, text) }
	unless := func(d time.Duration, name string) {
		if d != idempotency.Never {
			line(name, ago(d))
		}
	}
	line("operation", visibleName(rec.ID.Operation))
	line("scope", column(rec.ID.Scope))
	line("key", visibleName(rec.ID.Key))
	if v.namespace != nil {
		line("provider key", providerKey(*v.namespace, v.id))
	} else {
		line("provider key", "(give -namespace to see it)")
	}
	if rec.Ref != "" {
		line("provider's id", visibleText(rec.Ref))
	}
	line("state", strings.TrimSpace(rec.State.String()+"  "+strings.Join(marks(rec), ", ")))
	line("", meaning(rec))
	line("next", nextWords(rec))
	line("made", ago(rec.Created))
	line("first sent", ago(rec.FirstSent))
	line("last sent", ago(rec.LastSent))
	unless(rec.SettledAt, map[bool]string{true: "settled", false: "given up"}[rec.State.Settled()])
	if rec.GiveUp != idempotency.Never && !rec.State.Settled() && rec.State != idempotency.StateAbandoned {
		line("given up", in(rec.GiveUp))
	}
	line("attempts", fmt.Sprint(rec.Attempts))
	line("ambiguous", yes(rec.Ambiguous, "an attempt ended without an answer, and may have taken effect"))
	if rec.ReplayedError {
		line("replayed error", "the provider's last answer was an error that it had stored under the provider key")
	}
	if rec.Code != "" {
		line("code", visibleText(rec.Code))
	}
	if rec.Message != "" {
		line("message", visibleText(rec.Message))
	}
	line("fence", fmt.Sprint(rec.Fence))
	line("fingerprint", hex.EncodeToString(rec.Fingerprint))
	_ = w.Flush() // to a terminal
	v.content("request", rec.Request, rec.Request != nil, rec.Expired)
	if rec.State == idempotency.StateSucceeded || rec.Late {
		v.content("value", rec.Value, hasValue(rec), rec.Expired)
	}
}

func yes(is bool, why string) string {
	if is {
		return "yes: " + why
	}
	return "no"
}

func (v *show) content(name string, data []byte, there, expired bool) {
	switch {
	case there:
		fmt.Fprintf(v.out, "%s, %d bytes\n", name, len(data))
		payload(v.out, data)
	case expired:
		fmt.Fprintf(v.out, "%s: no longer kept\n", name)
	default:
		fmt.Fprintf(v.out, "%s: none is recorded\n", name)
	}
}

// meaning says in a line what the state means for whoever has to decide.
func meaning(rec *idempotency.Record) string {
	switch rec.State {
	case idempotency.StateScheduled:
		return "it is to be sent, and was not"
	case idempotency.StateRunning:
		return "it is being worked on"
	case idempotency.StateAccepted:
		return "the provider took it and answers later; it is not sent again"
	case idempotency.StateUnknown:
		return "it may have happened or not"
	case idempotency.StateAbandoned:
		if rec.Late {
			return "it was given up, and happened all the same: undo it with a call of its own"
		}
		return "it was given up and is not sent again, but it may have happened"
	case idempotency.StateSucceeded:
		return "it happened; final"
	case idempotency.StateRejected:
		return "the provider refused it; final"
	case idempotency.StateCancelled:
		return "it has not happened, and never will; final"
	}
	return ""
}

// advice says how the call can be settled.
func (v *show) advice(rec *idempotency.Record, value string) {
	names := v.sameTable() + shellNames(rec.ID)
	fmt.Fprintf(v.out, "\nNow ask the provider. If it happened, with the value that the service's Send would have returned:\n"+
		"  steadfast settle -happened -value %s %s\n", shellName(value), names)
	known, why := seeing(rec)
	if known == nil {
		fmt.Fprintf(v.out, "A \"no\" does not count now: %s.\n", why)
		return
	}
	fmt.Fprintf(v.out, "If it did not, with the service's Call.Settling in the place of 1m (if that is above %s: show it again later, and ask then):\n"+
		"  steadfast settle -declined CODE -as-of %s -settling 1m %s\n"+
		"  steadfast settle -did-not-happen -as-of %s -settling 1m %s\n", age(known.lastSent), known, names, known, names)
	switch rec.State {
	case idempotency.StateAbandoned:
		fmt.Fprintln(v.out, "Both of them cancel it.")
	case idempotency.StateAccepted:
		fmt.Fprintln(v.out, "Both of them reject it.")
	default:
		fmt.Fprintln(v.out, "After -did-not-happen the service sends it again; to keep it from that, cancel it first.")
	}
}

// sameTable are the flags that say again which table it is. The database is not said again: it may have a password.
func (s *session) sameTable() string {
	text := ""
	if s.table != "" {
		text += "-table " + shellName(s.table) + " "
	}
	if s.schema != "" {
		text += "-schema " + shellName(s.schema) + " "
	}
	return text
}
