package idempotency_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
)

// situation is a way to bring the key "k" into a state. Settling has passed since the last sending.
type situation struct {
	state idempotency.State
	call  func(*call)
	steps []step
	then  func(t *testing.T, w *wrapper)
	start bool // by Start instead of Do
	crash bool // the process dies while sending
}

func everyState() map[string]situation {
	unknown, accepted := []step{fail(errLost)}, []step{fail(idempotency.Accepted("ch_1", time.Hour))}
	cancel := func(t *testing.T, w *wrapper) { _, _ = w.Cancel(t.Context(), "k") }
	return map[string]situation{
		"absent": {state: idempotency.StateAbsent},
		"free":   {state: idempotency.StateAbsent, steps: []step{fail(idempotency.NotSent(errLost))}},
		"scheduled": {
			state: idempotency.StateScheduled, steps: []step{pay}, start: true,
		},
		"running":  {state: idempotency.StateRunning, steps: []step{after(time.Hour, pay)}},
		"accepted": {state: idempotency.StateAccepted, steps: accepted},
		"accepted, ambiguous": {
			state: idempotency.StateAccepted, steps: []step{fail(errLost), accepted[0]},
			call: func(c *call) { c.KeyLife, c.Namespace, c.Retry.Attempts = 24*time.Hour, "shop-test", 2 },
		},
		"unknown": {state: idempotency.StateUnknown, steps: unknown},
		"unknown, lapsed": {
			state: idempotency.StateUnknown, steps: []step{after(time.Hour, pay)}, crash: true,
		},
		"abandoned": {state: idempotency.StateAbandoned, steps: unknown, then: cancel},
		"abandoned, late": {state: idempotency.StateAbandoned, steps: unknown, then: func(t *testing.T, w *wrapper) {
			cancel(t, w)
			_, err := w.Settle(t.Context(), "k", idempotency.Happened(payment{ID: "late"}))
			require.NoError(t, err)
		}},
		"succeeded":                    {state: idempotency.StateSucceeded, steps: []step{pay}},
		"rejected":                     {state: idempotency.StateRejected, steps: []step{fail(idempotency.Rejected("declined", nil))}},
		"cancelled":                    {state: idempotency.StateCancelled, steps: []step{pay}, start: true, then: cancel},
		"cancelled before it was made": {state: idempotency.StateCancelled, then: cancel},
	}
}

func (s situation) make(t *testing.T) (*wrapper, *provider) {
	w, p, _ := s.watched(t)
	return w, p
}

func (s situation) watched(t *testing.T) (*wrapper, *provider, *recorder[idempotency.ConflictEvent]) {
	return s.on(t, newStore())
}

func (s situation) on(t *testing.T, store idempotency.Store) (*wrapper, *provider, *recorder[idempotency.ConflictEvent]) {
	t.Helper()
	p := &provider{script: s.steps, looks: []look{says(idempotency.DontKnow[payment]())}}
	conflicts := &recorder[idempotency.ConflictEvent]{}
	c := askable(p)
	c.Timeout, c.Retry.Attempts = 2*time.Hour, 1
	c.Hooks.Conflict = conflicts.add
	if s.call != nil {
		s.call(&c)
	}
	w := wrap(t, store, c)
	switch {
	case s.crash:
		crash(t, store, c, "k", book)
		time.Sleep(time.Minute)
	case s.start:
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
	case s.steps != nil:
		_, _ = w.Do(patience(t, 10*time.Second), "k", book)
	}
	if s.then != nil {
		s.then(t, w)
	}
	time.Sleep(2 * time.Minute)
	if s.state == idempotency.StateAbsent {
		_, err := w.Status(t.Context(), "k")
		require.ErrorIs(t, err, idempotency.ErrNoRecord)
	} else {
		requireState(t, w, "k", s.state)
	}
	return w, p, conflicts
}

// Verdicts from outside. AsOf stands for the status that was read just before.
var verdicts = map[string]func(status) verdict{
	"happened":              func(status) verdict { return idempotency.Happened(payment{ID: "verdict"}) },
	"declined":              func(status) verdict { return idempotency.Declined[payment]("no", nil) },
	"declined AsOf":         func(s status) verdict { return idempotency.Declined[payment]("no", nil).AsOf(s) },
	"declined ForRef":       func(status) verdict { return idempotency.Declined[payment]("no", nil).ForRef("ch_1") },
	"declined other ref":    func(status) verdict { return idempotency.Declined[payment]("no", nil).ForRef("ch_2") },
	"did not happen":        func(status) verdict { return idempotency.DidNotHappen[payment]() },
	"did not happen AsOf":   func(s status) verdict { return idempotency.DidNotHappen[payment]().AsOf(s) },
	"did not happen ForRef": func(status) verdict { return idempotency.DidNotHappen[payment]().ForRef("ch_1") },
	"still pending":         func(status) verdict { return idempotency.StillPending[payment](time.Hour) },
	"don't know":            func(status) verdict { return idempotency.DontKnow[payment]() },
}

