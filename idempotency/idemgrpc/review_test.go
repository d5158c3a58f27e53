package idemgrpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemgrpc"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// attempt makes one attempt by a Send of its own and returns its error.
func attempt(t *testing.T, send func(ctx context.Context) error) error {
	t.Helper()
	_, err := idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, _ string) (string, error) {
		return "", send(ctx)
	})(t.Context(), idempotency.Attempt{Key: "the-key"}, "")
	return err
}

// settles hands an error to a call and returns what its caller gets.
func settles(t *testing.T, err error) error {
	t.Helper()
	w, wrapErr := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[string, string]{
		Name: "charge", Retry: retry.Policy{Attempts: 1},
		Send: func(context.Context, idempotency.Attempt, string) (string, error) { return "", err },
	})
	require.NoError(t, wrapErr)
	_, got := w.Do(t.Context(), "k", "o")
	return got
}

func assertUnknown(t *testing.T, err error) {
	t.Helper()
	var unknown *idempotency.UnknownError
	assert.ErrorAs(t, settles(t, err), &unknown, "%v", err)
}

// Whoever forgets Send, or loses its context on the way, would send the call without its key, and twice.
func TestClientRefusesRPCsWithoutAnAttempt(t *testing.T) {
	served := 0
	address, _ := serve(t, func(_ context.Context, _ string, o *order) (*receipt, error) { served++; return o, nil })
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	_, err := invoke(t.Context(), conn, chargeMethod, "o")
	require.ErrorContains(t, err, "idemgrpc.Send")
	require.ErrorContains(t, attempt(t, func(context.Context) error {
		_, err := invoke(context.Background(), conn, chargeMethod, "o")
		return err
	}), "idemgrpc.Send")
	assert.Zero(t, served)
	_, err = invoke(idemgrpc.Aside(t.Context()), conn, chargeMethod, "o")
	require.NoError(t, err)

	some := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{Wants: func(m string) bool { return m == chargeMethod }})...)
	_, err = invoke(t.Context(), some, chargeMethod, "o")
	require.Error(t, err)
	_, err = invoke(t.Context(), some, confirmMethod, "o")
	require.NoError(t, err)
	assert.Equal(t, 2, served)
}

// The server said yes; what a client's interceptor made of its reply is no refusal by the server.
func TestClientTakesNoInterceptorsWordForTheServers(t *testing.T) {
	address, _ := serve(t, pays)
	validating := grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if err := invoke(ctx, method, req, reply, cc, opts...); err != nil {
			return err
		}
		return status.Error(codes.InvalidArgument, "the reply is not valid")
	})
	conn := dial(t, address, append(idemgrpc.DialOptions(idemgrpc.ClientConfig{}), validating)...)
	assertUnknown(t, attempt(t, func(ctx context.Context) error {
		_, err := invoke(ctx, conn, chargeMethod, "o")
		return err
	}))
}

// gRPC says these codes itself, also after the server has said yes: here of a reply that is too large.
func TestClientRejectionsThatGRPCSaysItself(t *testing.T) {
	address, _ := serve(t, func(context.Context, string, *order) (*receipt, error) {
		return wrapperspb.String(strings.Repeat("x", 100)), nil
	})
	for _, code := range []codes.Code{codes.OK, codes.Canceled, codes.Unknown, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Internal, codes.Unavailable} {
		conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{Rejections: []codes.Code{codes.NotFound, code}})...)
		err := attempt(t, func(ctx context.Context) error {
			_, err := invoke(ctx, conn, chargeMethod, "o", grpc.MaxCallRecvMsgSize(10))
			return err
		})
		require.ErrorContains(t, err, "ClientConfig.Rejections", code.String())
		assert.ErrorIs(t, settles(t, err), idempotency.ErrNotSent)
	}
}

func TestClientMetadata(t *testing.T) {
	address, _ := serve(t, pays)
	for _, name := range []string{"Idempotency Key", "grpc-timeout", "user-agent", ":key", "te", "content-type"} {
		conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{Metadata: name})...)
		err := attempt(t, func(ctx context.Context) error {
			_, err := invoke(ctx, conn, chargeMethod, "o")
			return err
		})
		require.ErrorContains(t, err, "ClientConfig.Metadata", name)
		assert.ErrorIs(t, settles(t, err), idempotency.ErrNotSent)

		_, err = idemgrpc.NewServer(memstore.New(memstore.Config{}), idemgrpc.ServerConfig{Name: "api", Principal: customer, Metadata: name})
		require.ErrorContains(t, err, "ServerConfig.Metadata", name)
	}

	// gRPC would refuse it too, without saying that it has sent nothing.
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{Metadata: "Request-Key"})...)
	err := attempt(t, func(ctx context.Context) error {
		_, err := invoke(metadata.AppendToOutgoingContext(ctx, "authorization", "hush-hush\n"), conn, chargeMethod, "o")
		return err
	})
	require.ErrorContains(t, err, "authorization")
	assert.NotContains(t, err.Error(), "hush")
	assert.ErrorIs(t, settles(t, err), idempotency.ErrNotSent)
}

