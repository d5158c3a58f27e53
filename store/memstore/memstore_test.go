package memstore_test

import (
	"testing"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
	"github.com/steadfast-go/steadfast/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) idempotency.Store { return memstore.New(memstore.Config{}) })
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(*testing.B) idempotency.Store { return memstore.New(memstore.Config{MaxRecords: 1 << 30}) })
}
