package idempotency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/retry"
)

// Call describes one kind of external call: how it is made, and what its provider promises. Name, Send and the types are
// all that is required; the zero value of every other field is safe, which means that without a promise nothing is ever
// sent twice.
type Call[In, Out any] struct {
	// Name names the operation ("charge"). It is part of every key: it never changes, and differs between the calls that
	// share a store.
	Name string

	// Send makes one attempt. It is given the request as the Codec reads it back from what was stored, so that all
	// attempts, of all processes, send the same. It must pass a.Key to the provider with the request, must not retry by itself (turn an
	// SDK's own retries off; set GetBody of an http.Request with an Idempotency-Key header to nil, or net/http sends it
	// again by itself when a kept-alive connection dies), and should respect ctx. It passes a provider's Retry-After on
	// with retry.After. Its error says what happened: see [Rejected], [Accepted],
	// [NotSent] and [Replayed]; any other error, and a panic, mean that the outcome is unknown. It is called from
	// several goroutines, but never twice at once for one key in one process.
	Send func(ctx context.Context, a Attempt, in In) (Out, error)

	// Namespace keeps the provider keys of deployments that share an account at the provider apart ("shop-prod",
	// "shop-staging"). Required with KeyLife. It never changes.
	Namespace string

	// KeyLife is how long the provider remembers a.Key and answers a repetition with the first result. Zero: it does not.
	KeyLife time.Duration

	// Lookup asks the provider what became of the call: by a.Ref if that is set, else by a.Key, a.Scope and a.ID, as Send
	// gave them to the provider. An error means [DontKnow]. Nil: the provider cannot be asked. Needs Settling.
	Lookup func(ctx context.Context, a Attempt, in In) (Verdict[Out], error)

	// Settling is how long after its sending a request may still take effect at the provider, or, put the other way, how
	// old the last sending must be before "there is no such charge" is believed. Required with Lookup.
	Settling time.Duration

	// Harmless says that the call may be made any number of times (an e-mail rather twice than never).
	Harmless bool

	// KeyedErrors says whether the provider stores this rejection under the provider key and repeats it, so that it
	// answers every sending with that key. Nil: it stores none, and a rejection that comes after an attempt with an unknown
	// outcome may be the echo of that one: it settles the call only once Lookup, late enough, says that nothing happened.
	KeyedErrors func(*Rejection) bool

	// Timeout bounds one attempt, and one Lookup. Default 10 s.
	Timeout time.Duration

	// Grace is how long a Send whose context has ended may take to return. Then the attempt is over, with an unknown
	// outcome; a success that Send returns later is handed in as a verdict. Default 1 s.
	Grace time.Duration

	// Lease is how long a claim lasts unless it is renewed, and so how long a call of a crashed process waits for another
	// one to take it over. It is renewed at a third of its length. Default 30 s.
	Lease time.Duration

	// Retry bounds what one Do, or one turn of Run, tries. Its zero value makes up to 4 attempts; one that the breaker
	// refused counts. Between turns a call rests by the same policy, its delays growing with every attempt up to 30 times
	// Max.
	Retry retry.Policy

	// Breaker, if set, is asked before every attempt. A refusal counts as not sent.
	Breaker *breaker.Breaker

	// MaxInFlight bounds the attempts and questions under way at once in this wrapper. One too many counts as not sent. Zero: no bound.
	MaxInFlight int

	// GiveUp is when a call that has not been settled is given up, counted from its first Do or Start: one that was never
	// sent is cancelled, another is abandoned. Zero: never.
	GiveUp time.Duration

	// Retention is how long the request and the value of a settled call are kept. It is not below KeyLife. Default: 30
	// days, or KeyLife if that is longer. After it, Do answers [ErrExpired].
	Retention time.Duration

	// StubFor is how long the rest of a settled call (key, fingerprint, state) is kept after Retention. A client that
	// comes back later than that is charged again. Zero: for ever.
	StubFor time.Duration

	// SettleFor is how long an outcome that the store does not take is offered to it again. Default 10 min.
	SettleFor time.Duration

	// Poll is how often Run looks for due calls, and the longest time between two looks at a call that another process
	// has under way. Default 1 s. Both are jittered.
	Poll time.Duration

	// Concurrency bounds how many calls Run and Recover drive at once. Default 8.
	Concurrency int

	// MaxBytes bounds an encoded request, which is refused above it, and an encoded value, which is then left out of the
	// record ([ErrValueOmitted]). Default 1 MiB.
	MaxBytes int

	// CacheBytes bounds, roughly, the memory in which the wrapper keeps settled calls, so that replays need not ask the
	// store. An outcome is answered from there for Retention at most, as this wrapper sets it. It is not used with a
	// store that has a memory of its own ([Peeker]). Default 4 MiB; negative: every replay asks the store.
	CacheBytes int

	// Scoped refuses calls without a scope (For), where every key must belong to somebody.
	Scoped bool

	// Fingerprint returns the part of a request that makes it the same request, leaving out volatile fields. It is
	// encoded as JSON. Nil: all of it.
	Fingerprint func(in In) any

	// Codec turns In and Out into bytes. Default [JSON].
	Codec Codec

	// OnSettled is told of every call that settles or is abandoned, whoever learned of it: this process, another one, a
	// webhook, an operator. See [Settled]. Until it has returned nil, Run calls it again; an error does not undo the
	// outcome. It must not take longer than Lease, nor, on a store with transactions, than a quarter of Lease or 2 s, whatever is
	// less: its context ends then, and it is called again. A Do that made the call returns after it.
	//
	// On a store with transactions ([TxSettler]) it runs in the settling transaction, and its effects there happen exactly
	// once. Elsewhere it is called at least once: start what follows first, under keys derived from this call's
	// ([KeyFrom]), and move your own state last, so that a repetition does no harm.
	OnSettled func(ctx context.Context, s Settled[In, Out]) error

	// Hooks are told what happens.
	Hooks Hooks
}

