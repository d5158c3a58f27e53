package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
)

// T14: Cancel in every state, and what is known afterwards.
func TestCancelInEveryState(t *testing.T) {
	type want struct {
		state idempotency.State
		says  string // "", pending, unknown, rejected or conflict
	}
	table := map[string]want{
		"absent":                       {idempotency.StateCancelled, ""},
		"free":                         {idempotency.StateCancelled, ""},
		"scheduled":                    {idempotency.StateCancelled, ""},
		"running":                      {idempotency.StateRunning, "pending"},
		"accepted":                     {idempotency.StateAbandoned, "unknown"},
		"accepted, ambiguous":          {idempotency.StateAbandoned, "unknown"},
		"unknown":                      {idempotency.StateAbandoned, "unknown"},
		"unknown, lapsed":              {idempotency.StateAbandoned, "unknown"},
		"abandoned":                    {idempotency.StateAbandoned, "unknown"},
		"abandoned, late":              {idempotency.StateAbandoned, "unknown"},
		"succeeded":                    {idempotency.StateSucceeded, "conflict"},
		"rejected":                     {idempotency.StateRejected, "rejected"},
		"cancelled":                    {idempotency.StateCancelled, ""},
		"cancelled before it was made": {idempotency.StateCancelled, ""},
	}
	for name, situation := range everyState() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, p := situation.make(t)
				sent := len(p.sendings())
				for range 2 { // cancelling twice says the same
					s, err := w.Cancel(t.Context(), "k")
					require.Equal(t, table[name].state.String(), s.State.String())
					switch table[name].says {
					case "":
						require.NoError(t, err)
					case "pending":
						require.Positive(t, requirePending(t, err).RetryAfter())
						require.True(t, s.CancelWanted)
					case "unknown":
						require.Equal(t, idempotency.StateAbandoned, requireUnknown(t, err).State)
					case "rejected":
						requireRejected(t, err, "declined")
					case "conflict":
						require.ErrorIs(t, err, idempotency.ErrConflict)
						requireUnsafe(t, err)
					}
				}
				require.Equal(t, table[name].state.String(), requireAny(t, w).State.String(), "Status agrees")

				// Whatever happens now, nothing is sent.
				for range 3 {
					_, err := w.Do(patience(t, 10*time.Second), "k", book)
					if table[name].state == idempotency.StateCancelled {
						require.ErrorIs(t, err, idempotency.ErrCancelled)
					} else if table[name].state == idempotency.StateAbandoned {
						require.Equal(t, idempotency.StateAbandoned, requireUnknown(t, err).State)
					}
					_, _ = w.Start(t.Context(), "k", book)
					_, err = w.Recover(t.Context())
					require.NoError(t, err)
					time.Sleep(10 * time.Minute)
				}
				require.Len(t, p.sendings(), sent, "sent after Cancel")
			})
		})
	}
}

// T14: the outcome of the attempt that was under way decides; no further attempt is made.
func TestCancelWhileAnAttemptIsUnderWay(t *testing.T) {
	rows := []struct {
		name  string
		end   step
		state idempotency.State
		check func(t *testing.T, err error)
	}{
		{"succeeds", pay, idempotency.StateSucceeded, func(t *testing.T, err error) { require.NoError(t, err) }},
		{"rejected", fail(idempotency.Rejected("declined", nil)), idempotency.StateRejected, func(t *testing.T, err error) { requireRejected(t, err, "declined") }},
		{"not sent", fail(idempotency.NotSent(errLost)), idempotency.StateCancelled, func(t *testing.T, err error) { require.ErrorIs(t, err, idempotency.ErrCancelled) }},
		{"unknown", fail(errLost), idempotency.StateAbandoned, func(t *testing.T, err error) { requireUnknown(t, err) }},
		{"panics", panics("boom"), idempotency.StateAbandoned, func(t *testing.T, err error) { requireUnknown(t, err) }},
		{"accepted", fail(idempotency.Accepted("ch_1", time.Hour)), idempotency.StateAbandoned, func(t *testing.T, err error) { requireUnknown(t, err) }},
	}
	for _, row := range rows {
		for _, started := range []bool{false, true} {
			name := row.name + ", by Do"
			if started {
				name = row.name + ", by Start"
			}
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p := &provider{script: []step{after(3*time.Second, row.end), pay}}
					w := wrap(t, newStore(), keyed(p))
					runs(t, w)
					if started {
						_, err := w.Start(t.Context(), "k", book)
						require.NoError(t, err)
						time.Sleep(2 * time.Second)
						require.Len(t, p.sendings(), 1)
					}
					waiting := goDo(t.Context(), w, "k", book)
					time.Sleep(time.Second / 2)
					_, err := w.Cancel(t.Context(), "k")
					requirePending(t, err)
					row.check(t, (<-waiting).err)
					time.Sleep(10 * time.Minute)
					requireState(t, w, "k", row.state)
					require.Len(t, p.sendings(), 1, "an attempt was made after Cancel")
				})
			})
		}
	}
}

// T14 T57: a process has claimed the call from the queue, and is paused; it finds out before it sends.
func TestCancelBeforeAClaimedCallIsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		store := newStore()
		mine := newFaulty(store)
		mine.only("AcquireDue", 1, trouble{stall: 10 * time.Second})
		slow, w := wrap(t, mine, blind(p)), wrap(t, store, blind(p))
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		recovered := make(chan error, 1)
		go func() {
			_, err := slow.Recover(context.Background())
			recovered <- err
		}()
		time.Sleep(time.Second)
		_, err = w.Cancel(t.Context(), "k")
		requirePending(t, err)
		require.NoError(t, <-recovered)
		requireState(t, w, "k", idempotency.StateCancelled)
		require.Empty(t, p.sendings())
	})
}

