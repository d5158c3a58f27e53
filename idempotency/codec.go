package idempotency

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

// Codec turns requests and values into what is stored, and back. It must be safe for concurrent use. The ID is given so
// that an encrypting codec can bind the data to it. Decode must fail on what it cannot read: a record that cannot be read
// is an error, never a miss.
//
// What Encode returns must share no memory with v.
//
// Encode must be deterministic, since the request's fingerprint is taken from it; a codec that is not (because it
// encrypts) implements [Fingerprinter] too.
type Codec interface {
	Encode(id ID, v any) ([]byte, error)
	Decode(id ID, data []byte, v any) error // v is a pointer; data must not be kept
}

// Fingerprinter is an optional ability of a [Codec]: a digest of a request that is keyed, so that what is stored does not
// give away a request that can be guessed.
type Fingerprinter interface {
	Fingerprint(id ID, v any) ([]byte, error)
}

// JSON is the default [Codec].
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) Encode(_ ID, v any) ([]byte, error)    { return json.Marshal(v) }
func (jsonCodec) Decode(_ ID, data []byte, v any) error { return json.Unmarshal(data, v) }

// Raw is a [Codec] for []byte and string, which are stored as they are.
var Raw Codec = rawCodec{}

type rawCodec struct{}

func (rawCodec) Encode(_ ID, v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return append(make([]byte, 0, len(v)), v...), nil
	case string:
		return []byte(v), nil
	}
	return nil, fmt.Errorf("idempotency: the Raw codec takes []byte and string, not %T: use JSON, or a Codec of your own", v)
}

func (rawCodec) Decode(_ ID, data []byte, v any) error {
	switch v := v.(type) {
	case *[]byte:
		*v = append(make([]byte, 0, len(data)), data...)
		return nil
	case *string:
		*v = string(data)
		return nil
	}
	return fmt.Errorf("idempotency: the Raw codec gives *[]byte and *string, not %T: use JSON, or a Codec of your own", v)
}

// fingerprint is a version, which says how the rest was made, and a digest of a request.
type fingerprint [1 + sha256.Size]byte

// The versions of a fingerprint.
const (
	plainFingerprint = 1 // of what the codec, or JSON, makes of the request
	keyedFingerprint = 2 // of what the codec's Fingerprinter makes of it
)

func digest(version byte, data []byte) (fp fingerprint) {
	fp[0] = version
	sum := sha256.Sum256(data)
	copy(fp[1:], sum[:])
	return fp
}

// fingerprint digests in, or what Call.Fingerprint leaves of it. encoded is in as the codec stores it.
func (c *Call[In, Out]) fingerprint(id ID, in In, encoded []byte) (fingerprint, error) {
	keyed, ok := c.Codec.(Fingerprinter)
	if !ok && c.Fingerprint == nil {
		return digest(plainFingerprint, encoded), nil
	}
	var view any
	if c.Fingerprint != nil {
		view = c.Fingerprint(in)
	} else {
		view = in
	}
	if ok {
		data, err := keyed.Fingerprint(id, view)
		return digest(keyedFingerprint, data), err
	}
	data, err := json.Marshal(view)
	if err != nil {
		return fingerprint{}, fmt.Errorf("idempotency: Call.Fingerprint of %q returned a %T that JSON cannot encode: %w", c.Name, view, err)
	}
	return digest(plainFingerprint, data), nil
}

func (c *Call[In, Out]) guardedFingerprint(id ID, in In, encoded []byte) (fp fingerprint, err error) {
	err = guard(func() (err error) {
		fp, err = c.fingerprint(id, in, encoded)
		return err
	})
	return fp, err
}

// sameBytes says whether a record was made by this very encoding of a request: then their fingerprints are the same too,
// and need not be made, unless something else than the encoding goes into them.
func (c *Call[In, Out]) sameBytes(rec *Record, encoded []byte) bool {
	_, keyed := c.Codec.(Fingerprinter)
	return !keyed && c.Fingerprint == nil && !rec.Expired && len(rec.Fingerprint) > 0 && bytes.Equal(rec.Request, encoded)
}

// encodeWith and decodeWith spare the Raw codec the conversion of its bytes to an interface and back. What encodeWith
// returns may share memory with v.
func encodeWith[T any](c Codec, id ID, v T) ([]byte, error) {
	if c == Raw {
		switch p := any(&v).(type) {
		case *[]byte:
			return *p, nil
		case *string:
			return []byte(*p), nil
		}
	}
	return c.Encode(id, v)
}

func decodeWith[T any](c Codec, id ID, data []byte) (v T, err error) {
	if c == Raw {
		switch p := any(&v).(type) {
		case *[]byte:
			*p = append(make([]byte, 0, len(data)), data...)
			return v, nil
		case *string:
			*p = string(data)
			return v, nil
		}
	}
	into := new(T)
	err = c.Decode(id, data, into)
	return *into, err
}

// emptied says whether JSON makes nothing of a struct: two different requests would be the same one.
func emptied(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.NumField() == 0 || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()) ||
		reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && f.Tag.Get("json") != "-" || f.Anonymous {
			return false
		}
	}
	return true
}

// tryCodec finds at Wrap what would otherwise fail after the provider was paid.
func tryCodec[T any](c Codec, role string) error {
	if t := reflect.TypeFor[T](); c == JSON && emptied(t) {
		return fmt.Errorf("idempotency: Call.Codec cannot store %s, a %v: JSON leaves out all of its fields, export them or give it MarshalJSON and UnmarshalJSON", role, t)
	}
	var zero, back T
	id := ID{Operation: "wrap", Key: "zero"}
	err := guard(func() error {
		data, err := c.Encode(id, zero)
		if err != nil {
			return err
		}
		return c.Decode(id, data, &back)
	})
	if err != nil {
		return fmt.Errorf("idempotency: Call.Codec %T cannot store %s, a %v: use a type that it can encode and decode, or another Codec: %w",
			c, role, reflect.TypeFor[T](), err)
	}
	return nil
}
