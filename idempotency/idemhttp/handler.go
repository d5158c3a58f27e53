package idemhttp

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Config configures a [Handler]. Name and Principal are required; the zero value of every other field is safe.
type Config struct {
	// Name names the operation ("api"). It is part of every key: it never changes, and differs between the handlers and calls that share a
	// store and must not meet.
	Name string

	// Principal says whose request it is: an account or a customer, as the server has authenticated it, never what the client merely
	// claims, and not a credential, since it is stored. Keys of different principals never meet, so that nobody is shown somebody else's
	// response. It has no default, because any default would mix tenants: [SingleTenant] says that there is one. An error is answered
	// with 403, unless it is a *[Problem], which is answered as it is; an empty principal is refused with 500.
	Principal func(r *http.Request) (string, error)

	// Methods are the methods that need a key. Requests with others pass through untouched. Default: POST and PATCH, which are the
	// methods that HTTP does not call idempotent; GET, HEAD, OPTIONS and TRACE are refused.
	Methods []string

	// Optional lets requests without a key pass through, unprotected. By default they are answered with 400.
	Optional bool

	// Bare accepts a key without quotes too (Idempotency-Key: 8e03978e-40d5), as most clients send it, though the draft asks for a
	// structured-field string. Both forms name the same key.
	Bare bool

	// CheckKey refuses keys that are not of the published form, by an error for the client to read. Nil: 1 to 255 printable
	// ASCII characters.
	CheckKey func(key string) error

	// MaxBody bounds the body of a request, in bytes: a longer one is answered with 413. Default 1 MiB.
	MaxBody int64

	// SpoolAbove is how much of a body is kept in memory while its fingerprint is taken; a longer one goes to a temporary
	// file. Default 64 KiB.
	SpoolAbove int

	// MaxResponse bounds a recorded response, in bytes. A longer one reaches its client, and is recorded without its body:
	// a repetition is told so ([ResponseOmitted]). Default 1 MiB.
	MaxResponse int

	// FingerprintHeaders are request headers that belong to what makes a request the same one, beside method, path, query,
	// Content-Type, Content-Encoding and body.
	FingerprintHeaders []string

	// Fingerprint writes to w what makes a request the same one, in the place of query, headers and body: method and path always
	// belong to it. For bodies with volatile parts. A *[Problem] as its error is answered as it is, another one with 400. Nil: all of it.
	Fingerprint func(w io.Writer, r *http.Request, body io.Reader) error

	// ReplayHeaders are response headers that are recorded and replayed beside those of [ReplayedHeaders]. Cookies, credentials and what
	// belongs to one connection or moment are refused.
	ReplayHeaders []string

	// Classify says what a response means, where the handler has not said it itself ([SetEffect]). Nil: below 500 the request
	// took effect, or was definitely refused; from 500 on nobody knows.
	Classify func(r *http.Request, status int) Effect

	// Harmless says that a request may be executed again after its outcome became unknown. By default it never is: somebody must
	// find out first; see [Config.Call].
	Harmless bool

	// Wait is how long a repetition waits for the first request, before it is answered with 409. Zero: not at all.
	Wait time.Duration

	// RetryAfter is what clients are told to wait while the first request is under way, in whole seconds. Default 1 s.
	RetryAfter time.Duration

	// Timeout bounds one execution: then the context of its request ends. It does not end when the client goes away: the
	// client's next attempt finds the response. Default 1 min.
	Timeout time.Duration

	// Grace is how long the handler may take to return after that. Then its claim is no longer renewed and its outcome counts
	// as unknown; what it answers later still counts. Default 1 s.
	Grace time.Duration

	// Lease is how long a claim lasts unless it is renewed, and so how long a request of a crashed process is "under way". It is
	// renewed at a third of its length. Default 30 s.
	Lease time.Duration

	// Retention is how long responses are kept for repetitions. Publish it: see [Specification]. Default 24 h.
	Retention time.Duration

	// StubFor is how long it is remembered after that that a key was used ([KeyExpired]). A client that comes back later than that is served
	// anew. Zero: for ever.
	StubFor time.Duration

	// SettleFor is how long an outcome that the store does not take is offered to it again. Default 10 min.
	SettleFor time.Duration

	// Poll is the longest time between two looks at a request that another process executes, while somebody waits for
	// it. Default 1 s.
	Poll time.Duration

	// Docs is the URL of the page that documents how the service uses keys ([Specification] can be that page). Problems link to it, and their
	// types are its fragments. Empty: the types are those of this package's documentation.
	Docs string

	// WriteProblem renders problems in the service's own shape. Nil: [Problem.ServeHTTP].
	WriteProblem func(w http.ResponseWriter, r *http.Request, p *Problem)

	// Background, if set, counts what goes on after its request was answered: outcomes that could not be recorded at once.
	// Wait for it after http.Server.Shutdown.
	Background *sync.WaitGroup

	// Hooks are told what happens. Attempt is called for every execution, with the class "succeeded", "not sent" (it had no effect) or
	// "unknown"; Asked, NotifyError and Oldest never are.
	Hooks idempotency.Hooks
}

