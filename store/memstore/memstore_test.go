package memstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
	"github.com/steadfast-go/steadfast/store/storetest"
)

func newStore(*testing.T) idempotency.Store { return memstore.New(memstore.Config{}) }

func TestStore(t *testing.T) { storetest.Run(t, newStore) }

func TestStoreInBubble(t *testing.T) { storetest.RunInBubble(t, newStore) }

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(*testing.B) idempotency.Store { return memstore.New(memstore.Config{MaxRecords: 1 << 30}) })
}

// claim is a claim to run the n-th call, with a token of its own.
func claim(n int) idempotency.Claim {
	return idempotency.Claim{
		ID: idempotency.ID{Operation: "charge", Key: strconv.Itoa(n)}, Token: token(n), Sending: true, Lease: time.Minute,
		Request: []byte("request"), GiveUp: idempotency.Never, Retention: time.Hour, StubFor: idempotency.Never,
	}
}

func token(n int) (t idempotency.Token) {
	copy(t[:], fmt.Sprintf("token %d", n))
	return t
}

func acquire(t *testing.T, s *memstore.Store, c idempotency.Claim) idempotency.Lease {
	t.Helper()
	r, err := s.Acquire(t.Context(), c)
	if err != nil || !r.Owned {
		t.Fatalf("Acquire(%q): owned is %v, error is %v", c.ID.Key, r.Owned, err)
	}
	return idempotency.Lease{ID: c.ID, Fence: r.Fence, Token: c.Token}
}

func settle(t *testing.T, s *memstore.Store, l idempotency.Lease, o idempotency.Outcome) idempotency.Record {
	t.Helper()
	r, err := s.Settle(t.Context(), l, o)
	if err != nil {
		t.Fatalf("Settle(%q): %v", l.Key, err)
	}
	return r
}

// T32: at its limit the store refuses new keys; it forgets nothing, and calls under way go on.
func TestFullStoreRefusesNewKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 100
		s := memstore.New(memstore.Config{MaxRecords: limit})
		leases := make([]idempotency.Lease, limit)
		for n := range leases {
			leases[n] = acquire(t, s, claim(n))
		}
		for _, mode := range []idempotency.ClaimMode{idempotency.ClaimRun, idempotency.ClaimSchedule, idempotency.ClaimTombstone} {
			c := claim(limit)
			c.Mode = mode
			_, err := s.Acquire(t.Context(), c)
			if !errors.Is(err, memstore.ErrFull) {
				t.Fatalf("a new key (mode %d) at the limit: error is %v, want ErrFull", mode, err)
			}
			if !strings.Contains(err.Error(), "MaxRecords is 100") {
				t.Errorf("the error does not name the limit: %v", err)
			}
			if _, err := s.Get(t.Context(), c.ID); !errors.Is(err, idempotency.ErrNoRecord) {
				t.Fatalf("Get of a key that was refused: error is %v, want ErrNoRecord", err)
			}
		}
		// Settled records and their stubs count as well: a forgotten one would be sent again.
		for n, l := range leases {
			settle(t, s, l, idempotency.Outcome{State: idempotency.StateSucceeded})
			if r, err := s.Acquire(t.Context(), claim(n)); err != nil || r.State != idempotency.StateSucceeded {
				t.Fatalf("a replay at the limit: %s, error is %v", r.State, err)
			}
		}
		time.Sleep(2 * time.Hour)
		if n, err := s.Purge(t.Context(), 1000); n != limit || err != nil {
			t.Fatalf("Purge emptied %d records, error %v, want %d", n, err, limit)
		}
		if _, err := s.Acquire(t.Context(), claim(limit)); !errors.Is(err, memstore.ErrFull) {
			t.Fatalf("a new key among %d stubs: error is %v, want ErrFull", limit, err)
		}
	})
}

