package idemhttp

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/chance"
)

// call is one request with a key.
type call struct {
	id          idempotency.ID
	fingerprint fingerprint
	token       idempotency.Token
	began       time.Time // before the last claim was asked for
}

// decide finds out what is to be done: one question for a new key and one for a replay; more only where somebody was here before. Without a
// problem the record is running, and ours, or has a response to replay.
func (m *middleware) decide(r *http.Request, c *call, rec *idempotency.Record) *Problem {
	if r.Context().Err() != nil { // T40: nobody is there to be served
		return m.unavailable()
	}
	if m.peeker != nil {
		if settled, ok := m.peeker.Peek(c.id); ok {
			*rec = settled
			return m.judge(rec, c)
		}
	}
	chance.Token((*[16]byte)(&c.token))
	deadline := time.Now().Add(m.Wait)
	err := m.acquire(r, c, 0, rec)
	again := true // whether asking for the claim at once makes sense
	for polls := 0; ; {
		if errors.Is(err, idempotency.ErrNoRecord) { // removed since we looked
			err = m.acquire(r, c, 0, rec)
		}
		if err != nil {
			return m.unavailable()
		}
		if rec.Owned && rec.State == idempotency.StateRunning {
			return nil
		}
		p := m.judge(rec, c)
		switch {
		case p == nil, p.Kind != InProgress:
			return p
		case again && claimable(rec):
			chance.Token((*[16]byte)(&c.token))
			err = m.acquire(r, c, rec.Fence, rec)
			again = false // if it was not granted, somebody was faster
		default:
			left := time.Until(deadline)
			if left <= 0 {
				return p
			}
			if *rec, err = m.rounds.wait(r.Context(), c.id, left, polls); errors.Is(err, errWaited) {
				return p
			}
			again = true
			polls++
		}
	}
}

// acquire asks for the claim until the store answers; the token makes that one question (T15). If it does not, nothing is executed (P7,
// T25), but the claim may have been granted: it is given back later.
func (m *middleware) acquire(r *http.Request, c *call, fence uint64, rec *idempotency.Record) (err error) {
	cl := idempotency.Claim{
		ID: c.id, Token: c.token, Fence: fence, Lapsed: rec.Lapsed, Sending: true, Lease: m.Lease,
		Fingerprint: c.fingerprint[:], Request: describe(r),
		GiveUp: idempotency.Never, Retention: m.Retention, StubFor: m.StubFor,
	}
	c.began = time.Now()
	for n := 1; n <= tries; n++ {
		*rec, err = op(r.Context(), m, "Acquire", func(ctx context.Context) (idempotency.Record, error) { return m.store.Acquire(ctx, cl) })
		if err == nil || isRuling(err) || isFinal(err) || n < tries && !wait(backoff(n), r.Context().Done()) {
			break
		}
	}
	if err != nil && !isRuling(err) && !isFinal(err) {
		m.disown(r.Context(), cl)
	}
	return err
}

// describe is the request as an operator sees it: method and path. Query and body may hold what is nobody's business.
func describe(r *http.Request) []byte {
	path := r.URL.EscapedPath()
	b := make([]byte, 0, len(r.Method)+1+len(path))
	b = append(append(append(b, r.Method...), ' '), path...)
	return b[:min(len(b), 1000)]
}

// hold makes the claim of a record that was granted. It checks, right before the execution, that it cannot have run out meanwhile.
func (m *middleware) hold(ctx context.Context, cl *claim, c *call, rec *idempotency.Record) *Problem {
	cl.record, cl.began, cl.until = *rec, c.began, c.began.Add(m.Lease)
	cl.lease = idempotency.Lease{ID: c.id, Fence: rec.Fence, Token: c.token}
	if standing(cl.until, time.Now()) {
		return nil
	}
	cl.cancel = func(error) {}
	m.settle(ctx, cl, m.outcome(cl, EffectNone, nil, false))
	return m.unavailable()
}

// claimable says whether the record may be executed: it never was, or certainly had no effect, or doing it again is harmless. (An
// unknown one is judged to be so first.)
func claimable(rec *idempotency.Record) bool {
	switch rec.State {
	case idempotency.StateFree:
		return rec.Due <= 0 || rec.Due == idempotency.Never
	case idempotency.StateScheduled, idempotency.StateUnknown:
		return rec.Due <= 0
	}
	return false
}

// judge says what a record that is not ours means for the request: nothing is wrong with one that is to be replayed. A problem of the kind
// InProgress may go away.
func (m *middleware) judge(rec *idempotency.Record, c *call) *Problem {
	if p := m.compare(rec, c); p != nil {
		return p
	}
	if rec.State == idempotency.StateSucceeded {
		switch {
		case rec.Omitted:
			return m.problem(ResponseOmitted)
		case rec.Expired:
			return m.problem(KeyExpired)
		}
		return nil
	}
	p := m.problem(InProgress)
	p.RetryAfter = m.RetryAfter
	switch rec.State {
	case idempotency.StateRejected, idempotency.StateCancelled:
		p = m.problem(KeyClosed)
	case idempotency.StateScheduled:
		p.RetryAfter = max(p.RetryAfter, rec.Due)
	case idempotency.StateUnknown, idempotency.StateAbandoned, idempotency.StateAccepted:
		if m.Harmless && rec.State == idempotency.StateUnknown {
			p.RetryAfter = max(p.RetryAfter, min(rec.Due, time.Hour))
			break
		}
		p = m.problem(OutcomeUnknown)
		if rec.Due > 0 && rec.Due != idempotency.Never { // somebody asks, by Config.Call, and will again
			p.RetryAfter = min(rec.Due, time.Hour)
		}
	}
	return p
}

// compare refuses a request that is not the one that its key belongs to, in every state (P8, T21) but one: a record that is free
// belongs to nobody, since nothing was done under its key, so that a request whose first form was refused may be corrected.
func (m *middleware) compare(rec *idempotency.Record, c *call) *Problem {
	stored := rec.Fingerprint
	if len(stored) == 0 || rec.State == idempotency.StateFree || bytes.Equal(stored, c.fingerprint[:]) {
		return nil
	}
	if len(stored) != len(c.fingerprint) || stored[0] != fingerprintPlain && stored[0] != fingerprintMultipart && stored[0] != fingerprintCustom {
		return m.unavailable() // T21, T34: made by another version, which is not the client's mistake
	}
	return m.problem(KeyReused)
}

func (m *middleware) unavailable() *Problem {
	p := m.problem(Unavailable)
	p.RetryAfter = m.RetryAfter
	return p
}
