package idemhttp_test

import (
	"testing"

	"github.com/steadfast-go/steadfast/internal/drafttest"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// Every line of the draft's sections 2.1 to 2.7, over a store in memory. internal/integration runs them over PostgreSQL.
func TestDraft(t *testing.T) {
	for _, c := range drafttest.Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, memstore.New(memstore.Config{})) })
	}
}
