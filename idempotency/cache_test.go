package idempotency_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
)

// A store without a memory of its own is not asked about what has settled: whatever the outcome, P2 makes it final.
func TestCacheAnswersReplays(t *testing.T) {
	for name, c := range map[string]struct {
		answer step
		check  func(t *testing.T, res result, err error)
	}{
		"succeeded": {pay, func(t *testing.T, res result, err error) {
			t.Helper()
			require.NoError(t, err)
			require.Equal(t, paid(book, 1), res.Value)
			require.Equal(t, 1, res.Attempts)
		}},
		"rejected": {fail(idempotency.Rejected("card_declined", errLost)), func(t *testing.T, _ result, err error) {
			t.Helper()
			requireRejected(t, err, "card_declined")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newFaulty(newStore())
				w := wrap(t, store, keyed(&provider{script: []step{c.answer}}))
				res, err := w.For("anna").Do(t.Context(), "k", book)
				c.check(t, res, err)
				settledAt := res.SettledAt
				store.down()
				time.Sleep(time.Hour)
				res, err = w.For("anna").Do(t.Context(), "k", book)
				c.check(t, res, err)
				if err == nil {
					require.True(t, res.Replayed)
					require.Equal(t, settledAt, res.SettledAt, "a replay an hour later")
				}
				_, err = w.For("anna").Do(t.Context(), "k", lamp)
				require.ErrorIs(t, err, idempotency.ErrStore, "T21: another request is not answered from memory")
				_, err = w.For("bert").Do(t.Context(), "k", book)
				require.ErrorIs(t, err, idempotency.ErrStore, "another scope's key")
			})
		})
	}
}

// A replay that had to ask the store is the last one that has to.
func TestCacheLearnsFromReplays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inner := newStore()
		p := &provider{script: []step{pay}}
		_, err := wrap(t, newFaulty(inner), keyed(p)).Do(t.Context(), "k", book)
		require.NoError(t, err)
		store := newFaulty(inner)
		w := wrap(t, store, keyed(p)) // another process
		for range 3 {
			res, err := w.Do(t.Context(), "k", book)
			require.NoError(t, err)
			require.True(t, res.Replayed)
		}
		require.Equal(t, 1, store.count("Acquire"))
	})
}

// T20: callers that are answered from memory may do with their copy what they like.
func TestCacheGivesCopies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{func(context.Context, attempt, purchase) (payment, error) {
			return payment{ID: "p", Notes: []string{"thank you"}}, nil
		}}}
		w := wrap(t, newFaulty(newStore()), keyed(p))
		for range 3 {
			res, err := w.Do(t.Context(), "k", book)
			require.NoError(t, err)
			require.Equal(t, []string{"thank you"}, res.Value.Notes)
			res.Value.Notes[0] = "scribbled over"
		}
	})
}

// An outcome that the store has not confirmed is told to who waits, and is not remembered as if it were recorded.
func TestCacheKeepsOnlyWhatIsRecorded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newFaulty(newStore())
		c := keyed(&provider{script: []step{pay}})
		c.SettleFor = time.Minute
		w := wrap(t, store, c)
		store.only("Settle", 1<<30, trouble{before: errDown})
		res, err := w.Do(t.Context(), "k", book)
		var unrecorded *idempotency.UnrecordedError
		require.ErrorAs(t, err, &unrecorded)
		require.Equal(t, paid(book, 1), res.Value)
		time.Sleep(5 * time.Minute) // the wrapper has given up recording it
		asked := store.count("Acquire")
		_, err = w.Do(t.Context(), "k", book)
		require.Greater(t, store.count("Acquire"), asked, "answered without the store: %v", err)
	})
}

// What retention empties, memory forgets too.
func TestCacheKeepsRetention(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newFaulty(newStore())
		c := keyed(&provider{script: []step{pay}})
		c.Retention = 48 * time.Hour
		w := wrap(t, store, c)
		_, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		time.Sleep(48*time.Hour - time.Second)
		_, err = w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, 1, store.count("Acquire"), "it may be remembered until then")
		time.Sleep(time.Second)
		n, err := store.Purge(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, err = w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrExpired)
	})
}

// The cache is bounded: who was asked for least lately makes room, and a giant does not drive out everybody else.
func TestCacheIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newFaulty(newStore())
		size := 10
		c := keyed(&provider{script: []step{func(context.Context, attempt, purchase) (payment, error) {
			return payment{ID: string(make([]byte, size))}, nil
		}}})
		c.CacheBytes = 10_000
		w := wrap(t, store, c)
		do := func(i int) (asked bool) {
			before := store.count("Acquire")
			_, err := w.Do(t.Context(), fmt.Sprint("k", i), book)
			require.NoError(t, err)
			return store.count("Acquire") > before
		}
		for i := range 8 {
			require.True(t, do(i), "fresh")
		}
		require.False(t, do(0), "there is room for eight")
		size = 100_000
		require.True(t, do(100), "fresh")
		require.True(t, do(100), "more than the whole cache")
		require.False(t, do(0), "driven out by a giant")
		size = 10
		for i := 200; i < 208; i++ {
			require.False(t, do(0), "the one in use was dropped")
			require.True(t, do(i), "fresh")
		}
		require.True(t, do(1), "the cache grows without bound")
	})
}

// A negative size turns the cache off.
func TestCacheOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newFaulty(newStore())
		c := keyed(&provider{script: []step{pay}})
		c.CacheBytes = -1
		w := wrap(t, store, c)
		for range 3 {
			_, err := w.Do(t.Context(), "k", book)
			require.NoError(t, err)
		}
		require.Equal(t, 3, store.count("Acquire"))
	})
}
