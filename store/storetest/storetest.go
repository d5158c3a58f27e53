// Package storetest checks that a store keeps the contract of idempotency.Store. A store's own test is
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) idempotency.Store { return mystore.New(…) })
//	}
//
// Every subtest is named after one rule, makes a fresh store, and says in its failure which rule is broken. Nothing
// sleeps: where a lease has to run out, it is made short, and the store is asked until it has. So the suite suits stores
// with a real clock as well as those in a testing/synctest bubble.
//
// What the interface cannot show is not checked: that free records are kept for about an hour before Purge removes them,
// that a record which cannot be read is an error and not a miss (T34), and that what is acknowledged survives a crash.
package storetest

import (
	"testing"
	"testing/synctest"

	"github.com/steadfast-go/steadfast/idempotency"
)

// rule is one case: the name of the subtest, the rule in words, and its check.
type rule struct {
	name, says string
	check      func(h *harness)
}

// Run checks the store that newStore makes. newStore is called for every case and returns an empty store each time; it
// cleans up after itself with t.Cleanup.
func Run(t *testing.T, newStore func(t *testing.T) idempotency.Store) {
	t.Helper()
	each(t, func(t *testing.T, r rule) {
		r.check(&harness{T: t, Store: newStore(t), rule: r.says})
	})
}

// RunInBubble is Run with every case in a testing/synctest bubble of its own: time is virtual, and waiting takes none.
// It is for stores that live in the memory of the process. newStore is called in the bubble.
func RunInBubble(t *testing.T, newStore func(t *testing.T) idempotency.Store) {
	t.Helper()
	each(t, func(t *testing.T, r rule) {
		synctest.Test(t, func(t *testing.T) {
			r.check(&harness{T: t, Store: newStore(t), rule: r.says})
		})
	})
}

// each calls f with every rule, in a subtest that is named after it.
func each(t *testing.T, f func(t *testing.T, r rule)) {
	t.Helper()
	themes := []struct {
		name  string
		rules []rule
	}{
		{"Acquire", acquireRules},
		{"Fence", fenceRules},
		{"AcquireDue", dueRules},
		{"Lapse", lapseRules},
		{"Extend", extendRules},
		{"Settle", settleRules},
		{"Outcome", outcomeRules},
		{"Cancel", cancelRules},
		{"Happened", happenedRules},
		{"Negative", negativeRules},
		{"Notify", notifyRules},
		{"Keys", keyRules},
		{"List", listRules},
		{"Purge", purgeRules},
		{"Arguments", argumentRules},
		{"Race", raceRules},
	}
	for _, theme := range themes {
		t.Run(theme.name, func(t *testing.T) {
			for _, r := range theme.rules {
				t.Run(r.name, func(t *testing.T) { f(t, r) })
			}
		})
	}
}
