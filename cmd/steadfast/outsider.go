package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// written is a value as the service's codec writes it, which only that can read.
type written struct {
	data    []byte
	omitted bool // there is none to record
}

// asWritten is the codec of the command: it hands on what stands in the database, and what is to stand there.
type asWritten struct{}

var errNoValue = errors.New("it was settled by an operator, who had no value to record")

func (asWritten) Encode(_ idempotency.ID, v any) ([]byte, error) {
	switch b, ok := v.(written); {
	case !ok:
		return nil, fmt.Errorf("a %T", v)
	case b.omitted:
		return nil, errNoValue
	default:
		return append([]byte{}, b.data...), nil
	}
}

func (asWritten) Decode(_ idempotency.ID, data []byte, v any) error {
	b, ok := v.(*written)
	if !ok {
		return fmt.Errorf("a %T", v)
	}
	b.data = append([]byte{}, data...)
	return nil
}

// observed is a store that keeps what it made of a call: read a moment later, the service may have gone on with it. It hides that the
// store below has transactions. OnSettled would take part in them; the command has nobody to tell, and leaves the mark for
// the service to find.
type observed struct {
	idempotency.Store
	made *idempotency.Record // nil: nothing was asked of it
}

func (o *observed) Settle(ctx context.Context, l idempotency.Lease, outcome idempotency.Outcome) (idempotency.Record, error) {
	rec, err := o.Store.Settle(ctx, l, outcome)
	if err == nil {
		o.made = &rec
	}
	return rec, err
}

func (o *observed) Acquire(ctx context.Context, c idempotency.Claim) (idempotency.Record, error) {
	rec, err := o.Store.Acquire(ctx, c)
	if err == nil {
		o.made = &rec
	}
	return rec, err
}

var errNotHere = errors.New("the command makes no calls, and tells nobody of them")

// outsider is the service's call as far as the command knows it: enough for the library to judge a verdict from outside. It
// promises nothing of the provider, never calls it, and is never run.
func outsider(store idempotency.Store, id idempotency.ID, settling time.Duration) (*idempotency.Wrapper[written, written], error) {
	w, err := idempotency.Wrap(store, idempotency.Call[written, written]{
		Name: id.Operation,
		Send: func(context.Context, idempotency.Attempt, written) (written, error) {
			return written{}, idempotency.NotSent(errNotHere)
		},
		Settling: settling,
		Codec:    asWritten{},
		MaxBytes: mostValue,
		// That it is set marks what is settled: to notify. It is called by Run, which is the service's.
		OnSettled: func(context.Context, idempotency.Settled[written, written]) error { return errNotHere },
	})
	if err != nil {
		return nil, err
	}
	return w.For(id.Scope), nil
}
