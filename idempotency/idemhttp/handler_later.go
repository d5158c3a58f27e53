package idemhttp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// maxJobs bounds what waits for a store that is away.
const maxJobs = 1000

var errCrowded = errors.New("idemhttp: too many outcomes wait for the store")

// job is something the store must still be told.
type job struct {
	until time.Time
	try   func() error
	end   func(err error) // is told how it ended: with an error, if it was given up
}

// later does jobs by one goroutine, one at a time, while there are any. Each ends, or is given up.
type later struct {
	m       *middleware
	mu      sync.Mutex
	jobs    []job
	running bool
}

func (l *later) add(j job) {
	l.mu.Lock()
	if len(l.jobs) == maxJobs {
		l.mu.Unlock()
		j.end(errCrowded)
		return
	}
	defer l.mu.Unlock()
	l.jobs = append(l.jobs, j)
	if l.running {
		return
	}
	l.running = true
	if wg := l.m.Background; wg != nil {
		wg.Add(1)
	}
	go l.work()
}

func (l *later) work() {
	if wg := l.m.Background; wg != nil {
		defer wg.Done()
	}
	for failed := 1; ; {
		l.mu.Lock()
		if len(l.jobs) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		j := l.jobs[0]
		l.jobs = l.jobs[1:]
		l.mu.Unlock()
		err := j.try()
		switch {
		case err == nil:
			failed = 1
			j.end(nil)
			continue
		case !time.Now().Before(j.until):
			j.end(err)
		default:
			l.mu.Lock()
			l.jobs = append(l.jobs, j)
			l.mu.Unlock()
		}
		wait(backoff(failed))
		failed++
	}
}

// disown gives back a claim whose Acquire was never answered, so that it does not lapse into an unknown outcome although nothing was
// executed.
func (m *middleware) disown(ctx context.Context, cl idempotency.Claim) {
	cl.Sending = false // if the first request never arrived, the next one makes the claim: for nothing, so that it may lapse
	m.later.add(job{
		until: time.Now().Add(m.SettleFor),
		try: func() error {
			rec, err := op(ctx, m, "Acquire", func(ctx context.Context) (idempotency.Record, error) { return m.store.Acquire(ctx, cl) })
			if err != nil || !rec.Owned {
				return unless(isRuling, err)
			}
			c := &claim{record: rec, lease: idempotency.Lease{ID: cl.ID, Fence: rec.Fence, Token: cl.Token}}
			o := m.outcome(c, EffectNone, nil, false)
			o.Attempts = 0
			_, err = op(ctx, m, "Settle", func(ctx context.Context) (idempotency.Record, error) { return m.store.Settle(ctx, c.lease, o) })
			return unless(isRuling, err)
		},
		end: func(error) {},
	})
}

// unless drops an error that is one of those.
func unless(ofThose func(error) bool, err error) error {
	if err != nil && ofThose(err) {
		return nil
	}
	return err
}
