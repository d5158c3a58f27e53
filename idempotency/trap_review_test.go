package idempotency_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
)

// T48: a dial error does not prove that nothing was sent: an earlier request of the same attempt may have landed. Only a
// mark says so, and not even that if the request went out more than once.
func TestADialErrorIsUnknown(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	bubble(t, func(t *testing.T) {
		w := wrap(t, newStore(), blind(&provider{script: []step{fail(dial)}}))
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
		var found *net.OpError
		require.ErrorAs(t, err, &found)
	})
	bubble(t, func(t *testing.T) {
		w := wrap(t, newStore(), blind(&provider{script: []step{fail(idempotency.NotSent(dial))}}))
		_, err := w.Do(t.Context(), "k", book)
		require.ErrorIs(t, err, idempotency.ErrNotSent)
	})
	bubble(t, func(t *testing.T) {
		w := wrap(t, newStore(), blind(&provider{script: []step{func(_ context.Context, a attempt, _ purchase) (payment, error) {
			a.Resent()
			return payment{}, idempotency.NotSent(dial)
		}}}))
		_, err := w.Do(t.Context(), "k", book)
		requireUnknown(t, err)
	})
}

// T49: "not sent" says something about one attempt. An ambiguous record goes back to unknown.
func TestNotSentAfterAnUnknownAttempt(t *testing.T) {
	for name, second := range map[string]func(*call, *provider){
		"Send says so": func(_ *call, p *provider) { p.script = append(p.script, fail(idempotency.NotSent(errLost))) },
		"the breaker is open": func(c *call, p *provider) {
			c.Breaker = breaker.New(breaker.Config{OpenFor: time.Hour})
			p.script[0] = func(context.Context, attempt, purchase) (payment, error) {
				c.Breaker.Trip()
				return payment{}, errLost
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{fail(errLost)}}
				c := keyed(p)
				second(&c, p)
				w := wrap(t, newStore(), c)
				for range 2 {
					_, err := w.Do(t.Context(), "k", book)
					requireUnknown(t, err)
					require.True(t, requireState(t, w, "k", idempotency.StateUnknown).Ambiguous)
					time.Sleep(time.Hour / 2)
				}
			})
		})
	}
}

// T50: "accepted, the answer comes later" is a state of its own: not paid, and never sent again.
func TestAccepted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{
			script: []step{fail(idempotency.Accepted("ch_1", 5*time.Second)), pay},
			looks:  []look{says(idempotency.StillPending[payment](20 * time.Second)), says(idempotency.Happened(payment{ID: "captured"}))},
		}
		c := askable(p)
		c.KeyLife, c.Namespace, c.Harmless = 24*time.Hour, "shop-test", true
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", book)
		pending := requirePending(t, err)
		require.Equal(t, idempotency.StateAccepted, pending.State)
		require.Equal(t, 5*time.Second, pending.RetryAfter())
		require.Equal(t, "ch_1", requireState(t, w, "k", idempotency.StateAccepted).Ref)
		_, err = w.Do(t.Context(), "k", book) // waits for the time the provider named, and asks
		require.Equal(t, 20*time.Second, requirePending(t, err).RetryAfter())
		require.Equal(t, "ch_1", p.questions()[0].Ref, "Lookup is given the provider's id")
		time.Sleep(20 * time.Second)
		res, err := w.Do(t.Context(), "k", book)
		require.NoError(t, err)
		require.Equal(t, "captured", res.Value.ID)
		require.Len(t, p.sendings(), 1, "accepted is never sent again")
	})
	t.Run("declined later", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := &provider{
				script: []step{fail(idempotency.Accepted("ch_1", 0))},
				looks:  []look{says(idempotency.Declined[payment]("3ds_failed", nil))},
			}
			w := wrap(t, newStore(), askable(p))
			_, err := w.Do(t.Context(), "k", book)
			requirePending(t, err)
			_, err = w.Do(t.Context(), "k", book)
			requireRejected(t, err, "3ds_failed") // it was not ambiguous: this is the answer it waited for
		})
	})
	t.Run("forgotten by the provider", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := &provider{
				script: []step{fail(idempotency.Accepted("ch_1", 0)), pay},
				looks:  []look{says(idempotency.DidNotHappen[payment]())},
			}
			w := wrap(t, newStore(), askable(p))
			runs(t, w)
			_, err := w.Do(t.Context(), "k", book)
			requirePending(t, err)
			time.Sleep(30 * time.Second)
			requireState(t, w, "k", idempotency.StateAccepted)
			time.Sleep(2 * time.Minute)
			require.Equal(t, "did_not_happen", requireState(t, w, "k", idempotency.StateRejected).Rejection.Code)
			require.Len(t, p.sendings(), 1)
		})
	})
	t.Run("nobody can be asked", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := &provider{script: []step{fail(idempotency.Accepted("ch_1", 0))}}
			w := wrap(t, newStore(), blind(p))
			runs(t, w)
			_, err := w.Do(t.Context(), "k", book)
			requirePending(t, err)
			time.Sleep(time.Hour)
			require.Equal(t, idempotency.Never, requireState(t, w, "k", idempotency.StateAccepted).Due)
			_, err = w.Settle(t.Context(), "k", idempotency.Declined[payment]("3ds_failed", nil).ForRef("ch_1"))
			require.NoError(t, err)
			_, err = w.Do(t.Context(), "k", book)
			requireRejected(t, err, "3ds_failed")
		})
	})
}

