package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// What a hostile review found about bounds: each of these tests failed once.

// H5: while the store is down customers go on clicking. What is left to give back is one goroutine's work, which does not
// ask more often the more there is.
func TestReviewOrphansAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newFaulty(newStore())
		w := wrap(t, store, keyed(&provider{script: []step{pay}}))
		store.down()
		before := runtime.NumGoroutine()
		for i := range 500 {
			_, err := w.Do(t.Context(), fmt.Sprint("k", i%5), book)
			require.ErrorIs(t, err, idempotency.ErrStore)
			time.Sleep(300 * time.Millisecond)
		}
		require.Less(t, runtime.NumGoroutine()-before, 50, "goroutines are left behind by calls that have returned")
		asked := store.count("Acquire")
		time.Sleep(time.Minute)
		require.Less(t, store.count("Acquire")-asked, 60, "Acquires in a minute without any caller")
		store.up()
		time.Sleep(time.Minute)
		for i := range 5 {
			_, err := w.Do(t.Context(), fmt.Sprint("k", i), book)
			require.NoError(t, err, "the store is back, and nothing was sent: the key is free")
		}
	})
}

// H8: Run purges as fast as calls come in, so that a store with a bound does not fill up with what retention has ended.
func TestReviewPurgeKeepsUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := blind(&provider{})
		c.Send = func(context.Context, attempt, purchase) (payment, error) { return payment{}, nil }
		c.Retention, c.StubFor = time.Minute, time.Minute
		w := wrap(t, memstore.New(memstore.Config{MaxRecords: 6000}), c)
		runs(t, w)
		for second := range 10 * 60 { // at 20 calls a second, 2,400 records are within retention
			for i := range 20 {
				_, err := w.Do(t.Context(), fmt.Sprint(second, "-", i), book)
				require.NoError(t, err, "the store is full after %d s", second)
			}
			time.Sleep(time.Second)
		}
	})
}

// H9, H9b: a duration without its unit, or Never where there must be an end, is refused at once. It would overflow sums,
// panic in Run, or claim what Close then waits for.
func TestReviewDurationsOutOfBounds(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for field, set := range map[string]func(*call, time.Duration){
		"Timeout":   func(c *call, d time.Duration) { c.Timeout = d },
		"Grace":     func(c *call, d time.Duration) { c.Grace = d },
		"Lease":     func(c *call, d time.Duration) { c.Lease = d },
		"Settling":  func(c *call, d time.Duration) { c.Settling = d },
		"SettleFor": func(c *call, d time.Duration) { c.SettleFor = d },
		"Poll":      func(c *call, d time.Duration) { c.Poll = d },
	} {
		for _, d := range []time.Duration{2, time.Millisecond - 1, year + 1, idempotency.Never - 1000, idempotency.Never} {
			for kind, promise := range map[string]func(*provider) call{"blind": blind, "keyed": keyed} {
				t.Run(fmt.Sprintf("%s %v %s", field, d, kind), func(t *testing.T) {
					c := promise(&provider{script: []step{pay}})
					set(&c, d)
					_, err := idempotency.Wrap(newStore(), c)
					require.ErrorContains(t, err, "Call."+field, "Wrap must refuse it, and name the field")
					require.ErrorContains(t, err, d.String())
					require.ErrorContains(t, err, "between 1ms and a year", "the remedy")
				})
			}
		}
		for _, d := range []time.Duration{time.Millisecond, year} {
			c := blind(&provider{script: []step{pay}})
			set(&c, d)
			_, err := idempotency.Wrap(newStore(), c)
			require.NoError(t, err, "%s of %v", field, d)
		}
	}
}