// What a verdict makes of a state: the state it leads to, or
const (
	hint     = "hint"     // no change; the next step is due at once
	postpone = "postpone" // no change; the next step is due after the verdict's time
	same     = "same"     // no change, no error
	later    = "later"    // no change, *PendingError
	conflict = "conflict" // no change, ErrConflict and the hook
	noRecord = "none"     // ErrNoRecord and the hook
	late     = "late"     // abandoned, with Late and the value
)

// T13 T63 T64: every verdict in every state.
func TestVerdicts(t *testing.T) {
	// In the order: happened; declined bare, AsOf, ForRef, other ref; did not happen bare, AsOf, ForRef; pending; don't know.
	table := map[string][10]string{
		"absent":                       {noRecord, noRecord, noRecord, noRecord, noRecord, noRecord, noRecord, noRecord, noRecord, noRecord},
		"free":                         {noRecord, noRecord, noRecord, noRecord, noRecord, noRecord, noRecord, noRecord, noRecord, noRecord},
		"scheduled":                    {"succeeded", later, later, later, later, later, later, later, later, later},
		"running":                      {"succeeded", later, later, later, later, later, later, later, later, later},
		"accepted":                     {"succeeded", hint, "rejected", "rejected", hint, hint, "rejected", hint, postpone, hint},
		"accepted, ambiguous":          {"succeeded", hint, "rejected", hint, hint, hint, "rejected", hint, postpone, hint},
		"unknown":                      {"succeeded", hint, "rejected", hint, hint, hint, "scheduled", hint, postpone, hint},
		"unknown, lapsed":              {"succeeded", later, later, later, later, later, later, later, later, later},
		"abandoned":                    {late, hint, "cancelled", hint, hint, hint, "cancelled", hint, postpone, hint},
		"abandoned, late":              {same, conflict, conflict, conflict, conflict, conflict, conflict, conflict, same, same},
		"succeeded":                    {same, conflict, conflict, conflict, conflict, conflict, conflict, conflict, same, same},
		"rejected":                     {conflict, same, same, same, same, same, same, same, same, same},
		"cancelled":                    {conflict, same, same, same, same, same, same, same, same, same},
		"cancelled before it was made": {conflict, same, same, same, same, same, same, same, same, same},
	}
	order := [10]string{
		"happened", "declined", "declined AsOf", "declined ForRef", "declined other ref",
		"did not happen", "did not happen AsOf", "did not happen ForRef", "still pending", "don't know",
	}
	for name, situation := range everyState() {
		for i, said := range order {
			want := table[name][i]
			t.Run(name+"/"+said, func(t *testing.T) {
				bubble(t, func(t *testing.T) { checkVerdict(t, situation, said, want) })
			})
		}
	}
}

func checkVerdict(t *testing.T, s situation, said, want string) {
	w, p, conflicts := s.watched(t)
	before, _ := w.Status(t.Context(), "k")
	sent := len(p.sendings())
	got, err := w.Settle(t.Context(), "k", verdicts[said](before))
	after, gone := w.Status(t.Context(), "k")
	alarms := conflicts.all()

	switch want {
	case noRecord:
		require.ErrorIs(t, err, idempotency.ErrNoRecord)
		require.ErrorIs(t, gone, idempotency.ErrNoRecord, "a verdict makes no record")
		if said != "don't know" { // which says nothing
			require.Len(t, alarms, 1, "it may prove a charge that nobody expects: the hook must be told")
			require.Equal(t, idempotency.StateAbsent, alarms[0].Recorded)
			require.ErrorIs(t, alarms[0].Err, idempotency.ErrNoRecord)
		}
		return
	case conflict:
		require.ErrorIs(t, err, idempotency.ErrConflict)
		require.Len(t, alarms, 1, "the hook must be told")
		require.Equal(t, before.State, alarms[0].Recorded)
		require.ErrorIs(t, alarms[0].Err, idempotency.ErrConflict)
		if said == "happened" {
			require.Contains(t, string(alarms[0].Value), "verdict", "the hook gets what must be compensated")
		}
	case later:
		require.Positive(t, requirePending(t, err).RetryAfter())
		require.Empty(t, alarms)
	default:
		require.NoError(t, err)
		require.Empty(t, alarms)
		require.Equal(t, after.State.String(), got.State.String(), "Settle returns where the call stands")
	}
	switch want {
	case hint:
		require.LessOrEqual(t, after.Due, time.Duration(0), "the next step must be due at once")
	case postpone:
		require.Equal(t, time.Hour, after.Due)
	case late:
		require.True(t, after.Late)
		require.Equal(t, "verdict", after.Value.ID)
	}
	switch want {
	case hint, postpone, same, later, conflict, late:
		require.Equal(t, before.State.String(), after.State.String())
		require.Equal(t, before.Rejection, after.Rejection)
		if want != late {
			require.Equal(t, before.Value, after.Value, "a settled value never changes")
		}
		require.Equal(t, before.Ambiguous, after.Ambiguous)
	default:
		require.Equal(t, want, after.State.String())
		require.False(t, after.Ambiguous && after.State.Settled())
	}
	if want == "rejected" && said != "did not happen AsOf" {
		require.Equal(t, "no", after.Rejection.Code)
	}
	require.Len(t, p.sendings(), sent, "a verdict sends nothing")
}

