package fakepay

import (
	"crypto/sha256"
	"sync"
	"time"
)

// keyring remembers idempotency keys the way Stripe v1 does: the parameters are compared, a second request waits outside
// (409) while the first is at work, and what was stored is replayed for as long as the key lives.
type keyring struct {
	life time.Duration

	mu   sync.Mutex
	keys map[string]*keyEntry
}

type keyEntry struct {
	print  [sha256.Size]byte
	since  time.Duration
	stored *answer // nil while the first request is under way
}

func newKeyring(life time.Duration) *keyring {
	return &keyring{life: life, keys: make(map[string]*keyEntry)}
}

// claim returns nil if the request may go ahead, and must then settle the key; else what it is to be answered.
func (k *keyring) claim(key string, print [sha256.Size]byte, now time.Duration) *answer {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.keys[key]
	switch {
	case e == nil || e.stored != nil && now >= e.since+k.life:
		k.keys[key] = &keyEntry{print: print, since: now}
		return nil
	case e.print != print:
		return refuse(422, &Error{
			Code: CodeKeyReused, Message: "this key came before with another request", Field: KeyHeader, Value: key,
			Remedy: "send the same request again, or use a new key for a new one",
		})
	case e.stored == nil:
		return refuse(409, keyInUse(key))
	}
	replay := *e.stored
	replay.replayed = true
	return &replay
}

// settle ends a claim: with an answer that is replayed, or nil to forget the key.
func (k *keyring) settle(key string, stored *answer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if stored == nil {
		delete(k.keys, key)
		return
	}
	k.keys[key].stored = stored
}

func keyInUse(key string) *Error {
	return &Error{
		Code: CodeKeyInUse, Message: "a request with this key is under way", Field: KeyHeader, Value: key,
		Remedy: "send the same request with the same key again later",
	}
}
