package idemgrpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// KeyMetadata is the metadata key that carries the idempotency key, unless a configuration names another one.
const KeyMetadata = "idempotency-key"

// ReplayedMetadata is the header that marks a recorded answer: its value is then "true".
const ReplayedMetadata = "idempotent-replayed"

// maxRetryAfter bounds the delay that a server may ask for.
const maxRetryAfter = time.Hour

// Rejections are the codes that say no: the server has looked at the request and will not do it. All others may also be said of
// a request that took effect, save for Unauthenticated: nothing was done, and with better credentials the same key may be tried again.
func Rejections() []codes.Code {
	return []codes.Code{
		codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented,
	}
}

// saidByGRPC are the codes with which gRPC itself ends an RPC, also one that the server has answered with a success: its reply is too large, or
// cannot be read, or comes with the deadline.
var saidByGRPC = []codes.Code{
	codes.OK, codes.Canceled, codes.Unknown, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Internal, codes.Unavailable,
}

// ClientConfig configures [DialOptions]. Its zero value is sound. Where something is wrong with it, every RPC within [Send] is refused with an
// error that says so, and not sent.
type ClientConfig struct {
	// Wants says which methods need a key ("/shop.Payments/Charge"); RPCs of others go out as they are, as with [Aside]. Nil: all of them.
	Wants func(fullMethod string) bool

	// Metadata is the metadata key that carries the attempt's key. Default [KeyMetadata].
	Metadata string

	// Rejections are the codes that are a definite no of this provider, if its own server says them. Default [Rejections]. A provider that
	// answers a repetition with AlreadyExists rather than with its first reply says by that that the call did take effect: leave it
	// out then, and look the call up. Codes that gRPC also says itself (ResourceExhausted, Internal and the like) are refused here: where
	// something in the status proves that the server has said no, Send marks the error.
	Rejections []codes.Code
}

// DialOptions are for a connection to one provider: interceptors, and a stats handler by which they see what was written. Use all of them.
//
// What they do depends on an RPC's context:
//
//   - within [Send], it carries the attempt's key, and its status is read. A second one of the same attempt, to another method, needs
//     a key of its own, see [Sub].
//   - with [Aside], it goes out as it is and counts for nothing.
//   - elsewhere it is refused, and not sent: Send was forgotten, or its context lost on the way, and without the attempt's key it would be a
//     second call. A lookup, or a method that changes nothing, goes with Aside, or is left out by ClientConfig.Wants.
//
// gRPC sends some RPCs again by itself: those that the server says it has not looked at, and, with a retry policy in the service config, those
// with certain codes. They are counted, and the call is told: a second sending makes a negative answer ambiguous.
//
// Streams carry no key and go out anywhere. Within Send they count: after one was written, the attempt is neither called not sent nor rejected,
// unless Send says so itself.
func DialOptions(c ClientConfig) []grpc.DialOption {
	if c.Metadata == "" {
		c.Metadata = KeyMetadata
	}
	if c.Rejections == nil {
		c.Rejections = Rejections()
	}
	x := &client{wants: c.Wants, metadata: c.Metadata, rejections: map[codes.Code]bool{}}
	if err := checkName(c.Metadata); err != nil {
		x.err = fmt.Errorf("idemgrpc: the RPC was not sent: ClientConfig.Metadata is %q: %w", c.Metadata, err)
	}
	for _, code := range c.Rejections {
		x.rejections[code] = true
		if slices.Contains(saidByGRPC, code) {
			x.err = fmt.Errorf("idemgrpc: the RPC was not sent: ClientConfig.Rejections has %v, with which gRPC itself ends RPCs that took effect: "+
				"leave it out, and let Send mark the errors that are certain", code)
		}
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(x.intercept), grpc.WithChainStreamInterceptor(x.stream), grpc.WithStatsHandler(watcher{}),
	}
}

type client struct {
	wants      func(fullMethod string) bool
	metadata   string
	rejections map[codes.Code]bool
	err        error // what is wrong with the configuration
}

