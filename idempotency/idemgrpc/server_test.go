package idemgrpc_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemgrpc"
	"github.com/steadfast-go/steadfast/store/memstore"
)

func customer(ctx context.Context) (string, error) {
	if who := metadata.ValueFromIncomingContext(ctx, "customer"); len(who) == 1 {
		return who[0], nil
	}
	return "somebody", nil
}

func newServer(t *testing.T, change ...func(*idemgrpc.ServerConfig)) *idemgrpc.Server {
	t.Helper()
	c := idemgrpc.ServerConfig{Name: "api", Principal: customer}
	for _, f := range change {
		f(&c)
	}
	s, err := idemgrpc.NewServer(memstore.New(memstore.Config{}), c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// shop is a server with its client.
type shop struct {
	*idemgrpc.Server
	conn  *grpc.ClientConn
	times atomic.Int32 // that the handler ran
}

func open(t *testing.T, charge charging, change ...func(*idemgrpc.ServerConfig)) *shop {
	t.Helper()
	s := &shop{Server: newServer(t, change...)}
	address, _ := serve(t, func(ctx context.Context, method string, o *order) (*receipt, error) {
		s.times.Add(1)
		return charge(ctx, method, o)
	}, grpc.ChainUnaryInterceptor(s.Intercept))
	s.conn = dial(t, address)
	return s
}

func pays(_ context.Context, _ string, o *order) (*receipt, error) {
	return wrapperspb.String("paid " + o.GetValue()), nil
}

// call makes a request with a key, and says whether the answer was marked as a recorded one.
func (s *shop) call(ctx context.Context, method, key, o string) (string, bool, error) {
	var header metadata.MD
	res, err := invoke(metadata.AppendToOutgoingContext(ctx, idemgrpc.KeyMetadata, key), s.conn, method, o, grpc.Header(&header))
	return res, len(header.Get(idemgrpc.ReplayedMetadata)) > 0, err
}

func TestServerExecutesOnce(t *testing.T) {
	s := open(t, pays)
	for i := range 3 {
		res, replayed, err := s.call(t.Context(), chargeMethod, "k", "o")
		require.NoError(t, err)
		assert.Equal(t, "paid o", res)
		assert.Equal(t, i > 0, replayed)
	}
	assert.EqualValues(t, 1, s.times.Load())
}

func TestServerKeys(t *testing.T) {
	s := open(t, pays)
	send := func(s *shop, keys ...string) error {
		md := metadata.MD{}
		md.Append(idemgrpc.KeyMetadata, keys...)
		_, err := invoke(metadata.NewOutgoingContext(t.Context(), md), s.conn, chargeMethod, "o")
		return err
	}
	for _, c := range []struct {
		keys   []string
		reason idemgrpc.Reason
	}{
		{nil, idemgrpc.KeyMissing}, {[]string{"a", "b"}, idemgrpc.KeyMalformed}, {[]string{""}, idemgrpc.KeyMalformed},
		{[]string{strings.Repeat("k", idempotency.MaxKey+1)}, idemgrpc.KeyMalformed}, {[]string{"a b"}, idemgrpc.KeyMalformed},
	} {
		err := send(s, c.keys...)
		assert.Equal(t, codes.InvalidArgument, status.Code(err), "%q", c.keys)
		assert.Equal(t, c.reason, idemgrpc.ReasonOf(err), "%q", c.keys)
	}
	assert.Zero(t, s.times.Load())

	optional := open(t, pays, func(c *idemgrpc.ServerConfig) { c.Optional = true })
	require.NoError(t, send(optional))
	require.NoError(t, send(optional))
	assert.EqualValues(t, 2, optional.times.Load())

	some := open(t, pays, func(c *idemgrpc.ServerConfig) { c.Wants = func(m string) bool { return m != chargeMethod } })
	require.NoError(t, send(some))
}

func TestServerKeyReused(t *testing.T) {
	s := open(t, pays)
	_, _, err := s.call(t.Context(), chargeMethod, "k", "o")
	require.NoError(t, err)
	for _, other := range [][2]string{{chargeMethod, "another"}, {confirmMethod, "o"}} {
		_, _, err = s.call(t.Context(), other[0], "k", other[1])
		assert.Equal(t, idemgrpc.KeyReused, idemgrpc.ReasonOf(err))
		assert.NotContains(t, status.Convert(err).Message(), "\"k\"")
	}
	assert.EqualValues(t, 1, s.times.Load())
}

func TestServerPrincipals(t *testing.T) {
	s := open(t, func(ctx context.Context, _ string, _ *order) (*receipt, error) {
		who, _ := customer(ctx)
		return wrapperspb.String("for " + who), nil
	})
	for _, who := range []string{"ann", "bob"} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "customer", who)
		res, replayed, err := s.call(ctx, chargeMethod, "k", "o")
		require.NoError(t, err)
		assert.Equal(t, "for "+who, res)
		assert.False(t, replayed)
	}
	nobody := metadata.AppendToOutgoingContext(t.Context(), "customer", "")
	_, _, err := s.call(nobody, chargeMethod, "k", "o")
	assert.Equal(t, codes.Internal, status.Code(err))

	refused := open(t, pays, func(c *idemgrpc.ServerConfig) {
		c.Principal = func(context.Context) (string, error) { return "", errBroken }
	})
	_, _, err = refused.call(t.Context(), chargeMethod, "k", "o")
	assert.Equal(t, codes.PermissionDenied, status.Code(err))
	assert.Zero(t, refused.times.Load())
}

