package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
)

func entries(list ...idempotency.Entry) iter.Seq2[idempotency.Entry, error] {
	return func(yield func(idempotency.Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func differences(t *testing.T, w *wrapper, with idempotency.Reconciliation) (found []string) {
	t.Helper()
	for d, err := range w.Reconcile(t.Context(), with) {
		require.NoError(t, err)
		found = append(found, fmt.Sprintf("%s %s/%s %s %s", d.Kind, d.Scope, d.Key, d.State, d.Entry.Ref))
	}
	slices.Sort(found)
	return found
}

// Reconcile is the net under a store that forgot, a wrong NotSent and a wrong Settling: each kind of difference, found by the
// provider key or by the metadata, in one part and in many.
func TestReconcileFindsEveryDifference(t *testing.T) {
	for _, most := range []int{0, 1, 3} {
		bubble(t, func(t *testing.T) {
			from := time.Now()
			p := &provider{script: []step{pay, pay, pay, pay, fail(idempotency.Rejected("no", nil)), fail(errLost)}}
			w := wrap(t, newStore(), blind(p))
			for _, key := range []string{"both", "missing there", "twice", "refused there"} {
				_, err := w.For("a").Do(t.Context(), key, book)
				require.NoError(t, err)
			}
			_, err := w.For("a").Do(t.Context(), "rejected here", book)
			require.Error(t, err)
			_, err = w.For("b").Do(t.Context(), "unknown here", book)
			require.Error(t, err)
			_, err = w.For("b").Start(t.Context(), "scheduled here", book)
			require.NoError(t, err)
			sent := map[string]string{}
			for _, a := range p.sendings() {
				sent[a.ID] = a.Key
			}
			time.Sleep(time.Minute)
			list := entries(
				idempotency.Entry{ProviderKey: sent["both"], Ref: "1", Happened: true},
				idempotency.Entry{ProviderKey: sent["twice"], Ref: "2", Happened: true},
				idempotency.Entry{Scope: "a", Key: "twice", Ref: "3", Happened: true},
				idempotency.Entry{Scope: "a", Key: "refused there", Ref: "4"},
				idempotency.Entry{Scope: "a", Key: "rejected here", Ref: "5", Happened: true},
				idempotency.Entry{Scope: "b", Key: "unknown here", Ref: "6", Happened: true},
				idempotency.Entry{Scope: "b", Key: "scheduled here", Ref: "7", Happened: true},
				idempotency.Entry{Scope: "c", Key: "missing here", Ref: "8", Happened: true},
				idempotency.Entry{Scope: "c", Key: "declined and forgotten", Ref: "9"},
				idempotency.Entry{Ref: "10", Happened: true},
			)
			require.Equal(t, []string{
				"disagree a/refused there succeeded 4",
				"disagree a/rejected here rejected 5",
				"disagree b/scheduled here scheduled 7",
				"missing at the provider a/missing there succeeded ",
				"missing here / absent 10",
				"missing here c/missing here absent 8",
				"twice a/twice succeeded 3",
				"unsettled b/unknown here unknown 6",
			}, differences(t, w, idempotency.Reconciliation{Entries: list, From: from.Add(-time.Second), To: time.Now(), MaxEntries: most}))

			require.Empty(t, differences(t, w, idempotency.Reconciliation{
				Entries: entries(), From: from.Add(-time.Hour), To: from.Add(-time.Minute),
			}), "what was sent outside of the time that the list covers cannot be missing there")
		})
	}
}

// Bad input is named, the list's own errors come through, and a reader that has seen enough ends it.
func TestReconcileBadInput(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := wrap(t, newStore(), blind(&provider{script: []step{pay}}))
		now := time.Now()
		broken := func(yield func(idempotency.Entry, error) bool) { yield(idempotency.Entry{}, errDown) }
		for text, with := range map[string]idempotency.Reconciliation{
			"Reconciliation.Entries":    {From: now, To: now.Add(time.Hour)},
			"Reconciliation.From":       {Entries: entries(), From: now, To: now},
			"Reconciliation.MaxEntries": {Entries: entries(), From: now, To: now.Add(time.Hour), MaxEntries: -1},
			errDown.Error():             {Entries: broken, From: now, To: now.Add(time.Hour)},
		} {
			var errs []error
			for _, err := range w.Reconcile(t.Context(), with) {
				errs = append(errs, err)
			}
			require.Len(t, errs, 1)
			require.ErrorContains(t, errs[0], text)
		}
		seen := 0
		for _, err := range w.Reconcile(t.Context(), idempotency.Reconciliation{
			Entries: entries(idempotency.Entry{Key: "x", Happened: true}, idempotency.Entry{Key: "y", Happened: true}), From: now, To: now.Add(time.Hour),
		}) {
			require.NoError(t, err)
			seen++
			break
		}
		require.Equal(t, 1, seen)
	})
}

// LogHooks tells what needs somebody's attention above what does not, and keeps requests and values to itself.
func TestLogHooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		c := askable(&provider{script: []step{fail(errLost)}, looks: []look{says(idempotency.Happened(payment{ID: "secret"}))}})
		c.OnSettled = func(context.Context, settled) error { return errors.New("the shop is down") }
		c.Hooks = idempotency.LogHooks(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		w := wrap(t, newStore(), c)
		_, err := w.For("tenant").Do(t.Context(), "k", book)
		require.NoError(t, err)
		_, err = w.Settle(t.Context(), "nobody's", idempotency.Happened(payment{ID: "evidence"}))
		require.ErrorIs(t, err, idempotency.ErrNoRecord)
		for _, line := range []string{
			"level=DEBUG msg=attempt operation=charge scope=tenant key=k", "class=unknown",
			`level=DEBUG msg="asked the provider"`, "verdict=happened", `level=INFO msg="call is succeeded"`,
			`level=ERROR msg="OnSettled failed"`, `level=ERROR msg="a verdict contradicts the record"`, "evidence",
		} {
			require.Contains(t, log.String(), line)
		}
		_, err = w.Cancel(t.Context(), "k2") // a tombstone
		require.NoError(t, err)
		stuck := wrap(t, newStore(), func() call {
			c := blind(&provider{script: []step{fail(errLost)}})
			c.Hooks = idempotency.LogHooks(slog.New(slog.NewTextHandler(&log, nil)))
			return c
		}())
		_, err = stuck.Do(t.Context(), "lost", book)
		requireUnknown(t, err)
		_, err = stuck.Cancel(t.Context(), "lost")
		requireUnknown(t, err)
		_, err = stuck.Settle(t.Context(), "lost", idempotency.Happened(payment{ID: "p"}))
		require.NoError(t, err)
		for _, line := range []string{
			`level=INFO msg="call is cancelled"`, `level=WARN msg="call is unknown"`, `level=WARN msg="call is abandoned"`,
			`level=WARN msg="call is abandoned, and happened`,
		} {
			require.Contains(t, log.String(), line)
		}
		require.NotContains(t, log.String(), "secret", "values are not logged, save where the log may be all that is left")
	})
}
