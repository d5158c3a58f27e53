package machine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// mode is what the provider promises.
type mode string

const (
	keys mode = "remembers keys"
	ask  mode = "can be asked"
	none mode = "promises nothing"
)

const settling = time.Minute

// bank is the provider.
type bank struct {
	mode           mode
	storesDeclines bool // under the key

	mu       sync.Mutex
	answers  string            // what becomes of the next requests
	charges  map[string]int    // by id
	stored   map[string]string // by provider key
	deciding map[string]bool   // accepted ones
}

var errLost = errors.New("no answer")

func (b *bank) send(_ context.Context, a idempotency.Attempt, _ string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	receipt := "receipt of " + a.ID
	if said, ok := b.stored[a.Key]; ok && b.mode == keys {
		switch said {
		case "paid":
			return receipt, nil
		case "declined":
			return "", idempotency.Replayed(idempotency.Rejected("declined", nil))
		default:
			return "", idempotency.Replayed(idempotency.Accepted("ref of "+a.ID, time.Second))
		}
	}
	switch b.answers {
	case "lost before":
		return "", errLost
	case "not sent":
		return "", idempotency.NotSent(errLost)
	case "lands late": // but before Settling has passed
		time.AfterFunc(settling/2, func() { b.land(a) })
		return "", errLost
	case "declined":
		if b.storesDeclines {
			b.stored[a.Key] = "declined"
		}
		return "", idempotency.Rejected("declined", nil)
	case "accepted":
		b.stored[a.Key], b.deciding[a.ID] = "accepted", true
		return "", idempotency.Accepted("ref of "+a.ID, time.Second)
	}
	b.stored[a.Key] = "paid"
	b.charges[a.ID]++
	if b.answers == "lost after" {
		return "", errLost
	}
	return receipt, nil
}

// land is a request that arrives late.
func (b *bank) land(a idempotency.Attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mode != keys || b.stored[a.Key] == "" {
		b.stored[a.Key] = "paid"
		b.charges[a.ID]++
	}
}

func (b *bank) find(_ context.Context, a idempotency.Attempt, _ string) (idempotency.Verdict[string], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.answers == "lost before", b.answers == "lost after":
		return idempotency.DontKnow[string](), errLost
	case b.charges[a.ID] > 0:
		return idempotency.Happened("receipt of " + a.ID), nil
	case b.deciding[a.ID] && b.answers == "paid": // it decides when all is well
		delete(b.deciding, a.ID)
		b.charges[a.ID]++
		b.stored[a.Key] = "paid"
		return idempotency.Happened("receipt of " + a.ID), nil
	case b.deciding[a.ID]:
		return idempotency.StillPending[string](time.Second), nil
	}
	return idempotency.DidNotHappen[string](), nil
}

func (b *bank) answer(how string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = how
}

func (b *bank) charged(id string) (int, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.charges[id], b.deciding[id]
}

// world is a shop of two processes, and what it has been told.
type world struct {
	bank      *bank
	processes [2]*idempotency.Wrapper[string, string]
	told      map[string]string // what is final, by key
}

func newWorld(t *rapid.T) *world {
	w := &world{
		bank: &bank{
			mode: rapid.SampledFrom([]mode{keys, ask, none}).Draw(t, "the provider"), answers: "paid",
			storesDeclines: rapid.Bool().Draw(t, "stores declines"),
			charges:        map[string]int{}, stored: map[string]string{}, deciding: map[string]bool{},
		},
		told: map[string]string{},
	}
	store := memstore.New(memstore.Config{})
	for i := range w.processes {
		call := idempotency.Call[string, string]{
			Name: "pay", Send: w.bank.send, CacheBytes: -1, Timeout: time.Second,
			Retry: retry.Policy{Attempts: 2, Initial: 10 * time.Millisecond, Max: 100 * time.Millisecond},
		}
		if w.bank.mode == keys {
			call.Namespace, call.KeyLife = "machine", time.Hour
			call.KeyedErrors = func(*idempotency.Rejection) bool { return w.bank.storesDeclines }
		}
		if w.bank.mode != none {
			call.Lookup, call.Settling = w.bank.find, settling
		}
		var err error
		if w.processes[i], err = idempotency.Wrap(store, call); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := w.processes[i].Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return w
}

func draw(t *rapid.T) string {
	return fmt.Sprint("key ", rapid.IntRange(0, 2).Draw(t, "key"))
}

func (w *world) process(t *rapid.T) *idempotency.Wrapper[string, string] {
	return w.processes[rapid.IntRange(0, 1).Draw(t, "process")]
}

// final compares with what was said before: it never changes.
func (w *world) final(t *rapid.T, key, said string) {
	if before := w.told[key]; before != "" && before != said {
		t.Fatalf("%s was %s, and is %s", key, before, said) // P2
	}
	w.told[key] = said
}

// heard judges what Do said.
func (w *world) heard(t *rapid.T, key string, value string, err error) {
	var no *idempotency.Rejection
	switch charges, _ := w.bank.charged(key); {
	case err == nil && (charges != 1 || value != "receipt of "+key):
		t.Fatalf("Do of %s says %q, it was charged %d times", key, value, charges)
	case err == nil:
		w.final(t, key, "paid")
	case errors.As(err, &no):
		w.final(t, key, "declined")
	case errors.Is(err, idempotency.ErrCancelled):
		w.final(t, key, "cancelled")
	case errors.Is(err, idempotency.ErrNotSent) && charges > 0: // P9
		t.Fatalf("Do of %s says that it was not sent, and it was charged: %v", key, err)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, idempotency.ErrNotSent):
	default:
		var pending *idempotency.PendingError
		var unknown *idempotency.UnknownError
		if !errors.As(err, &pending) && !errors.As(err, &unknown) {
			t.Fatalf("Do of %s says %v", key, err)
		}
	}
}

