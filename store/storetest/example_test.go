package storetest_test

import (
	"testing"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
	"github.com/steadfast-go/steadfast/store/storetest"
)

// The tests of a store of your own: each case gets an empty one.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestStore(t *testing.T)
		storetest.Run(t, func(*testing.T) idempotency.Store { return memstore.New(memstore.Config{}) })
	}
	_ = func(b *testing.B) { // func BenchmarkStore(b *testing.B)
		storetest.Bench(b, func(*testing.B) idempotency.Store { return memstore.New(memstore.Config{}) })
	}
}
