package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
)

// T51: the outcome stands whatever OnSettled does, and OnSettled is told until it succeeds: by the process that settled it,
// or, after a failure or a crash, by Run.
func TestOnSettledThatFails(t *testing.T) {
	rows := map[string]func(){
		"fails":  nil,
		"panics": func() { panic("boom") },
		"Goexit": runtime.Goexit,
		"hangs":  func() { time.Sleep(10 * time.Minute) },
	}
	for name, bad := range rows {
		for where, store := range map[string]func() idempotency.Store{
			"any store":           func() idempotency.Store { return newStore() },
			"transactional store": func() idempotency.Store { return newTxStore() },
		} {
			if where == "transactional store" && name == "Goexit" {
				continue // what a store makes of it is the store's: a deferred rollback
			}
			t.Run(name+", "+where, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var told, failed recorder[settled]
					var reported recorder[error]
					p := &provider{script: []step{pay}}
					c := blind(p)
					c.Poll = 10 * time.Second
					c.OnSettled = func(_ context.Context, s settled) error {
						if told.add(s); len(told.all()) <= 3 {
							failed.add(s)
							if bad != nil {
								bad()
							}
							return errors.New("the warehouse is closed")
						}
						return nil
					}
					c.Hooks.NotifyError = func(_ idempotency.ID, err error) { reported.add(err) }
					w := wrap(t, store(), c)
					res, err := w.Do(patience(t, 5*time.Second), "k", book)
					if name == "hangs" {
						requireUnsafe(t, err)
					} else if name != "Goexit" {
						require.NoError(t, err, "the caller gets the outcome")
						require.Equal(t, paid(book, 1), res.Value)
					}
					runs(t, w)
					time.Sleep(2 * time.Hour)
					requireState(t, w, "k", idempotency.StateSucceeded)
					require.GreaterOrEqual(t, len(told.all()), 4)
					require.LessOrEqual(t, len(told.all()), 5, "once it has succeeded, it is not told again")
					for _, s := range told.all() {
						require.Equal(t, settled{Key: "k", In: book, State: idempotency.StateSucceeded, Value: paid(book, 1)}, s)
					}
					if name == "fails" || name == "panics" {
						require.Len(t, reported.all(), 3, "every failure is told to the hook")
					}
					require.Len(t, p.sendings(), 1)
				})
			})
		}
	}
}

// T51: whoever learns of an outcome, OnSettled is told of it, exactly once when nothing fails.
func TestOnSettledIsToldOnceOfEveryOutcome(t *testing.T) {
	settle := func(v func(status) verdict) func(*testing.T, *wrapper) {
		return func(t *testing.T, w *wrapper) {
			time.Sleep(2 * time.Minute)
			_, err := w.Settle(t.Context(), "k", v(requireAny(t, w)))
			require.NoError(t, err)
		}
	}
	cancel := func(t *testing.T, w *wrapper) { _, _ = w.Cancel(t.Context(), "k") }
	rows := []struct {
		name  string
		step  step
		looks []look
		then  func(*testing.T, *wrapper)
		want  settled
	}{
		{"succeeded", pay, nil, nil, settled{State: idempotency.StateSucceeded, Value: paid(book, 1), In: book}},
		{"rejected", fail(idempotency.Rejected("declined", nil)), nil, nil, settled{State: idempotency.StateRejected, Rejection: &idempotency.Rejection{Code: "declined", Message: "declined"}, In: book}},
		{"found by lookup", fail(errLost), []look{says(idempotency.Happened(payment{ID: "found"}))}, nil, settled{State: idempotency.StateSucceeded, Value: payment{ID: "found"}, In: book}},
		{"webhook", fail(errLost), nil, settle(verdicts["happened"]), settled{State: idempotency.StateSucceeded, Value: payment{ID: "verdict"}, In: book}},
		{"operator says no", fail(errLost), nil, settle(verdicts["declined AsOf"]), settled{State: idempotency.StateRejected, Rejection: &idempotency.Rejection{Code: "no", Message: "no"}, In: book}},
		{"cancelled before it was made", nil, nil, cancel, settled{State: idempotency.StateCancelled}},
		{"cancelled after not sent", fail(idempotency.NotSent(errLost)), nil, cancel, settled{State: idempotency.StateCancelled, In: book}},
		{"abandoned", fail(errLost), nil, cancel, settled{State: idempotency.StateAbandoned, In: book}},
	}
	for _, row := range rows {
		for _, tx := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, transactional %t", row.name, tx), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var told recorder[settled]
					p := &provider{script: []step{row.step}, looks: []look{says(idempotency.DontKnow[payment]())}}
					if row.looks != nil {
						p.looks = row.looks
					}
					c := askable(p)
					c.Retry.Attempts = 1
					var store idempotency.Store = newStore()
					if tx {
						store = newTxStore()
					}
					c.OnSettled = func(ctx context.Context, s settled) error {
						if told.add(s); tx {
							require.NotNil(t, ctx.Value(txKey{}), "its context carries the transaction")
						}
						return nil
					}
					w := wrap(t, store, c)
					if row.step != nil {
						_, _ = w.For("tenant").Do(patience(t, 20*time.Second), "k", book)
					}
					if row.then != nil {
						row.then(t, w.For("tenant"))
					}
					for range 3 { // another process, with Run, has nothing to add
						_, err := w.Recover(t.Context())
						require.NoError(t, err)
						time.Sleep(time.Minute)
					}
					row.want.Scope, row.want.Key = "tenant", "k"
					require.Equal(t, []settled{row.want}, told.all())
				})
			})
		}
	}
}

