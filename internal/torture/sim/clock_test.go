package main

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Clocks. No time of day crosses the way to the store, so that clocks which are hours apart cannot matter; what can is that they run
// at different speeds: each process's differs from the store's by up to maxDrift, ten times what a crystal may do.

const maxDrift = 0.001

// theirs is a duration of the process's clock as the store's counts it, mine the other way.
func (p *process) theirs(d time.Duration) time.Duration { return drifted(d, 1+p.drift) }
func (p *process) mine(d time.Duration) time.Duration   { return drifted(d, 1-p.drift) }

// off is by how much two clocks may differ about a duration.
func off(d time.Duration) time.Duration { return drifted(d, 2*maxDrift) }

func drifted(d time.Duration, rate float64) time.Duration {
	if d == idempotency.Never {
		return d
	}
	return time.Duration(float64(d) * rate)
}

// reads makes a record of the store one that the process sees.
func (p *process) reads(rec *idempotency.Record) {
	for _, d := range []*time.Duration{&rec.Created, &rec.FirstSent, &rec.LastSent, &rec.SettledAt, &rec.Lease, &rec.Due, &rec.GiveUp} {
		*d = p.mine(*d)
	}
}

func (p *process) get(id idempotency.ID) (idempotency.Record, error) {
	rec, err := p.w.store.Get(context.Background(), id)
	p.reads(&rec)
	return rec, err
}

func (p *process) list(q idempotency.Query) ([]idempotency.Record, error) {
	recs, err := p.w.store.List(context.Background(), q)
	for i := range recs {
		p.reads(&recs[i])
	}
	return recs, err
}

// acquire, acquireDue, extend, settle: the oracle watches, see judged*. What it watches is by the store's clock.

func (p *process) acquire(c idempotency.Claim, asked time.Time) (idempotency.Record, error) {
	c.Lease, c.GiveUp, c.Retention, c.StubFor = p.theirs(c.Lease), p.theirs(c.GiveUp), p.theirs(c.Retention), p.theirs(c.StubFor)
	rec, err := p.judgedAcquire(c, asked)
	p.reads(&rec)
	return rec, err
}

func (p *process) acquireDue(c idempotency.DueClaim, asked time.Time) ([]idempotency.Record, error) {
	c.Lease = p.theirs(c.Lease)
	recs, err := p.judgedAcquireDue(c, asked)
	slices.SortFunc(recs, func(a, b idempotency.Record) int { // the store's order hangs on its hash
		return strings.Compare(a.ID.Scope+a.ID.Key, b.ID.Scope+b.ID.Key)
	})
	for i := range recs {
		p.reads(&recs[i])
	}
	return recs, err
}

func (p *process) extend(l []idempotency.Lease, d time.Duration, sending bool) ([]bool, error) {
	order := make([]int, len(l)) // the library's order is a map's
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &l[i], &l[j]
		return cmp.Or(strings.Compare(a.ID.Scope+a.ID.Key, b.ID.Scope+b.ID.Key), cmp.Compare(a.Fence, b.Fence), bytes.Compare(a.Token[:], b.Token[:]))
	})
	sorted := make([]idempotency.Lease, len(l))
	for to, from := range order {
		sorted[to] = l[from]
	}
	answers, err := p.judgedExtend(sorted, p.theirs(d), sending)
	if err != nil {
		return nil, err
	}
	stands := make([]bool, len(l))
	for to, from := range order {
		stands[from] = answers[to]
	}
	return stands, nil
}

func (p *process) settle(l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	o.Due, o.NotifyIn = p.theirs(o.Due), p.theirs(o.NotifyIn)
	rec, err := p.judgedSettle(l, o)
	p.reads(&rec)
	return rec, err
}