// H9c: a policy without a bound on its delays rests long, and does not panic.
func TestReviewAHugePolicyMax(t *testing.T) {
	for _, most := range []time.Duration{math.MaxInt64, math.MaxInt64/30 + 1, math.MaxInt64 / 2} {
		bubble(t, func(t *testing.T) {
			p := &provider{script: []step{lost}, looks: []look{says(idempotency.DontKnow[payment]())}}
			c := askable(p)
			c.Retry = retry.Policy{Max: most}
			c.Hooks.StoreError = func(op string, err error) { t.Errorf("Policy.Max of %v: %s: %v", most, op, err) }
			w := wrap(t, newStore(), c)
			runs(t, w)
			_, err := w.Cancel(t.Context(), "never made")
			require.NoError(t, err)
			_, err = w.Do(patience(t, time.Minute), "k", book)
			requireUnsafe(t, err)
			var panicked *idempotency.PanicError
			require.NotErrorAs(t, err, &panicked)
			time.Sleep(time.Hour)
			require.Greater(t, len(p.questions()), 1, "Policy.Max of %v: nobody asks any more", most)
		})
	}
}

// H11, H11b: what a provider says is stored, and read by whoever comes: bounded, valid UTF-8, and without the zero byte
// that no database takes in a text.
func TestReviewStoredTextsAreBoundedAndValid(t *testing.T) {
	runes := "x" + strings.Repeat("é", 2000) // a cut at any even length halves one
	for name, said := range map[string]string{"runes": runes, "huge": strings.Repeat("x", 5<<20), "not UTF-8": "a\xff\xfeb\x00c"} {
		for kind, err := range map[string]error{
			"unmarked":          errors.New(said),
			"not sent":          idempotency.NotSent(errors.New(said)),
			"rejected, message": idempotency.Rejected("no", errors.New(said)),
			"rejected, code":    idempotency.Rejected(said, nil),
		} {
			t.Run(kind+", "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					store := newStore()
					w := wrap(t, store, blind(&provider{script: []step{fail(err)}}))
					_, err := w.Start(t.Context(), "k", book)
					require.NoError(t, err)
					_, err = w.Recover(t.Context())
					require.NoError(t, err)
					rec, err := store.Get(t.Context(), idempotency.ID{Operation: "charge", Key: "k"})
					require.NoError(t, err)
					require.NotEmpty(t, rec.Message)
					for what, text := range map[string]string{"Message": rec.Message, "Code": rec.Code} {
						require.LessOrEqual(t, len(text), 1000, "%s is not bounded", what)
						require.True(t, utf8.ValidString(text), "%s is not valid UTF-8: ends in %q", what, text[max(0, len(text)-4):])
						require.NotContains(t, text, "\x00", "%s holds what no database takes", what)
					}
				})
			})
		}
	}
}

// H13b: a retry budget grows with calls that are made. Answers from the record make no call, and must not pay for a
// storm of retries.
func TestReviewReplaysEarnNoRetries(t *testing.T) {
	sendings := map[int]int{}
	for _, replays := range []int{0, 1000} {
		bubble(t, func(t *testing.T) {
			p := &provider{script: []step{pay, fail(errLost)}}
			c := keyed(p)
			c.Retry = retry.Policy{Budget: retry.NewBudget(0.1, 50), Attempts: 100, Initial: time.Millisecond, Max: time.Second}
			c.CacheBytes = -1                      // replays ask the store
			w := wrap(t, newFaulty(newStore()), c) // which has no Peek
			_, err := w.Do(t.Context(), "paid", book)
			require.NoError(t, err)
			storm := func(prefix string) int {
				for i := range 600 { // their first sendings pay back what the budget gave on credit
					_, err := w.Do(t.Context(), fmt.Sprint(prefix, i), book)
					requireUnsafe(t, err)
				}
				return len(p.sendings())
			}
			before := storm("a")
			for range replays {
				_, err := w.Do(t.Context(), "paid", book)
				require.NoError(t, err)
			}
			sendings[replays] = storm("b") - before
		})
	}
	require.Equal(t, sendings[0], sendings[1000], "600 calls that fail are sent more often because 1000 others were answered from the record")
}

type (
	unexported   struct{ amount int }
	selfEncoding struct{ amount int }
)