// A stream may have had the effect: after one, nothing is called not sent, or rejected.
func TestClientStreams(t *testing.T) {
	address, _ := serve(t, func(context.Context, string, *order) (*receipt, error) {
		return nil, status.Error(codes.FailedPrecondition, "no")
	})
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	nobody := dial(t, "127.0.0.1:1", idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	stream := func(ctx context.Context, conn *grpc.ClientConn) error {
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, confirmMethod)
		if err != nil {
			return err
		}
		if err := s.SendMsg(wrapperspb.String("o")); err != nil {
			return err
		}
		return s.RecvMsg(new(receipt))
	}
	for _, then := range []*grpc.ClientConn{nobody, conn} {
		assertUnknown(t, attempt(t, func(ctx context.Context) error {
			_ = stream(ctx, conn)
			_, err := invoke(ctx, then, chargeMethod, "o")
			return err
		}))
	}
	// One that was never written is no obstacle, nor is one aside.
	assert.ErrorIs(t, settles(t, attempt(t, func(ctx context.Context) error {
		_ = stream(idemgrpc.Aside(ctx), conn)
		return stream(ctx, nobody)
	})), idempotency.ErrNotSent)
	// Whether one that was opened has succeeded is for Send to say.
	require.NoError(t, attempt(t, func(ctx context.Context) error { _ = stream(ctx, conn); return nil }))
	assert.Equal(t, codes.FailedPrecondition, status.Code(stream(t.Context(), conn)))
}

// An RPC aside, made while another one is prepared, is not counted as that one.
func TestClientAsideWithinAnother(t *testing.T) {
	address, _ := serve(t, pays)
	tokens := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	nobody := dial(t, "127.0.0.1:1", append(idemgrpc.DialOptions(idemgrpc.ClientConfig{}),
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if _, err := invoke(idemgrpc.Aside(ctx), tokens, confirmMethod, "token"); err != nil {
				return err
			}
			return next(ctx, method, req, reply, cc, opts...)
		}))...)
	err := attempt(t, func(ctx context.Context) error {
		_, err := invoke(ctx, nobody, chargeMethod, "o")
		return err
	})
	assert.Equal(t, codes.Unavailable, status.Code(err))
	assert.ErrorIs(t, settles(t, err), idempotency.ErrNotSent)
}

// Credentials that have run out are no answer to the call: the same key may be tried again with better ones.
func TestClientUnauthenticated(t *testing.T) {
	address, _ := serve(t, func(context.Context, string, *order) (*receipt, error) {
		return nil, status.Error(codes.Unauthenticated, "the token has expired")
	})
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	_, err := charges(t, conn).Do(t.Context(), "k", "o")
	require.ErrorIs(t, err, idempotency.ErrNotSent)
}

// A key that was used with another message has been seen before: that call may have taken effect.
func TestClientKeyReused(t *testing.T) {
	calls := newServer(t)
	address, _ := serve(t, pays, grpc.ChainUnaryInterceptor(calls.Intercept))
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	for i, o := range []string{"o", "another"} {
		err := attempt(t, func(ctx context.Context) error {
			_, err := invoke(ctx, conn, chargeMethod, o)
			return err
		})
		if i == 0 {
			require.NoError(t, err)
			continue
		}
		assert.Equal(t, idemgrpc.KeyReused, idemgrpc.ReasonOf(err))
		assertUnknown(t, err)
	}
}

// What a request says is nobody's business but the handler's: a card's number must not lie about in the store.
func TestServerStoresNoRequest(t *testing.T) {
	store := memstore.New(memstore.Config{})
	calls, err := idemgrpc.NewServer(store, idemgrpc.ServerConfig{Name: "api", Principal: customer})
	require.NoError(t, err)
	address, _ := serve(t, pays, grpc.ChainUnaryInterceptor(calls.Intercept))
	ctx := metadata.AppendToOutgoingContext(t.Context(), idemgrpc.KeyMetadata, "k")
	_, err = invoke(ctx, dial(t, address), chargeMethod, "4242424242424242")
	require.NoError(t, err)
	rec, err := store.Get(ctx, idempotency.ID{Operation: "api", Scope: "somebody", Key: "k"})
	require.NoError(t, err)
	assert.NotContains(t, string(rec.Request), "4242")
	assert.Contains(t, string(rec.Request), chargeMethod)
}

