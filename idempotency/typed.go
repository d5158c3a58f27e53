package idempotency

import (
	"context"
	"fmt"
)

// This file is where bytes become In and Out: the functions that a Wrapper hands to its engine.

func (c *Call[In, Out]) decode(rec Record, data []byte, v any) error {
	err := guard(func() error { return c.Codec.Decode(rec.ID, data, v) })
	if err != nil { // T34: never a miss
		return fmt.Errorf("idempotency: the record of %s %q (%s) cannot be read as %T, it was written by another version or codec: %w", rec.ID.Operation, rec.ID.Key, rec.State, v, err)
	}
	return nil
}

// encode returns why a value cannot be stored; the call has succeeded all the same (T35).
func (c *Call[In, Out]) encode(id ID, out Out) (data []byte, omitted error) {
	omitted = guard(func() (err error) {
		data, err = c.Codec.Encode(id, out)
		return err
	})
	if omitted == nil && len(data) > c.MaxBytes {
		omitted = fmt.Errorf("idempotency: the value has %d bytes, more than Call.MaxBytes %d", len(data), c.MaxBytes)
	}
	if omitted != nil {
		data = nil
	}
	return data, omitted
}

// send sends what is stored, never what a caller holds: so every attempt of every process sends the same, and nobody can
// change it meanwhile.
func (c *Call[In, Out]) send(ctx context.Context, a Attempt, rec Record) (s sent) {
	var in In
	if err := c.decode(rec, rec.Request, &in); err != nil {
		s.err = NotSent(err)
		return s
	}
	out, err := c.Send(ctx, a, in)
	if err != nil {
		s.err = err
		return s
	}
	if s.value, s.omitted = c.encode(rec.ID, out); s.omitted != nil {
		s.live = out
	}
	return s
}

func (c *Call[In, Out]) lookup(ctx context.Context, a Attempt, rec Record) answer {
	var in In
	if err := c.decode(rec, rec.Request, &in); err != nil {
		return answer{err: err}
	}
	v, err := c.Lookup(ctx, a, in)
	if err != nil {
		return answer{err: err}
	}
	ans := answer{kind: v.kind, code: v.code, message: v.message, after: v.after}
	if v.kind == happened {
		ans.value, ans.omitted = c.encode(rec.ID, v.value)
	}
	return ans
}

func (c *Call[In, Out]) settled(ctx context.Context, rec Record) error {
	s := Settled[In, Out]{Scope: rec.ID.Scope, Key: rec.ID.Key, State: rec.State, Omitted: rec.Omitted, Late: rec.Late}
	if len(rec.Fingerprint) > 0 && !rec.Expired { // a tombstone has no request
		if err := c.decode(rec, rec.Request, &s.In); err != nil {
			return err
		}
	}
	if hasValue(rec) {
		if err := c.decode(rec, rec.Value, &s.Value); err != nil {
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
func (c *Call[In, Out]) sameAs(rec Record, fingerprint string) bool {
	same := false
	_ = guard(func() error {
		var in In
		if err := c.Codec.Decode(rec.ID, rec.Request, &in); err != nil {
			return err
		}
		encoded, err := c.Codec.Encode(rec.ID, in)
		if err != nil {
			return err
		}
		fp, err := c.fingerprint(rec.ID, in, encoded)
		same = err == nil && fp == fingerprint
		return err
	})
	return same
}

func hasValue(rec Record) bool {
	return (rec.State == StateSucceeded || rec.Late) && !rec.Omitted && !rec.Expired
}
