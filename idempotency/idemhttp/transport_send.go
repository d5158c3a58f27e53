package idemhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// Send goes around a call's Send: the requests that send makes with its context, through a [Transport], belong to the attempt,
// and what they came to is added to the error that send returns.
//
// An error that carries a mark already (idempotency.Rejected, Accepted, NotSent) keeps it: send knows best. For any other:
//
//   - not sent, if every request of the attempt ended before there was a connection to send it over;
//   - what the answer means to the [Provider], if the attempt made one request with a key (or several times the same one) and that one
//     was answered. After several different ones, send must say itself what their answers come to;
//   - unknown otherwise.
//
// Where send returns no error, that is a success, unless the last request of the attempt was one with a key and did not
// succeed: no answer, an answer that broke off while it was read, or one that means something else.
// Every call whose requests go through a Transport needs it: a call made within another's Send inherits that one's context, and
// without a Send of its own also its key. Retry-After, and the mark of a stored answer (idempotency.Replayed), are added where the answer has them.
func Send[In, Out any](send func(ctx context.Context, a idempotency.Attempt, in In) (Out, error)) func(ctx context.Context, a idempotency.Attempt, in In) (Out, error) {
	return func(ctx context.Context, a idempotency.Attempt, in In) (Out, error) {
		t := &trip{attempt: a}
		defer t.close() // also if send panics
		t.scope.trip, t.made = t, t.room[:0]
		out, err := send(context.WithValue(ctx, scopeKey{}, &t.scope), a, in)
		return out, t.finish(err)
	}
}

// Sub returns a context for a second request of the same attempt, such as a confirmation: it carries the key that
// Attempt.Sub derives from the attempt's by name (which must not be empty).
func Sub(ctx context.Context, name string) context.Context {
	s := *scopeOf(ctx)
	s.sub, s.aside = name, false
	return context.WithValue(ctx, scopeKey{}, &s)
}

// Aside returns a context for requests that are no part of the call: the fetching of a token, a lookup. They carry no key,
// are not read, and say nothing about whether the call was sent. They must not have the effect that the call is about.
func Aside(ctx context.Context) context.Context {
	s := *scopeOf(ctx)
	s.aside = true
	return context.WithValue(ctx, scopeKey{}, &s)
}

// scope is what a context says about the requests made with it.
type scope struct {
	trip  *trip // nil outside of Send
	sub   string
	aside bool
}

type scopeKey struct{}

var noScope scope

func scopeOf(ctx context.Context) *scope {
	if s, ok := ctx.Value(scopeKey{}).(*scope); ok {
		return s
	}
	return &noScope
}

func (s *scope) key() string {
	if s.sub != "" {
		return s.trip.attempt.Sub(s.sub)
	}
	return s.trip.attempt.Key
}

// trip is what the requests of one attempt have come to.
type trip struct {
	attempt idempotency.Attempt
	scope   scope

	mu    sync.Mutex
	over  bool
	made  []*exchange // in the order in which they began
	first exchange    // most attempts make one, and need no more room
	room  [2]*exchange
}

// exchange is one request of an attempt and its answer. net/http may make several of it.
type exchange struct {
	trip    *trip
	changes bool // it is not a safe method: it carries the key, and its answer counts
	key     string
	value   [1]string // of the header that carries the key
	method  string
	url     url.URL
	effect  int // the same for requests that repeat another one

	trace httptrace.ClientTrace
	asked atomic.Bool  // Base reports to httptrace
	conns atomic.Int32 // how many times there was a connection to send it over

	refused  bool // it was never handed to Base
	answer   reading
	provider string
	reply    reply

	// Guarded by trip.mu.
	ended  bool
	err    error
	broken bool // the answer broke off
}

func (x *exchange) getConn(string)                { x.asked.Store(true) }
func (x *exchange) gotConn(httptrace.GotConnInfo) { x.conns.Add(1) }

// begin registers a request, or says why it must not be made.
func (t *trip) begin(req *http.Request, key string, changes bool) (*exchange, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return nil, errOver
	}
	x := &t.first
	if len(t.made) > 0 {
		x = new(exchange)
	}
	x.trip, x.changes, x.key, x.method = t, changes, key, req.Method
	if req.URL != nil {
		x.url = *req.URL
	}
	x.effect = len(t.made)
	redirected := req.Response != nil
	var clash *exchange
	for _, y := range t.made {
		switch {
		case !changes || !y.changes || y.key != key || y.ended && y.refused:
		case redirected || y.method == x.method && sameURL(&y.url, &x.url):
			x.effect = y.effect
		case key != "":
			clash = y
		}
	}
	t.made = append(t.made, x)
	if clash != nil && x.effect == len(t.made)-1 {
		x.refused, x.ended = true, true
		x.err = fmt.Errorf("idemhttp: the request %s %s was not sent: %s %s has carried the attempt's key already. "+
			"Give it a key of its own with idemhttp.Sub(ctx, name), or mark it with idemhttp.Aside", x.method, x.url.Path, clash.method, clash.url.Path)
		return nil, x.err
	}
	return x, nil
}