// T51: the process dies between the outcome and OnSettled: another one tells it.
func TestACrashBeforeOnSettled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told recorder[settled]
		store := newStore()
		mine := newFaulty(store)
		c := blind(&provider{script: []step{pay}})
		c.OnSettled = func(context.Context, settled) error { mine.down(); return errDown }
		_, err := wrap(t, mine, c).Do(t.Context(), "k", book)
		require.NoError(t, err)
		c.OnSettled = func(_ context.Context, s settled) error { told.add(s); return nil }
		w := wrap(t, store, c)
		_, err = w.Recover(t.Context())
		require.NoError(t, err)
		require.Empty(t, told.all(), "the claim to notify still stands")
		time.Sleep(time.Minute)
		_, err = w.Recover(t.Context())
		require.NoError(t, err)
		require.Len(t, told.all(), 1)
	})
}

// In the settling transaction, what OnSettled does there happens exactly once, whatever fails: the settlement's reply, the
// commit, OnSettled itself.
func TestOnSettledInTheSettlingTransaction(t *testing.T) {
	for name, fail := range map[string]func(s *txStore, n int) error{
		"nothing fails":             func(*txStore, int) error { return nil },
		"the first call fails":      func(_ *txStore, n int) error { return only(n == 1) },
		"five calls fail":           func(_ *txStore, n int) error { return only(n <= 5) },
		"the first commit fails":    func(s *txStore, n int) error { s.commit = only(n == 1); return nil },
		"a commit's reply is lost":  func(s *txStore, n int) error { s.reply = only(n == 1); return nil },
		"fails, then a lost commit": func(s *txStore, n int) error { s.commit = only(n == 2); return only(n == 1) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := newTxStore()
				ship := blind(&provider{script: []step{pay}})
				ship.Name, ship.Poll = "ship", 10*time.Second
				ships := wrap(t, store, ship)
				n := 0
				c := blind(&provider{script: []step{pay}})
				c.Poll = 10 * time.Second
				c.OnSettled = func(ctx context.Context, s settled) error {
					n++
					store.effect(ctx, "parcel for "+s.Key)
					_, err := ships.Start(ctx, s.Key, s.In) // joins the transaction
					return errors.Join(err, fail(store, n))
				}
				w := wrap(t, store, c)
				runs(t, w)
				runs(t, ships)
				_, err := w.Do(t.Context(), "k", book)
				require.NoError(t, err, "a failing callback never fails a call that succeeded")
				time.Sleep(2 * time.Hour)
				require.Equal(t, []string{"parcel for k"}, store.effects.all(), "after %d calls of OnSettled", n)
				requireState(t, ships, "k", idempotency.StateSucceeded)
			})
		})
	}
}

func only(bad bool) error {
	if bad {
		return errors.New("the database says no")
	}
	return nil
}

// txStore is a store with transactions, one at a time: what is done under one is undone if it fails.
type txStore struct {
	idempotency.Store
	one     chan struct{} // a mutex that a bubble can wait for
	effects recorder[string]
	commit  error // of the transaction under way
	reply   error // it commits, and nobody hears of it
}

type txKey struct{}

// tx collects what is done when its transaction commits.
type tx struct{ effects []string }

func newTxStore() *txStore { return &txStore{Store: newStore(), one: make(chan struct{}, 1)} }

func (s *txStore) effect(ctx context.Context, what string) {
	if t, ok := ctx.Value(txKey{}).(*tx); ok {
		t.effects = append(t.effects, what)
		return
	}
	s.effects.add(what)
}

// SettleTx foretells the settled record, so that nothing needs to be undone when fn fails.
func (s *txStore) SettleTx(ctx context.Context, l idempotency.Lease, o idempotency.Outcome, fn func(context.Context, idempotency.Record) error) (idempotency.Record, error) {
	select {
	case s.one <- struct{}{}:
		defer func() { <-s.one }()
	case <-ctx.Done():
		return idempotency.Record{}, ctx.Err()
	}
	rec, err := s.Get(ctx, l.ID)
	if err != nil {
		return s.Settle(ctx, l, o)
	}
	told, marked := foretell(rec, l, o)
	t := &tx{}
	s.commit, s.reply = nil, nil
	if marked {
		if err := fn(context.WithValue(ctx, txKey{}, t), told); err != nil {
			return rec, err
		}
		if s.commit != nil {
			return rec, s.commit
		}
		o.Notify = false
	}
	rec, err = s.Settle(ctx, l, o)
	if marked && (err != nil || rec.State != told.State || rec.Notify) {
		panic(fmt.Sprintf("txStore foretold %s, and it became %s, notify %t: %v", told.State, rec.State, rec.Notify, err))
	}
	for _, what := range t.effects {
		s.effects.add(what)
	}
	if err == nil {
		err = s.reply
	}
	return rec, err
}

// foretell says what memstore makes of an outcome, as far as these tests go, and whether it marks it to notify.
func foretell(rec idempotency.Record, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, bool) {
	own := l.Token != idempotency.Token{}
	if rec.State == o.State && (own && !rec.Notify || !own) || rec.State.Settled() && rec.State != o.State {
		return rec, false // settled before, or a hint
	}
	if own && rec.Fence != l.Fence || !own && rec.State == idempotency.StateRunning && o.State == idempotency.StateCancelled {
		return rec, false
	}
	if rec.State != o.State {
		rec.Value, rec.Code, rec.Message = o.Value, o.Code, o.Message
	}
	switch {
	case o.State != idempotency.StateCancelled || own:
		rec.State = o.State
	case rec.State == idempotency.StateUnknown || rec.State == idempotency.StateAccepted:
		rec.State = idempotency.StateAbandoned
	default:
		rec.State = o.State
	}
	return rec, o.Notify && (rec.State.Settled() || rec.State == idempotency.StateAbandoned)
}
