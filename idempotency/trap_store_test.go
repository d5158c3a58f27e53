package idempotency_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// T25: see TestP7FailClosed. This is a store that says "full": nothing is sent either, and what is under way goes on.
func TestAFullStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		w := wrap(t, memstore.New(memstore.Config{MaxRecords: 1}), blind(p))
		_, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		_, err = w.Do(t.Context(), "k2", book)
		require.ErrorIs(t, err, idempotency.ErrStore)
		require.ErrorIs(t, err, memstore.ErrFull)
		require.Len(t, p.sendings(), 1)
	})
}

// T25: a store whose methods panic is a store that failed.
func TestAStoreThatPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		w := wrap(t, panickyStore{}, blind(p))
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrStore)
		_, err = w.Recover(t.Context())
		require.ErrorIs(t, err, idempotency.ErrStore)
		require.Empty(t, p.sendings())
	})
}

type panickyStore struct{ idempotency.Store }

// T26: the store comes back half-way: its claims work, its settlements do not. The outcome is kept and offered, and the
// caller who asks again is not sent anew.
func TestTheStoreComesBackHalfWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		store := newStore()
		mine := newFaulty(store)
		w := wrap(t, mine, keyed(p))
		mine.set(func(op string, _ int) trouble {
			if op == "Settle" {
				return trouble{before: errDown}
			}
			return trouble{}
		})
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorAs(t, err, new(*idempotency.UnrecordedError))
		for range 5 {
			time.Sleep(time.Minute)
			_, err = wrap(t, store, keyed(p)).Do(patience(t, time.Second), "k", book)
			requirePending(t, err)
		}
		mine.up()
		time.Sleep(10 * time.Second)
		requireState(t, w, "k", idempotency.StateSucceeded)
		require.Len(t, p.sendings(), 1)
	})
}

// version is a codec that reads only what was written by the same version.
type version string

func (v version) Encode(_ idempotency.ID, x any) ([]byte, error) {
	data, err := json.Marshal(x)
	return append([]byte(v), data...), err
}

func (v version) Decode(_ idempotency.ID, data []byte, x any) error {
	rest, ok := strings.CutPrefix(string(data), string(v))
	if !ok {
		return errors.New("written by another version")
	}
	return json.Unmarshal([]byte(rest), x)
}

// T34: a record that cannot be read is an error, never a miss: in every state, nothing is sent.
func TestAnUnreadableRecord(t *testing.T) {
	for name, situation := range everyState() {
		if situation.state == idempotency.StateAbsent || situation.then != nil && situation.steps == nil || situation.crash {
			continue
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newStore()
				old := situation.call
				situation.call = func(c *call) {
					if old != nil {
						old(c)
					}
					c.Codec = version("v1:")
				}
				_, p, _ := situation.on(t, store)
				sent, asked := len(p.sendings()), len(p.questions())
				c := askable(p)
				c.KeyLife, c.Namespace, c.Harmless, c.Codec = 24*time.Hour, "shop-test", true, version("v2:")
				w := wrap(t, store, c)
				_, err := w.Do(patience(t, 10*time.Second), "k", book)
				requireUnsafe(t, err)
				if len(situation.steps) > 0 {
					require.NotErrorIs(t, err, idempotency.ErrKeyReused, "whoever is told to make a new key pays twice")
					require.ErrorContains(t, err, "another version or codec")
				}
				_, err = w.Recover(t.Context())
				require.NoError(t, err, "one broken record must not stop the others")
				require.Len(t, p.sendings(), sent, "sent although the record could not be read")
				require.Len(t, p.questions(), asked)
				s, err := w.Status(t.Context(), "k")
				if situation.state == idempotency.StateSucceeded {
					require.ErrorContains(t, err, "written by another version")
				}
				require.NotErrorIs(t, err, idempotency.ErrNoRecord)
				require.Equal(t, situation.state.String(), s.State.String(), "the state is known all the same")
				list, _ := w.List(t.Context(), idempotency.Query{})
				require.Len(t, list, 1, "it stays visible")
			})
		})
	}
}

// hostile is a codec whose failures are chosen per type.
type hostile struct{ bad func(v any) error }

func (h hostile) Encode(id idempotency.ID, v any) ([]byte, error) {
	if id.Operation != "wrap" { // what Wrap tries is sound
		if err := h.bad(v); err != nil {
			return nil, err
		}
	}
	return json.Marshal(v)
}

func (h hostile) Decode(id idempotency.ID, data []byte, v any) error { return json.Unmarshal(data, v) }

