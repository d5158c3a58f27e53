package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/steadfast-go/steadfast/idempotency"
)

var settleVerb = verb{
	name: "settle", args: "OPERATION KEY", brief: "record what the provider says of a call", access: writes, limit: queryLimit,
	help: `
Records what became of a call, for good. Say one of three:

-happened: the provider did it. Give the value that the service's Send would have returned, in the bytes that its codec
writes: -value or -value-file, JSON unless -raw. Nobody can correct it afterwards. Where you cannot write it (a codec that
encrypts), -no-value records that it happened without one: Do then says ErrValueOmitted, OnSettled is told Omitted.

-declined CODE: the provider refused it for good. -did-not-happen: the provider knows of no such call. An unknown call is then
sent again by the service, unless it was cancelled before; an abandoned one is cancelled.

Both of these count only if, when the provider was asked, no request could still be on its way. So, in this order:
  1. steadfast show OPERATION KEY      prints -as-of
  2. ask the provider
  3. steadfast settle -declined CODE -as-of … -settling …
-settling is how long after its sending a request may still take effect: the service's Call.Settling. If it has none, 1m is what
the library takes. Whatever does not hold is refused, and nothing is changed.

The service is told: its Run calls OnSettled. What is settled already is left as it is; the same verdict again does no harm.`,
	setup: func(s *session, f *flags) action {
		v := &settle{session: s, flags: f}
		f.names("the scope of the call, a `name`")
		f.BoolVar(&v.happened, "happened", false, "it happened")
		f.StringVar(&v.value, "value", "", "with -happened: its value, `JSON`")
		f.StringVar(&v.file, "value-file", "", "with -happened: the `file` that has its value; -: the standard input")
		f.BoolVar(&v.noValue, "no-value", false, "with -happened: record no value")
		f.BoolVar(&v.raw, "raw", false, "with -happened: the value need not be JSON; take its bytes as they are")
		f.StringVar(&v.code, "declined", "", "it was declined, with this `code`")
		f.StringVar(&v.message, "message", "", "with -declined: the provider's reason, a `text`")
		f.BoolVar(&v.didNot, "did-not-happen", false, "the provider knows of no such call")
		f.Func("as-of", "with -declined and -did-not-happen: as of when; the `mark` that show printed before the provider was asked", func(text string) (err error) {
			v.seen, err = parseSeen(text)
			return err
		})
		f.duration(&v.settling, "settling", "with -declined and -did-not-happen: the service's Call.Settling, a `duration`", time.Millisecond)
		return action{check: v.check, run: v.run}
	},
}

// mostValue bounds what is read as a value.
const mostValue = 64 << 20

type settle struct {
	*session
	flags    *flags
	id       idempotency.ID
	happened bool
	value    string
	file     string
	noValue  bool
	raw      bool
	code     string
	message  string
	didNot   bool
	seen     *seen
	settling time.Duration

	data []byte // the value
}

func (v *settle) check(operands []string) (err error) {
	if v.id, err = v.flags.id(operands); err != nil {
		return err
	}
	said := 0
	for _, name := range []string{"happened", "declined", "did-not-happen"} {
		if v.flags.given(name) {
			said++
		}
	}
	if said != 1 || !v.happened && v.flags.given("happened") || !v.didNot && v.flags.given("did-not-happen") {
		return fmt.Errorf("%d verdicts are given: say one of -happened, -declined CODE, -did-not-happen", said)
	}
	misplaced := []string{"as-of", "settling", "message"}
	if !v.happened {
		misplaced = []string{"value", "value-file", "no-value", "raw"}
		if v.didNot {
			misplaced = append(misplaced, "message")
		}
	}
	for _, name := range misplaced {
		if v.flags.given(name) {
			return fmt.Errorf("-%s does not belong to this verdict: leave it out", name)
		}
	}
	if v.happened {
		return v.readValue()
	}
	switch {
	case !v.didNot && v.code == "":
		return errors.New("-declined is empty: give the provider's code, such as card_declined")
	case !utf8.ValidString(v.code) || !utf8.ValidString(v.message):
		return errors.New("-declined or -message is not UTF-8: write it in UTF-8")
	case v.seen == nil:
		return errors.New("-as-of is not given: a \"no\" counts only as of what show printed before the provider was asked; show the call, ask the provider, then settle it")
	case v.settling == 0:
		return errors.New("-settling is not given: say the service's Call.Settling, how long after its sending a request may still take effect (1m if the service has none)")
	case v.settling > maxSettling:
		return fmt.Errorf("-settling is %v: use at most %v", v.settling, maxSettling)
	}
	return nil
}