func TestServerManyAtOnce(t *testing.T) {
	const callers = 64
	began, release := make(chan struct{}, callers), make(chan struct{})
	s := open(t, func(_ context.Context, _ string, o *order) (*receipt, error) {
		began <- struct{}{}
		<-release
		return o, nil
	})
	var wg sync.WaitGroup
	var first atomic.Int32
	for range callers {
		wg.Go(func() {
			res, replayed, err := s.call(context.Background(), chargeMethod, "k", "o")
			if assert.NoError(t, err) {
				assert.Equal(t, "o", res)
			}
			if !replayed {
				first.Add(1)
			}
		})
	}
	<-began
	close(release)
	wg.Wait()
	assert.EqualValues(t, 1, s.times.Load())
	assert.EqualValues(t, 1, first.Load())
}

func TestServerRecordsRefusals(t *testing.T) {
	s := open(t, func(context.Context, string, *order) (*receipt, error) {
		return nil, status.Error(codes.NotFound, "no such card")
	})
	for i := range 2 {
		_, replayed, err := s.call(t.Context(), chargeMethod, "k", "o")
		assert.Equal(t, codes.NotFound, status.Code(err))
		assert.Equal(t, "no such card", status.Convert(err).Message())
		assert.Equal(t, i > 0, replayed)
	}
	assert.EqualValues(t, 1, s.times.Load())
}

func TestServerUnknownOutcome(t *testing.T) {
	for name, charge := range map[string]charging{
		"an error that does not say no": func(context.Context, string, *order) (*receipt, error) {
			return nil, status.Error(codes.Internal, "the bank's answer was lost")
		},
		"a panic": func(context.Context, string, *order) (*receipt, error) { panic("the bank's answer was lost") },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, charge)
			_, _, err := s.call(t.Context(), chargeMethod, "k", "o")
			assert.Equal(t, codes.Internal, status.Code(err))
			assert.Empty(t, idemgrpc.ReasonOf(err), "the handler's own")
			for range 2 {
				_, _, err = s.call(t.Context(), chargeMethod, "k", "o")
				assert.Equal(t, idemgrpc.OutcomeUnknown, idemgrpc.ReasonOf(err))
				assert.Equal(t, codes.Aborted, status.Code(err), "no code that says no")
			}
			assert.EqualValues(t, 1, s.times.Load())

			// Somebody has found out.
			paid, err := idemgrpc.Marshal(wrapperspb.String("paid after all"))
			require.NoError(t, err)
			_, err = s.Calls().For("somebody").Settle(t.Context(), "k", idempotency.Happened(paid))
			require.NoError(t, err)
			res, replayed, err := s.call(t.Context(), chargeMethod, "k", "o")
			require.NoError(t, err)
			assert.Equal(t, "paid after all", res)
			assert.True(t, replayed)
		})
	}
}

