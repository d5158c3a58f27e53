package idempotency_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

type order struct {
	Number   string
	Cents    int64
	Currency string
}

type receipt struct {
	ID    string
	Cents int64
}

func benchCall[In, Out any](codec idempotency.Codec, out Out) idempotency.Call[In, Out] {
	return idempotency.Call[In, Out]{
		Name: "charge", Namespace: "bench", KeyLife: 24 * time.Hour, Codec: codec, Breaker: breaker.New(breaker.Config{}),
		Send: func(context.Context, idempotency.Attempt, In) (Out, error) { return out, nil },
	}
}

// BenchmarkFresh measures a new call, all of it: flight, claim, breaker, timeout, provider key, codec, settling.
func BenchmarkFresh(b *testing.B) {
	b.Run("raw", func(b *testing.B) {
		fresh(b, benchCall[[]byte](idempotency.Raw, []byte("receipt")), []byte("order"))
	})
	b.Run("json", func(b *testing.B) {
		fresh(b, benchCall[order](idempotency.JSON, receipt{"r-1", 4200}), order{"o-1", 4200, "EUR"})
	})
}

func fresh[In, Out any](b *testing.B, call idempotency.Call[In, Out], in In) {
	w, err := idempotency.Wrap(memstore.New(memstore.Config{MaxRecords: 1 << 30}), call)
	require.NoError(b, err)
	keys := make([]string, b.N)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	b.ResetTimer()
	for _, key := range keys {
		if _, err := w.Do(ctx, key, in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReplay measures a call that has settled, answered from memory: the store's or, where it has none, the wrapper's.
func BenchmarkReplay(b *testing.B) {
	b.Run("peek", func(b *testing.B) { replays(b, memstore.New(memstore.Config{})) })
	b.Run("cache", func(b *testing.B) { replays(b, struct{ idempotency.Store }{memstore.New(memstore.Config{})}) })
}

func replays(b *testing.B, store idempotency.Store) {
	w, err := idempotency.Wrap(store, benchCall[[]byte](idempotency.Raw, []byte("receipt")))
	require.NoError(b, err)
	ctx := b.Context()
	in := []byte("order")
	_, err = w.Do(ctx, "k", in)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Do(ctx, "k", in); err != nil {
			b.Fatal(err)
		}
	}
}