func (w *world) do(t *rapid.T, p *idempotency.Wrapper[string, string], key string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	res, err := p.Do(ctx, key, "request of "+key)
	w.heard(t, key, res.Value, err)
}

// check is what always holds.
func (w *world) check(t *rapid.T) {
	for i := range 3 {
		key := fmt.Sprint("key ", i)
		charges, _ := w.bank.charged(key)
		switch said := w.told[key]; {
		case charges > 1:
			t.Fatalf("%s was charged %d times", key, charges)
		case charges > 0 && (said == "declined" || said == "cancelled"): // P9
			t.Fatalf("%s is %s, and was charged", key, said)
		}
	}
}

// Whatever is asked for, and whatever the provider answers: nothing is charged twice, what is final stays so, what says that a new key
// is safe says so for ever, and when all is well again nothing is left open where the provider can find out.
func TestWrapper(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			w := newWorld(t)
			t.Repeat(map[string]func(*rapid.T){
				"":   w.check,
				"Do": func(t *rapid.T) { w.do(t, w.process(t), draw(t)) },
				"Do twice at once": func(t *rapid.T) {
					key := draw(t)
					var results [2]idempotency.Result[string]
					var errs [2]error
					var wg sync.WaitGroup
					for i, p := range w.processes {
						wg.Go(func() {
							ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
							defer cancel()
							results[i], errs[i] = p.Do(ctx, key, "request of "+key)
						})
					}
					wg.Wait()
					for i := range errs {
						w.heard(t, key, results[i].Value, errs[i])
					}
				},
				"another request": func(t *rapid.T) { // P8
					key := draw(t)
					st, err := w.processes[0].Status(t.Context(), key)
					if err != nil {
						return // nobody's yet
					}
					_, err = w.process(t).Do(t.Context(), key, "another one")
					if !errors.Is(err, idempotency.ErrKeyReused) && !(st.State == idempotency.StateCancelled && errors.Is(err, idempotency.ErrCancelled)) {
						t.Fatalf("Do of %s with another request says %v", key, err)
					}
				},
				"Start": func(t *rapid.T) {
					key := draw(t)
					_, _ = w.process(t).Start(t.Context(), key, "request of "+key)
				},
				"Cancel": func(t *rapid.T) {
					key := draw(t)
					if _, err := w.process(t).Cancel(t.Context(), key); err == nil {
						w.final(t, key, "cancelled")
					}
				},
				"webhook": func(t *rapid.T) {
					key := draw(t)
					if n, _ := w.bank.charged(key); n > 0 {
						_, _ = w.process(t).Settle(t.Context(), key, idempotency.Happened("receipt of "+key))
					} else {
						_, _ = w.process(t).Settle(t.Context(), key, idempotency.Declined[string]("declined", nil))
					}
				},
				"operator": func(t *rapid.T) {
					key := draw(t)
					p := w.process(t)
					st, err := p.Status(t.Context(), key)
					if n, deciding := w.bank.charged(key); err == nil && n == 0 && !deciding {
						_, _ = p.Settle(t.Context(), key, idempotency.DidNotHappen[string]().AsOf(st))
					}
				},
				"Recover": func(t *rapid.T) {
					if _, err := w.process(t).Recover(t.Context()); err != nil {
						t.Fatal(err)
					}
				},
				"time": func(t *rapid.T) {
					time.Sleep(time.Duration(rapid.Int64Range(0, int64(2*settling)).Draw(t, "passes")))
				},
				"the provider": func(t *rapid.T) {
					w.bank.answer(rapid.SampledFrom([]string{"paid", "lost before", "lost after", "lands late", "not sent", "declined", "accepted"}).Draw(t, "answers"))
				},
			})
			w.finish(t)
		})
	})
}

// finish lets all be well, and wants everything settled.
func (w *world) finish(t *rapid.T) {
	w.bank.answer("paid")
	for range 20 {
		if _, err := w.processes[0].Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(settling)
	}
	w.check(t)
	left, err := w.processes[0].List(t.Context(), idempotency.Query{States: idempotency.Unresolved()})
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range left {
		switch open := st.State != idempotency.StateAbandoned || !st.Late; {
		case open && w.bank.mode != none:
			t.Fatalf("%s is still %s: %s", st.Key, st.State, st.Message)
		case st.State == idempotency.StateScheduled, st.State == idempotency.StateRunning:
			t.Fatalf("%s is still %s", st.Key, st.State)
		}
	}
	for i := range 3 {
		key := fmt.Sprint("key ", i)
		charges, _ := w.bank.charged(key)
		st, err := w.processes[1].Status(t.Context(), key)
		if charges > 0 && (err != nil || !(st.State == idempotency.StateSucceeded || st.Late || w.bank.mode == none)) {
			t.Fatalf("%s was charged, recorded is %s, %v", key, st.State, err)
		}
	}
}