// T53: Send ignores its context. After Timeout and Grace the attempt is over; what it returns later is a verdict.
func TestASendThatIgnoresItsContext(t *testing.T) {
	rows := []struct {
		name  string
		late  step
		state idempotency.State
	}{
		{"late success", pay, idempotency.StateSucceeded},
		{"late rejection", fail(idempotency.Rejected("declined", nil)), idempotency.StateUnknown},
		{"late not sent", fail(idempotency.NotSent(errLost)), idempotency.StateUnknown},
		{"late panic", panics("boom"), idempotency.StateUnknown},
		{"late Goexit", goexits, idempotency.StateUnknown},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var stuck recorder[idempotency.ID]
				p := &provider{script: []step{deaf(10*time.Minute, row.late)}}
				c := blind(p)
				c.Hooks.Stuck = stuck.add
				mine := newFaulty(newStore())
				w := wrap(t, mine, c)
				began := time.Now()
				_, err := w.Do(t.Context(), "k", book)
				requireUnknown(t, err)
				require.Equal(t, c.Timeout+time.Second, time.Since(began), "Timeout and Grace")
				require.Equal(t, []idempotency.ID{{Operation: "charge", Key: "k"}}, stuck.all())
				renewed := mine.count("Extend")
				time.Sleep(5 * time.Minute)
				require.Equal(t, renewed, mine.count("Extend"), "a stuck attempt is renewed for ever")
				requireState(t, w, "k", idempotency.StateUnknown)
				time.Sleep(6 * time.Minute)
				requireState(t, w, "k", row.state)
			})
		})
	}
	t.Run("a stuck Lookup", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var stuck recorder[idempotency.ID]
			p := &provider{script: []step{fail(errLost)}, looks: []look{func(context.Context, attempt, purchase) (verdict, error) {
				time.Sleep(10 * time.Minute)
				return idempotency.DidNotHappen[payment](), nil
			}}}
			c := askable(p)
			c.Hooks.Stuck = stuck.add
			w := wrap(t, newStore(), c)
			_, err := w.Do(patience(t, time.Minute), "k", book)
			requireUnsafe(t, err)
			require.NotEmpty(t, stuck.all())
			time.Sleep(20 * time.Minute)
			requireState(t, w, "k", idempotency.StateUnknown) // what it said is as of a claim that is over
			require.Len(t, p.sendings(), 1)
		})
	})
}

// T54: a stub stays: the tab that is opened again after retention gets an error, never a fresh call.
func TestAfterRetention(t *testing.T) {
	for name, row := range map[string]struct {
		step  step
		check func(t *testing.T, err error)
	}{
		"succeeded": {pay, func(t *testing.T, err error) { require.ErrorIs(t, err, idempotency.ErrExpired); requireUnsafe(t, err) }},
		"rejected": {fail(idempotency.Rejected("declined", nil)), func(t *testing.T, err error) {
			requireRejected(t, err, "declined")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{row.step}}
				c := blind(p)
				c.Retention = time.Hour
				store := newStore()
				w := wrap(t, store, c)
				_, _ = w.Do(t.Context(), "k", book)
				time.Sleep(2 * time.Hour)
				purge(t, w)
				require.True(t, requireAny(t, w).Expired)
				for _, w := range []*wrapper{w, wrap(t, newFaulty(store), c)} { // with Peek and without
					_, err := w.Do(t.Context(), "k", book)
					row.check(t, err)
					_, err = w.Do(t.Context(), "k", lamp)
					require.ErrorIs(t, err, idempotency.ErrKeyReused, "the fingerprint stays with the stub")
				}
				s, err := w.Start(t.Context(), "k", book)
				require.NoError(t, err)
				require.True(t, s.State.Settled())
				_, err = w.Cancel(t.Context(), "k")
				require.Error(t, err)
				require.Len(t, p.sendings(), 1)
			})
		})
	}
	t.Run("StubFor ends the stub", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c := blind(&provider{script: []step{pay}})
			c.Retention, c.StubFor = time.Hour, time.Hour
			w := wrap(t, newStore(), c)
			_, err := w.Do(t.Context(), "k", book)
			require.NoError(t, err)
			time.Sleep(90 * time.Minute)
			purge(t, w)
			_, err = w.Do(t.Context(), "k", book)
			require.ErrorIs(t, err, idempotency.ErrExpired)
			time.Sleep(2 * time.Hour)
			purge(t, w)
			_, err = w.Status(t.Context(), "k")
			require.ErrorIs(t, err, idempotency.ErrNoRecord, "who sets StubFor has been told what it means")
		})
	})
}

