package integration_test

import (
	"testing"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/storetest"
)

func TestStore(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		storetest.Run(t, func(t *testing.T) idempotency.Store { return d.store(t, db) })
	})
}