// The bound is on what is recorded: a request may be as large as gRPC lets in.
func TestServerLargeRequest(t *testing.T) {
	s := open(t, func(context.Context, string, *order) (*receipt, error) { return wrapperspb.String("ok"), nil })
	res, _, err := s.call(t.Context(), chargeMethod, "k", strings.Repeat("x", 2<<20))
	require.NoError(t, err)
	assert.Equal(t, "ok", res)
}

func TestServerPrincipalTooLong(t *testing.T) {
	s := open(t, pays, func(c *idemgrpc.ServerConfig) {
		c.Principal = func(context.Context) (string, error) { return strings.Repeat("p", idempotency.MaxKey+1), nil }
	})
	_, _, err := s.call(t.Context(), chargeMethod, "k", "o")
	assert.Equal(t, codes.Internal, status.Code(err), "it would never be better")
	assert.Contains(t, status.Convert(err).Message(), "ServerConfig.Principal")
}

// The first answer and its repetitions say the same.
func TestServerHandlersOwnRejection(t *testing.T) {
	for _, says := range []error{
		idempotency.Rejected("no_such_card", errors.New("there is no such card")),
		idempotency.Rejected("no_such_card", status.Error(codes.Internal, "there is no such card")),
		idempotency.Rejected("NotFound", status.Error(codes.Unavailable, "there is no such card")),
	} {
		s := open(t, func(context.Context, string, *order) (*receipt, error) { return nil, says })
		_, _, first := s.call(t.Context(), chargeMethod, "k", "o")
		_, replayed, again := s.call(t.Context(), chargeMethod, "k", "o")
		assert.True(t, replayed)
		assert.Equal(t, status.Code(again), status.Code(first))
		assert.Equal(t, status.Convert(again).Message(), status.Convert(first).Message())
		assert.NotEqual(t, codes.Unknown, status.Code(first))
	}
}

// Details of a refusal reach the first client.
func TestServerKeepsDetails(t *testing.T) {
	no, err := status.New(codes.FailedPrecondition, "declined").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	require.NoError(t, err)
	s := open(t, func(context.Context, string, *order) (*receipt, error) { return nil, no.Err() })
	_, _, err = s.call(t.Context(), chargeMethod, "k", "o")
	assert.Len(t, status.Convert(err).Details(), 1)
}

func TestServerUnauthenticated(t *testing.T) {
	expired := true
	s := open(t, func(ctx context.Context, method string, o *order) (*receipt, error) {
		if expired {
			expired = false
			return nil, status.Error(codes.Unauthenticated, "the token has expired")
		}
		return pays(ctx, method, o)
	})
	_, _, err := s.call(t.Context(), chargeMethod, "k", "o")
	assert.Equal(t, codes.Unauthenticated, status.Code(err))
	res, _, err := s.call(t.Context(), chargeMethod, "k", "o")
	require.NoError(t, err)
	assert.Equal(t, "paid o", res)
}

// An outcome that came from outside while the handler ran is what its own client gets too.
func TestServerSettledMeanwhile(t *testing.T) {
	var s *shop
	s = open(t, func(ctx context.Context, _ string, _ *order) (*receipt, error) {
		paid, err := idemgrpc.Marshal(wrapperspb.String("paid after all"))
		require.NoError(t, err)
		_, err = s.Calls().For("somebody").Settle(ctx, "k", idempotency.Happened(paid))
		require.NoError(t, err)
		return nil, status.Error(codes.Unavailable, "the bank's answer was lost")
	})
	for range 2 {
		res, _, err := s.call(t.Context(), chargeMethod, "k", "o")
		require.NoError(t, err)
		assert.Equal(t, "paid after all", res)
	}
}

// An interceptor that stands around itself does not wait for itself.
func TestServerTwiceInAChain(t *testing.T) {
	calls := newServer(t)
	again := calls.Intercept
	address, _ := serve(t, pays, grpc.ChainUnaryInterceptor(calls.Intercept, again))
	ctx := metadata.AppendToOutgoingContext(t.Context(), idemgrpc.KeyMetadata, "k")
	for range 2 {
		res, err := invoke(ctx, dial(t, address), chargeMethod, "o")
		require.NoError(t, err)
		assert.Equal(t, "paid o", res)
	}
}

