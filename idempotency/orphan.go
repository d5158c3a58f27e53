package idempotency

import (
	"context"
	"time"
)

// maxOrphans bounds the claims that wait to be given back. One that is dropped becomes an unknown outcome at worst.
const maxOrphans = 1000

// orphan is a claim whose Acquire was never answered.
type orphan struct {
	claim    Claim
	deadline time.Time
}

// disown gives back a claim whose Acquire was never answered, so that it does not lapse into an unknown outcome although
// nothing was sent. One goroutine does this for all such claims, one at a time, while there are any.
func (e *engine) disown(cl Claim) {
	// If the first request never arrived, the next one makes the claim. It is for nothing, so that it may lapse.
	cl.Sending = false
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.orphans) == maxOrphans {
		e.orphans = append(e.orphans[:0], e.orphans[1:]...)
	}
	e.orphans = append(e.orphans, orphan{cl, time.Now().Add(e.settleFor)})
	if !e.returning {
		e.returning = true
		e.owned.Add(1)
		go e.giveBack()
	}
}

func (e *engine) giveBack() {
	defer e.owned.Done()
	open := true
	for failures := 1; ; {
		if open {
			open = sleep(e.backoff(failures), e.closing)
		}
		e.mu.Lock()
		if len(e.orphans) == 0 {
			e.returning = false
			e.mu.Unlock()
			return
		}
		o := e.orphans[0]
		e.orphans = e.orphans[1:]
		e.mu.Unlock()
		err := e.giveBackOne(&o.claim)
		switch {
		case err == nil || isRuling(err):
			failures = 1
		case !open:
			// Closing, and the store still away: what is left lapses.
			e.mu.Lock()
			e.orphans = nil
			e.mu.Unlock()
		default:
			failures++
			if time.Now().Before(o.deadline) {
				e.mu.Lock()
				e.orphans = append(e.orphans, o)
				e.mu.Unlock()
			}
		}
	}
}

func (e *engine) giveBackOne(cl *Claim) error {
	var rec Record
	err := e.askClaim(context.Background(), cl, &rec)
	if err != nil || !rec.Owned {
		return err
	}
	o := e.rest(&rec, rec.Ambiguous, 0)
	return e.askSettle(context.Background(), &Lease{ID: cl.ID, Fence: rec.Fence, Token: cl.Token}, &o, &rec)
}
