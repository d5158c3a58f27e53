package storetest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

const (
	operation = "charge"
	scope     = "customer-1"

	long  = time.Hour             // never over within a case
	brief = 20 * time.Millisecond // soon over
	slack = 20 * time.Second      // how slow a store and its machine may be
)

// harness is one case's store and its helpers. They fail the case themselves.
type harness struct {
	*testing.T
	idempotency.Store
	rule string
}

// broken fails the case: what was seen, and the rule that it breaks.
func (h *harness) broken(format string, args ...any) {
	h.Helper()
	h.Fatalf("%s\n\trule: %s", fmt.Sprintf(format, args...), h.rule)
}

// must fails the case if ok is false.
func (h *harness) must(ok bool, format string, args ...any) {
	h.Helper()
	if !ok {
		h.broken(format, args...)
	}
}

func (h *harness) noError(err error, doing string) {
	h.Helper()
	if err != nil {
		h.broken("%s: unexpected error: %v", doing, err)
	}
}

func (h *harness) isError(err, want error, doing string) {
	h.Helper()
	if !errors.Is(err, want) {
		h.broken("%s: error is %v, want one that errors.Is matches with %q", doing, err, want)
	}
}

func token() (t idempotency.Token) {
	rand.Read(t[:])
	return t
}

func id(key string) idempotency.ID {
	return idempotency.ID{Operation: operation, Scope: scope, Key: key}
}

func lease(r idempotency.Record, t idempotency.Token) idempotency.Lease {
	return idempotency.Lease{ID: r.ID, Fence: r.Fence, Token: t}
}

// outside is the lease of a verdict that saw r.
func outside(r idempotency.Record) idempotency.Lease {
	return idempotency.Lease{ID: r.ID, Fence: r.Fence}
}

// run is a claim to run a call for the first time, and to send at once.
func run(key string) idempotency.Claim {
	return idempotency.Claim{
		ID: id(key), Token: token(), Mode: idempotency.ClaimRun, Sending: true, Lease: long,
		Fingerprint: []byte("fingerprint of " + key), Request: []byte("request of " + key),
		GiveUp: idempotency.Never, Retention: long, StubFor: idempotency.Never,
	}
}

// again is a claim to run r, which rests.
func again(r idempotency.Record) idempotency.Claim {
	c := run(r.ID.Key)
	c.ID, c.Fence, c.Lapsed = r.ID, r.Fence, r.Lapsed
	c.Fingerprint, c.Request = []byte("another fingerprint"), []byte("another request")
	return c
}

func (h *harness) acquire(c idempotency.Claim) idempotency.Record {
	h.Helper()
	r, err := h.Acquire(h.Context(), c)
	h.noError(err, "Acquire")
	return r
}

// own acquires and insists that the claim is granted.
func (h *harness) own(c idempotency.Claim) (idempotency.Record, idempotency.Lease) {
	h.Helper()
	r := h.acquire(c)
	h.must(r.Owned && r.State == idempotency.StateRunning,
		"Acquire: the claim (fence %d) was not granted; the record: %s", c.Fence, describe(r))
	return r, lease(r, c.Token)
}

func (h *harness) due(t idempotency.Token, n int) []idempotency.Record {
	h.Helper()
	list, err := h.AcquireDue(h.Context(), idempotency.DueClaim{Operation: operation, Token: t, Lease: long, N: n})
	h.noError(err, "AcquireDue")
	return list
}

// dueOne insists that AcquireDue returns one record, that of the key.
func (h *harness) dueOne(key string) (idempotency.Record, idempotency.Lease) {
	h.Helper()
	t := token()
	list := h.due(t, 10)
	h.must(len(list) == 1 && list[0].ID == id(key), "AcquireDue returned %v, want the record %q alone", keys(list), key)
	return list[0], lease(list[0], t)
}

// notDue insists that AcquireDue returns nothing.
func (h *harness) notDue(why string) {
	h.Helper()
	list := h.due(token(), 10)
	h.must(len(list) == 0, "AcquireDue returned %v, want nothing: %s", keys(list), why)
}

func (h *harness) settle(l idempotency.Lease, o idempotency.Outcome) idempotency.Record {
	h.Helper()
	r, err := h.Settle(h.Context(), l, o)
	h.noError(err, "Settle to "+o.State.String())
	return r
}

// cancel asks for the record's cancellation.
func (h *harness) cancel(key string) idempotency.Record {
	h.Helper()
	return h.settle(idempotency.Lease{ID: id(key)}, idempotency.Outcome{State: idempotency.StateCancelled, Due: long})
}

func (h *harness) list(q idempotency.Query) []idempotency.Record {
	h.Helper()
	list, err := h.List(h.Context(), q)
	h.noError(err, "List")
	return list
}

