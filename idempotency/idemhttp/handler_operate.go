package idemhttp

import (
	"context"
	"encoding"
	"errors"
	"fmt"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Call describes the handler's records as calls, so that idempotency.Wrap makes a desk for their operators over the same store: List shows
// what is unknown, Settle with idempotency.Happened says what is replayed from then on, and with idempotency.DidNotHappen(…).AsOf(status)
// that the request may be executed again; Cancel closes a key. Scopes are principals. The request is shown by method and path.
//
// Where the application can find out by itself, set Lookup and Settling, and call Run. Nothing is ever executed from there: that needs a
// client's request.
func (c Config) Call() idempotency.Call[string, Response] {
	return idempotency.Call[string, Response]{
		Name: c.Name,
		Send: func(context.Context, idempotency.Attempt, string) (Response, error) {
			return Response{}, idempotency.NotSent(errors.New("idemhttp: only a client's request is executed"))
		},
		Codec:     codec{},
		Lease:     c.Lease,
		Retention: c.Retention,
		StubFor:   c.StubFor,
		Scoped:    true,
		// What Do would make of a request is not known here, so that none is taken for another.
		Fingerprint: func(string) any { return nil },
	}
}

// codec reads and writes records as a Handler does.
type codec struct{}

func (codec) Encode(_ idempotency.ID, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return []byte(v), nil
	case Response:
		if v.Status == 0 { // the zero Response, which nobody replays
			return []byte{}, nil
		}
		return v.MarshalBinary()
	}
	return nil, fmt.Errorf("idemhttp: %T is neither a request nor a Response", v)
}

func (codec) Decode(_ idempotency.ID, data []byte, v any) error {
	switch v := v.(type) {
	case *string:
		*v = string(data)
		return nil
	case *Response:
		if len(data) == 0 {
			*v = Response{}
			return nil
		}
		return v.UnmarshalBinary(data)
	}
	return fmt.Errorf("idemhttp: %T is neither a request nor a Response", v)
}

var (
	_ encoding.BinaryMarshaler   = Response{}
	_ encoding.BinaryUnmarshaler = (*Response)(nil)
)