// T35: a value that cannot be encoded, or is too large, settles without it; a replay says so, and is never a zero value.
func TestAValueThatCannotBeStored(t *testing.T) {
	onValue := func(do func() error) func(any) error {
		return func(v any) error {
			if _, ok := v.(payment); ok {
				return do()
			}
			return nil
		}
	}
	for name, change := range map[string]func(*call){
		"too large":     func(c *call) { c.MaxBytes = 40 },
		"encode fails":  func(c *call) { c.Codec = hostile{onValue(func() error { return errors.New("no") })} },
		"encode panics": func(c *call) { c.Codec = hostile{onValue(func() error { panic("no") })} },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var told recorder[settled]
				long := payment{ID: strings.Repeat("x", 50)}
				p := &provider{script: []step{func(context.Context, attempt, purchase) (payment, error) {
					time.Sleep(time.Second)
					return long, nil
				}}}
				c := blind(p)
				change(&c)
				c.OnSettled = func(_ context.Context, s settled) error { told.add(s); return nil }
				w := wrap(t, newStore(), c)
				first := goDo(t.Context(), w, "k", book)
				time.Sleep(time.Second / 2)
				_, joined := w.Do(t.Context(), "k", book)
				require.ErrorIs(t, joined, idempotency.ErrValueOmitted)
				requireUnsafe(t, joined)
				got := <-first
				require.NoError(t, got.err, "the call has succeeded")
				require.Equal(t, long, got.Value, "the value is known to the caller who waited for it")
				for range 2 {
					res, err := w.Do(t.Context(), "k", book)
					require.ErrorIs(t, err, idempotency.ErrValueOmitted)
					require.True(t, res.Replayed)
				}
				s := requireState(t, w, "k", idempotency.StateSucceeded)
				require.True(t, s.Omitted)
				require.NotEmpty(t, s.Message, "why it was left out")
				require.Equal(t, []settled{{Key: "k", In: book, State: idempotency.StateSucceeded, Omitted: true}}, told.all())
				require.Len(t, p.sendings(), 1)
			})
		})
	}
}

// A codec that fails on requests: nothing is sent, nobody hangs.
func TestARequestThatCannotBeEncoded(t *testing.T) {
	onRequest := func(do func() error) func(any) error {
		return func(v any) error {
			if _, ok := v.(purchase); ok {
				return do()
			}
			return nil
		}
	}
	for name, c := range map[string]func(*call){
		"codec panics":          func(c *call) { c.Codec = hostile{onRequest(func() error { panic("no") })} },
		"codec fails":           func(c *call) { c.Codec = hostile{onRequest(func() error { return errors.New("no") })} },
		"Fingerprint panics":    func(c *call) { c.Fingerprint = func(purchase) any { panic("no") } },
		"Fingerprint of a chan": func(c *call) { c.Fingerprint = func(purchase) any { return make(chan int) } },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{pay}}
				b := blind(p)
				c(&b)
				w := wrap(t, newStore(), b)
				_, err := w.Do(t.Context(), "k", book)
				requireUnsafe(t, err)
				_, err = w.Start(t.Context(), "k", book)
				requireUnsafe(t, err)
				require.Empty(t, p.sendings())
				_, err = w.Status(t.Context(), "k")
				require.ErrorIs(t, err, idempotency.ErrNoRecord)
			})
		})
	}
}

// The round trips of DESIGN section 8, rule 5: a fresh call makes two, a replay one, and none where the store can peek.
func TestRoundTrips(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mine := newFaulty(newStore())
		p := &provider{script: []step{pay}}
		c := keyed(p)
		c.CacheBytes = -1
		w := wrap(t, mine, c)
		trips := func() (n int) {
			for _, op := range []string{"Acquire", "AcquireDue", "Extend", "Settle", "Get", "List", "Purge"} {
				n += mine.count(op)
			}
			return n
		}
		_, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, 2, trips(), "a fresh call")
		_, err = w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, 3, trips(), "a replay")
	})
	bubble(t, func(t *testing.T) {
		store := &peeking{faulty: newFaulty(newStore())}
		store.Peeker = store.inner.(idempotency.Peeker)
		w := wrap(t, store, keyed(&provider{script: []step{pay}}))
		_, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		store.down()
		res, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err, "a replay by Peek asks nobody")
		require.True(t, res.Replayed)
		_, err = w.Do(t.Context(), "k", lamp)
		require.Error(t, err, "T21: the fingerprint is checked on this way too")
	})
}

type peeking struct {
	*faulty
	idempotency.Peeker
}

// T26: a store that hangs is a store that is down: every request to it is bounded.
func TestAStoreThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var failures recorder[string]
		c := blind(&provider{script: []step{pay}})
		c.Hooks.StoreError = func(op string, err error) {
			failures.add(fmt.Sprint(op, " ", errors.Is(err, context.DeadlineExceeded)))
		}
		c.Retry = retry.Policy{Attempts: 1}
		w := wrap(t, hanging{newStore()}, c)
		began := time.Now()
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrStore)
		require.Less(t, time.Since(began), 10*time.Second)
		require.Contains(t, failures.all(), "Acquire true")
	})
}

// hanging answers when its context ends, and not before.
type hanging struct{ idempotency.Store }

func (hanging) Acquire(ctx context.Context, _ idempotency.Claim) (idempotency.Record, error) {
	<-ctx.Done()
	return idempotency.Record{}, ctx.Err()
}
