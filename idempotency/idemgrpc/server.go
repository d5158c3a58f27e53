package idemgrpc

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
)

// ServerConfig configures a [Server]. Name and Principal are required; the zero value of every other field is safe.
type ServerConfig struct {
	// Name names the operation ("api"). It is part of every key: it never changes, and differs between the servers and calls that
	// share a store and must not meet.
	Name string

	// Principal says whose request it is: an account or a customer, as the server has authenticated it, never what the client merely claims, and not a
	// credential, since it is stored. Keys of different principals never meet. It has no default, because any default would mix
	// tenants. An error is answered with PermissionDenied, unless it is a status of its own; an empty principal with Internal.
	Principal func(ctx context.Context) (string, error)

	// Wants says which methods need a key ("/shop.Payments/Charge"); calls of others pass through untouched. Nil: all of them.
	Wants func(fullMethod string) bool

	// Optional lets requests without a key pass through, unprotected. By default they are refused with InvalidArgument.
	Optional bool

	// Metadata is the metadata key that carries the idempotency key. Default [KeyMetadata].
	Metadata string

	// Rejections are the codes with which a handler definitely refuses: they are recorded, and repeated. After another one nobody knows what
	// the request has done, unless the handler marks its error (idempotency.Rejected, idempotency.NotSent), or says Unauthenticated: that is not
	// recorded, and the next request with the key is executed. Default [Rejections].
	Rejections []codes.Code

	// Harmless says that a request may be executed again after its outcome became unknown. By default it never is.
	Harmless bool

	// Timeout bounds one execution, whose context does not end with its client. Default 1 min.
	Timeout time.Duration

	// Lease, Retention, StubFor, MaxBytes (of a reply) and Hooks are those of [idempotency.Call]. Default Retention here: 24 h. Publish it.
	Lease     time.Duration
	Retention time.Duration
	StubFor   time.Duration
	MaxBytes  int
	Hooks     idempotency.Hooks
}

// Server executes requests once. It is safe for concurrent use.
type Server struct {
	config     ServerConfig
	rejections map[codes.Code]bool
	calls      *idempotency.Wrapper[[]byte, []byte]
}