// purge lets Run make its turn of it.
func purge(t *testing.T, w *wrapper) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	require.NoError(t, w.Run(ctx))
}

// T56 T21: a release that adds a field is not a client's mistake; a request that differs is one.
func TestAReleaseThatAddsAField(t *testing.T) {
	type v2 struct {
		Item  string
		Cents int
		Note  string // new
	}
	bubble(t, func(t *testing.T) {
		store := newStore()
		p := &provider{script: []step{fail(errLost), pay}}
		old := keyed(p)
		old.Retry.Attempts = 1
		_, err := wrap(t, store, old).Do(t.Context(), "k", book)
		requireUnknown(t, err)
		c := idempotency.Call[v2, payment]{Name: old.Name, Namespace: old.Namespace, KeyLife: old.KeyLife, Retry: old.Retry}
		var sent recorder[v2]
		c.Send = func(_ context.Context, a attempt, in v2) (payment, error) {
			sent.add(in)
			return payment{ID: a.Key}, nil
		}
		for _, s := range []idempotency.Store{store, newFaulty(store)} {
			w := wrap(t, s, c)
			_, err = w.Do(t.Context(), "k", v2{Item: "book", Cents: 4200, Note: "gift"})
			require.ErrorIs(t, err, idempotency.ErrKeyReused, "another request")
			for range 2 {
				res, err := w.Do(t.Context(), "k", v2{Item: "book", Cents: 4200})
				require.NoError(t, err)
				require.Equal(t, p.sendings()[0].Key, res.Value.ID, "the same provider key as before the release")
			}
		}
		require.Equal(t, []v2{{Item: "book", Cents: 4200}}, sent.all())
	})
}

// T56: Fingerprint leaves volatile fields out; what is sent is what was stored first.
func TestFingerprint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		c := blind(p)
		c.Fingerprint = func(o purchase) any { return strings.ToLower(o.Item) }
		w := wrap(t, newStore(), c)
		first, err := w.Do(t.Context(), "k", purchase{"Book", 1})
		require.NoError(t, err)
		again, err := w.Do(t.Context(), "k", purchase{"book", 2})
		require.NoError(t, err)
		require.Equal(t, first.Value, again.Value)
		_, err = w.Do(t.Context(), "k", purchase{"lamp", 1})
		require.ErrorIs(t, err, idempotency.ErrKeyReused)
		require.Len(t, p.sendings(), 1)
	})
	bubble(t, func(t *testing.T) { // introduced by a release, it reads what was stored before
		store := newStore()
		p := &provider{script: []step{pay}}
		_, err := wrap(t, store, blind(p)).Do(t.Context(), "k", purchase{"book", 1})
		require.NoError(t, err)
		c := blind(p)
		c.Fingerprint = func(o purchase) any { return o.Item }
		_, err = wrap(t, store, c).Do(t.Context(), "k", purchase{"book", 2})
		require.NoError(t, err)
	})
}

// sealed stands for an encrypting codec: the same value never gives the same bytes, so that the fingerprint is its own.
type sealed struct{ n *atomic.Int64 }

func (c sealed) Encode(id idempotency.ID, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return fmt.Appendf(nil, "%d %s|%s", c.n.Add(1), id.Key, data), err
}

func (c sealed) Decode(id idempotency.ID, data []byte, v any) error {
	head, rest, _ := strings.Cut(string(data), "|")
	if _, key, _ := strings.Cut(head, " "); key != id.Key {
		return errors.New("sealed for another call")
	}
	return json.Unmarshal([]byte(rest), v)
}

func (c sealed) Fingerprint(id idempotency.ID, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return fmt.Appendf(nil, "secret %s %s", id.Key, data), err
}

// T21: with a codec that encrypts, the fingerprint is keyed, and works all the same.
func TestACodecThatEncrypts(t *testing.T) {
	for name, fingerprint := range map[string]func(purchase) any{
		"all of the request": nil,
		"part of it":         func(o purchase) any { return o.Item },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{pay}}
				c := blind(p)
				c.Codec, c.Fingerprint = sealed{&atomic.Int64{}}, fingerprint
				store := newStore()
				for range 3 {
					for _, s := range []idempotency.Store{store, newFaulty(store)} {
						res, err := wrap(t, s, c).Do(t.Context(), "k", book)
						require.NoError(t, err)
						require.Equal(t, paid(book, 1), res.Value)
						_, err = wrap(t, s, c).Do(t.Context(), "k", lamp)
						require.ErrorIs(t, err, idempotency.ErrKeyReused)
					}
				}
				require.Len(t, p.sendings(), 1)
			})
		})
	}
}
