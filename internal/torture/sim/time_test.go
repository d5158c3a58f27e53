package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// Time. Every event has a virtual instant of its own: then neither the scheduler, nor select, nor the order of a map has anything to
// decide, and a seed is played the same way every time. Whatever may begin at the same instant as something else (several calls that
// one AcquireDue claimed, callers who waited for one answer, everything that one context ends) goes through alone first.

func (w *world) now() time.Duration { return time.Since(w.began) }

// instant takes the first free instant from d on. The lock is held.
func (w *world) instant(d time.Duration) time.Duration {
	for {
		if _, taken := w.instants[d]; !taken {
			w.instants[d] = struct{}{}
			return d
		}
		d++
	}
}

// after is d from now, made an instant of its own.
func (w *world) after(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	return w.instant(now+max(d, 0)) - now
}

func (w *world) sleep(d time.Duration) { time.Sleep(w.after(d)) }

// alone waits some microseconds, how many depends on who waits and not on who came first.
func (w *world) alone(who ...string) {
	h := w.seed ^ 14695981039346656037 ^ uint64(w.now())
	for _, s := range who {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	w.sleep(time.Duration(1 + (h^h>>32)%50_000))
}

// nap waits for d or until ctx ends, and reports whether it waited to the end.
func (p *process) nap(ctx context.Context, who string, d time.Duration) bool {
	t := time.NewTimer(p.w.after(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		p.w.alone(p.name, who)
		return false
	}
}

// later runs fn after d, whatever becomes of the process that asked for it. The lock is held.
func (w *world) later(d time.Duration, fn func()) {
	now := w.now()
	at := w.instant(now + max(d, 0))
	w.lands = max(w.lands, at)
	w.coming++
	time.AfterFunc(at-now, func() {
		fn()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.coming--
	})
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// draw is between, under the lock.
func (w *world) draw(r *rand.Rand, low, high time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return between(r, low, high)
}
