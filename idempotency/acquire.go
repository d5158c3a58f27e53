package idempotency

import (
	"context"
	"time"

	"github.com/steadfast-go/steadfast/internal/chance"
)

// acquireTries bounds how often one claim is asked for again when the store fails.
const acquireTries = 3

// acquire asks for a claim; nil if it was not granted. If the store fails nothing is sent (P7, T25), but the claim may have
// been granted all the same: it is given back in the background.
func (r *run) acquire(f *flight, fence uint64, sending bool) (*claim, error) {
	e := r.e
	cl := Claim{
		ID:          r.id,
		Token:       newToken(),
		Fence:       fence,
		Lapsed:      r.rec.Lapsed,
		Sending:     sending,
		Lease:       e.leaseFor,
		Fingerprint: f.key.fingerprint[:],
		Request:     f.request,
		GiveUp:      e.giveUp,
		Retention:   e.retention,
		StubFor:     e.stubFor,
	}
	began := time.Now()
	if err := e.claim(r.base(), &cl, &r.rec); err != nil {
		if !isRuling(err) && !isFinal(err) {
			e.disown(cl)
		}
		return nil, err
	}
	if !r.rec.Owned {
		return nil, nil
	}
	return r.hold(cl.Token, began), nil
}

// claim asks until the store answers; the token makes that one question (T15).
func (e *engine) claim(ctx context.Context, cl *Claim, rec *Record) (err error) {
	for n := 1; n <= acquireTries; n++ {
		err = e.askClaim(ctx, cl, rec)
		if err == nil || isRuling(err) || isFinal(err) || ctx.Err() != nil {
			break
		}
		if !sleep(e.backoff(n), ctx.Done(), e.closing) {
			break
		}
	}
	return err
}

// askClaim and askSettle are what every call needs: op without its closure, which would move records about.
func (e *engine) askClaim(ctx context.Context, cl *Claim, rec *Record) (err error) {
	limited := limit(ctx, e.opTimeout())
	defer e.answered("Acquire", limited, &err)
	got, err := e.store.Acquire(limited, *cl)
	if err == nil || isRuling(err) { // else what was seen last stands
		*rec = got
	}
	return err
}

func (e *engine) askSettle(ctx context.Context, l *Lease, o *Outcome, rec *Record) (err error) {
	limited := limit(ctx, e.opTimeout())
	defer e.answered("Settle", limited, &err)
	got, err := e.store.Settle(limited, *l, *o)
	if err == nil || isRuling(err) {
		*rec = got
	}
	return err
}

// backoff is the pause between two tries at a store that fails.
func (e *engine) backoff(n int) time.Duration {
	d := min(e.leaseFor/600<<min(n, 10), e.leaseFor/6) // 50 ms to 5 s with a lease of 30 s
	return chance.Half(d)
}
