package idempotency

import (
	"crypto/sha1" // what RFC 9562 makes a UUIDv5 of; nothing depends on its strength
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"

	"github.com/steadfast-go/steadfast/internal/chance"
)

// keySpace is the root of every derived key. Changing it would change every provider key under way: never.
var keySpace = uuid.MustParse("a40a4fb5-2a1a-5d2e-9b06-5b3d8f0a7c11")

// NewKey returns a new random key (a UUIDv7). Make it when the intent is made, with the order, and store it there; a key
// made when the call is sent protects nothing.
func NewKey() string { return uuid.Must(uuid.NewV7()).String() }

// KeyFrom derives a key (a UUIDv5) from parts that together name one intent, such as an order number and an attempt to pay
// it. The same parts always give the same key; parts are separated, so ("ab","c") and ("a","bc") differ.
func KeyFrom(parts ...string) string { return derive(keySpace, parts...).String() }

// providerKey is what goes to the provider. It depends on nothing that an attempt could change (T5).
func providerKey(namespace string, id ID) uuid.UUID {
	return derive(keySpace, namespace, id.Operation, id.Scope, id.Key)
}

// derive makes a UUIDv5 of parts that are kept apart by their lengths.
func derive(space uuid.UUID, parts ...string) (id uuid.UUID) {
	var buf [512]byte // uuid.NewSHA1 gives the same, with six allocations
	data := append(buf[:0], space[:]...)
	for _, p := range parts {
		data = binary.AppendUvarint(data, uint64(len(p)))
		data = append(data, p...)
	}
	sum := sha1.Sum(data)
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 5<<4
	id[8] = id[8]&0x3f | 0x80
	return id
}

func newToken() (t Token) {
	chance.Token((*[16]byte)(&t))
	return t
}

// Validate says what is wrong with an ID: a store and the wrapper refuse the same ones.
func (id ID) Validate() error {
	switch {
	case id.Operation == "":
		return fmt.Errorf("idempotency: the operation is empty: name the kind of call, for example %q", "charge")
	case len(id.Operation) > MaxKey:
		return tooLong("operation", id.Operation)
	case len(id.Scope) > MaxKey:
		return tooLong("scope", id.Scope)
	case id.Key == "":
		return fmt.Errorf("idempotency: the key is empty: make one with NewKey or KeyFrom when the intent is made")
	case len(id.Key) > MaxKey:
		return tooLong("key", id.Key)
	}
	return nil
}

func tooLong(field, value string) error {
	return fmt.Errorf("idempotency: the %s %.16q… is %d bytes long: at most %d are allowed, shorten it with KeyFrom",
		field, value, len(value), MaxKey)
}
