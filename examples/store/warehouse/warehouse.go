// Package warehouse is a small warehouse that sends parcels.
package warehouse

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Warehouse sends parcels. It remembers the key of every order that it was given, as a good one does. It is safe for
// concurrent use.
type Warehouse struct {
	picking time.Duration
	onSent  func(order string)

	mu      sync.Mutex
	sent    int
	parcels map[string]int    // by order
	byKey   map[string]string // tracking numbers
}

// New returns a warehouse that needs that long to pick a parcel, and calls onSent (if it is not nil) when one leaves.
func New(picking time.Duration, onSent func(order string)) *Warehouse {
	return &Warehouse{picking: picking, onSent: onSent, parcels: make(map[string]int), byKey: make(map[string]string)}
}

// Ship sends a parcel and returns its tracking number. A key that was seen before gets the first parcel's; without a key
// every call sends a parcel.
func (w *Warehouse) Ship(ctx context.Context, key, order string) (string, error) {
	timer := time.NewTimer(w.picking)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	tracking, fresh := w.send(key, order)
	if fresh && w.onSent != nil {
		w.onSent(order)
	}
	return tracking, nil
}

func (w *Warehouse) send(key, order string) (tracking string, fresh bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if tracking, known := w.byKey[key]; known && key != "" {
		return tracking, false
	}
	w.sent++
	w.parcels[order]++
	tracking = fmt.Sprintf("parcel-%d", w.sent)
	w.byKey[key] = tracking
	return tracking, true
}

// Parcels counts the parcels that left for an order.
func (w *Warehouse) Parcels(order string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.parcels[order]
}
