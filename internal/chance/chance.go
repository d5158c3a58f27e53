// Package chance is where the library's randomness comes from: the jitter of its delays and the tokens of its claims. A simulation
// that must repeat itself puts a source of its own in its place.
package chance

import (
	crypto "crypto/rand"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// seeded is nil outside simulations.
var seeded atomic.Pointer[source]

type source struct {
	seed   uint64
	mu     sync.Mutex
	tokens *rand.Rand
}

// upto follows from the seed and the moment, not from what was drawn before: goroutines that wake at the same virtual instant come in
// no order.
func (s *source) upto(d time.Duration) time.Duration {
	r := rand.New(rand.NewPCG(s.seed, uint64(time.Now().UnixNano())))
	return time.Duration(r.Uint64N(uint64(d) + 1))
}

// Seed makes everything follow from a seed, for all goroutines, until restore is called. It is for tests in virtual time: tokens can be
// guessed then.
func Seed(seed uint64) (restore func()) {
	before := seeded.Swap(&source{seed: seed, tokens: rand.New(rand.NewPCG(seed, 0))})
	return func() { seeded.Store(before) }
}

// Upto draws evenly from [0, d]; of a negative d it makes 0.
func Upto(d time.Duration) time.Duration {
	d = max(d, 0)
	if s := seeded.Load(); s != nil {
		return s.upto(d)
	}
	return time.Duration(rand.Uint64N(uint64(d) + 1))
}

// Half draws evenly from [d/2, d]: callers that began together do not come back together.
func Half(d time.Duration) time.Duration { return d/2 + Upto(d-d/2) }

// Token fills t with random bytes that nobody can guess.
func Token(t *[16]byte) {
	s := seeded.Load()
	if s == nil {
		_, _ = crypto.Read(t[:]) // never fails: crypto/rand ends the process instead
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range t {
		t[i] = byte(s.tokens.Uint64())
	}
}