// Send goes around a call's Send: the RPCs that send makes with its context, over a connection with [DialOptions], belong to the attempt,
// and what they came to is added to the error that send returns.
//
// An error that carries a mark already (idempotency.Rejected, Accepted, NotSent) keeps it: send knows best. For any other:
//
//   - not sent, if no header of any RPC of the attempt was written;
//   - rejected, with the name of the code, if the attempt made one RPC with a key and the server's own status is one of
//     ClientConfig.Rejections; not sent, if it is Unauthenticated;
//   - unknown otherwise.
//
// Where send returns no error, that is a success, unless an RPC is still under way.
//
// A delay that the server asks for (google.rpc.RetryInfo), and the mark of a recorded answer (idempotency.Replayed), are added.
func Send[In, Out any](send func(ctx context.Context, a idempotency.Attempt, in In) (Out, error)) func(ctx context.Context, a idempotency.Attempt, in In) (Out, error) {
	return func(ctx context.Context, a idempotency.Attempt, in In) (Out, error) {
		t := &trip{attempt: a}
		defer t.close() // also if send panics
		out, err := send(context.WithValue(ctx, scopeKey{}, scope{trip: t}), a, in)
		return out, t.finish(err)
	}
}

// Sub returns a context for a second RPC of the same attempt, such as a confirmation: it carries the key that Attempt.Sub derives
// from the attempt's by name (which must not be empty).
func Sub(ctx context.Context, name string) context.Context {
	s := scopeOf(ctx)
	s.sub, s.aside = name, false
	return context.WithValue(ctx, scopeKey{}, s)
}

// Aside returns a context for RPCs that are no part of the call: the fetching of a token, a lookup. They carry no key and say
// nothing about whether the call was sent. They must not have the effect that the call is about.
func Aside(ctx context.Context) context.Context {
	s := scopeOf(ctx)
	s.aside = true
	return context.WithValue(ctx, scopeKey{}, s)
}

// scope is what a context says about the RPCs made with it.
type scope struct {
	trip  *trip // nil outside of Send
	sub   string
	aside bool
}

type scopeKey struct{}

func scopeOf(ctx context.Context) scope {
	s, _ := ctx.Value(scopeKey{}).(scope)
	return s
}

// trip is what the RPCs of one attempt have come to.
type trip struct {
	attempt idempotency.Attempt

	mu   sync.Mutex
	over bool
	made []*exchange
}

// exchange is one RPC of an attempt. gRPC may write it several times.
type exchange struct {
	trip   *trip
	key    string // empty: it is a stream
	method string

	// Guarded by trip.mu.
	watched  bool // the stats handler sees it
	written  int  // how often its header was
	answered bool // the server has written a status
	said     codes.Code
	replayed bool // a recorded one
	ended    bool
	refused  bool // it was never handed to gRPC
	rejected bool // its status is a definite no
	err      error
}

// Errors of RPCs that were refused, and not sent.
var (
	errNoAttempt = errors.New("idemgrpc: the RPC was not sent: its context carries no attempt. Put idemgrpc.Send around the call's Send, and make RPCs with " +
		"the context that Send gets; or mark its context with idemgrpc.Aside; or leave its method out by ClientConfig.Wants")
	errOver  = errors.New("idemgrpc: the RPC was not sent: Send has returned, the attempt is over. Wait for all RPCs before returning")
	errNoKey = errors.New("idemgrpc: the RPC was not sent: the attempt's key is empty")
)

func (c *client) intercept(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	s := scopeOf(ctx)
	switch {
	case s.aside, c.wants != nil && !c.wants(method):
		return invoke(context.WithValue(ctx, exchangeKey{}, nil), method, req, reply, cc, opts...)
	case s.trip == nil:
		return errNoAttempt
	}
	key := s.trip.attempt.Key
	if s.sub != "" {
		key = s.trip.attempt.Sub(s.sub)
	}
	x, err := s.trip.begin(method, key)
	if err != nil {
		return err
	}
	md, err := c.prime(ctx, key)
	if err != nil {
		x.refuse(err)
		return err
	}
	ctx = context.WithValue(metadata.NewOutgoingContext(ctx, md), exchangeKey{}, x)
	err = invoke(ctx, method, req, reply, cc, opts...)
	x.end(err, c.rejections)
	return err
}

