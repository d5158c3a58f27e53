package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

const callers = 64

// together calls f from many goroutines at once, and fails the case with the first error.
func (h *harness) together(n int, f func(ctx context.Context, i int) error) {
	h.Helper()
	var wg sync.WaitGroup
	begin := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-begin
			errs[i] = f(h.Context(), i)
		})
	}
	close(begin)
	wg.Wait()
	for i, err := range errs {
		h.must(err == nil, "caller %d of %d at once: %v", i, n, err)
	}
}

// raceRules: what many callers do at once. Run them with -race.
var raceRules = []rule{
	{
		"OneWinnerForANewKey",
		"of many callers with a new key, one owns the record; all others see it running, with the owner's request",
		func(h *harness) { // P1
			owned := make([]idempotency.Record, callers)
			h.together(callers, func(ctx context.Context, i int) error {
				c := run("k")
				c.Request = []byte(strconv.Itoa(i))
				r, err := h.Acquire(ctx, c)
				owned[i] = r
				return err
			})
			winner := h.winner(owned)
			for i, r := range owned {
				h.must(r.State == idempotency.StateRunning && string(r.Request) == strconv.Itoa(winner) && r.Fence == 1,
					"caller %d sees %s with the request of %s, the winner is %d", i, describe(r), r.Request, winner)
			}
		},
	},
	{
		"OneWinnerForAFence",
		"of many callers that name the fence of a resting record, one claims it, whatever the state",
		func(h *harness) { // P1
			for _, s := range resting {
				before := h.at(s.String(), s, 0)
				owned := make([]idempotency.Record, callers)
				h.together(callers, func(ctx context.Context, i int) (err error) {
					owned[i], err = h.Acquire(ctx, again(before))
					return err
				})
				h.winner(owned)
				h.must(h.get(s.String()).Fence == before.Fence+1, "%s: Fence went from %d to %d", s, before.Fence, h.get(s.String()).Fence)
			}
		},
	},
	{
		"SameTokenManyTimes",
		"one Acquire that arrives many times at once is one claim, and all of its copies own it",
		func(h *harness) { // T15
			c := run("k")
			owned := make([]idempotency.Record, callers)
			h.together(callers, func(ctx context.Context, i int) (err error) {
				owned[i], err = h.Acquire(ctx, c)
				return err
			})
			for i, r := range owned {
				h.must(r.Owned && r.Fence == 1, "copy %d sees %s", i, describe(r))
			}
		},
	},
	{
		"EachDueRecordToOneCaller",
		"AcquireDue hands each record to one of many callers, and all of them to somebody",
		func(h *harness) { // P1
			const records = 200
			for i := range records {
				c := run(strconv.Itoa(i))
				c.Mode = idempotency.ClaimSchedule
				h.acquire(c)
			}
			var mu sync.Mutex
			taken := map[string]int{}
			h.together(callers, func(ctx context.Context, _ int) error {
				for {
					list, err := h.AcquireDue(ctx, idempotency.DueClaim{Operation: operation, Token: token(), Lease: long, N: 7})
					if err != nil || len(list) == 0 {
						return err
					}
					mu.Lock()
					again := false
					for _, r := range list {
						taken[r.ID.Key]++
						again = again || taken[r.ID.Key] > 1
					}
					mu.Unlock()
					if again { // a store that does this would go on for ever
						return nil
					}
				}
			})
			// Callers that met may have left a record to each other; it must still be there.
			for _, r := range h.due(token(), records) {
				taken[r.ID.Key]++
			}
			h.must(len(taken) == records, "%d of %d records were handed out", len(taken), records)
			for key, n := range taken {
				h.must(n == 1, "record %s was handed out %d times", key, n)
			}
		},
	},
	{
		"AcquireOrAcquireDue",
		"a due record that is claimed by its fence and by AcquireDue at once goes to one of them",
		func(h *harness) { // P1
			for i := range 16 {
				before := h.at(strconv.Itoa(i), idempotency.StateUnknown, 0)
				var mu sync.Mutex
				owners := 0
				h.together(8, func(ctx context.Context, i int) error {
					n := 0
					if i%2 == 0 {
						r, err := h.Acquire(ctx, again(before))
						if err != nil {
							return err
						}
						if r.Owned {
							n = 1
						}
					} else {
						list, err := h.AcquireDue(ctx, idempotency.DueClaim{Operation: operation, Token: token(), Lease: long, N: 5})
						if err != nil {
							return err
						}
						n = len(list)
					}
					mu.Lock()
					owners += n
					mu.Unlock()
					return nil
				})
				h.must(owners == 1, "%d callers own the record", owners)
			}
		},
	},
	{
		"OwnerComesBackOrIsTakenOver",
		"when a lapsed claim is extended and taken over at once, one of the two has it, and both know which",
		func(h *harness) { // T7, T8
			for i := range 64 {
				key := strconv.Itoa(i)
				_, l := h.own(run(key))
				h.lapse(l)
				var stands bool
				var taken int
				h.together(2, func(ctx context.Context, i int) error {
					if i == 0 {
						ok, err := h.Extend(ctx, []idempotency.Lease{l}, long, true)
						stands = err == nil && ok[0]
						return err
					}
					list, err := h.AcquireDue(ctx, idempotency.DueClaim{Operation: operation, Token: token(), Lease: long, N: 1})
					taken = len(list)
					return err
				})
				h.must(stands != (taken == 1), "Extend says %v and AcquireDue took %d records over", stands, taken)
			}
		},
	},
	{
		"LiveClaimsAreLeftAlone",
		"while records are claimed, settled and claimed again, nobody loses a claim whose lease lasts",
		func(h *harness) { // P1
			for i := range 4 {
				h.at(strconv.Itoa(i), idempotency.StateUnknown, 0)
			}
			h.together(8, func(ctx context.Context, i int) error {
				for range 150 {
					if err := h.claimAny(ctx, strconv.Itoa(i%4), i < 4); err != nil {
						return err
					}
				}
				return nil
			})
		},
	},
	{
		"VerdictOrOwner",
		"when an owner and contradicting verdicts settle at once, the first is written, and it alone",
		func(h *harness) { // T13
			for i := range 16 {
				key := strconv.Itoa(i)
				r, l := h.own(run(key))
				results, errs := make([]idempotency.Record, 8), make([]error, 8)
				h.together(8, func(ctx context.Context, i int) error {
					if i == 0 {
						results[i], errs[i] = h.Settle(ctx, l, idempotency.Outcome{State: idempotency.StateRejected})
					} else {
						results[i], errs[i] = h.Settle(ctx, outside(r), happened("v"))
					}
					if errs[i] == nil || errors.Is(errs[i], idempotency.ErrLeaseLost) || errors.Is(errs[i], idempotency.ErrConflict) {
						return nil
					}
					return errs[i]
				})
				now := h.get(key)
				for i := range results {
					h.must(results[i].State == now.State, "caller %d was told %s, the record is %s", i, results[i].State, now.State)
					h.must((errs[i] == nil) == ((i == 0) == (now.State == idempotency.StateRejected)),
						"caller %d got the error %v, the record is %s", i, errs[i], now.State)
				}
			}
		},
	},
	{
		"CancelOrClaim",
		"when a scheduled record is cancelled and claimed at once, it is cancelled before, or the claim knows that Cancel is wanted",
		func(h *harness) { // T14
			for i := range 16 {
				before := h.at(strconv.Itoa(i), idempotency.StateScheduled, 0)
				c := again(before)
				c.Sending = false
				var claimed idempotency.Record
				h.together(2, func(ctx context.Context, i int) (err error) {
					if i == 0 {
						claimed, err = h.Acquire(ctx, c)
					} else {
						_, err = h.Settle(ctx, idempotency.Lease{ID: c.ID}, idempotency.Outcome{State: idempotency.StateCancelled})
					}
					return err
				})
				r := h.get(strconv.Itoa(i))
				if claimed.Owned {
					h.must(r.CancelWanted, "the claim was granted, and the cancellation is lost: %s", describe(r))
					h.extend(lease(claimed, c.Token), long, true, false)
				} else {
					h.state(r, idempotency.StateCancelled)
				}
			}
		},
	},
	{
		"PurgeAmongLiveKeys",
		"Purge, however often it runs, never takes a record away from calls that are under way",
		func(h *harness) { // T33
			ctx, stop := context.WithTimeout(h.Context(), slack)
			defer stop()
			var purging sync.WaitGroup
			done := make(chan struct{})
			var failed error
			purging.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if _, err := h.Purge(ctx, 10); err != nil {
						failed = err
						return
					}
					h.pause()
				}
			})
			h.together(8, func(ctx context.Context, i int) error {
				for round := range 10 {
					if err := h.live(ctx, fmt.Sprintf("%d of %d", round, i)); err != nil {
						return err
					}
				}
				return nil
			})
			close(done)
			purging.Wait()
			h.noError(failed, "Purge")
		},
	},
}