// NewServer makes a [Server] over a store, which processes may share. It refuses a configuration that cannot work, naming the field and the remedy.
func NewServer(store idempotency.Store, c ServerConfig) (*Server, error) {
	if c.Principal == nil {
		return nil, fmt.Errorf("idemgrpc: ServerConfig.Principal of %q is nil: say whose request it is; where there is one tenant, return its name", c.Name)
	}
	if c.Metadata == "" {
		c.Metadata = KeyMetadata
	}
	if c.Rejections == nil {
		c.Rejections = Rejections()
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Retention == 0 {
		c.Retention = 24 * time.Hour
	}
	if err := checkName(c.Metadata); err != nil {
		return nil, fmt.Errorf("idemgrpc: ServerConfig.Metadata of %q is %q: %w", c.Name, c.Metadata, err)
	}
	s := &Server{config: c, rejections: map[codes.Code]bool{}}
	for _, code := range c.Rejections {
		if code == codes.OK {
			return nil, fmt.Errorf("idemgrpc: ServerConfig.Rejections of %q has OK, which is no error: leave it out", c.Name)
		}
		s.rejections[code] = true
	}
	calls, err := idempotency.Wrap(store, idempotency.Call[[]byte, []byte]{
		Name: c.Name, Send: s.execute, Codec: idempotency.Raw, Scoped: true,
		Harmless: c.Harmless, Timeout: c.Timeout, Lease: c.Lease, Retention: c.Retention, StubFor: c.StubFor, MaxBytes: c.MaxBytes,
		Retry: retry.Policy{Attempts: 1}, Hooks: c.Hooks,
	})
	if err != nil {
		return nil, fmt.Errorf("idemgrpc: ServerConfig of %q: %w", c.Name, err)
	}
	s.calls = calls
	return s, nil
}

// Calls are the recorded requests, for those who operate the server: List shows them, Settle settles one whose outcome is unknown. Its values are
// what [Marshal] makes of a reply; of a request, method and digest are kept. Do not call Run on it: nobody but a client can make a request.
func (s *Server) Calls() *idempotency.Wrapper[[]byte, []byte] { return s.calls }

// Close waits for the executions under way, as long as ctx allows. Call it after grpc.Server.GracefulStop: an execution outlives its client.
func (s *Server) Close(ctx context.Context) error { return s.calls.Close(ctx) }

// Marshal returns a reply as it is recorded. Its type must be registered, as generated code does.
func Marshal(reply proto.Message) ([]byte, error) {
	a, err := anypb.New(reply)
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(a)
}

func unmarshal(data []byte) (proto.Message, error) {
	var a anypb.Any
	if err := proto.Unmarshal(data, &a); err != nil {
		return nil, err
	}
	return a.UnmarshalNew()
}

// execution is one request that has come in, and what its handler made of it.
type execution struct {
	server         *Server
	principal, key string
	req            any
	handle         grpc.UnaryHandler

	began atomic.Bool
	done  chan struct{} // closed when the handler has returned
	reply any
	err   error
}

type executionKey struct{}

// execute is the Send of every request. What it executes is what the caller that was first has sent.
func (s *Server) execute(ctx context.Context, _ idempotency.Attempt, _ []byte) (data []byte, err error) {
	x, ok := ctx.Value(executionKey{}).(*execution)
	if !ok || !x.began.CompareAndSwap(false, true) {
		return nil, idempotency.NotSent(errors.New("idemgrpc: there is no request to execute: only its client can repeat it"))
	}
	defer close(x.done)
	x.err = status.Error(codes.Internal, "the handler did not return") // it panics
	x.reply, x.err = x.handle(ctx, x.req)
	if x.err == nil {
		reply, ok := x.reply.(proto.Message)
		if !ok {
			return nil, fmt.Errorf("idemgrpc: the reply is a %T, which is no proto.Message and cannot be recorded", x.reply)
		}
		return Marshal(reply)
	}
	switch code := status.Code(x.err); {
	case idempotency.Marked(x.err):
		return nil, x.err
	case s.rejections[code]:
		return nil, idempotency.Rejected(code.String(), errors.New(status.Convert(x.err).Message()))
	case code == codes.Unauthenticated:
		return nil, idempotency.NotSent(x.err)
	}
	return nil, x.err
}

// Intercept is the interceptor: a [grpc.UnaryServerInterceptor]. Put it behind authentication and rate limits, whose refusals must not be recorded.
//
// The claim of a key is recorded before the handler runs, and its outcome before the client sees it. A repetition that comes meanwhile waits for it, as
// long as its own deadline allows, and at most until that is known to be over. Repetitions get the recorded reply, or the recorded code and message
// without further details, and the header [ReplayedMetadata]. Headers and trailers that the handler sets reach its own client only. A panic of the
// handler is answered with Internal; its outcome is unknown. An interceptor that is to see panics goes behind this one.
func (s *Server) Intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if s.config.Wants != nil && !s.config.Wants(info.FullMethod) {
		return handle(ctx, req)
	}
	key, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	if key == "" {
		return handle(ctx, req)
	}
	principal, err := s.principal(ctx)
	if err != nil {
		return nil, err
	}
	request, err := fingerprinted(info.FullMethod, req)
	if err != nil {
		return nil, err
	}
	if outer, ok := ctx.Value(executionKey{}).(*execution); ok && outer.server == s && outer.principal == principal && outer.key == key {
		return handle(ctx, req) // the interceptor stands around itself, and would wait for itself
	}
	x := &execution{server: s, principal: principal, key: key, req: req, handle: handle, done: make(chan struct{})}
	res, err := s.calls.For(principal).Do(context.WithValue(ctx, executionKey{}, x), key, request)
	if x.began.Load() {
		select {
		case <-x.done:
			if s.inItsWords(x, err) {
				return x.reply, x.err
			}
		default: // it goes on without us
		}
	}
	return s.replay(ctx, res.Value, err, x.began.Load())
}