// Handler makes middleware that executes each request with an Idempotency-Key once, and replays its response to every
// repetition, after draft-ietf-httpapi-idempotency-key-header. Config says what is a repetition, and of whose request.
//
// The claim of a key is recorded before the handler runs, and its response before the client sees it, unless the handler flushes.
// What is executed is never executed again on a guess: a handler that answers 5xx, panics, or whose process dies, leaves an outcome
// that is unknown, and repetitions are answered with [OutcomeUnknown] until it is settled ([Config.Call]). A handler that knows better
// says so with [SetEffect]. While the store cannot be asked, nothing is executed (503).
//
// Put it inside authentication and rate limiting, whose refusals must not be recorded, and outside whatever compresses. The handler sees a
// request whose context outlives the client's connection (see [Config].Timeout), with a body that has been read. Flushing and streaming
// work; hijacking is refused, since nobody could record what is said then.
func Handler(store idempotency.Store, config Config) (func(http.Handler) http.Handler, error) {
	if v := reflect.ValueOf(store); store == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("idemhttp: the store is nil: use memstore.New to try things out, a shared one in production")
	}
	if err := config.prepare(); err != nil {
		return nil, err
	}
	m := newMiddleware(store, &config)
	return func(next http.Handler) http.Handler { return &handler{m, next} }, nil
}

// SingleTenant is a [Config.Principal] for a service whose requests all belong to one tenant.
func SingleTenant(name string) func(*http.Request) (string, error) {
	return func(*http.Request) (string, error) { return name, nil }
}

// prepare sets defaults and says what is wrong, in the words of the field, its value and the remedy.
func (c *Config) prepare() error {
	if err := (idempotency.ID{Operation: c.Name, Key: "x"}).Validate(); err != nil {
		return fmt.Errorf("idemhttp: Config.Name %q: %w", c.Name, err)
	}
	if c.Principal == nil {
		return fmt.Errorf("idemhttp: Config.Principal of %q is nil: say whose request it is, or that there is one tenant (SingleTenant)", c.Name)
	}
	if len(c.Methods) == 0 {
		c.Methods = []string{http.MethodPost, http.MethodPatch}
	}
	for _, method := range c.Methods {
		switch method {
		case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect, "":
			return fmt.Errorf("idemhttp: Config.Methods of %q has %q: it has no effect that could happen twice, or no response that could be replayed; leave it out", c.Name, method)
		}
	}
	if err := c.prepareSizes(); err != nil {
		return err
	}
	if err := c.prepareTimes(); err != nil {
		return err
	}
	for _, name := range c.ReplayHeaders {
		if neverReplayed(name) || strings.HasPrefix(http.CanonicalHeaderKey(name), http.TrailerPrefix) {
			return fmt.Errorf("idemhttp: Config.ReplayHeaders of %q has %q, which belongs to one client, connection or moment: leave it out", c.Name, name)
		}
	}
	if u, err := url.Parse(c.Docs); err != nil || c.Docs != "" && (!u.IsAbs() || u.Fragment != "" || strings.ContainsAny(c.Docs, "<>\"\r\n")) {
		return fmt.Errorf("idemhttp: Config.Docs of %q is %q: use an absolute URL without a fragment", c.Name, c.Docs)
	}
	return nil
}

func (c *Config) prepareSizes() error {
	if c.MaxBody < 0 || c.SpoolAbove < 0 || c.MaxResponse < 0 {
		return fmt.Errorf("idemhttp: Config of %q: MaxBody is %d, SpoolAbove %d, MaxResponse %d: use positive numbers, or zero for the default",
			c.Name, c.MaxBody, c.SpoolAbove, c.MaxResponse)
	}
	if c.MaxBody == 0 {
		c.MaxBody = 1 << 20
	}
	if c.SpoolAbove == 0 {
		c.SpoolAbove = 64 << 10
	}
	if c.MaxResponse == 0 {
		c.MaxResponse = 1 << 20
	}
	c.MaxBody = min(c.MaxBody, math.MaxInt64-1) // one more is read, to see the end
	return nil
}

func (c *Config) prepareTimes() error {
	for _, d := range []struct {
		field    string
		value    *time.Duration
		zero     time.Duration
		shortest time.Duration
	}{
		{"Wait", &c.Wait, 0, 0},
		{"RetryAfter", &c.RetryAfter, time.Second, 0},
		{"Timeout", &c.Timeout, time.Minute, time.Millisecond},
		{"Grace", &c.Grace, time.Second, time.Millisecond},
		{"Lease", &c.Lease, 30 * time.Second, time.Millisecond},
		{"Retention", &c.Retention, 24 * time.Hour, 0},
		{"StubFor", &c.StubFor, idempotency.Never, 0},
		{"SettleFor", &c.SettleFor, 10 * time.Minute, time.Millisecond},
		{"Poll", &c.Poll, time.Second, time.Millisecond},
	} {
		if *d.value == 0 {
			*d.value = d.zero
		}
		if *d.value < d.shortest {
			return fmt.Errorf("idemhttp: Config.%s of %q is %v: use a positive duration with its unit, or zero for the default", d.field, c.Name, *d.value)
		}
	}
	return nil
}

// middleware is what all handlers of one Handler share.
type middleware struct {
	Config
	store    idempotency.Store
	peeker   idempotency.Peeker  // nil if the store has none
	replayed map[string]struct{} // the allow-list, in canonical form
	covered  []string            // the headers of the fingerprint, sorted, in canonical form
	leases   leases
	later    later
	rounds   rounds
}

func newMiddleware(store idempotency.Store, config *Config) *middleware {
	m := &middleware{Config: *config, store: store, replayed: map[string]struct{}{}}
	m.peeker, _ = store.(idempotency.Peeker)
	for _, names := range [][]string{ReplayedHeaders(), config.ReplayHeaders} {
		for _, name := range names {
			m.replayed[http.CanonicalHeaderKey(name)] = struct{}{}
		}
	}
	for _, name := range config.FingerprintHeaders {
		m.covered = append(m.covered, http.CanonicalHeaderKey(name))
	}
	slices.Sort(m.covered)
	m.covered = slices.Compact(m.covered)
	m.leases.m, m.later.m, m.rounds.m = m, m, m
	m.leases.held = map[idempotency.ID]*claim{}
	m.rounds.open = map[idempotency.ID]*round{}
	return m
}
