package idemhttp

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// handler executes each request once.
type handler struct {
	*middleware
	next http.Handler
}

// serving is all that is kept of one request, in one piece: most requests need all of it.
type serving struct {
	call      call
	body      body
	claim     claim
	execution execution
	recorder  recorder
}

// ServeHTTP reads from top to bottom what becomes of a request: key, principal, body, fingerprint, claim, execution, record, response.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := h.middleware
	if !slices.Contains(m.Methods, r.Method) {
		h.next.ServeHTTP(w, r)
		return
	}
	x := new(serving)
	c, b := &x.call, &x.body
	problem := m.identify(r, c)
	switch {
	case problem != nil:
		m.refuse(w, r, problem)
		return
	case c.id.Key == "": // Config.Optional
		h.next.ServeHTTP(w, r)
		return
	}
	if outer := executionOf(r.Context()); outer != nil && outer.claim.lease.ID == c.id {
		h.next.ServeHTTP(w, r) // T23: this Handler stands around itself, and would wait for itself
		return
	}
	defer b.release()
	err := b.spool(r, m.MaxBody, m.SpoolAbove)
	if err == nil {
		err = guard(func() (err error) { c.fingerprint, err = m.fingerprint(r, b); return err })
	}
	if err != nil {
		m.refuse(w, r, m.unreadable(err))
		return
	}
	var rec idempotency.Record
	problem = m.decide(r, c, &rec)
	if problem == nil && rec.State == idempotency.StateRunning {
		problem = m.hold(r.Context(), &x.claim, c, &rec)
	}
	switch {
	case problem != nil:
		m.refuse(w, r, problem)
	case rec.State == idempotency.StateRunning:
		h.execute(w, r, x)
	default:
		m.answer(w, r, &rec)
	}
}

// identify finds key and principal, before anything is read or asked.
func (m *middleware) identify(r *http.Request, c *call) (p *Problem) {
	key, found, err := readKey(r.Header, m.Bare)
	if err == nil && found && m.CheckKey != nil {
		err = m.CheckKey(key)
	}
	switch {
	case err != nil:
		p = m.problem(KeyMalformed)
		p.Detail = err.Error()
		return p
	case !found && m.Optional:
		return nil
	case !found:
		return m.problem(KeyMissing)
	}
	principal, err := m.Principal(r)
	if err != nil {
		if !errors.As(err, &p) {
			p = m.problem(PrincipalUnknown)
		}
		return p
	}
	c.id = idempotency.ID{Operation: m.Name, Scope: principal, Key: key}
	if principal == "" || c.id.Validate() != nil { // too long, or nobody's: two tenants could meet (T24, T47)
		p = m.problem(PrincipalUnknown)
		p.Status = http.StatusInternalServerError
		return p
	}
	return nil
}

// unreadable says what a body is that could not be read.
func (m *middleware) unreadable(err error) (p *Problem) {
	var larger *http.MaxBytesError
	var ours *spoolError
	var bug *idempotency.PanicError
	switch {
	case errors.As(err, &p): // said by Config.Fingerprint
		return p
	case errors.Is(err, errTooLarge), errors.As(err, &larger):
		return m.problem(BodyTooLarge)
	case errors.As(err, &ours), errors.As(err, &bug):
		hook2(m.Hooks.StoreError, "spool", err)
		return m.unavailable()
	}
	p = m.problem(BodyIncomplete)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		p.Status = http.StatusRequestTimeout
	}
	return p
}

// answer replays a record.
func (m *middleware) answer(w http.ResponseWriter, r *http.Request, rec *idempotency.Record) {
	response, err := readResponse(rec.Value)
	if err == nil {
		err = response.replay(w)
	}
	if err != nil { // T34: never a miss
		hook2(m.Hooks.StoreError, "read", err)
		m.refuse(w, r, m.unavailable())
		return
	}
	hook(m.Hooks.Answered, idempotency.AnsweredEvent{ID: rec.ID, Replayed: true})
}

// execute runs the handler under a claim, records what it did, and answers. A panic, whatever its value, and Goexit go on to the server as
// they came, after the record was written (T10).
func (h *handler) execute(w http.ResponseWriter, r *http.Request, x *serving) {
	m, c, rec := h.middleware, &x.claim, &x.recorder
	ctx, cancel := x.execution.begin(r.Context(), c, c.began.Add(m.Timeout))
	defer cancel(nil)
	c.cancel = cancel
	m.leases.add(c, c.began.Add(m.Timeout+m.Grace))

	inner := r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		inner.Body = &x.body
	}
	rec.begins(w, m)
	returned := false
	defer func() {
		if !returned {
			rec.abandon()
			e := Effect(x.execution.effect.Load())
			if e != EffectNone { // there is no response to replay
				e = EffectUnknown
			}
			h.conclude(r.Context(), c, e, m.outcome(c, e, nil, false))
		}
		if inner.MultipartForm != nil { // the server removes only the files of its own request
			_ = inner.MultipartForm.RemoveAll()
		}
	}()
	h.next.ServeHTTP(rec, inner)
	returned = true
	r.Pattern = inner.Pattern
	status, response, over := rec.finish()
	e := x.execution.said(m, r, status)
	if over {
		response = nil
	}
	h.conclude(r.Context(), c, e, m.outcome(c, e, response, over))
	rec.respond()
}

// conclude records and reports an execution.
func (h *handler) conclude(ctx context.Context, c *claim, e Effect, o idempotency.Outcome) {
	m := h.middleware
	if m.Hooks.Attempt != nil {
		class := map[Effect]string{EffectDone: "succeeded", EffectNone: "not sent", EffectUnknown: "unknown"}[e]
		hook(m.Hooks.Attempt, idempotency.AttemptEvent{ID: c.lease.ID, Number: c.record.Attempts + 1, Class: class, Took: time.Since(c.began)})
	}
	m.settle(ctx, c, o)
}