// Settled is what OnSettled is told.
type Settled[In, Out any] struct {
	Scope string
	Key   string
	In    In
	// State is StateSucceeded, StateRejected, StateCancelled or StateAbandoned.
	State State
	// Value is set in StateSucceeded, and with Late. Omitted says that it could not be stored.
	Value   Out
	Omitted bool
	// Rejection is set in StateRejected.
	Rejection *Rejection
	// Late says that an abandoned call turned out to have happened: compensate for it (refund it).
	Late bool
}

// Attempt is what Send and Lookup are given.
type Attempt struct {
	// Key is the provider key: the same for every attempt of this call. It is KeyFrom(Namespace, Name, Scope, ID).
	Key string
	// Scope and ID are the caller's scope and key. Put both into the provider's metadata, so that a webhook or a lookup
	// finds its way back.
	Scope string
	ID    string
	// Number counts this call's attempts, from 1. Attempts of a process that crashed are not counted.
	Number int
	// FirstSent is when the first attempt may have been sent, by this process's clock.
	FirstSent time.Time
	// Ref is the provider's id of an accepted call, for Lookup. It is empty if an earlier attempt may have had an effect
	// too: look that up by Key.
	Ref string

	resent *bool
}

// Sub derives the provider key of a second request that the same Send makes, such as a confirmation. It is as constant as
// Key.
func (a Attempt) Sub(name string) string { return KeyFrom("sub", a.Key, name) }

// Resent says that this attempt's request went out more than once, as transports do behind their caller's back. A
// negative answer is then not taken for the answer to all of them. It must be called before Send returns.
func (a Attempt) Resent() {
	if a.resent != nil {
		*a.resent = true
	}
}

// Defaults of Call, and limits that are not configurable.
const (
	defaultTimeout     = 10 * time.Second
	defaultGrace       = time.Second
	defaultLease       = 30 * time.Second
	defaultRetention   = 30 * 24 * time.Hour
	defaultSettleFor   = 10 * time.Minute
	defaultPoll        = time.Second
	defaultConcurrency = 8
	defaultMaxBytes    = 1 << 20
	defaultCacheBytes  = 4 << 20
	minKeyMargin       = time.Minute

	shortest = time.Millisecond
	longest  = 365 * 24 * time.Hour
)