func sameURL(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Host == b.Host && a.Path == b.Path && a.RawPath == b.RawPath && a.RawQuery == b.RawQuery
}

func (x *exchange) end(err error) {
	x.trip.mu.Lock()
	defer x.trip.mu.Unlock()
	x.ended, x.err = true, err
}

func (x *exchange) brokeOff() {
	x.trip.mu.Lock()
	defer x.trip.mu.Unlock()
	x.broken = true
}

// unsent says whether the request certainly never left: it was refused, or Base asked for a connection, reported that, and
// got none. The dialling and the handshake come before, as does a proxy's CONNECT; the first byte of the request comes after.
func (x *exchange) unsent() bool {
	return x.ended && x.err != nil && (x.refused || x.asked.Load() && x.conns.Load() == 0)
}

// sendings is how many times it may have left.
func (x *exchange) sendings() int {
	if x.unsent() {
		return 0
	}
	return max(1, int(x.conns.Load()))
}

// close lets no further request out in the attempt's name.
func (t *trip) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
}

// finish says what the attempt has come to, given what Send returned.
func (t *trip) finish(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	sum := t.sum()
	if sum.resent {
		t.attempt.Resent()
	}
	if err == nil {
		if err = t.doubt(); err == nil {
			return nil
		}
	}
	x := sum.decides
	answered := x != nil && x.ended && x.err == nil
	var marked error
	switch {
	case idempotency.Marked(err):
		marked = err
	case len(t.made) > 0 && sum.sent == 0:
		marked = idempotency.NotSent(err)
	case answered && sum.effects == 1:
		marked = x.judge(err)
	default:
		marked = err
	}
	if answered && x.answer.replayed && sum.effects == 1 {
		marked = idempotency.Replayed(marked)
	}
	return t.after(marked, x)
}

// summary is what is known of all requests of an attempt.
type summary struct {
	sent    int       // requests that may have left, whatever they were
	effects int       // different ones among those that change something
	decides *exchange // the last of those
	resent  bool      // one of them may have left more than once
}

func (t *trip) sum() (s summary) {
	for i, x := range t.made {
		n := x.sendings()
		if n == 0 {
			continue
		}
		s.sent++
		if !x.changes {
			continue
		}
		s.decides = x
		total, again := n, false
		for _, y := range t.made[:i] {
			if y.changes && y.effect == x.effect && y.sendings() > 0 {
				total += y.sendings()
				again = true
			}
		}
		s.resent = s.resent || total > 1
		if !again {
			s.effects++
		}
	}
	return s
}

// doubt is why an attempt cannot have succeeded although Send says so.
func (t *trip) doubt() error {
	if len(t.made) == 0 {
		return nil
	}
	x := t.made[len(t.made)-1]
	switch {
	case !x.changes: // whatever came before, Send has looked after it
		return nil
	case !x.ended:
		return fmt.Errorf("idemhttp: Send returned no error while its request %s %s was under way: wait for its answer", x.method, x.url.Path)
	case x.err != nil:
		return fmt.Errorf("idemhttp: Send returned no error though its last request failed: %w", x.err)
	case x.broken:
		return fmt.Errorf("idemhttp: Send returned no error though the answer to %s %s broke off", x.method, x.url.Path)
	case x.answer.means == MeansSucceeded: // as far as could be read
		return nil
	}
	return x.explain(nil)
}

// judge marks the error of an attempt by the answer to its only request.
func (x *exchange) judge(err error) error {
	if x.broken { // what was read of it may be half of it
		return err
	}
	switch r := &x.answer; r.means {
	case MeansRejected:
		return idempotency.Rejected(r.code(), x.explain(err))
	case MeansAccepted:
		return idempotency.Accepted(r.ref, r.after)
	case MeansUntouched:
		return idempotency.NotSent(x.explain(err))
	case MeansSucceeded:
		return err
	default:
		return x.explain(err)
	}
}

func (x *exchange) explain(err error) error {
	r := &x.answer
	var have *ReplyError
	if errors.As(err, &have) {
		return err
	}
	code := ""
	if len(r.codes) > 0 {
		code = r.codes[0]
	}
	return &ReplyError{Provider: x.provider, Status: r.status, Means: r.means, Code: code, Message: r.message, Err: err}
}

// after adds how long to wait before the next attempt, if the provider, or a breaker, has said so and the error has not.
func (t *trip) after(err error, x *exchange) error {
	var says interface{ RetryAfter() time.Duration }
	if errors.As(err, &says) {
		return err
	}
	switch {
	case x != nil && x.ended && x.err == nil && x.answer.waits:
		return retry.After(x.answer.after, err)
	case x == nil && len(t.made) > 0 && errors.As(t.made[len(t.made)-1].err, &says):
		return retry.After(says.RetryAfter(), err)
	}
	return err
}