// inItsWords says whether a client is answered in the words of its handler, of which the record keeps less: they are the outcome, also one that is
// unknown, or could not be recorded yet.
func (s *Server) inItsWords(x *execution, err error) bool {
	switch err.(type) { //nolint:errorlint // what is hidden in it may speak of a call that the handler made
	case nil:
		return x.err == nil // else somebody has found out meanwhile
	case *idempotency.Rejection: // a mark of the handler's own reads as it will be repeated
		return x.err == nil || !idempotency.Marked(x.err) && s.rejections[status.Code(x.err)]
	case *idempotency.UnknownError, *idempotency.UnrecordedError:
		return true
	}
	return errors.Is(err, idempotency.ErrNotSent) || errors.Is(err, idempotency.ErrValueOmitted)
}

// key returns the request's key; empty, if it may go without.
func (s *Server) key(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, s.config.Metadata)
	switch {
	case len(values) == 0 && s.config.Optional:
		return "", nil
	case len(values) == 0:
		return "", refuse(KeyMissing, 0, "the metadata has no %s: make a key with the intent, and send it with every repetition", s.config.Metadata)
	case len(values) > 1:
		return "", refuse(KeyMalformed, 0, "the metadata has %d values of %s: send one", len(values), s.config.Metadata)
	}
	key := values[0]
	if len(key) == 0 || len(key) > idempotency.MaxKey {
		return "", refuse(KeyMalformed, 0, "the %s has %d bytes: use 1 to %d", s.config.Metadata, len(key), idempotency.MaxKey)
	}
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return "", refuse(KeyMalformed, 0, "the %s has a byte 0x%02x: use printable ASCII without spaces", s.config.Metadata, c)
		}
	}
	return key, nil
}

func (s *Server) principal(ctx context.Context) (string, error) {
	principal, err := s.config.Principal(ctx)
	switch {
	case err != nil:
		if _, ok := status.FromError(err); ok {
			return "", err
		}
		return "", status.Error(codes.PermissionDenied, "the server cannot tell whose request this is")
	case principal == "":
		return "", status.Error(codes.Internal, "idemgrpc: ServerConfig.Principal returned an empty principal")
	case len(principal) > idempotency.MaxKey:
		return "", status.Errorf(codes.Internal, "idemgrpc: ServerConfig.Principal returned a principal of %d bytes: use at most %d", len(principal), idempotency.MaxKey)
	}
	return principal, nil
}

// fingerprinted is what makes a request the same one: its method, and a digest of its message. The message itself is not stored: it may hold what is
// nobody's business but the handler's.
func fingerprinted(method string, req any) ([]byte, error) {
	message, ok := req.(proto.Message)
	if !ok {
		return nil, status.Errorf(codes.Internal, "idemgrpc: the request of %s is a %T, which is no proto.Message: leave the method out by ServerConfig.Wants", method, req)
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, status.Errorf(codes.Internal, "idemgrpc: the request of %s cannot be encoded: %v", method, err)
	}
	digest := sha256.Sum256(inOrder(data, message.ProtoReflect().Descriptor()))
	return slices.Concat([]byte(method), []byte{0}, digest[:]), nil
}

// inOrder puts the fields of an encoded message into the order of their numbers. Those that a release does not know come last in its encoding,
// so that the next one, which knows them, would take a repetition for another request.
func inOrder(message []byte, d protoreflect.MessageDescriptor) []byte {
	type field struct {
		number protowire.Number
		data   []byte
	}
	var fields []field
	for rest := message; len(rest) > 0; {
		number, kind, n := protowire.ConsumeField(rest)
		if n < 0 {
			return message
		}
		data := rest[:n]
		if known := d.Fields().ByNumber(number); kind == protowire.BytesType && known != nil && known.Message() != nil {
			_, _, tag := protowire.ConsumeTag(data)
			inner, _ := protowire.ConsumeBytes(data[tag:])
			data = protowire.AppendBytes(slices.Clip(data[:tag]), inOrder(inner, known.Message()))
		}
		fields = append(fields, field{number, data})
		rest = rest[n:]
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(a.number, b.number) })
	ordered := make([]byte, 0, len(message))
	for _, f := range fields {
		ordered = append(ordered, f.data...)
	}
	return ordered
}
