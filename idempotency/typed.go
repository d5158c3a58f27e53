package idempotency

import (
	"context"
	"fmt"
)

// This file is where bytes become In and Out: the functions that a Wrapper hands to its engine.

func decode[T any](c Codec, id ID, data []byte) (v T, err error) {
	err = guard(func() (err error) {
		v, err = decodeWith[T](c, id, data)
		return err
	})
	if err != nil { // T34: never a miss
		return v, fmt.Errorf("idempotency: the record of %s %q cannot be read as %T, it was written by another version or codec: %w", id.Operation, id.Key, v, err)
	}
	return v, nil
}

// encode returns why a value cannot be stored; the call has succeeded all the same (T35). live is the value itself, for the
// caller that made the call; bytes are not handed on, since who keeps them could change them.
func (c *Call[In, Out]) encode(id ID, out Out) (data []byte, live any, omitted error) {
	if c.Codec == Raw {
		data, omitted = encodeWith(c.Codec, id, out)
		data = append(make([]byte, 0, len(data)), data...)
	} else {
		live = out
		omitted = guard(func() (err error) {
			data, err = c.Codec.Encode(id, live)
			return err
		})
	}
	if omitted == nil && len(data) > c.MaxBytes {
		omitted = fmt.Errorf("idempotency: the value has %d bytes, more than Call.MaxBytes %d", len(data), c.MaxBytes)
	}
	if omitted != nil {
		data, live = nil, out
	}
	return data, live, omitted
}

// send sends what is stored, never what a caller holds: so every attempt of every process sends the same, and nobody can
// change it meanwhile.
func (c *Call[In, Out]) send(ctx context.Context, a Attempt, request []byte) (s sent) {
	id := ID{c.Name, a.Scope, a.ID}
	in, err := decode[In](c.Codec, id, request)
	if err != nil {
		s.err, s.local = NotSent(err), true
		return s
	}
	out, err := c.Send(ctx, a, in)
	if err != nil {
		s.err = err
		return s
	}
	s.value, s.live, s.omitted = c.encode(id, out)
	return s
}

func (c *Call[In, Out]) lookup(ctx context.Context, a Attempt, request []byte) answer {
	id := ID{c.Name, a.Scope, a.ID}
	in, err := decode[In](c.Codec, id, request)
	if err != nil {
		return answer{err: err}
	}
	v, err := c.Lookup(ctx, a, in)
	if err != nil {
		return answer{err: err}
	}
	ans := answer{kind: v.kind, code: v.code, message: v.message, after: v.after}
	if v.kind == happened {
		ans.value, _, ans.omitted = c.encode(id, v.value)
	}
	return ans
}

func (c *Call[In, Out]) settled(ctx context.Context, rec *Record) (err error) {
	s := Settled[In, Out]{Scope: rec.ID.Scope, Key: rec.ID.Key, State: rec.State, Omitted: rec.Omitted, Late: rec.Late}
	if len(rec.Fingerprint) > 0 && !rec.Expired { // a tombstone has no request
		if s.In, err = decode[In](c.Codec, rec.ID, rec.Request); err != nil {
			return err
		}
	}
	if hasValue(rec) {
		if s.Value, err = decode[Out](c.Codec, rec.ID, rec.Value); err != nil {
			return err
		}
	}
	if rec.State == StateRejected {
		s.Rejection = &Rejection{Code: rec.Code, Message: rec.Message}
	}
	return c.OnSettled(ctx, s)
}

// sameAs reads the stored request as today's In: a release that added a field must not take a call under way for another
// request (T56).
func (c *Call[In, Out]) sameAs(rec *Record, fp fingerprint) (same bool, err error) {
	in, err := decode[In](c.Codec, rec.ID, rec.Request)
	if err != nil {
		return false, err
	}
	err = guard(func() error {
		encoded, err := encodeWith(c.Codec, rec.ID, in)
		if err != nil {
			return err
		}
		stored, err := c.fingerprint(rec.ID, in, encoded)
		same = err == nil && stored == fp
		return err
	})
	return same, err
}

func hasValue(rec *Record) bool {
	return (rec.State == StateSucceeded || rec.Late) && !rec.Omitted && !rec.Expired
}