// A release that knows a field which the one before did not takes a repetition for what it is.
func TestServerKnowsARequestAcrossReleases(t *testing.T) {
	s := newServer(t)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(idemgrpc.KeyMetadata, "k"))
	ran := 0
	before := &durationpb.Duration{Nanos: 7} // a release that did not know the seconds, but kept them
	before.ProtoReflect().SetUnknown([]byte{0x08, 0x05})
	for _, req := range []*durationpb.Duration{before, {Seconds: 5, Nanos: 7}} {
		_, err := s.Intercept(ctx, req, &grpc.UnaryServerInfo{FullMethod: chargeMethod}, func(context.Context, any) (any, error) {
			ran++
			return wrapperspb.String("ok"), nil
		})
		require.NoError(t, err)
	}
	assert.Equal(t, 1, ran)
}

// Also within what a message holds; and what a field says still counts.
func TestServerKnowsWhatARequestHolds(t *testing.T) {
	s := newServer(t)
	info := func(unknown bool, seconds byte) *errdetails.RetryInfo {
		after := &durationpb.Duration{Nanos: 7, Seconds: int64(seconds)}
		if unknown {
			after = &durationpb.Duration{Nanos: 7}
			after.ProtoReflect().SetUnknown([]byte{0x08, seconds})
		}
		return &errdetails.RetryInfo{RetryDelay: after}
	}
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(idemgrpc.KeyMetadata, "k"))
	ask := func(req *errdetails.RetryInfo) error {
		_, err := s.Intercept(ctx, req, &grpc.UnaryServerInfo{FullMethod: chargeMethod}, func(context.Context, any) (any, error) {
			return wrapperspb.String("ok"), nil
		})
		return err
	}
	require.NoError(t, ask(info(false, 5)))
	require.NoError(t, ask(info(true, 5)))
	assert.Equal(t, idemgrpc.KeyReused, idemgrpc.ReasonOf(ask(info(false, 6))))
	assert.Equal(t, idemgrpc.KeyReused, idemgrpc.ReasonOf(ask(info(true, 6))))
}

// Who joins a request whose handler waits for a call of its own learns about the request, not about that call.
func TestServerTellsTheCallFromAnInnerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := idemgrpc.NewServer(memstore.New(memstore.Config{}), idemgrpc.ServerConfig{Name: "api", Principal: customer})
		require.NoError(t, err)
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(idemgrpc.KeyMetadata, "k"))
		release := make(chan struct{})
		errs := make(chan error, 2)
		ran := 0
		for range cap(errs) {
			go func() {
				_, err := s.Intercept(ctx, wrapperspb.String("o"), &grpc.UnaryServerInfo{FullMethod: chargeMethod}, func(context.Context, any) (any, error) {
					ran++
					<-release
					return nil, errors.Join(&idempotency.PendingError{State: idempotency.StateRunning}, idempotency.ErrReentrant)
				})
				errs <- err
			}()
			synctest.Wait()
		}
		close(release)
		got := []idemgrpc.Reason{idemgrpc.ReasonOf(<-errs), idemgrpc.ReasonOf(<-errs)}
		assert.ElementsMatch(t, []idemgrpc.Reason{"", idemgrpc.OutcomeUnknown}, got)
		assert.Equal(t, 1, ran)
		require.NoError(t, s.Close(context.Background()))
	})
}

// A reply of nothing is a reply.
func TestServerNilReply(t *testing.T) {
	s := open(t, func(context.Context, string, *order) (*receipt, error) { return nil, nil })
	for range 2 {
		_, _, err := s.call(t.Context(), chargeMethod, "k", "o")
		require.NoError(t, err)
	}
	assert.EqualValues(t, 1, s.times.Load())
}

// The handler goes on using its context after its client has gone.
func TestServerHeadersAfterTheEnd(t *testing.T) {
	began, gone, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := open(t, func(ctx context.Context, method string, o *order) (*receipt, error) {
		defer close(done)
		close(began)
		for over := false; ; {
			_ = grpc.SetHeader(ctx, metadata.Pairs("a", "b"))
			_ = grpc.SetTrailer(ctx, metadata.Pairs("a", "b"))
			if over {
				_ = grpc.SendHeader(ctx, nil)
				return pays(ctx, method, o)
			}
			select {
			case <-gone:
				over = true
			default:
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	_, _, err := s.call(ctx, chargeMethod, "k", "o")
	assert.Equal(t, codes.Canceled, status.Code(err))
	close(gone)
	<-done
	res, _, err := s.call(t.Context(), chargeMethod, "k", "o")
	require.NoError(t, err)
	assert.Equal(t, "paid o", res)
}
