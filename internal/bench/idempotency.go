package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/google/uuid"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// No published Go library does what Wrap does and can be had as a module to compare with, so the peer is what a careful
// team writes by hand from the usual parts. It has no leases, no fences, no store that could be shared and no unknown
// outcome; it is here to show what those cost.
const handmadeIs = "hand-made with sync.Map,"

var handmadeOf = []string{"golang.org/x/sync", modBackoff, modGobreaker, "github.com/google/uuid"}

type order struct {
	ID       string `json:"id"`
	Cents    int64  `json:"cents"`
	Currency string `json:"currency"`
	Card     string `json:"card"`
}

type receipt struct {
	ID    string `json:"id"`
	Cents int64  `json:"cents"`
}

var (
	anOrder    = order{ID: "order-1", Cents: 4999, Currency: "EUR", Card: "tok_visa"}
	aReceipt   = receipt{ID: "ch_1", Cents: 4999}
	rawOrder   = []byte(`order-1 4999 EUR tok_visa`)
	rawReceipt = []byte(`ch_1 4999`)
)

// reply makes what both sides call: a provider that answers at once, and must have been given a key.
func reply[In, Out any](out Out) func(context.Context, string, In) (Out, error) {
	return func(_ context.Context, key string, _ In) (Out, error) {
		if key == "" {
			return out, errors.New("no provider key")
		}
		return out, nil
	}
}

type doer[In any] func(ctx context.Context, key string, in In) error

// fresh times calls whose keys have never been seen.
func fresh[In any](build func() (doer[In], func()), in In) side {
	return func(n int) (func(int), func()) {
		do, closing := build()
		keys := make([]string, n)
		for i := range keys {
			keys[i] = "pay_" + strconv.Itoa(1e9+i)
		}
		// As a request's context: it can end, so leaving early is part of the price.
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		work := func(n int) {
			for i := range n {
				must(do(ctx, keys[i], in))
			}
		}
		return work, func() { cancel(); closing() }
	}
}

// replay times calls whose key has settled before.
func replay[In any](build func() (doer[In], func()), in In) side {
	return func(int) (func(int), func()) {
		do, closing := build()
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		const key = "pay_1000000001"
		must(do(ctx, key, in))
		return serial(func() { must(do(ctx, key, in)) }), func() { cancel(); closing() }
	}
}

func wrapped[In, Out any](codec idempotency.Codec, out Out) func() (doer[In], func()) {
	return func() (doer[In], func()) {
		send := reply[In](out)
		store := memstore.New(memstore.Config{})
		w, err := idempotency.Wrap(store, idempotency.Call[In, Out]{
			Name:      "charge",
			Send:      func(ctx context.Context, a idempotency.Attempt, in In) (Out, error) { return send(ctx, a.Key, in) },
			Namespace: "bench",
			KeyLife:   24 * time.Hour,
			Codec:     codec,
			Breaker:   breaker.New(breaker.Config{}),
		})
		must(err)
		customer := w.For("customer-1") // made once: it allocates in generic code, such as this, only
		do := func(ctx context.Context, key string, in In) error {
			_, err := customer.Do(ctx, key, in)
			return err
		}
		return do, func() { must(w.Close(context.Background())) }
	}
}

// handmade is the peer.
type handmade[In, Out any] struct {
	encodeIn  func(In) ([]byte, error)
	encodeOut func(Out) ([]byte, error)
	decodeOut func([]byte) (Out, error)
	send      func(context.Context, string, In) (Out, error)
	space     uuid.UUID
	breaker   *gobreaker.CircuitBreaker[Out]
	flights   singleflight.Group
	records   sync.Map // key to *handmadeRecord
}

type handmadeRecord struct {
	fingerprint [sha256.Size]byte
	value       []byte
}

func (h *handmade[In, Out]) Do(ctx context.Context, key string, in In) (Out, error) {
	var none Out
	request, err := h.encodeIn(in)
	if err != nil {
		return none, err
	}
	fingerprint := sha256.Sum256(request)
	if r, ok := h.records.Load(key); ok {
		return h.read(r.(*handmadeRecord), fingerprint)
	}
	ch := h.flights.DoChan(key, func() (any, error) {
		ctx := context.WithoutCancel(ctx)
		providerKey := uuid.NewSHA1(h.space, []byte("charge\x00customer-1\x00"+key)).String()
		attempt := func() (Out, error) {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return h.send(ctx, providerKey, in)
		}
		guarded := func() (Out, error) { return h.breaker.Execute(attempt) }
		out, err := backoff.RetryWithData(guarded, backoff.WithContext(backoff.NewExponentialBackOff(), ctx))
		if err != nil {
			return nil, err
		}
		value, err := h.encodeOut(out)
		if err != nil {
			return nil, err
		}
		r := &handmadeRecord{fingerprint, value}
		h.records.Store(key, r)
		return r, nil
	})
	select {
	case res := <-ch:
		if res.Err != nil {
			return none, res.Err
		}
		return h.read(res.Val.(*handmadeRecord), fingerprint)
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

func (h *handmade[In, Out]) read(r *handmadeRecord, fingerprint [sha256.Size]byte) (Out, error) {
	if r.fingerprint != fingerprint {
		var none Out
		return none, errors.New("another request has this key")
	}
	return h.decodeOut(r.value)
}

func (h *handmade[In, Out]) build() (doer[In], func()) {
	h.space = uuid.NewSHA1(uuid.NameSpaceDNS, []byte("bench"))
	h.breaker = gobreaker.NewCircuitBreaker[Out](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second})
	return func(ctx context.Context, key string, in In) error {
		_, err := h.Do(ctx, key, in)
		return err
	}, func() {}
}

func handmadeRaw() (doer[[]byte], func()) {
	same := func(b []byte) ([]byte, error) { return append([]byte(nil), b...), nil }
	h := &handmade[[]byte, []byte]{encodeIn: same, encodeOut: same, decodeOut: same, send: reply[[]byte](rawReceipt)}
	return h.build()
}

func handmadeJSON() (doer[order], func()) {
	h := &handmade[order, receipt]{
		encodeIn:  func(o order) ([]byte, error) { return json.Marshal(o) },
		encodeOut: func(r receipt) ([]byte, error) { return json.Marshal(r) },
		decodeOut: func(b []byte) (r receipt, err error) { err = json.Unmarshal(b, &r); return r, err },
		send:      reply[order](aReceipt),
	}
	return h.build()
}
