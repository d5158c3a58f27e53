package main_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

const (
	unknown   = idempotency.StateUnknown
	accepted  = idempotency.StateAccepted
	abandoned = idempotency.StateAbandoned
	scheduled = idempotency.StateScheduled
	succeeded = idempotency.StateSucceeded
	rejected  = idempotency.StateRejected
	cancelled = idempotency.StateCancelled
	running   = idempotency.StateRunning
)

// What the command settles reaches OnSettled in the service, in its transaction, once.
func TestSettledReachesOnSettled(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		w := on.shop(t, nil)
		for _, key := range []string{"happened", "value-file", "stdin", "no-value", "declined", "did-not"} {
			leave(t, w, "c7", key, "timeout", unknown)
		}
		leave(t, w, "c7", "accepted", "accepted", accepted)
		leave(t, w, "c7", "cancelled", "timeout", unknown)
		leave(t, w, "c7", "late", "timeout", unknown)
		on.wantTold(t, w)

		on.run(t, "settle", "-scope", "c7", "-happened", "-value", ` {"id": "ch_1"} `, "charge", "happened").exits(0).
			prints("charge happened of c7: unknown -> succeeded\n", "Run tells its OnSettled")
		file := filepath.Join(t.TempDir(), "value")
		write(t, file, "{\"id\":\n\"ch_2\"}\n")
		on.run(t, "settle", "charge", "value-file", "-scope", "c7", "-happened", "-value-file", file).exits(0)
		given(t, nil, `{"id":"ch_3"}`, "settle", "-db", on.dsn, "-table", on.table, "-scope", "c7", "-happened", "-value-file", "-", "charge", "stdin").exits(0)
		on.run(t, "settle", "-scope", "c7", "-happened", "-no-value", "charge", "no-value").exits(0)
		on.run(t, "settle", "-scope", "c7", "-declined", "expired_card", "-message", "the card has expired", "-settling", "1ms",
			"-as-of", on.shown(t, "-scope", "c7", "charge", "declined"), "charge", "declined").exits(0).prints("unknown -> rejected")
		on.run(t, "settle", "-scope", "c7", "-did-not-happen", "-settling", "1ms",
			"-as-of", on.shown(t, "-scope", "c7", "charge", "accepted"), "charge", "accepted").exits(0).prints("accepted -> rejected")
		on.run(t, "cancel", "-scope", "c7", "charge", "cancelled").exits(4, "abandoned, not cancelled").prints("unknown -> abandoned")
		on.run(t, "cancel", "-scope", "c7", "charge", "late").exits(4)
		want := []string{
			"c7/accepted rejected did_not_happen", "c7/cancelled abandoned ", "c7/declined rejected expired_card",
			"c7/happened succeeded ch_1", "c7/late abandoned ", "c7/no-value succeeded omitted",
			"c7/stdin succeeded ch_3", "c7/value-file succeeded ch_2",
		}
		on.wantTold(t, w, want...)

		// What was given up is cancelled, or late, and that is told too.
		on.run(t, "settle", "-scope", "c7", "-did-not-happen", "-settling", "1ms",
			"-as-of", on.shown(t, "-scope", "c7", "charge", "cancelled"), "charge", "cancelled").exits(0).prints("abandoned -> cancelled")
		on.run(t, "settle", "-scope", "c7", "-happened", "-value", `{"id":"ch_4"}`, "charge", "late").exits(0).prints("Undo it")
		want = append(want, "c7/cancelled cancelled ", "c7/late abandoned ch_4 late")
		slices.Sort(want)
		on.wantTold(t, w, want...)

		// The provider has never heard of it: the service sends it again.
		is(t, w, "c7", "did-not", unknown)
		on.run(t, "settle", "-scope", "c7", "-did-not-happen", "-settling", "1ms",
			"-as-of", on.shown(t, "-scope", "c7", "charge", "did-not"), "charge", "did-not").exits(0).
			prints("unknown -> scheduled", "The service sends it again")
		_, err := w.Recover(t.Context())
		must(t, err)
		s, err := w.For("c7").Status(t.Context(), "did-not")
		must(t, err)
		if s.Attempts != 2 {
			t.Errorf("it was sent %d times, want 2", s.Attempts)
		}

		res, err := w.For("c7").Do(t.Context(), "happened", order{"timeout"})
		if err != nil || res.Value.ID != "ch_1" {
			t.Errorf("Do gives %+v, %v: want what the operator wrote", res, err)
		}
	})
}