// refused insists that Settle returns the error and changes nothing.
func (h *harness) refused(l idempotency.Lease, o idempotency.Outcome, want error) {
	h.Helper()
	before := h.get(l.ID.Key)
	r, err := h.Settle(h.Context(), l, o)
	h.isError(err, want, "Settle to "+o.State.String())
	h.same(r, before, "the record that Settle returned beside the error")
	h.unchanged(before, "Settle to "+o.State.String()+", which was refused")
}

func (h *harness) get(key string) idempotency.Record {
	h.Helper()
	r, err := h.Get(h.Context(), id(key))
	h.noError(err, "Get")
	return r
}

// at makes a record that rests in state s, ambiguous where that goes with it, its next step due after due.
func (h *harness) at(key string, s idempotency.State, due time.Duration) idempotency.Record {
	h.Helper()
	r, _ := h.settled(key, s, due)
	return r
}

func (h *harness) settled(key string, s idempotency.State, due time.Duration) (idempotency.Record, idempotency.Lease) {
	h.Helper()
	_, l := h.own(run(key))
	o := idempotency.Outcome{State: s, Due: due, Attempts: 1, Message: "as " + s.String()}
	switch s {
	case idempotency.StateUnknown, idempotency.StateAbandoned:
		o.Ambiguous = true
	case idempotency.StateAccepted:
		o.Ref = "ref-1"
	case idempotency.StateSucceeded:
		o.Value = []byte("value of " + key)
	case idempotency.StateRejected:
		o.Code = "declined"
	default:
	}
	r := h.settle(l, o)
	h.must(r.State == s, "Settle to %s left the record %s", s, describe(r))
	return r, l
}

// lapse lets the claim run out.
func (h *harness) lapse(l idempotency.Lease) idempotency.Record {
	h.Helper()
	h.extend(l, time.Millisecond, false, true)
	return h.wait(l.ID.Key, "its lease to run out", func(r idempotency.Record) bool {
		return r.State != idempotency.StateRunning && r.Lease <= 0
	})
}

// wait asks for the record until it is as wanted.
func (h *harness) wait(key, what string, as func(idempotency.Record) bool) idempotency.Record {
	h.Helper()
	for begin := time.Now(); ; {
		r := h.get(key)
		if as(r) {
			return r
		}
		h.must(time.Since(begin) < slack, "waited %v for %s; the record: %s", slack, what, describe(r))
		h.pause()
	}
}

// pause gives a store's clock time to go on.
func (h *harness) pause() {
	timer := time.NewTimer(2 * time.Millisecond)
	defer timer.Stop()
	<-timer.C
}

func (h *harness) extend(l idempotency.Lease, d time.Duration, sending, want bool) {
	h.Helper()
	stands, err := h.Extend(h.Context(), []idempotency.Lease{l}, d, sending)
	h.noError(err, "Extend")
	h.must(len(stands) == 1, "Extend of one lease returned %v", stands)
	h.must(stands[0] == want, "Extend(sending %v) says %v, want %v; the record: %s",
		sending, stands[0], want, describe(h.get(l.ID.Key)))
}

// unchanged insists that the record is still as it was before.
func (h *harness) unchanged(before idempotency.Record, after string) {
	h.Helper()
	now, err := h.Get(h.Context(), before.ID)
	h.noError(err, "Get")
	h.same(now, before, "the record after "+after)
}

// same compares two readings of a record: all fields, the times roughly, Owned not at all.
func (h *harness) same(got, want idempotency.Record, what string) {
	h.Helper()
	if d := differences(got, want); d != "" {
		h.broken("%s has changed: %s", what, d)
	}
}

// state insists on the record's state.
func (h *harness) state(r idempotency.Record, want idempotency.State) {
	h.Helper()
	h.must(r.State == want, "the record's state is %s, want %s; the record: %s", r.State, want, describe(r))
}

func differences(got, want idempotency.Record) string {
	var found []string
	a, b := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		x, y := a.Field(i).Interface(), b.Field(i).Interface()
		var same bool
		switch x := x.(type) {
		case []byte:
			y, _ := y.([]byte)
			same = bytes.Equal(x, y)
		case time.Duration:
			y, _ := y.(time.Duration)
			same = (x == idempotency.Never) == (y == idempotency.Never) && (x == y || (x-y).Abs() < slack)
		default:
			same = name == "Owned" || x == y
		}
		if !same {
			found = append(found, fmt.Sprintf("%s was %v, is %v", name, y, x))
		}
	}
	return strings.Join(found, "; ")
}

func describe(r idempotency.Record) string {
	r.Fingerprint, r.Request = nil, nil
	return fmt.Sprintf("%+v", r)
}

func keys(list []idempotency.Record) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].ID.Key
	}
	return names
}

// about reports whether d is what want has become within the time that a case takes.
func about(d, want time.Duration) bool { return d != idempotency.Never && (d-want).Abs() < slack }