// stream counts a stream. When it ends is not looked at.
func (c *client) stream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	s := scopeOf(ctx)
	if s.trip == nil || s.aside || c.wants != nil && !c.wants(method) {
		return open(context.WithValue(ctx, exchangeKey{}, nil), desc, cc, method, opts...)
	}
	x, err := s.trip.begin(method, "")
	if err != nil {
		return nil, err
	}
	opened, err := open(context.WithValue(ctx, exchangeKey{}, x), desc, cc, method, opts...)
	if err != nil {
		x.end(err, nil)
	}
	return opened, err
}

// prime returns the metadata of an RPC with its key, or why gRPC would refuse it: that does not tell us that it has sent nothing.
func (c *client) prime(ctx context.Context, key string) (metadata.MD, error) {
	switch {
	case c.err != nil:
		return nil, c.err
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case key == "":
		return nil, errNoKey
	}
	md, _ := metadata.FromOutgoingContext(ctx) // a copy
	if md == nil {
		md = metadata.MD{}
	}
	md.Set(c.metadata, key) // instead of one that the caller has made, which would be another one for every attempt
	if err := checkMetadata(md); err != nil {
		return nil, fmt.Errorf("idemgrpc: the RPC was not sent: %w", err)
	}
	return md, nil
}

// begin registers an RPC, or says why it must not be made.
func (t *trip) begin(method, key string) (*exchange, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return nil, errOver
	}
	x := &exchange{trip: t, key: key, method: method}
	for _, y := range t.made {
		if key != "" && y.key == key && y.method != method && !y.refused {
			x.ended, x.refused = true, true
			x.err = fmt.Errorf("idemgrpc: the RPC %s was not sent: %s has carried the attempt's key already. "+
				"Give it a key of its own with idemgrpc.Sub(ctx, name), or mark it with idemgrpc.Aside", method, y.method)
		}
	}
	t.made = append(t.made, x)
	return x, x.err
}

func (x *exchange) refuse(err error) {
	x.trip.mu.Lock()
	defer x.trip.mu.Unlock()
	x.ended, x.refused, x.err = true, true, err
}

// end takes the server's word for a no, not that of an interceptor on the way. A key that was used with another message has been seen before, and that
// may have taken effect.
func (x *exchange) end(err error, rejections map[codes.Code]bool) {
	x.trip.mu.Lock()
	defer x.trip.mu.Unlock()
	x.ended, x.err = true, err
	x.rejected = rejections[x.said] && ReasonOf(err) != KeyReused
}

// sendings is how often it may have been written.
func (x *exchange) sendings() int {
	switch {
	case x.refused:
		return 0
	case !x.watched, !x.ended:
		return max(1, x.written)
	}
	return x.written
}

// close lets no further RPC out in the attempt's name.
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
	sent := map[string]int{} // by key
	var last *exchange
	for _, x := range t.made {
		if n := x.sendings(); n > 0 {
			sent[x.key] += n
			last = x
		}
		if err == nil && !x.ended && x.key != "" { // not a stream
			err = fmt.Errorf("idemgrpc: Send returned no error while its RPC %s was under way: wait for its answer", x.method)
		}
	}
	for _, n := range sent {
		if n > 1 {
			t.attempt.Resent()
		}
	}
	if err == nil {
		return nil
	}
	alone := len(sent) == 1 && last.ended && last.answered
	marked := err
	switch {
	case idempotency.Marked(err):
	case len(t.made) > 0 && len(sent) == 0:
		marked = idempotency.NotSent(err)
	case alone && last.rejected:
		marked = idempotency.Rejected(last.said.String(), err)
	case alone && last.said == codes.Unauthenticated:
		marked = idempotency.NotSent(err)
	}
	if alone && last.err != nil && last.replayed {
		marked = idempotency.Replayed(marked)
	}
	return t.after(marked)
}

// after adds how long to wait before the next attempt, if the server has said so and the error has not.
func (t *trip) after(err error) error {
	var says interface{ RetryAfter() time.Duration }
	if len(t.made) == 0 || errors.As(err, &says) {
		return err
	}
	last := t.made[len(t.made)-1]
	for _, detail := range status.Convert(last.err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay().IsValid() {
			return retry.After(min(max(info.GetRetryDelay().AsDuration(), 0), maxRetryAfter), err)
		}
	}
	return err
}