// A service whose OnSettled fails is told again, and one that has none leaves no mark behind.
func TestMarkIsKeptUntilTold(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		w := on.shop(t, nil)
		leave(t, w, "", "k", "timeout", unknown)
		on.run(t, "settle", "-happened", "-value", `{"id":"ch_1"}`, "charge", "k").exits(0)
		if n := on.run(t, "stats", "-json").exits(0).object()["notify"]; n != 1.0 {
			t.Errorf("stats says that %v wait to be notified, want 1", n)
		}
		none := on.shop(t, func(c *call) { c.OnSettled = nil })
		_, err := none.Recover(t.Context())
		must(t, err)
		if n := on.run(t, "stats", "-json").exits(0).object()["notify"]; n != 0.0 {
			t.Errorf("stats says that %v wait to be notified, want none", n)
		}
		on.wantTold(t, w)
	})
}

// A "no" counts only if at the moment of the question nothing was on its way.
func TestNoIsRefused(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		w := on.shop(t, nil)
		for _, key := range []string{"k", "other"} {
			leave(t, w, "", key, "timeout", unknown)
		}
		no := func(asOf, settling string) *result {
			t.Helper()
			r := on.run(t, "settle", "-declined", "x", "-as-of", asOf, "-settling", settling, "charge", "k")
			if r.status != 0 {
				is(t, w, "", "k", unknown)
			}
			return r
		}
		first := on.shown(t, "charge", "k")
		no(first, "1h").exits(4, "does not count now, and nothing was changed", "for 1h (-settling)", "ask the provider again")
		no(on.shown(t, "charge", "other"), "1ms").exits(4, "belongs to another call")
		longer := "1-unknown-9h0m0s" + first[len(first)-9:]
		no(longer, "1ms").exits(4, "belongs to another call, or was changed")
		on.run(t, "settle", "-declined", "x", "-as-of", first, "-settling", "1ms", "charge", "nobody").exits(5, "no call charge nobody")

		// Hours later it is still what was seen that counts: it was sent too shortly before the question.
		on.earlier(t, 2*time.Hour, "")
		no(first, "1h").exits(4, "does not count now")
		late := on.shown(t, "charge", "k")

		// It has been sent again since it was shown.
		on.run(t, "settle", "-did-not-happen", "-as-of", late, "-settling", "1h", "charge", "k").exits(0)
		_, err := w.Recover(t.Context())
		must(t, err)
		no(late, "1ms").exits(4, "moved on since it was shown (unknown, fence 1; now unknown, fence 2)")
		r := on.run(t, "settle", "-json", "-declined", "x", "-as-of", late, "-settling", "1ms", "charge", "k").exits(4, "moved on")
		if o := r.object(); o["changed"] != false {
			t.Errorf("-json says %v, want that nothing has changed", o)
		}
		on.earlier(t, 2*time.Hour, "")
		no(on.shown(t, "charge", "k"), "1h").exits(0)
		is(t, w, "", "k", rejected)
	})
}

// What was seen of a key that was forgotten, and is another request's now, says nothing of that one.
func TestNoIsOfOneRequest(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		w := on.shop(t, func(c *call) {
			c.Send = func(context.Context, idempotency.Attempt, order) (receipt, error) { return receipt{}, errTimeout }
		})
		leave(t, w, "", "k", "first", unknown)
		asOf := on.shown(t, "charge", "k")
		on.exec(t, "DELETE FROM "+on.table)
		leave(t, w, "", "k", "second", unknown)
		on.run(t, "settle", "-declined", "x", "-as-of", asOf, "-settling", "1ms", "charge", "k").exits(4, "belongs to another call")
		is(t, w, "", "k", unknown)
	})
}