// T32: room is made by Purge, of stubs and of free records, and counted right.
func TestPurgeMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 64
		s := memstore.New(memstore.Config{MaxRecords: limit})
		for round := range 3 {
			for n := range limit {
				c := claim(round*limit + n)
				c.Retention, c.StubFor = time.Minute, time.Minute
				o := idempotency.Outcome{State: idempotency.StateSucceeded}
				if n%2 == 0 {
					o.State = idempotency.StateFree
				}
				settle(t, s, acquire(t, s, c), o)
			}
			if _, err := s.Acquire(t.Context(), claim(-1)); !errors.Is(err, memstore.ErrFull) {
				t.Fatalf("round %d: error is %v, want ErrFull", round, err)
			}
			time.Sleep(memstore.KeepFree + time.Minute)
			if n, err := s.Purge(t.Context(), 1000); n != limit/2*3 || err != nil {
				t.Fatalf("round %d: Purge did %d steps, error %v; want %d", round, n, err, limit/2*3)
			}
		}
	})
}

// T69: free records are kept for KeepFree, also those that lapsed into free, and then removed.
func TestFreeRecordsAreKeptForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Config{})
		settle(t, s, acquire(t, s, claim(1)), idempotency.Outcome{State: idempotency.StateFree})
		lapsing := claim(2)
		lapsing.Sending = false
		acquire(t, s, lapsing)
		extended := claim(3)
		extended.Sending = false
		l := acquire(t, s, extended)

		want := func(after time.Duration, steps int) {
			t.Helper()
			time.Sleep(after)
			if n, err := s.Purge(t.Context(), 10); n != steps || err != nil {
				t.Fatalf("Purge did %d steps, error %v; want %d", n, err, steps)
			}
		}
		want(memstore.KeepFree-time.Second, 0)
		if stands, err := s.Extend(t.Context(), []idempotency.Lease{l}, time.Minute, false); err != nil || !stands[0] {
			t.Fatalf("Extend of a lapsed claim: %v, %v", stands, err)
		}
		want(time.Second, 1) // the freed one
		want(time.Minute, 1) // the lapsed one: its lease was a minute
		want(memstore.KeepFree-2*time.Second, 0)
		want(time.Second, 1) // the one whose owner came back for a minute
	})
}

func TestPeek(t *testing.T) {
	s := memstore.New(memstore.Config{})
	if _, ok := s.Peek(claim(1).ID); ok {
		t.Error("Peek found a record where there is none")
	}
	resting := []idempotency.State{
		idempotency.StateFree, idempotency.StateScheduled, idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned,
	}
	for n, state := range resting {
		l := acquire(t, s, claim(n))
		if _, ok := s.Peek(l.ID); ok {
			t.Error("Peek returned a running record")
		}
		settle(t, s, l, idempotency.Outcome{State: state, Ambiguous: true})
		if r, ok := s.Peek(l.ID); ok {
			t.Errorf("Peek returned a record that is not settled: %s", r.State)
		}
	}
	l := acquire(t, s, claim(100))
	settle(t, s, l, idempotency.Outcome{State: idempotency.StateSucceeded, Value: []byte("value")})
	r, ok := s.Peek(l.ID)
	if !ok || r.State != idempotency.StateSucceeded || !bytes.Equal(r.Value, []byte("value")) || r.SettledAt < 0 || r.ID != l.ID {
		t.Errorf("Peek returned %v, %+v", ok, r)
	}
	if n := testing.AllocsPerRun(100, func() { s.Peek(l.ID) }); n != 0 {
		t.Errorf("Peek allocates %v times", n)
	}
}

// T32: Purge leaves what is not over untouched, however small its steps, and comes to every shard.
func TestPurgeInSmallSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Config{})
		const records = 1000
		for n := range records {
			c := claim(n)
			if n%2 == 0 {
				c.Retention, c.StubFor = 0, 0
			}
			settle(t, s, acquire(t, s, c), idempotency.Outcome{State: idempotency.StateSucceeded})
		}
		steps := 0
		for {
			n, err := s.Purge(t.Context(), 7)
			if err != nil || n > 7 {
				t.Fatalf("Purge(7) did %d steps, error %v", n, err)
			}
			if n == 0 {
				break
			}
			steps += n
		}
		if steps != records { // half of them, emptied and removed
			t.Errorf("Purge did %d steps, want %d", steps, records)
		}
		for n := range records {
			_, err := s.Get(t.Context(), claim(n).ID)
			if gone := errors.Is(err, idempotency.ErrNoRecord); gone != (n%2 == 0) {
				t.Fatalf("record %d: gone is %v", n, gone)
			}
		}
	})
}

