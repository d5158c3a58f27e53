package model

import (
	crypto "crypto/rand"
	"fmt"
	"math/rand/v2"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Client asks at random what a client of a store asks: it remembers what it saw of the key, and the claims that it was granted.
type Client struct {
	ID   idempotency.ID
	Name string
	Rand *rand.Rand

	n      int
	seen   View
	leases []idempotency.Lease
}

// Next returns the next question.
func (c *Client) Next() *Input {
	c.n++
	in := &Input{ID: c.ID}
	switch n := c.Rand.IntN(100); {
	case n < 30:
		in.Op, in.Claim = Acquire, c.claim()
	case n < 40:
		in.Op, in.Token = AcquireDue, c.token()
	case n < 50:
		in.Op, in.Lease, in.Sending = Extend, c.lease(), c.Rand.IntN(2) == 0
	case n < 72:
		in.Op, in.Lease, in.Outcome = Settle, c.lease(), c.outcome()
	case n < 84:
		in.Op, in.Lease, in.Outcome = Settle, idempotency.Lease{ID: c.ID, Fence: c.seen.Fence}, c.outcome()
		switch m := c.Rand.IntN(10); {
		case m < 3:
			in.Outcome.State, in.Lease.Fence = idempotency.StateCancelled, 0
		case m == 3:
			in.Outcome.State = idempotency.StateSucceeded
		case in.Lease.Fence == 0:
			in.Lease.Fence = 1
		}
	default:
		in.Op = Get
	}
	return in
}

// Saw tells the client what it was answered.
func (c *Client) Saw(in *Input, out *Output) {
	if out.Unknown || !out.Found {
		return
	}
	c.seen = out.View
	if !out.View.Owned {
		return
	}
	l := idempotency.Lease{ID: c.ID, Fence: out.View.Fence}
	switch in.Op {
	case Acquire:
		l.Token = in.Claim.Token
	case AcquireDue:
		l.Token = in.Token
	default:
		return
	}
	c.leases = append(c.leases, l)
}

// token is new, whatever Rand is.
func (*Client) token() (t idempotency.Token) {
	_, _ = crypto.Read(t[:])
	return t
}

func (c *Client) claim() idempotency.Claim {
	claim := idempotency.Claim{
		ID: c.ID, Token: c.token(), Fence: c.seen.Fence, Sending: c.Rand.IntN(2) == 0, Lease: Leased,
		Fingerprint: []byte("fingerprint"), Request: fmt.Appendf(nil, "%s %d", c.Name, c.n),
		GiveUp: idempotency.Never, Retention: Leased, StubFor: idempotency.Never,
	}
	switch c.Rand.IntN(20) {
	case 0, 1, 2:
		claim.Mode = idempotency.ClaimSchedule
	case 3:
		claim.Mode = idempotency.ClaimTombstone
	case 4:
		claim.Fence = c.Rand.Uint64N(c.seen.Fence + 2)
	}
	return claim
}

// lease is the last one that was held, an older one, or one that never was.
func (c *Client) lease() idempotency.Lease {
	if n := len(c.leases); n > 0 && c.Rand.IntN(6) > 0 {
		if c.Rand.IntN(4) > 0 {
			return c.leases[n-1]
		}
		return c.leases[c.Rand.IntN(n)]
	}
	return idempotency.Lease{ID: c.ID, Fence: c.seen.Fence, Token: c.token()}
}

func (c *Client) outcome() idempotency.Outcome {
	states := [...]idempotency.State{ // settled ones seldom: nothing happens after them
		idempotency.StateFree, idempotency.StateFree, idempotency.StateScheduled, idempotency.StateScheduled, idempotency.StateAccepted,
		idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateUnknown, idempotency.StateUnknown, idempotency.StateAbandoned,
		idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled,
	}
	o := idempotency.Outcome{State: states[c.Rand.IntN(len(states))], Attempts: c.Rand.IntN(2), Ambiguous: c.Rand.IntN(2) == 0}
	o.Ambiguous = o.Ambiguous || o.State == idempotency.StateUnknown
	if c.Rand.IntN(2) == 0 {
		o.Value, o.Code = fmt.Appendf(nil, "value of %s %d", c.Name, c.n), fmt.Sprintf("code of %s %d", c.Name, c.n)
	}
	if c.Rand.IntN(4) == 0 {
		o.Ref = fmt.Sprintf("ref of %s %d", c.Name, c.n)
	}
	return o
}