// prepare sets defaults and says what is wrong, in the words of the field, its value and the remedy.
func (c *Call[In, Out]) prepare() error {
	if err := (ID{Operation: c.Name, Key: "x"}).Validate(); err != nil {
		return fmt.Errorf("idempotency: Call.Name %q: %w", c.Name, err)
	}
	if c.Send == nil {
		return fmt.Errorf("idempotency: Call.Send of %q is nil: set the function that makes the call", c.Name)
	}
	for _, d := range []struct {
		field string
		value *time.Duration
		zero  time.Duration
	}{
		{"KeyLife", &c.KeyLife, 0},
		{"Settling", &c.Settling, 0},
		{"Timeout", &c.Timeout, defaultTimeout},
		{"Grace", &c.Grace, defaultGrace},
		{"Lease", &c.Lease, defaultLease},
		{"GiveUp", &c.GiveUp, Never},
		{"Retention", &c.Retention, max(defaultRetention, c.KeyLife)},
		{"StubFor", &c.StubFor, Never},
		{"SettleFor", &c.SettleFor, defaultSettleFor},
		{"Poll", &c.Poll, defaultPoll},
	} {
		if *d.value < 0 {
			return fmt.Errorf("idempotency: Call.%s of %q is %v: use a positive duration, or zero for the default", d.field, c.Name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"Timeout", c.Timeout}, {"Grace", c.Grace}, {"Lease", c.Lease}, {"Settling", c.Settling}, {"SettleFor", c.SettleFor}, {"Poll", c.Poll},
	} {
		if d.value != 0 && (d.value < shortest || d.value > longest) {
			return fmt.Errorf("idempotency: Call.%s of %q is %v: use something between %v and a year, with its unit", d.field, c.Name, d.value, shortest)
		}
	}
	for _, n := range []struct {
		field string
		value *int
		zero  int
	}{
		{"MaxInFlight", &c.MaxInFlight, 0},
		{"Concurrency", &c.Concurrency, defaultConcurrency},
		{"MaxBytes", &c.MaxBytes, defaultMaxBytes},
	} {
		if *n.value < 0 {
			return fmt.Errorf("idempotency: Call.%s of %q is %d: use a positive number, or zero for the default", n.field, c.Name, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.zero
		}
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = defaultCacheBytes
	}
	if c.Codec == nil {
		c.Codec = JSON
	}
	if c.KeyLife > 0 && c.Namespace == "" {
		return fmt.Errorf("idempotency: Call.Namespace of %q is empty while KeyLife is %v: name the deployment (%q), so that staging and production derive different provider keys", c.Name, c.KeyLife, "shop-prod")
	}
	if len(c.Namespace) > MaxKey {
		return fmt.Errorf("idempotency: Call.Namespace of %q is %d bytes long: use at most %d", c.Name, len(c.Namespace), MaxKey)
	}
	if margin := c.keyMargin(); c.KeyLife > 0 && c.KeyLife <= margin {
		return fmt.Errorf("idempotency: Call.KeyLife of %q is %v, not above its margin of %v (Timeout + Grace + Settling, at least a minute): lower those, or set KeyLife to zero, so that the provider's memory is not relied upon", c.Name, c.KeyLife, margin)
	}
	if c.Retention < c.KeyLife {
		return fmt.Errorf("idempotency: Call.Retention of %q is %v, below KeyLife %v: keep outcomes at least as long as the provider keeps its keys", c.Name, c.Retention, c.KeyLife)
	}
	if c.Lookup != nil && c.Settling == 0 {
		return fmt.Errorf("idempotency: Call.Settling of %q is zero while Lookup is set: say how long after a sending it may still take effect, for example %v", c.Name, time.Minute)
	}
	if c.Breaker != nil {
		if err := c.Breaker.Validate(); err != nil {
			return fmt.Errorf("idempotency: Call.Breaker of %q: %w", c.Name, err)
		}
	}
	if err := c.Retry.Validate(); err != nil {
		return fmt.Errorf("idempotency: Call.Retry of %q: %w", c.Name, err)
	}
	return errors.Join(tryCodec[In](c.Codec, "In"), tryCodec[Out](c.Codec, "Out"))
}

// keyMargin is what must be left of a key's life for a sending: time for the attempt, and for it to land.
func (c *Call[In, Out]) keyMargin() time.Duration {
	return max(minKeyMargin, c.Timeout+c.Grace+c.Settling)
}
