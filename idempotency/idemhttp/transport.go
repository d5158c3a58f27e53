package idemhttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/breaker"
)

// Transport is the http.RoundTripper of a client that talks to one provider. It is safe for concurrent use, and must not be
// copied or changed after its first request.
//
// What it does depends on a request's context:
//
//   - within [Send], a request with a method that changes something (all but GET, HEAD, OPTIONS and TRACE) carries the
//     attempt's key, and its answer is read. A second one in the same attempt needs a key of its own, see [Sub]. Requests with
//     the other methods carry none; but they count when it is asked whether anything was sent.
//   - with [Aside], a request goes out as it is and counts for nothing.
//   - elsewhere, a request that changes something is refused, and not sent: its context was lost on the way (an SDK that must be
//     told to use it), and without the attempt's key it would be a second call. Others go out as they are.
//
// net/http sends some requests again by itself when a connection fails: those with an Idempotency-Key header over HTTP/1, and
// any over HTTP/2 when the server says that it has not looked at them, or that it did not understand. Transport keeps
// it from doing so where the request has a body, and over HTTP/1 also where it has none; what it cannot prevent it counts, as it
// counts redirects (307, 308) and an SDK's own retries, and tells the call, for which a second sending makes a
// negative answer ambiguous. A connection that the server has closed just when it was to be used again
// fails the attempt for that reason; if the provider knows no keys, that leaves the call unknown, so keep connections there for
// a shorter time than the provider does (http.Transport.IdleConnTimeout), or not at all.
type Transport struct {
	// Provider says where the key goes and what answers mean.
	Provider Provider

	// Base makes the requests. Default http.DefaultTransport. It should report to net/http/httptrace, as http.Transport and what is built upon
	// it does: with a Base that does not, nothing that it was given is ever called not sent. It must not retry by itself.
	Base http.RoundTripper

	// Breakers, if set, are asked before every request, by the host (with its port) that it goes to. A refusal counts as
	// not sent. An error, a deadline that passes, a 5xx and a 429 are failures. Set either these or Call.Breaker.
	Breakers *breaker.Set[string]

	// MaxRetryAfter bounds the Retry-After that is passed on. Default one hour.
	MaxRetryAfter time.Duration

	// MaxRead bounds, in bytes, how much of an answer is read to find out what it means, before it is handed on as it came. A
	// longer one is taken for one that holds no codes. Default 64 KiB.
	MaxRead int

	// MaxBody bounds, in bytes, a request into whose body the key is written (Provider.Field). Default 1 MiB.
	MaxBody int

	once sync.Once
	p    Provider
	err  error
}

// Defaults of Transport.
const (
	defaultMaxRetryAfter = time.Hour
	defaultMaxRead       = 64 << 10
	defaultMaxBody       = 1 << 20
)

// Errors of requests that were refused, and not sent.
var (
	errNoAttempt = errors.New("idemhttp: the request was not sent: it would change something, and its context carries no attempt. " +
		"Put idemhttp.Send around the call's Send, and give every request the context that Send gets; or mark its context with idemhttp.Aside")
	errOver = errors.New("idemhttp: the request was not sent: Send has returned, the attempt is over. Wait for all requests before returning")
)

// Validate says what is wrong with the configuration. Where something is, every request within [Send] is refused with this error.
func (t *Transport) Validate() error {
	t.once.Do(t.prepare)
	return t.err
}

func (t *Transport) prepare() {
	t.p = t.Provider
	t.err = t.p.Validate()
	t.p.setDefaults()
	for _, f := range []struct {
		field string
		value int64
		shown any
	}{
		{"MaxRetryAfter", int64(t.MaxRetryAfter), t.MaxRetryAfter}, {"MaxRead", int64(t.MaxRead), t.MaxRead}, {"MaxBody", int64(t.MaxBody), t.MaxBody},
	} {
		if f.value < 0 && t.err == nil {
			t.err = fmt.Errorf("idemhttp: Transport.%s is %v: use a positive value, or zero for the default", f.field, f.shown)
		}
	}
	if t.err == nil && t.Breakers != nil {
		if err := t.Breakers.Validate(); err != nil {
			t.err = fmt.Errorf("idemhttp: Transport.Breakers: %w", err)
		}
	}
}

func (t *Transport) maxRetryAfter() time.Duration {
	return orDefault(t.MaxRetryAfter, defaultMaxRetryAfter)
}
func (t *Transport) maxRead() int { return orDefault(t.MaxRead, defaultMaxRead) }
func (t *Transport) maxBody() int { return orDefault(t.MaxBody, defaultMaxBody) }