// Many callers, few keys, all methods: for the race detector, and for the order of the queues.
func TestRace(t *testing.T) {
	s := memstore.New(memstore.Config{MaxRecords: 50})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 300 {
				use(t.Context(), s, worker, i)
			}
		})
	}
	wg.Wait()
	// Whatever they did, everything that is due can be claimed and settled, and then nothing is due.
	for n := 0; ; n++ {
		c := idempotency.DueClaim{Operation: "charge", Token: token(-1 - n), Lease: time.Minute, N: 10}
		list, err := s.AcquireDue(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, r := range list {
			state := r.State
			if state == idempotency.StateRunning {
				state = idempotency.StateSucceeded
			}
			settle(t, s, idempotency.Lease{ID: r.ID, Fence: r.Fence, Token: c.Token}, idempotency.Outcome{State: state, Due: idempotency.Never})
		}
	}
}

// use does one thing to one of a few records. Errors are part of it: others are in the way.
func use(ctx context.Context, s *memstore.Store, worker, i int) {
	c := claim((worker + i*7) % 40)
	c.Token = token(worker*1000 + i)
	c.Retention, c.StubFor, c.Lease = 0, 0, time.Duration(i%3)*time.Millisecond+1
	r, err := s.Acquire(ctx, c)
	if err == nil && !r.Owned {
		c.Fence = r.Fence
		r, _ = s.Acquire(ctx, c)
	}
	l := idempotency.Lease{ID: c.ID, Fence: r.Fence, Token: c.Token}
	switch i % 8 {
	case 0:
		_, _ = s.Settle(ctx, l, idempotency.Outcome{State: idempotency.StateUnknown, Ambiguous: true})
	case 1:
		_, _ = s.Settle(ctx, idempotency.Lease{ID: c.ID}, idempotency.Outcome{State: idempotency.StateCancelled, Notify: true})
	case 2:
		_, _ = s.AcquireDue(ctx, idempotency.DueClaim{Operation: "charge", Token: c.Token, Lease: time.Millisecond, N: 3})
	case 3:
		_, _ = s.Purge(ctx, 5)
	case 4:
		_, _ = s.List(ctx, idempotency.Query{Operation: "charge", N: 5})
	case 5:
		_, _ = s.Extend(ctx, []idempotency.Lease{l}, time.Millisecond, i%2 == 0)
	case 6:
		_, _ = s.Settle(ctx, l, idempotency.Outcome{State: idempotency.StateFree})
	default:
		_, _ = s.Settle(ctx, l, idempotency.Outcome{State: idempotency.StateSucceeded, Notify: true, NotifyIn: time.Millisecond})
	}
	s.Peek(c.ID)
}

func Example() {
	store := memstore.New(memstore.Config{MaxRecords: 10_000})
	ctx := context.Background()
	claim := idempotency.Claim{
		ID:      idempotency.ID{Operation: "charge", Scope: "customer-1", Key: "order-17"},
		Token:   idempotency.Token{1}, // a random one
		Sending: true, Lease: time.Minute, Request: []byte(`{"amount":100}`),
		GiveUp: idempotency.Never, Retention: 24 * time.Hour, StubFor: idempotency.Never,
	}
	r, err := store.Acquire(ctx, claim)
	fmt.Println(r.State, r.Owned, err)

	lease := idempotency.Lease{ID: claim.ID, Fence: r.Fence, Token: claim.Token}
	r, err = store.Settle(ctx, lease, idempotency.Outcome{State: idempotency.StateSucceeded, Value: []byte(`{"id":"ch_1"}`)})
	fmt.Println(r.State, err)

	r, ok := store.Peek(claim.ID)
	fmt.Println(string(r.Value), ok)
	// Output:
	// running true <nil>
	// succeeded <nil>
	// {"id":"ch_1"} true
}
