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

// P4: an OnSettled that outlasts its transaction does not cost the outcome: that is settled alone, and told again.
func TestAuditSlowOnSettledInATransaction(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newTxStore()
		var told recorder[string]
		c := blind(&provider{script: []step{pay}})
		c.OnSettled = func(ctx context.Context, s settled) error {
			if len(told.all()) == 0 {
				<-ctx.Done() // and does not say so
			}
			told.add(s.State.String())
			return nil
		}
		c.Hooks.StoreError = func(op string, err error) { t.Errorf("%s: %v", op, err) }
		w := wrap(t, store, c)
		runs(t, w)
		_, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		require.Equal(t, []string{"succeeded", "succeeded"}, told.all())
		requireState(t, w, "k", idempotency.StateSucceeded)
	})
}

// refusing is a store that refuses claims for good.
type refusing struct {
	idempotency.Store
	claims recorder[idempotency.ClaimMode]
}

type forGood struct{ error }

func (forGood) Final() bool { return true }

func (s *refusing) Acquire(_ context.Context, c idempotency.Claim) (idempotency.Record, error) {
	s.claims.add(c.Mode)
	return idempotency.Record{}, forGood{errors.New("too large")}
}

// What is refused for good is not asked for again, in the background neither.
func TestAuditFinalRefusal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &refusing{Store: newStore()}
		w := wrap(t, store, blind(&provider{script: []step{pay}}))
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrStore)
		time.Sleep(time.Hour)
		require.Len(t, store.claims.all(), 1)
	})
}

// meddling answers the n-th claim to schedule a record that exists as somebody else's doings would.
type meddling struct {
	idempotency.Store
	does func(n int, id idempotency.ID)
	n    int
}

func (s *meddling) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	if c.Mode == idempotency.ClaimSchedule && c.Fence != 0 {
		s.n++
		s.does(s.n, c.ID)
	}
	return s.Store.Acquire(ctx, c)
}

// Start commits to a call, or says that it has not.
func TestAuditStartBesideOthers(t *testing.T) {
	unsent := fail(idempotency.NotSent(errors.New("429")))
	t.Run("who claim it and give it back each time", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			inner := newStore()
			other := wrap(t, inner, blind(&provider{script: []step{unsent}}))
			store := &meddling{Store: inner, does: func(int, idempotency.ID) {
				_, err := other.Do(t.Context(), "k", book)
				require.ErrorIs(t, err, idempotency.ErrNotSent)
			}}
			_, err := other.Do(t.Context(), "k", book)
			require.ErrorIs(t, err, idempotency.ErrNotSent)
			time.Sleep(time.Hour)
			_, err = wrap(t, store, blind(&provider{script: []step{pay}})).Start(t.Context(), "k", book)
			requirePending(t, err)
		})
	})
	t.Run("who purge it", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			inner := newStore()
			store := &meddling{Store: inner, does: func(n int, _ idempotency.ID) {
				if n == 1 {
					time.Sleep(24 * time.Hour)
					_, err := inner.Purge(t.Context(), 1000)
					require.NoError(t, err)
				}
			}}
			p := &provider{script: []step{unsent}}
			w := wrap(t, store, blind(p))
			_, err := w.Do(t.Context(), "k", book)
			require.ErrorIs(t, err, idempotency.ErrNotSent)
			st, err := w.Start(t.Context(), "k", book)
			require.NoError(t, err)
			require.Equal(t, idempotency.StateScheduled, st.State)
		})
	})
}

// A provider that asked to be left alone is, also by who starts the call meanwhile; and who comes meanwhile is told why.
func TestAuditRetryAfterHolds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{fail(idempotency.NotSent(retry.After(30*time.Minute, errors.New("429 Too Many Requests")))), pay}}
		w := wrap(t, newStore(), blind(p))
		for range 2 {
			_, err := w.Do(t.Context(), "k", book) // the second one sends nothing
			require.ErrorIs(t, err, idempotency.ErrNotSent)
			require.ErrorContains(t, err, "429 Too Many Requests")
			var later interface{ RetryAfter() time.Duration }
			require.ErrorAs(t, err, &later)
			require.Equal(t, 30*time.Minute, later.RetryAfter())
		}
		_, err := w.Start(t.Context(), "k", book)
		require.NoError(t, err)
		runs(t, w)
		time.Sleep(29 * time.Minute)
		require.Len(t, p.sendings(), 1)
		time.Sleep(2 * time.Minute)
		require.Len(t, p.sendings(), 2)
		requireState(t, w, "k", idempotency.StateSucceeded)
	})
}

// P5: Start and Cancel wait no longer than their context, however the store fails.
func TestAuditStoreFailsLongerThanTheContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newFaulty(newStore())
		store.down()
		c := blind(&provider{script: []step{pay}})
		c.Lease = 10 * time.Minute
		w := wrap(t, store, c)
		for name, do := range map[string]func(ctx context.Context) error{
			"Start":  func(ctx context.Context) error { _, err := w.Start(ctx, "k", book); return err },
			"Cancel": func(ctx context.Context) error { _, err := w.Cancel(ctx, "k"); return err },
		} {
			began := time.Now()
			require.Error(t, do(patience(t, 100*time.Millisecond)), name)
			require.LessOrEqual(t, time.Since(began), 100*time.Millisecond, name)
		}
	})
}

// Nobody is said to have kept silent who has not.
func TestAuditAcceptedKeepsItsMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := blind(&provider{script: []step{fail(idempotency.Accepted("ch_1", 0))}})
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		requirePending(t, err)
		_, err = w.Settle(t.Context(), "k", idempotency.StillPending[payment](time.Minute))
		require.NoError(t, err)
		runs(t, w)
		time.Sleep(time.Hour)
		require.Empty(t, requireState(t, w, "k", idempotency.StateAccepted).Message)
	})
}
