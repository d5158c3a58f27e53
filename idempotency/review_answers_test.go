package idempotency_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// What a hostile review found about answers, and who is told of them: each of these tests failed once.

// H4b: a Lookup that always answers after its time is never waited for. Its "happened" counts all the same.
func TestReviewALateLookupCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{lost}}
		c := askable(p)
		c.Lookup = func(context.Context, attempt, purchase) (verdict, error) {
			time.Sleep(c.Timeout + 2*time.Second) // deaf to its context, and past Timeout + Grace
			return idempotency.Happened(paid(book, 1)), nil
		}
		w := wrap(t, newStore(), c)
		runs(t, w)
		_, _ = w.Do(t.Context(), "k", book) // whether it waits for long enough is not the matter here
		time.Sleep(time.Hour)
		require.Equal(t, paid(book, 1), requireState(t, w, "k", idempotency.StateSucceeded).Value)
		require.Len(t, p.sendings(), 1)
	})
}

// H6: who asks for an hour of quiet gets it, although Policy.Max is ten seconds: within a turn, and between turns.
func TestReviewRetryAfterIsKeptBetweenTurns(t *testing.T) {
	quiet := retry.After(time.Hour, errors.New("429 Too Many Requests"))
	t.Run("Send", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := &provider{script: []step{fail(idempotency.NotSent(quiet)), pay}}
			w := wrap(t, newStore(), keyed(p))
			runs(t, w)
			_, err := w.Start(t.Context(), "k", book)
			require.NoError(t, err)
			time.Sleep(2 * time.Hour)
			sent := p.sendings()
			require.Len(t, sent, 2)
			require.GreaterOrEqual(t, sent[1].at.Sub(sent[0].at), time.Hour, "the provider asked for an hour between two sendings")
			requireState(t, w, "k", idempotency.StateSucceeded)
		})
	})
	t.Run("Lookup", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := &provider{script: []step{fail(errLost)}, looks: []look{
				func(context.Context, attempt, purchase) (verdict, error) { return verdict{}, quiet },
				says(idempotency.Happened(paid(book, 1))),
			}}
			w := wrap(t, newStore(), askable(p))
			runs(t, w)
			_, err := w.Do(t.Context(), "k", book)
			requireUnsafe(t, err)
			time.Sleep(2 * time.Hour)
			asked := p.questions()
			require.Len(t, asked, 2)
			require.GreaterOrEqual(t, asked[1].at.Sub(asked[0].at), time.Hour, "the provider asked for an hour between two questions")
			requireState(t, w, "k", idempotency.StateSucceeded)
		})
	})
}

// H7: the first caller leaves, a second one joins with time to spare. The flight works for the second as for anybody.
func TestReviewWhoJoinsLaterIsServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{
			script: []step{after(5*time.Second, fail(errLost))},
			looks:  []look{says(idempotency.Happened(paid(book, 1)))},
		}
		w := wrap(t, newStore(), askable(p))
		first := goDo(patience(t, 3*time.Second), w, "k", book)
		requirePending(t, (<-first).err)
		res, err := w.Do(patience(t, 30*time.Second), "k", book) // joins
		require.NoError(t, err, "the second caller had 30 s, and the provider knew the answer")
		require.Equal(t, paid(book, 1), res.Value)
		require.Len(t, p.sendings(), 1)
	})
}

// H10: nothing is promised, Settling is zero. An operator who looks while the request is still on its way sees no such
// charge; that counts only when the last sending is a minute old.
func TestReviewZeroSettlingIsAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{lost, pay}}
		w := wrap(t, newStore(), blind(p))
		runs(t, w)
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		s := requireState(t, w, "k", idempotency.StateUnknown)
		for _, age := range []time.Duration{s.LastSent, 30 * time.Second, time.Minute - time.Nanosecond} {
			time.Sleep(age - s.LastSent)
			s = requireState(t, w, "k", idempotency.StateUnknown)
			require.Equal(t, age, s.LastSent)
			_, err = w.Settle(t.Context(), "k", idempotency.DidNotHappen[payment]().AsOf(s))
			require.Error(t, err, "believed %v after the last sending, which may still arrive", age)
			requirePending(t, err)
		}
		time.Sleep(time.Nanosecond)
		early := s
		s = requireState(t, w, "k", idempotency.StateUnknown)
		_, err = w.Settle(t.Context(), "k", idempotency.DidNotHappen[payment]().AsOf(early))
		requirePending(t, err) // what counts is when it was read, not when it is handed in
		require.Len(t, p.sendings(), 1)
		_, err = w.Settle(t.Context(), "k", idempotency.DidNotHappen[payment]().AsOf(s))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		requireState(t, w, "k", idempotency.StateSucceeded)
		require.Len(t, p.sendings(), 2)
	})
}