func (s selfEncoding) MarshalJSON() ([]byte, error) { return fmt.Append(nil, s.amount), nil }
func (s *selfEncoding) UnmarshalJSON(data []byte) error {
	_, err := fmt.Sscan(string(data), &s.amount)
	return err
}

func wrapTypes[In, Out any]() error {
	_, err := idempotency.Wrap(newStore(), idempotency.Call[In, Out]{
		Name: "c", Send: func(context.Context, attempt, In) (out Out, err error) { return out, nil },
	})
	return err
}

// H15: JSON makes "{}" of a struct without exported fields, so that 100 and 999 would be the same request, sent as 0.
func TestReviewAStructThatJSONEmpties(t *testing.T) {
	require.NotEqual(t, unexported{amount: 100}, unexported{amount: 999}, "two different requests")
	for name, err := range map[string]error{
		"In": wrapTypes[unexported, int](), "Out": wrapTypes[int, unexported](),
		"*In": wrapTypes[*unexported, int](), "*Out": wrapTypes[int, *unexported](),
	} {
		require.Error(t, err, "%s: Wrap must refuse a struct that JSON empties", name)
		require.ErrorContains(t, err, "unexported", "%s: which type", name)
		require.ErrorContains(t, err, "export them or give it MarshalJSON", "%s: the remedy", name)
	}
	for name, err := range map[string]error{
		"a struct that encodes itself": wrapTypes[selfEncoding, selfEncoding](),
		"a time":                       wrapTypes[time.Time, *time.Time](),
		"no fields at all":             wrapTypes[struct{}, struct{}](),
		"one exported":                 wrapTypes[struct{ A, b int }, purchase](),
	} {
		require.NoError(t, err, name)
	}
}

// H17: a StoreError hook that calls Goexit ends the goroutine that renews all leases. Another one goes on.
func TestReviewGoexitInAHookDoesNotEndRenewing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := newFaulty(newStore())
		var lostLeases recorder[idempotency.ID]
		p := &provider{script: []step{after(5*time.Minute, pay)}}
		c := blind(p)
		c.Timeout = 10 * time.Minute
		c.Hooks.StoreError = func(op string, _ error) {
			if op == "Extend" {
				runtime.Goexit()
			}
		}
		c.Hooks.LeaseLost = lostLeases.add
		w := wrap(t, store, c)
		for _, key := range []string{"a", "b"} {
			renewed := store.count("Extend")
			store.only("Extend", 1, trouble{before: errDown})
			_, err := w.Do(t.Context(), key, book)
			require.NoError(t, err, key)
			require.Greater(t, store.count("Extend"), renewed+10, "%s: the lease was not renewed for the five minutes of its attempt", key)
		}
		require.Empty(t, lostLeases.all())
	})
}

// forgetful cannot read back a request it has written, as after a release that lost a codec's key.
type forgetful struct{ idempotency.Codec }

func (f forgetful) Decode(id idempotency.ID, data []byte, v any) error {
	if bytes.Contains(data, []byte(book.Item)) {
		return errors.New("no such encryption key")
	}
	return f.Codec.Decode(id, data, v)
}

// H32: a stored request that cannot be read says nothing about the provider's health, and must not stop all other calls.
func TestReviewAnUnreadableRequestDoesNotOpenTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		c := blind(p)
		c.Codec, c.Breaker = forgetful{idempotency.JSON}, breaker.New(breaker.Config{MinCalls: 3})
		w := wrap(t, newStore(), c)
		for i := range 10 {
			_, err := w.Do(t.Context(), fmt.Sprint("k", i), book)
			require.ErrorIs(t, err, idempotency.ErrNotSent)
			require.ErrorContains(t, err, "no such encryption key")
			require.Equal(t, breaker.Closed, c.Breaker.State(), "after %d calls whose request cannot be read", i+1)
		}
		require.Empty(t, p.sendings())
		_, err := w.Do(t.Context(), "other", lamp)
		require.NoError(t, err)
	})
}