func TestServerExecutesAgainWhatHadNoEffect(t *testing.T) {
	var s *shop
	s = open(t, func(ctx context.Context, method string, o *order) (*receipt, error) {
		if s.times.Load() == 1 {
			return nil, idempotency.NotSent(status.Error(codes.Unavailable, "the bank was not reached"))
		}
		return pays(ctx, method, o)
	})
	_, _, err := s.call(t.Context(), chargeMethod, "k", "o")
	assert.Equal(t, codes.Unavailable, status.Code(err))
	assert.Empty(t, idemgrpc.ReasonOf(err), "the handler's own")
	res, _, err := s.call(t.Context(), chargeMethod, "k", "o")
	require.NoError(t, err)
	assert.Equal(t, "paid o", res)
}

// The handler goes on when its client has gone, and the client's next attempt finds the reply.
func TestServerGoesOnWithoutItsClient(t *testing.T) {
	release, began := make(chan struct{}), make(chan struct{})
	s := open(t, func(ctx context.Context, method string, o *order) (*receipt, error) {
		close(began)
		<-release
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return pays(ctx, method, o)
	})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, _, err := s.call(ctx, chargeMethod, "k", "o")
		gone <- err
	}()
	<-began
	cancel()
	assert.Equal(t, codes.Canceled, status.Code(<-gone))
	close(release)
	res, replayed, err := s.call(t.Context(), chargeMethod, "k", "o")
	require.NoError(t, err)
	assert.Equal(t, "paid o", res)
	assert.True(t, replayed)
	assert.EqualValues(t, 1, s.times.Load())
}

func TestServerWithoutItsStore(t *testing.T) {
	s, err := idemgrpc.NewServer(brokenStore{memstore.New(memstore.Config{})}, idemgrpc.ServerConfig{Name: "api", Principal: customer, Lease: time.Second})
	require.NoError(t, err)
	ran := false
	address, _ := serve(t, func(_ context.Context, _ string, o *order) (*receipt, error) { ran = true; return o, nil }, grpc.ChainUnaryInterceptor(s.Intercept))
	ctx := metadata.AppendToOutgoingContext(t.Context(), idemgrpc.KeyMetadata, "k")
	_, err = invoke(ctx, dial(t, address), chargeMethod, "o")
	assert.Equal(t, idemgrpc.Unavailable, idemgrpc.ReasonOf(err))
	assert.Equal(t, codes.Unavailable, status.Code(err))
	assert.False(t, ran)
}

// brokenStore takes no claims.
type brokenStore struct{ idempotency.Store }

func (brokenStore) Acquire(context.Context, idempotency.Claim) (idempotency.Record, error) {
	return idempotency.Record{}, errBroken
}

func TestServerConfigs(t *testing.T) {
	store := memstore.New(memstore.Config{})
	_, err := idemgrpc.NewServer(store, idemgrpc.ServerConfig{Name: "api"})
	require.ErrorContains(t, err, "ServerConfig.Principal")
	_, err = idemgrpc.NewServer(store, idemgrpc.ServerConfig{Principal: customer})
	require.ErrorContains(t, err, "Name")
	_, err = idemgrpc.NewServer(nil, idemgrpc.ServerConfig{Name: "api", Principal: customer})
	require.ErrorContains(t, err, "store is nil")
	_, err = idemgrpc.NewServer(store, idemgrpc.ServerConfig{Name: "api", Principal: customer, Timeout: -1})
	require.ErrorContains(t, err, "Timeout")
}

// A request that is no protobuf message is refused before anything runs.
func TestServerOtherMessages(t *testing.T) {
	s := newServer(t)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(idemgrpc.KeyMetadata, "k"))
	_, err := s.Intercept(ctx, "text", &grpc.UnaryServerInfo{FullMethod: chargeMethod}, func(context.Context, any) (any, error) {
		t.Error("it runs")
		return nil, nil
	})
	require.ErrorContains(t, err, "ServerConfig.Wants")
}