// While a call runs, and when its process has vanished, no "no" is believed; a "yes" is.
func TestRunningCalls(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		sent, release := make(chan struct{}), make(chan struct{})
		finish := sync.OnceFunc(func() { close(release) })
		w := on.shop(t, func(c *call) {
			c.Send = func(ctx context.Context, a idempotency.Attempt, in order) (receipt, error) {
				if in.Item == "slow" {
					sent <- struct{}{}
					<-release
				}
				return receipt{}, errTimeout
			}
		})
		t.Cleanup(finish) // or the shop would not close
		leave(t, w, "", "k", "timeout", unknown)
		before := on.shown(t, "charge", "k")
		on.run(t, "settle", "-did-not-happen", "-as-of", before, "-settling", "1ms", "charge", "k").exits(0)
		var wait sync.WaitGroup
		wait.Go(func() { _, _ = w.Do(t.Context(), "slow", order{"slow"}) })
		<-sent
		page := on.run(t, "show", "charge", "slow").exits(0).
			prints("running", "an attempt is under way", `A "no" does not count now: it is being worked on`)
		if o := on.run(t, "show", "-json", "charge", "slow").exits(0).object(); o["as_of"] != nil || o["sending"] != true || o["lease_for"] == nil {
			t.Errorf("show -json of a running call prints %v\n%s", o, page.out)
		}
		on.run(t, "list", "-state", "running").exits(0).prints("runs")
		on.run(t, "settle", "-declined", "x", "-as-of", before, "-settling", "1ms", "charge", "slow").exits(4, "another call")
		on.run(t, "cancel", "charge", "slow").exits(4, "no further attempt is made")
		on.run(t, "list", "-state", "running").exits(0).prints("[cancel wanted]")
		on.run(t, "settle", "-happened", "-value", `{"id":"ch_1"}`, "charge", "slow").exits(0).prints("running -> succeeded")
		finish()
		wait.Wait()
		is(t, w, "", "slow", succeeded)
		on.run(t, "show", "charge", "k").exits(0).prints("scheduled", `A "no" does not count now: it has not been sent; cancel it`)
		on.run(t, "settle", "-did-not-happen", "-as-of", before, "-settling", "1ms", "charge", "k").exits(4, "it has not been sent")

		lapse(t, on, "vanished")
		on.run(t, "show", "charge", "vanished").exits(0).prints("unknown  lapsed", "its process has vanished", `A "no" does not count now`)
		on.run(t, "list", "-operation", "charge").exits(0).prints("[lapsed]")
		on.run(t, "settle", "-happened", "-value", `{"id":"ch_2"}`, "charge", "vanished").exits(0).prints("unknown -> succeeded")
	})
}

// lapse makes a call whose process vanished in its attempt.
func lapse(t *testing.T, on *site, key string) {
	t.Helper()
	rec, err := on.store.Acquire(t.Context(), idempotency.Claim{
		ID: idempotency.ID{Operation: "charge", Key: key}, Token: idempotency.Token{1}, Sending: true, Lease: time.Microsecond,
		Fingerprint: []byte("fingerprint"), Request: []byte(`{"item":"timeout"}`),
		GiveUp: idempotency.Never, Retention: time.Hour, StubFor: idempotency.Never,
	})
	must(t, err)
	if !rec.Owned && rec.State != unknown && rec.State != running {
		t.Fatalf("the claim was not granted: %+v", rec)
	}
}