// claimAny claims the record of the key, or whatever is due, and settles it so that it is due again.
func (h *harness) claimAny(ctx context.Context, key string, named bool) error {
	t := token()
	var claimed []idempotency.Record
	if named {
		r, err := h.Get(ctx, id(key))
		if err != nil {
			return err
		}
		c := again(r)
		c.Token = t
		if r, err = h.Acquire(ctx, c); err != nil {
			return err
		}
		if r.Owned {
			claimed = append(claimed, r)
		}
	} else {
		var err error
		claimed, err = h.AcquireDue(ctx, idempotency.DueClaim{Operation: operation, Token: t, Lease: long, N: 2})
		if err != nil {
			return err
		}
	}
	for _, r := range claimed {
		stands, err := h.Extend(ctx, []idempotency.Lease{lease(r, t)}, long, true)
		if err != nil {
			return err
		}
		if !stands[0] {
			return fmt.Errorf("the claim on %s (fence %d) was lost: Extend says that it does not stand", r.ID.Key, r.Fence)
		}
		o := idempotency.Outcome{State: idempotency.StateUnknown, Ambiguous: true}
		if _, err := h.Settle(ctx, lease(r, t), o); err != nil {
			return fmt.Errorf("the claim on %s (fence %d) was lost: %w", r.ID.Key, r.Fence, err)
		}
	}
	return nil
}

