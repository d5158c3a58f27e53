package breaker

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Set keeps a breaker per key: per host, per tenant, per payment provider. It is safe for concurrent use.
//
// It holds at most max of them, so that keys from outside cannot fill the memory. When a new key needs room, a breaker
// that has not been used for a while is forgotten, but only one that lets calls through: closed, or with its time open
// over. Where none such is found, the keys that do not fit share one spare breaker until there is room.
type Set[K comparable] struct {
	cfg Config
	max int
	err error

	mu    sync.RWMutex
	byKey map[K]*member[K]
	ring  []*member[K] // the same members; hand goes round it to find one to forget
	hand  int
	spare *Breaker
}

type member[K comparable] struct {
	key     K
	breaker *Breaker
	used    atomic.Bool // since the hand last came by
}

// NewSet returns a Set of breakers that all have c, and of which there are at most max. A member's Name is that of c
// with the key added. Where c is invalid, or max is below 1, every member refuses every call; see [Set.Validate].
func NewSet[K comparable](c Config, max int) *Set[K] {
	s := &Set[K]{cfg: c, max: max, err: c.Validate(), byKey: map[K]*member[K]{}, spare: New(c)}
	if max < 1 && s.err == nil {
		s.err = fmt.Errorf("breaker: the maximum of NewSet is %d: give the number of keys to keep, at least 1", max)
	}
	if s.err != nil {
		s.spare = &Breaker{err: s.err}
	}
	return s
}

// Validate returns the error with which every member refuses calls, or nil.
func (s *Set[K]) Validate() error { return s.err }

// Len returns the number of keys that have a breaker of their own.
func (s *Set[K]) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.ring)
}

// Get returns the breaker of key, and makes it if there is none. Ask for each call anew: one that is held on to works,
// but may have been forgotten, and then shares nothing with the next one of its key.
func (s *Set[K]) Get(key K) *Breaker {
	if s.err != nil {
		return s.spare
	}
	s.mu.RLock()
	m := s.byKey[key]
	s.mu.RUnlock()
	if m == nil {
		return s.insert(key)
	}
	if !m.used.Load() { // read first: the usual call must not write to what others read
		m.used.Store(true)
	}
	return m.breaker
}

func (s *Set[K]) insert(key K) *Breaker {
	c := s.cfg
	c.Name += fmt.Sprintf("[%v]", key) // the key's String is not ours: not under the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.byKey[key]; m != nil {
		return m.breaker
	}
	place := len(s.ring)
	if place < s.max {
		s.ring = append(s.ring, nil)
	} else if place = s.victim(); place < 0 {
		return s.spare
	} else {
		delete(s.byKey, s.ring[place].key)
	}
	m := &member[K]{key: key, breaker: New(c)}
	s.ring[place] = m // not yet used: a key that is asked for once goes before one that comes back
	s.byKey[key] = m
	return m.breaker
}

// victim returns the place of a member to forget, or -1. It gives those that were used a second chance, and looks at
// no more than a few, since all other callers wait.
func (s *Set[K]) victim() int {
	const looks = 64
	second := -1
	for range min(looks, 2*len(s.ring)) {
		i := s.hand
		s.hand = (s.hand + 1) % len(s.ring)
		if !s.ring[i].breaker.forgettable() {
			continue
		}
		if !s.ring[i].used.Swap(false) {
			return i
		}
		if second < 0 {
			second = i
		}
	}
	return second
}

// forgettable tells whether a fresh breaker in its place would let through about the same calls.
func (b *Breaker) forgettable() bool {
	g := b.gen.Load()
	return g.state == Closed || g.state == Open && b.now() >= g.until
}