func orDefault[N int | time.Duration](n, zero N) N {
	if n == 0 {
		return zero
	}
	return n
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip makes one request. Its errors are those of Base, or say why nothing was sent.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.Validate(); err != nil {
		return t.refuse(req, err)
	}
	ctx := req.Context()
	s := scopeOf(ctx)
	changes := changesSomething(req.Method)
	switch {
	case s.aside, s.trip == nil && !changes:
		return t.guarded(req, new(bool))
	case s.trip == nil:
		return t.refuse(req, errNoAttempt)
	}

	key := ""
	if changes && !t.p.NoKey {
		key = s.key()
	}
	x, err := s.trip.begin(req, key, changes)
	if err != nil {
		return t.refuse(req, err)
	}
	res, err := t.exchange(ctx, req, x)
	x.end(err)
	return res, err
}

// exchange makes a request that counts.
func (t *Transport) exchange(ctx context.Context, req *http.Request, x *exchange) (*http.Response, error) {
	if ctx.Err() != nil {
		x.refused = true
		return t.refuse(req, context.Cause(ctx))
	}
	x.trace.GetConn = x.getConn
	x.trace.GotConn = x.gotConn
	out := req.WithContext(httptrace.WithClientTrace(ctx, &x.trace))
	if x.changes {
		if err := t.prime(out, x); err != nil {
			x.refused = true
			return t.refuse(req, err)
		}
	}
	res, err := t.guarded(out, &x.refused)
	if err != nil {
		return nil, err
	}
	if x.changes && res != nil { // a Base that returns neither is http.Client's to complain about
		t.read(res, x)
	}
	return res, nil
}

// prime gives the key to a request, a copy of the caller's, and takes from net/http what it would send it again with (T46).
func (t *Transport) prime(out *http.Request, x *exchange) error {
	key := x.key
	empty := out.Body == nil || out.Body == http.NoBody
	if err := checkRequest(out); err != nil {
		return err
	}
	if !t.p.NoKey {
		if err := t.p.checkKey(key); err != nil {
			return err
		}
		if t.p.Field != "" {
			if err := t.putField(out, key); err != nil {
				return err
			}
			empty = false
		}
	}
	if !empty {
		out.GetBody = nil
	}
	header := make(http.Header, len(out.Header)+1)
	for name, values := range out.Header {
		switch {
		case len(name) == len(t.p.Header) && strings.EqualFold(name, t.p.Header):
			continue // an SDK's own key, which would be another one for every attempt
		case empty && resends(name):
			name = strings.ToLower(name)
		}
		header[name] = values
	}
	if t.p.Header != "" {
		name := t.p.Header
		if empty && resends(name) {
			name = strings.ToLower(name)
		}
		if t.p.Quoted {
			key = quoted(key)
		}
		x.value[0] = key
		header[name] = x.value[:]
	}
	out.Header = header
	return nil
}

// resends says whether net/http takes a header for the permission to send a request again. It looks for the canonical name
// only; on the wire, case makes no difference.
func resends(name string) bool { return name == "Idempotency-Key" || name == "X-Idempotency-Key" }

// putField writes the key into the body.
func (t *Transport) putField(out *http.Request, key string) error {
	var body []byte
	if out.Body != nil && out.Body != http.NoBody {
		limit := t.maxBody()
		var err error
		body, err = io.ReadAll(io.LimitReader(out.Body, int64(limit)+1))
		closeErr := out.Body.Close()
		if err = errors.Join(err, closeErr); err != nil {
			return fmt.Errorf("idemhttp: the request was not sent: its body, which the key is to be written into, could not be read: %w", err)
		}
		if len(body) > limit {
			return fmt.Errorf("idemhttp: the request was not sent: its body, which the key is to be written into, has more than %d bytes (Transport.MaxBody): raise that", limit)
		}
	}
	body, err := withField(body, out.Header.Get("Content-Type"), t.p.Field, key)
	if err != nil {
		return err
	}
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.ContentLength = int64(len(body))
	out.TransferEncoding = nil
	return nil
}

// guarded asks the host's breaker and makes the request, or sets refused.
func (t *Transport) guarded(req *http.Request, refused *bool) (*http.Response, error) {
	if t.Breakers == nil || req.URL == nil {
		return t.base().RoundTrip(req)
	}
	done, err := t.Breakers.Get(strings.ToLower(req.URL.Host)).Allow()
	if err != nil {
		*refused = true
		return t.refuse(req, err)
	}
	reported := errors.New("idemhttp: the request did not come back") // a panic
	defer func() { done(reported) }()
	res, err := t.base().RoundTrip(req)
	switch {
	case err != nil && errors.Is(req.Context().Err(), context.Canceled): // T44
		reported = context.Canceled
	case err != nil:
		reported = err
	case res == nil:
	case res.StatusCode >= http.StatusInternalServerError, res.StatusCode == http.StatusTooManyRequests:
		reported = fmt.Errorf("idemhttp: status %d", res.StatusCode)
	default:
		reported = nil
	}
	return res, err
}

// refuse ends a request that was not sent. A RoundTripper closes the body whatever happens.
func (t *Transport) refuse(req *http.Request, err error) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, err
}

// changesSomething says whether a method is not one of the safe ones (RFC 9110, section 9.2.1).
func changesSomething(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return true
}