// H12: Hooks.Settled counts transitions. Hints and repeated verdicts move nothing, and are not counted.
func TestReviewSettledHookOncePerTransition(t *testing.T) {
	type operator func(t *testing.T, w *wrapper)
	happened := func(t *testing.T, w *wrapper) { _, _ = w.Settle(t.Context(), "k", idempotency.Happened(payment{})) }
	hint := func(t *testing.T, w *wrapper) {
		_, _ = w.Settle(t.Context(), "k", idempotency.StillPending[payment](time.Hour))
	}
	cancel := func(t *testing.T, w *wrapper) { _, _ = w.Cancel(t.Context(), "k") }
	do := func(t *testing.T, w *wrapper) { _, _ = w.Do(t.Context(), "k", book) }
	rows := map[string]struct {
		does []operator
		want []string
	}{
		"verdicts":         {[]operator{do, hint, hint, happened, happened, happened, cancel, do}, []string{"unknown", "succeeded"}},
		"cancelled unsent": {[]operator{cancel, cancel, cancel, do}, []string{"cancelled"}},
		"abandoned":        {[]operator{do, cancel, cancel, hint, do}, []string{"unknown", "abandoned"}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var states recorder[string]
				c := blind(&provider{script: []step{fail(errLost)}})
				c.Hooks.Settled = func(e idempotency.SettledEvent) { states.add(e.State.String()) }
				w := wrap(t, newStore(), c)
				for _, does := range row.does {
					does(t, w)
					time.Sleep(time.Second)
				}
				require.Equal(t, row.want, states.all(), "Hooks.Settled is told once of every transition, and of nothing else")
			})
		})
	}
}

// The answer that a webhook has overtaken moves nothing.
func TestReviewSettledHookBesideAWebhook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var states recorder[string]
		c := blind(&provider{script: []step{after(2*time.Second, pay)}})
		c.Hooks.Settled = func(e idempotency.SettledEvent) { states.add(e.State.String()) }
		w := wrap(t, newStore(), c)
		did := goDo(t.Context(), w, "k", book)
		time.Sleep(time.Second)
		_, err := w.Settle(t.Context(), "k", idempotency.Happened(paid(book, 1)))
		require.NoError(t, err)
		require.NoError(t, (<-did).err)
		require.Equal(t, []string{"succeeded"}, states.all())
	})
}

// H14: lines of the provider's list that carry no key of ours speak of different charges. Each that happened is reported.
func TestReviewReconcileReportsEveryKeylessLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := wrap(t, newStore(), blind(&provider{script: []step{pay}}))
		_, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		lines := []idempotency.Entry{
			{Ref: "ch_1", Happened: true}, {Ref: "ch_2", Happened: true}, {Key: "k", Ref: "ch_k", Happened: true},
			{Ref: "ch_no", Happened: false}, {Ref: "ch_3", Happened: true},
		}
		for name, most := range map[string]int{"in one part": 0, "in parts of one line": 1} {
			var refs []string
			for d, err := range w.Reconcile(t.Context(), idempotency.Reconciliation{
				From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour), MaxEntries: most,
				Entries: func(yield func(idempotency.Entry, error) bool) {
					for _, line := range lines {
						if !yield(line, nil) {
							return
						}
					}
				},
			}) {
				require.NoError(t, err)
				require.Equal(t, idempotency.MissingHere, d.Kind, "%s: %s", name, d.Entry.Ref)
				refs = append(refs, d.Entry.Ref)
			}
			require.Equal(t, []string{"ch_1", "ch_2", "ch_3"}, refs, "%s: lines without a key are not one and the same", name)
		}
	})
}
