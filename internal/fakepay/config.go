package fakepay

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Mode says what the provider does with idempotency keys and questions.
type Mode string

// The modes.
const (
	Keys Mode = "keys" // remembers keys for Config.KeyLife, and can be asked
	Ask  Mode = "ask"  // ignores keys; can be asked by reference
	None Mode = "none" // ignores keys, and answers no question about charges
)

// Defaults for zero fields.
const (
	DefaultKeyLife = 24 * time.Hour
	DefaultDelay   = 30 * time.Second // of a Fault that needs one
)

// Limits of the input.
const (
	MaxBodyBytes   = 64 << 10
	MaxAmountCents = 100_000_000
	MaxTextBytes   = 255 // keys, references, sources, metadata
	MaxMetadata    = 50
)

// Config says how the provider behaves. The zero value is a good provider that remembers keys for a day.
type Config struct {
	Seed  uint64
	Speed float64 // provider seconds per real second; 0: 1

	Mode         Mode          // "": Keys
	KeyLife      time.Duration // how long a key is remembered, from its first request; 0: DefaultKeyLife
	ReplayErrors bool          // declines are stored under the key and replayed, as the Stripe API always does; else they free it

	Latency    Latency            // what a request takes until it has its effect
	Faults     []Fault            // each with its Rate; together at most 1
	Scripts    map[string][]Fault // by reference (or key): what its first request meets, its second, …; see Conditions
	FaultReads bool               // Faults are drawn for GET, too
	Outages    []Outage

	SearchLag time.Duration // how long until the Stripe API's search finds a new intent

	DecideAfter time.Duration // when an accepted charge is decided; 0: only by Decide
	Webhook     Webhook

	// OnAttempt is told of every request twice: when it arrives, and (with Done) when it is over. OnEvent is told of
	// every effect at once, with or without a webhook. Both are called without locks held, by many goroutines.
	OnAttempt func(Attempt)
	OnEvent   func(Event)
}

// Outage is a time in which every request meets the same fault.
type Outage struct {
	From, To time.Duration // since the server began
	Fault    Fault         // zero: Unavailable
}

// Webhook says where events are sent. The zero value sends none.
type Webhook struct {
	URL       string
	Secret    string        // for Sign; required with URL
	Delay     Latency       // between the event and its first delivery
	Duplicate float64       // rate of events that are delivered twice
	Attempts  int           // until a delivery is given up, at most 20; 0: 5
	Backoff   time.Duration // before the second attempt, doubled each time up to an hour; 0: 1 s
	Timeout   time.Duration // of one attempt; 0: 10 s
	Client    *http.Client  // nil: one of its own
}

// Conditions are what can be changed while the server runs.
//
// A script is found by the reference (or key) for POST /charges; for other requests, by the operation and the charge's
// reference, as in "refund:order-7" or "lookup:order-7". Each request uses up one entry; after the last, Faults apply again.
type Conditions struct {
	Latency *Latency           `json:"latency,omitempty"`
	Faults  *[]Fault           `json:"faults,omitempty"`
	Scripts map[string][]Fault `json:"scripts,omitempty"` // nil: unchanged; else these replace all
}

func (c Config) withDefaults() Config {
	if c.Speed == 0 {
		c.Speed = 1
	}
	if c.Mode == "" {
		c.Mode = Keys
	}
	if c.KeyLife == 0 {
		c.KeyLife = DefaultKeyLife
	}
	if c.Webhook.Attempts == 0 {
		c.Webhook.Attempts = 5
	}
	if c.Webhook.Backoff == 0 {
		c.Webhook.Backoff = time.Second
	}
	if c.Webhook.Timeout == 0 {
		c.Webhook.Timeout = 10 * time.Second
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	bad := func(field string, value any, remedy string) {
		errs = append(errs, fmt.Errorf("fakepay: Config.%s is %v: %s", field, value, remedy))
	}
	if !(c.Speed > 0 && c.Speed <= 1e6) { // also refuses NaN
		bad("Speed", c.Speed, "use more than 0 and at most 1e6")
	}
	if c.Mode != Keys && c.Mode != Ask && c.Mode != None {
		bad("Mode", c.Mode, "use keys, ask or none")
	}
	if c.KeyLife < 0 {
		bad("KeyLife", c.KeyLife, "use a positive time")
	}
	if c.SearchLag < 0 {
		bad("SearchLag", c.SearchLag, "use a positive time, or 0 for none")
	}
	if c.DecideAfter < 0 {
		bad("DecideAfter", c.DecideAfter, "use a positive time, or 0 to decide by hand")
	}
	errs = append(errs, c.Latency.validate("Latency"), validateMix(c.Faults), validateScripts(c.Scripts))
	for i, o := range c.Outages {
		if o.From < 0 || o.To <= o.From {
			bad(fmt.Sprintf("Outages[%d]", i), fmt.Sprintf("%v to %v", o.From, o.To), "let it end after it begins")
		}
		errs = append(errs, o.Fault.validate())
	}
	w := c.Webhook
	if w.URL != "" {
		if u, err := url.Parse(w.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			bad("Webhook.URL", w.URL, "use an absolute http or https URL")
		}
		if w.Secret == "" {
			bad("Webhook.Secret", "empty", "set the secret that the receiver verifies with")
		}
	}
	if !(w.Duplicate >= 0 && w.Duplicate <= 1) {
		bad("Webhook.Duplicate", w.Duplicate, "use a rate from 0 to 1")
	}
	if w.Attempts < 0 || w.Attempts > 20 {
		bad("Webhook.Attempts", w.Attempts, "use 1 to 20, or 0 for the default")
	}
	if w.Backoff < 0 || w.Backoff > time.Hour {
		bad("Webhook.Backoff", w.Backoff, "use at most an hour, or 0 for the default")
	}
	if w.Timeout < 0 {
		bad("Webhook.Timeout", w.Timeout, "use a positive time, or 0 for the default")
	}
	errs = append(errs, w.Delay.validate("Webhook.Delay"))
	return errors.Join(errs...)
}