// What is settled stays so, and who says otherwise is told.
func TestSettledIsFinal(t *testing.T) {
	each(t, func(t *testing.T, on *site) {
		w := on.shop(t, nil)
		leave(t, w, "", "yes", "timeout", unknown)
		leave(t, w, "", "no", "timeout", unknown)
		yes, no := on.shown(t, "charge", "yes"), on.shown(t, "charge", "no")
		happened := []string{"-happened", "-value", `{"id":"ch_1"}`}
		declined := []string{"-declined", "x", "-settling", "1ms", "-as-of"}
		settle := func(key string, args ...string) *result {
			t.Helper()
			return on.run(t, "settle", append(args, "charge", key)...)
		}
		settle("yes", happened...).exits(0)
		settle("yes", happened...).exits(0).prints("nothing has changed: it succeeded")
		settle("yes", "-happened", "-value", `{"id":"ch_2"}`).exits(4, "settled before, and otherwise")
		settle("yes", "-happened", "-no-value").exits(4, "settled before, and otherwise")
		settle("yes", append(declined, yes)...).exits(4, "contradicts what is recorded", "it succeeded")
		settle("no", append(declined, no)...).exits(0)
		settle("no", append(declined, no)...).exits(0).prints("nothing has changed: it was rejected", "with code x")
		settle("no", "-declined", "y", "-settling", "1ms", "-as-of", no).exits(4, "settled before, and otherwise")
		settle("no", happened...).exits(4, "contradicts what is recorded", "it was rejected")
		if o := settle("no", append([]string{"-json"}, happened...)...).exits(4).object(); o["changed"] != false || o["before"] != "rejected" {
			t.Errorf("-json says %v", o)
		}
		settle("absent", happened...).exits(5, "there is no call charge absent")
		on.wantTold(t, w, "/no rejected x", "/yes succeeded ch_1")
		res, err := w.Do(t.Context(), "yes", order{"timeout"})
		if err != nil || res.Value.ID != "ch_1" {
			t.Errorf("Do gives %+v, %v: want the first verdict", res, err)
		}
	})
}

// -raw takes bytes as they are, which is for services with a codec of their own.
func TestRawValue(t *testing.T) {
	on := bare(t, "sqlite")
	must(t, on.store.Migrate(t.Context()))
	w, err := idempotency.Wrap(on.store, idempotency.Call[[]byte, []byte]{
		Name: "blob", Codec: idempotency.Raw,
		Send: func(context.Context, idempotency.Attempt, []byte) ([]byte, error) { return nil, errTimeout },
	})
	must(t, err)
	_, _ = w.Do(t.Context(), "k", []byte{0xff, 0, 1})
	value := "\xff\x00\n raw \n"
	given(t, []string{"STEADFAST_DB=" + on.dsn}, value, "settle", "-table", on.table, "-happened", "-raw", "-value-file", "-", "blob", "k").exits(0)
	res, err := w.Do(t.Context(), "k", []byte{0xff, 0, 1})
	if err != nil || string(res.Value) != value {
		t.Errorf("Do gives %q, %v, want %q", res.Value, err, value)
	}
	on.run(t, "show", "blob", "k").exits(0).prints("request, 3 bytes\n    | 00000000  ff 00 01 ", "value, 9 bytes\n    | 00000000  ff 00 0a 20 72")
	o := on.run(t, "show", "-json", "blob", "k").exits(0).object()
	if got := o["value"].(map[string]any); got["base64"] != "/wAKIHJhdyAK" || got["size"] != 9.0 {
		t.Errorf("show -json gives the value as %v", got)
	}
}

// The command as it is built, in a directory of its own.
func TestBinary(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("go is not in PATH, the command is not built")
	}
	program := filepath.Join(t.TempDir(), "steadfast")
	if out, err := exec.CommandContext(t.Context(), goTool, "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	each(t, func(t *testing.T, on *site) {
		env := []string{"STEADFAST_DB=" + on.dsn}
		w := on.shop(t, nil)
		leave(t, w, "c7", "order-1", "timeout", unknown)
		execute(t, program, env, "", "list", "-table", on.table).exits(0).prints("order-1")
		execute(t, program, env, "", "settle", "-table", on.table, "-scope", "c7", "-happened", "-value", `{"id":"ch_1"}`, "charge", "order-1").exits(0)
		on.wantTold(t, w, "c7/order-1 succeeded ch_1")
		execute(t, program, env, "", "show", "-table", on.table, "charge", "order-1").exits(5)
		execute(t, program, nil, "", "nonsense").exits(2)
	})
}