// T14: Cancel meets Do at the same moment: either it is sent, or it is cancelled, never both.
func TestCancelRacesDo(t *testing.T) {
	for range 50 {
		bubble(t, func(t *testing.T) {
			p := &provider{script: []step{after(time.Second, pay)}}
			store := newStore()
			a, b := wrap(t, store, blind(p)), wrap(t, store, blind(p))
			waiting := goDo(t.Context(), a, "k", book)
			_, err := b.Cancel(t.Context(), "k")
			got := <-waiting
			synctest.Wait()
			switch {
			case err == nil:
				require.ErrorIs(t, got.err, idempotency.ErrCancelled)
				require.Empty(t, p.sendings())
			default:
				requirePending(t, err)
				require.NoError(t, got.err)
				require.Len(t, p.sendings(), 1)
			}
		})
	}
}

// T52: (and T14) a success on a cancelled call is stored, and delivered once with Late, so that it can be refunded; also if the
// process that learned it dies.
func TestALateSuccessOfAnAbandonedCall(t *testing.T) {
	learn := map[string]func(t *testing.T, w *wrapper, store idempotency.Store, c call){
		"webhook": func(t *testing.T, w *wrapper, _ idempotency.Store, _ call) {
			s, err := w.Settle(t.Context(), "k", idempotency.Happened(payment{ID: "late"}))
			require.NoError(t, err)
			require.Equal(t, idempotency.StateAbandoned, s.State)
		},
		"lookup": func(*testing.T, *wrapper, idempotency.Store, call) {},
		"lookup of a process that dies after it": func(t *testing.T, _ *wrapper, store idempotency.Store, c call) {
			mine := newFaulty(store)
			c.OnSettled = func(context.Context, settled) error {
				mine.down()
				return errors.New("killed")
			}
			_, _ = wrap(t, mine, c).Recover(t.Context())
		},
	}
	for how, act := range learn {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var told recorder[settled]
				p := &provider{script: []step{fail(errLost)}, looks: []look{says(idempotency.DontKnow[payment]()), says(idempotency.Happened(payment{ID: "late"}))}}
				c := askable(p)
				c.Retry.Attempts, c.Poll = 1, 10*time.Second
				store := newStore()
				plain := c
				c.OnSettled = func(_ context.Context, s settled) error { told.add(s); return nil }
				w := wrap(t, store, c)
				_, err := w.Do(t.Context(), "k", book)
				requireUnknown(t, err)
				_, err = w.Cancel(t.Context(), "k")
				requireUnknown(t, err)
				_, err = w.Recover(t.Context())
				require.NoError(t, err)
				require.Equal(t, []settled{{Key: "k", In: book, State: idempotency.StateAbandoned}}, told.all())
				_, err = w.Recover(t.Context())
				require.NoError(t, err)
				time.Sleep(time.Minute)
				act(t, w, store, plain)
				runs(t, w)
				time.Sleep(time.Hour)
				require.Equal(t, settled{Key: "k", In: book, State: idempotency.StateAbandoned, Value: payment{ID: "late"}, Late: true}, told.all()[len(told.all())-1])
				require.Len(t, told.all(), 2, "told once that it is abandoned, and once that it happened after all")
				s := requireState(t, w, "k", idempotency.StateAbandoned)
				require.True(t, s.Late)
				require.Equal(t, "late", s.Value.ID)
				require.Len(t, p.sendings(), 1)
				asked := len(p.questions())
				time.Sleep(time.Hour)
				require.Len(t, p.questions(), asked, "what is answered is not asked again")
				_, err = w.Do(t.Context(), "k", book)
				requireUnknown(t, err)
			})
		})
	}
}

// T14: an abandoned call is still asked about, whether or not somebody is to be told.
func TestAnAbandonedCallIsStillAskedAbout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(errLost)}, looks: []look{says(idempotency.DontKnow[payment]()), says(idempotency.Happened(payment{ID: "late"}))}}
		c := askable(p)
		c.Retry.Attempts = 1
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		_, err = w.Cancel(t.Context(), "k")
		requireUnknown(t, err)
		runs(t, w)
		time.Sleep(time.Hour)
		require.True(t, requireState(t, w, "k", idempotency.StateAbandoned).Late)
		require.Len(t, p.questions(), 2)
	})
	bubble(t, func(t *testing.T) { // given up
		p := &provider{script: []step{fail(idempotency.Accepted("ch_1", 24*time.Hour))}, looks: []look{says(idempotency.Happened(payment{ID: "late"}))}}
		c := askable(p)
		c.GiveUp = time.Hour
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		requirePending(t, err)
		time.Sleep(time.Hour)
		runs(t, w)
		time.Sleep(time.Hour)
		require.True(t, requireState(t, w, "k", idempotency.StateAbandoned).Late)
	})
}

// T14: a success on a cancelled call is a contradiction, and must be seen.
func TestASuccessOfACancelledCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var conflicts recorder[idempotency.ConflictEvent]
		c := blind(&provider{script: []step{pay}})
		c.Hooks.Conflict = conflicts.add
		w := wrap(t, newStore(), c)
		_, err := w.Cancel(t.Context(), "k")
		require.NoError(t, err)
		_, err = w.Settle(t.Context(), "k", idempotency.Happened(payment{ID: "ghost"}))
		require.ErrorIs(t, err, idempotency.ErrConflict)
		require.Len(t, conflicts.all(), 1)
		require.Contains(t, string(conflicts.all()[0].Value), "ghost", "what to refund")
	})
}
