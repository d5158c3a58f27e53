package integration_test

import (
	"sync"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// A claim is renewed and marked by two goroutines of its process: neither tells the other that it is lost.
func TestExtendOfOneClaimAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		s := d.store(t, d.open(t))
		c := claim("k", 1)
		r, err := s.Acquire(t.Context(), c)
		if err != nil || !r.Owned {
			t.Fatalf("Acquire: owned is %v, %v", r.Owned, err)
		}
		l := idempotency.Lease{ID: r.ID, Fence: r.Fence, Token: c.Token}
		var both sync.WaitGroup
		for _, sending := range []bool{false, true} {
			both.Go(func() {
				for n := range 40 {
					stands, err := s.Extend(t.Context(), []idempotency.Lease{l}, time.Hour, sending)
					if err != nil || !stands[0] {
						t.Errorf("renewal %d, sending %v: stands is %v, %v", n, sending, stands, err)
						return
					}
				}
			})
		}
		both.Wait()
	})
}
