package integration_test

import (
	"testing"

	"github.com/steadfast-go/steadfast/internal/drafttest"
)

// Every line of draft-ietf-httpapi-idempotency-key-header, sections 2.1 to 2.7, over every database. Package idemhttp runs them over memory.
func TestHTTPDraft(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		for _, c := range drafttest.Cases() {
			t.Run(c.Name, func(t *testing.T) { c.Run(t, d.store(t, d.open(t))) })
		}
	})
}
