package storetest

import (
	"encoding/binary"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Bench runs the benchmarks that every store can run. newStore returns an empty store each time.
//
// Requests and values are 200 bytes long. FreshCall is Acquire and Settle of a new key; what has been settled is purged
// as it goes, so that the store stays as small as retention would keep it: outside the measured time, save where callers
// run in parallel.
func Bench(b *testing.B, newStore func(b *testing.B) idempotency.Store) {
	b.Helper()
	b.Run("FreshCall", func(b *testing.B) { benchFresh(b, newStore(b)) })
	b.Run("FreshCallParallel", func(b *testing.B) { benchFreshParallel(b, newStore(b)) })
	b.Run("ReplayByAcquire", func(b *testing.B) { benchReplay(b, newStore(b)) })
	b.Run("ReplayByPeek", func(b *testing.B) { benchPeek(b, newStore(b)) })
	b.Run("AcquireDue100Of10000", func(b *testing.B) { benchDue(b, newStore(b)) })
	b.Run("AcquireDueIdle", func(b *testing.B) { benchIdle(b, newStore(b)) })
	b.Run("Extend64", func(b *testing.B) { benchExtend(b, newStore(b)) })
}

var payload = make([]byte, 200)

// numbered returns the n-th token, since a random one costs more than what is measured.
func numbered(n int) (t idempotency.Token) {
	binary.BigEndian.PutUint64(t[8:], uint64(n)+1)
	return t
}

func benchClaim(n int) idempotency.Claim {
	return idempotency.Claim{
		ID: id("order-" + strconv.Itoa(n)), Token: numbered(n), Sending: true, Lease: long, Fingerprint: payload[:32], Request: payload,
		GiveUp: idempotency.Never,
	}
}

// fresh makes one call.
func fresh(b *testing.B, s idempotency.Store, n int) {
	c := benchClaim(n)
	r, err := s.Acquire(b.Context(), c)
	if err != nil || !r.Owned {
		b.Fatalf("Acquire: owned is %v, error is %v", r.Owned, err)
	}
	_, err = s.Settle(b.Context(), lease(r, c.Token), idempotency.Outcome{
		State: idempotency.StateSucceeded, Attempts: 1, Value: payload,
	})
	if err != nil {
		b.Fatalf("Settle: %v", err)
	}
}

func sweep(b *testing.B, s idempotency.Store) {
	for n := 1; n > 0; {
		var err error
		if n, err = s.Purge(b.Context(), 1000); err != nil {
			b.Fatalf("Purge: %v", err)
		}
	}
}

func benchFresh(b *testing.B, s idempotency.Store) {
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		fresh(b, s, n)
		if n%10_000 == 9_999 {
			b.StopTimer()
			sweep(b, s)
			b.StartTimer()
		}
	}
}

func benchFreshParallel(b *testing.B, s idempotency.Store) {
	b.ReportAllocs()
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := int(next.Add(1))
			fresh(b, s, n)
			if n%10_000 == 0 {
				sweep(b, s)
			}
		}
	})
}

func benchReplay(b *testing.B, s idempotency.Store) {
	fresh(b, s, 0)
	c := benchClaim(0)
	c.Token = numbered(1)
	b.ReportAllocs()
	for b.Loop() {
		r, err := s.Acquire(b.Context(), c)
		if err != nil || r.State != idempotency.StateSucceeded {
			b.Fatalf("Acquire: %s, error is %v", r.State, err)
		}
	}
}

func benchPeek(b *testing.B, s idempotency.Store) {
	p, ok := s.(idempotency.Peeker)
	if !ok {
		b.Skip("the store is no idempotency.Peeker")
	}
	fresh(b, s, 0)
	one := benchClaim(0).ID
	b.ReportAllocs()
	for b.Loop() {
		p.Peek(one)
	}
}

func benchDue(b *testing.B, s idempotency.Store) {
	for n := range 10_000 {
		c := benchClaim(n)
		c.Mode = idempotency.ClaimSchedule
		if _, err := s.Acquire(b.Context(), c); err != nil {
			b.Fatalf("Acquire: %v", err)
		}
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		t := numbered(10_000 + n)
		list, err := s.AcquireDue(b.Context(), idempotency.DueClaim{Operation: operation, Token: t, Lease: long, N: 100})
		if err != nil || len(list) != 100 {
			b.Fatalf("AcquireDue: %d records, error is %v", len(list), err)
		}
		b.StopTimer()
		for _, r := range list {
			if _, err := s.Settle(b.Context(), lease(r, t), idempotency.Outcome{State: idempotency.StateScheduled}); err != nil {
				b.Fatalf("Settle: %v", err)
			}
		}
		b.StartTimer()
	}
}

func benchIdle(b *testing.B, s idempotency.Store) {
	for n := range 1000 {
		fresh(b, s, n)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		list, err := s.AcquireDue(b.Context(), idempotency.DueClaim{Operation: operation, Token: numbered(n), Lease: time.Minute, N: 10})
		if err != nil || len(list) != 0 {
			b.Fatalf("AcquireDue: %d records, error is %v", len(list), err)
		}
	}
}

func benchExtend(b *testing.B, s idempotency.Store) {
	leases := make([]idempotency.Lease, 64)
	for n := range leases {
		c := benchClaim(n)
		r, err := s.Acquire(b.Context(), c)
		if err != nil {
			b.Fatalf("Acquire: %v", err)
		}
		leases[n] = lease(r, c.Token)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Extend(b.Context(), leases, long, false); err != nil {
			b.Fatalf("Extend: %v", err)
		}
	}
}
