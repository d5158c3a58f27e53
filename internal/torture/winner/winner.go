// Package winner lets many callers want the same new key at the same moment. One of them may have it.
package winner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/report"
)

// wrappers stand for as many processes.
const wrappers = 4

// Run makes rounds of so many callers, with a new key each. In every round they first claim a record of the store, each for itself;
// then they call Do, through several wrappers.
func Run(ctx context.Context, store idempotency.Store, name string, rounds, callers int) (*report.Line, error) {
	line := report.Begin(fmt.Sprint("winner ", callers), name)
	line.Runs = rounds
	r := &race{line: line, store: store, callers: callers}
	run := rand.Text()
	for range wrappers {
		w, err := idempotency.Wrap(store, idempotency.Call[string, string]{
			Name: "win " + run, Send: r.send, Lease: time.Minute, CacheBytes: -1, // whoever comes later asks the store
		})
		if err != nil {
			return nil, err
		}
		r.wrappers = append(r.wrappers, w)
	}
	for i := range rounds {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.claim(ctx, idempotency.ID{Operation: "claim " + run, Key: fmt.Sprint(i)})
		r.call(ctx, fmt.Sprint(i))
		line.Keys += 2
	}
	return line.End(), nil
}

type race struct {
	line     *report.Line
	store    idempotency.Store
	callers  int
	wrappers []*idempotency.Wrapper[string, string]
	sent     atomic.Int64
}

func (r *race) send(_ context.Context, a idempotency.Attempt, _ string) (string, error) {
	return fmt.Sprintf("%s, sending %d", a.ID, r.sent.Add(1)), nil
}

// together calls f from all callers at once.
func (r *race) together(f func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range r.callers {
		wg.Go(func() {
			<-begin
			f(i)
		})
	}
	close(begin)
	wg.Wait()
}

func (r *race) claim(ctx context.Context, id idempotency.ID) {
	records := make([]idempotency.Record, r.callers)
	errs := make([]error, r.callers)
	r.together(func(i int) {
		c := idempotency.Claim{
			ID: id, Sending: true, Lease: time.Hour, Fingerprint: []byte("f"), Request: []byte(fmt.Sprint(i)),
			GiveUp: idempotency.Never, Retention: time.Hour, StubFor: idempotency.Never,
		}
		_, _ = rand.Read(c.Token[:])
		records[i], errs[i] = r.store.Acquire(ctx, c)
	})
	winners, request := 0, ""
	for i, rec := range records {
		switch {
		case errs[i] != nil:
			r.line.Add(&r.line.Violations, "Acquire of %s: %v", id.Key, errs[i])
		case rec.Owned:
			winners++
			request = fmt.Sprint(i)
		}
	}
	r.line.Charges += winners
	if winners > 1 {
		r.line.Add(&r.line.Duplicates, "%d callers own %s", winners, id.Key)
	}
	for i, rec := range records {
		if errs[i] == nil && (rec.State != idempotency.StateRunning || winners == 1 && string(rec.Request) != request) {
			r.line.Add(&r.line.Violations, "caller %d sees %s %s with the request of %s, the winner is %s", i, id.Key, rec.State, rec.Request, request)
		}
	}
	if winners == 0 {
		r.line.Add(&r.line.Stuck, "nobody owns %s", id.Key)
	}
}

func (r *race) call(ctx context.Context, key string) {
	before := r.sent.Load()
	said := make([]string, r.callers)
	errs := make([]error, r.callers)
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r.together(func(i int) {
		res, err := r.wrappers[i%len(r.wrappers)].Do(limited, key, "request")
		said[i], errs[i] = res.Value, err
	})
	sent := r.sent.Load() - before
	r.line.Sends += int(sent)
	r.line.Charges += int(sent)
	if sent > 1 {
		r.line.Add(&r.line.Duplicates, "%s was sent %d times", key, sent)
	}
	want := fmt.Sprintf("%s, sending %d", key, before+1)
	for i, value := range said {
		if errs[i] != nil || value != want {
			r.line.Add(&r.line.Violations, "caller %d of %s got %q, want %q: %v", i, key, value, want, errs[i])
		}
	}
	if err := errors.Join(errs...); err == nil && sent == 0 {
		r.line.Add(&r.line.Lost, "%s was never sent, and all were told that it was", key)
	}
}