const maxSettling = 365 * 24 * time.Hour

// readValue reads the value, and makes of JSON what a codec writes.
func (v *settle) readValue() (err error) {
	given := 0
	for _, name := range []string{"value", "value-file", "no-value"} {
		if v.flags.given(name) {
			given++
		}
	}
	if given != 1 {
		return fmt.Errorf("%d values are given: say one of -value, -value-file and -no-value, since whoever asks for this call gets it", given)
	}
	switch {
	case v.flags.given("no-value"):
		if v.raw || !v.noValue {
			return errors.New("-no-value stands alone: leave -raw and =false out")
		}
		return nil
	case v.flags.given("value"):
		v.data = []byte(v.value)
	default:
		if v.data, err = v.readFile(); err != nil {
			return fmt.Errorf("-value-file %q: %w", v.file, err)
		}
	}
	if len(v.data) > mostValue {
		return fmt.Errorf("the value has more than %d bytes: give -no-value instead", mostValue)
	}
	if v.raw {
		return nil
	}
	if !utf8.Valid(v.data) || !json.Valid(v.data) {
		var any any
		err := json.Unmarshal(v.data, &any)
		if err == nil {
			err = errors.New("it is not UTF-8")
		}
		return fmt.Errorf("the value is not JSON (%w): correct it, or give -raw if the service's codec writes something else", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, v.data); err != nil {
		return err
	}
	if v.data = compact.Bytes(); string(v.data) == "null" {
		return errors.New("the value is null, which the service would read as an empty one: give the value, or -no-value; with -raw it is taken as it is")
	}
	return nil
}

func (v *settle) readFile() ([]byte, error) {
	from := v.in
	if v.file != "-" {
		f, err := os.Open(v.file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	return io.ReadAll(io.LimitReader(from, mostValue+1))
}

func (v *settle) run(ctx context.Context) error {
	before, err := v.get(ctx, v.id)
	if err != nil {
		return err
	}
	verdict, err := v.verdict(ctx, &before)
	if err != nil {
		return err
	}
	store := &observed{Store: v.store}
	w, err := outsider(store, v.id, v.settling)
	if err != nil {
		return err
	}
	_, failed := w.Settle(ctx, v.id.Key, verdict)
	after, err := v.outcome(ctx, v.id, store, failed)
	if err != nil {
		return err
	}
	if v.json {
		err = v.print(changed(&before, &after))
	} else if failed == nil && !v.differs(&after) {
		v.report(&before, &after)
	}
	return cmp.Or(err, v.refusal(failed, &after))
}

// outcome returns the call as the store has made it, or as it is, if the library has refused to change it.
func (s *session) outcome(ctx context.Context, id idempotency.ID, store *observed, failed error) (idempotency.Record, error) {
	switch {
	case errors.Is(failed, idempotency.ErrNoRecord):
		return idempotency.Record{}, noCall(id)
	case errors.Is(failed, idempotency.ErrStore), failed != nil && ctx.Err() != nil:
		return idempotency.Record{}, fmt.Errorf("whether it was recorded is unknown, and the same command may be given again: %w", failed)
	case store.made != nil:
		return *store.made, nil
	}
	return s.get(ctx, id)
}

// same reports whether nothing has happened in between.
func same(before, after *idempotency.Record) bool {
	return before.State == after.State && before.Late == after.Late && before.CancelWanted == after.CancelWanted
}

// verdict is what is to be recorded, as the library has it.
func (v *settle) verdict(ctx context.Context, rec *idempotency.Record) (idempotency.Verdict[written], error) {
	if v.happened {
		return idempotency.Happened(written{data: v.data, omitted: v.noValue}), nil
	}
	verdict := idempotency.DidNotHappen[written]()
	if !v.didNot {
		var reason error
		if v.message != "" {
			reason = errors.New(v.message)
		}
		verdict = idempotency.Declined[written](v.code, reason)
	}
	if v.seen.mark != v.seen.of(rec) {
		return verdict, refused("-as-of %s was not printed for %s: it belongs to another call, or was changed; show this one, ask the provider, "+
			"and settle it as of that", v.seen, titleOf(v.id))
	}
	status, err := v.seen.status(ctx, v.store, v.id, v.settling)
	return verdict.AsOf(status), err
}

// changed is what settle and cancel print for programs.
func changed(before, after *idempotency.Record) object {
	var o object
	o.set("changed", !same(before, after))
	o.set("before", before.State.String())
	o.set("call", describe(after))
	return o
}

// report says what has changed, and what follows.
func (s *session) report(before, after *idempotency.Record) {
	if same(before, after) {
		fmt.Fprintf(s.out, "%s: nothing has changed: %s\n", titleOf(after.ID), recorded(after))
		return
	}
	fmt.Fprintf(s.out, "%s: %s -> %s\n", titleOf(after.ID), before.State, after.State)
	s.consequences(after)
}

// consequences says what follows.
func (s *session) consequences(rec *idempotency.Record) {
	switch {
	case rec.State == idempotency.StateScheduled:
		fmt.Fprintln(s.out, "The service sends it again.")
	case rec.Late:
		fmt.Fprintln(s.out, "It happened although it had been given up: it stays abandoned, late. Undo it with a call of its own.")
	}
	if rec.Notify {
		fmt.Fprintln(s.out, "The service's Run tells its OnSettled.")
	}
}

// refusal says what kept the verdict from being recorded, or what is recorded instead.
func (v *settle) refusal(failed error, after *idempotency.Record) error {
	var pending *idempotency.PendingError
	switch {
	case errors.Is(failed, idempotency.ErrConflict):
		return refused("%s: the verdict contradicts what is recorded, and nothing was changed: %s. One of the two is wrong: find out "+
			"which; if the record is, make up for it with a call of its own", titleOf(v.id), recorded(after))
	case errors.As(failed, &pending):
		return refused("%s: the verdict does not count now, and nothing was changed: %s", titleOf(v.id), v.seen.whyNot(after, v.settling))
	case failed != nil:
		return failed
	case v.differs(after):
		return refused("%s was settled before, and otherwise; that is final, and nothing was changed: %s", titleOf(v.id), recorded(after))
	}
	return nil
}

// differs reports whether what is recorded is not what was to be recorded, though it agrees on what happened.
func (v *settle) differs(after *idempotency.Record) bool {
	switch {
	case after.Expired:
		return false // nobody knows
	case v.happened:
		return after.Omitted != v.noValue || !bytes.Equal(after.Value, v.data)
	case v.didNot:
		return false
	}
	return after.Code != v.code
}

// recorded says what stands in the record.
func recorded(rec *idempotency.Record) string {
	what := "it is " + rec.State.String()
	switch {
	case rec.Late:
		what = "it was given up, and is known to have happened"
	case rec.State == idempotency.StateSucceeded:
		what = "it succeeded"
	case rec.State == idempotency.StateAbandoned:
		what = "it was given up"
	case rec.State.Settled():
		what = "it was " + rec.State.String()
	}
	if rec.SettledAt != idempotency.Never {
		what += " " + ago(rec.SettledAt)
	}
	if rec.Code != "" {
		what += ", with code " + rec.Code
	}
	return what
}