// T63: a negative verdict says what it is based on; it does not count if the call has moved on since, or if Settling had
// not passed when the status was read.
func TestANegativeVerdictIsAsOfAStatus(t *testing.T) {
	bubble(t, func(t *testing.T) { // read too early, however late it is entered
		p := &provider{script: []step{fail(errLost)}}
		c := askable(p)
		c.Lookup, c.Retry.Attempts = nil, 1
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		time.Sleep(59 * time.Second)
		early := requireState(t, w, "k", idempotency.StateUnknown)
		time.Sleep(time.Hour)
		for _, v := range []verdict{idempotency.DidNotHappen[payment]().AsOf(early), idempotency.Declined[payment]("no", nil).AsOf(early)} {
			_, err = w.Settle(t.Context(), "k", v)
			requirePending(t, err)
			requireState(t, w, "k", idempotency.StateUnknown)
		}
		_, err = w.Settle(t.Context(), "k", idempotency.DidNotHappen[payment]().AsOf(requireState(t, w, "k", idempotency.StateUnknown)))
		require.NoError(t, err)
		requireState(t, w, "k", idempotency.StateScheduled)
	})
	bubble(t, func(t *testing.T) { // its owner came back after the status was read: it was sending all the time
		store := newStore()
		c := askable(&provider{})
		c.Lookup, c.Retry.Attempts = nil, 1
		slow := goDo(t.Context(), unrenewed(t, store, c, deaf(5*time.Minute, fail(errLost))), "k", book)
		time.Sleep(3 * time.Minute)
		w := wrap(t, store, blind(&provider{}))
		lapsed := requireState(t, w, "k", idempotency.StateUnknown)
		<-slow
		time.Sleep(time.Second)
		_, err := w.Settle(t.Context(), "k", idempotency.DidNotHappen[payment]().AsOf(lapsed))
		requirePending(t, err)
		requireState(t, w, "k", idempotency.StateUnknown)
	})
	bubble(t, func(t *testing.T) { // something was sent after the status was read
		p := &provider{script: []step{fail(errLost)}}
		c := keyed(p)
		c.Settling, c.Retry.Attempts = time.Minute, 1
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		time.Sleep(time.Hour)
		seen := requireState(t, w, "k", idempotency.StateUnknown)
		_, err = w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		time.Sleep(time.Hour)
		_, err = w.Settle(t.Context(), "k", idempotency.DidNotHappen[payment]().AsOf(seen))
		requirePending(t, err)
		requireState(t, w, "k", idempotency.StateUnknown)
	})
}

// T13: reply, webhook and lookup disagree: the first wins, and a contradiction is reported, not written.
func TestReplyAndWebhookDisagree(t *testing.T) {
	rows := []struct {
		name  string
		reply step
		alarm bool
		value string
	}{
		{"the reply says declined", fail(idempotency.Rejected("declined", nil)), true, "webhook"},
		{"the reply says it succeeded", pay, false, "webhook"},
		{"the reply is lost", fail(errLost), false, "webhook"},
		{"the reply says not sent", fail(idempotency.NotSent(errLost)), false, "webhook"},
		{"the reply says accepted", fail(idempotency.Accepted("ch_1", 0)), false, "webhook"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var conflicts recorder[idempotency.ConflictEvent]
				p := &provider{script: []step{after(3*time.Second, row.reply)}}
				c := blind(p)
				c.Hooks.Conflict = conflicts.add
				w := wrap(t, newStore(), c)
				waiting := goDo(t.Context(), w, "k", book)
				time.Sleep(time.Second)
				_, err := w.Settle(t.Context(), "k", idempotency.Happened(payment{ID: "webhook"}))
				require.NoError(t, err)
				got := <-waiting
				require.NoError(t, got.err)
				require.Equal(t, row.value, got.Value.ID, "everybody gets the first outcome")
				require.Equal(t, row.value, requireState(t, w, "k", idempotency.StateSucceeded).Value.ID)
				if row.alarm {
					require.Len(t, conflicts.all(), 1)
					require.Equal(t, idempotency.StateRejected, conflicts.all()[0].Claimed)
				} else {
					require.Empty(t, conflicts.all())
				}
				require.Len(t, p.sendings(), 1)
			})
		})
	}
}

// A verdict whose value cannot be stored settles all the same (T35).
func TestAVerdictWhoseValueCannotBeStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := idempotency.Call[int, any]{Name: "charge", Send: func(context.Context, attempt, int) (any, error) { return nil, errLost }}
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", 1)
		require.Error(t, err)
		s, err := w.Settle(t.Context(), "k", idempotency.Happened[any](make(chan int)))
		require.NoError(t, err)
		require.Equal(t, idempotency.StateSucceeded, s.State)
		require.True(t, s.Omitted)
		_, err = w.Do(t.Context(), "k", 1)
		require.ErrorIs(t, err, idempotency.ErrValueOmitted)
	})
}