// live takes a call from beginning to end, with nothing to be retained.
func (h *harness) live(ctx context.Context, key string) error {
	c := run(key)
	c.Retention, c.StubFor = 0, time.Hour
	r, err := h.Acquire(ctx, c)
	for i := 0; err == nil && i < 4; i++ {
		if !r.Owned || string(r.Request) != string(c.Request) {
			return fmt.Errorf("claim %d of %s: the record is %s, its request %q", i, key, describe(r), r.Request)
		}
		o := idempotency.Outcome{State: idempotency.StateUnknown, Ambiguous: true}
		if i == 2 {
			o = idempotency.Outcome{State: idempotency.StateScheduled}
		}
		if r, err = h.Settle(ctx, lease(r, c.Token), o); err != nil {
			break
		}
		c.Fence, c.Lapsed, c.Token = r.Fence, r.Lapsed, token()
		r, err = h.Acquire(ctx, c)
	}
	if err != nil {
		return err
	}
	if _, err := h.Settle(ctx, lease(r, c.Token), happened("v")); err != nil {
		return fmt.Errorf("%s could not be settled: %w", key, err)
	}
	r, err = h.Get(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("%s is gone: %w", key, err)
	}
	if r.State != idempotency.StateSucceeded {
		return fmt.Errorf("%s succeeded, and is %s", key, r.State)
	}
	return nil
}

// winner insists that one of the claims was granted, and returns its index.
func (h *harness) winner(claims []idempotency.Record) int {
	h.Helper()
	winner, owners := 0, 0
	for i, r := range claims {
		if r.Owned {
			winner, owners = i, owners+1
		}
	}
	h.must(owners == 1, "%d of %d callers own the record, want one", owners, len(claims))
	return winner
}
