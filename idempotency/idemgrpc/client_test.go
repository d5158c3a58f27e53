package idemgrpc_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
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
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemgrpc"
	"github.com/steadfast-go/steadfast/retry"
)

func TestClientCarriesTheKey(t *testing.T) {
	var got []string
	address, _ := serve(t, func(ctx context.Context, _ string, o *order) (*receipt, error) {
		got = metadata.ValueFromIncomingContext(ctx, idemgrpc.KeyMetadata)
		return wrapperspb.String("paid " + o.GetValue()), nil
	})
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	var want string
	w := charges(t, conn, func(c *idempotency.Call[string, string]) {
		c.Send = idemgrpc.Send(func(ctx context.Context, a idempotency.Attempt, o string) (string, error) {
			want = a.Key
			return invoke(metadata.AppendToOutgoingContext(ctx, idemgrpc.KeyMetadata, "the SDK's own"), conn, chargeMethod, o)
		})
	})
	res, err := w.Do(t.Context(), "k", "o-1")
	require.NoError(t, err)
	assert.Equal(t, "paid o-1", res.Value)
	assert.Equal(t, []string{want}, got)

	_, err = invoke(idemgrpc.Aside(t.Context()), conn, chargeMethod, "outside of a call")
	require.NoError(t, err)
	assert.Empty(t, got)
}

func TestClientReadsCodes(t *testing.T) {
	var says codes.Code
	address, _ := serve(t, func(context.Context, string, *order) (*receipt, error) { return nil, status.Error(says, "no") })
	w := charges(t, dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...))
	no := map[codes.Code]bool{}
	for _, c := range idemgrpc.Rejections() {
		no[c] = true
	}
	for says = codes.Canceled; says <= codes.Unauthenticated; says++ {
		_, err := w.Do(t.Context(), says.String(), "o")
		var rejection *idempotency.Rejection
		var unknown *idempotency.UnknownError
		if no[says] {
			require.ErrorAs(t, err, &rejection, says.String())
			assert.Equal(t, says.String(), rejection.Code)
		} else if says != codes.Unauthenticated {
			require.ErrorAs(t, err, &unknown, says.String())
			assert.NotErrorIs(t, err, idempotency.ErrNotSent, says.String())
		}
	}
}

// Unavailable before the wire is not sent, after it unknown.
func TestClientUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().String()
	require.NoError(t, l.Close())
	_, err = charges(t, dial(t, nobody, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)).Do(t.Context(), "k", "o")
	require.ErrorIs(t, err, idempotency.ErrNotSent)
	assert.Equal(t, codes.Unavailable, status.Code(err), "the reason stays findable")

	var server *grpc.Server
	address, server := serve(t, func(ctx context.Context, _ string, _ *order) (*receipt, error) {
		go server.Stop() // charged, and gone
		<-ctx.Done()
		return nil, ctx.Err()
	})
	_, err = charges(t, dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)).Do(t.Context(), "k", "o")
	var unknown *idempotency.UnknownError
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, codes.Unavailable, status.Code(err))
}

// Without the stats handler nobody knows what was written.
func TestClientThatCannotSeeTheWire(t *testing.T) {
	conn := dial(t, "127.0.0.1:1", idemgrpc.DialOptions(idemgrpc.ClientConfig{})[0])
	_, err := charges(t, conn).Do(t.Context(), "k", "o")
	var unknown *idempotency.UnknownError
	require.ErrorAs(t, err, &unknown)
}

// In virtual time, which passes when everybody waits: the deadline ends an RPC that has reached the server.
func TestClientDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reached atomic.Bool
		l := bufconn.Listen(1 << 16)
		serveOn(t, l, func(ctx context.Context, _ string, _ *order) (*receipt, error) {
			reached.Store(true)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		dialer := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) })
		conn := dial(t, "passthrough:///shop", append(idemgrpc.DialOptions(idemgrpc.ClientConfig{}), dialer)...)
		w := charges(t, conn, func(c *idempotency.Call[string, string]) { c.Timeout = 200 * time.Millisecond })
		began := time.Now()
		_, err := w.Do(t.Context(), "k", "o")
		var unknown *idempotency.UnknownError
		require.ErrorAs(t, err, &unknown)
		assert.Equal(t, codes.DeadlineExceeded, status.Code(err))
		assert.Equal(t, 200*time.Millisecond, time.Since(began))
		assert.True(t, reached.Load())
	})
}

// A proxy's 403 reads like PermissionDenied, but the server has not said it.
func TestClientDistrustsProxies(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	proxy := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }),
		Protocols: new(http.Protocols),
	}
	proxy.Protocols.SetUnencryptedHTTP2(true)
	over := make(chan struct{})
	go func() { defer close(over); _ = proxy.Serve(l) }()
	t.Cleanup(func() { _ = proxy.Close(); <-over })
	_, err = charges(t, dial(t, l.Addr().String(), idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)).Do(t.Context(), "k", "o")
	var unknown *idempotency.UnknownError
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, codes.PermissionDenied, status.Code(err))
}

// gRPC's own retries are counted: a no to the second sending says nothing about the first.
func TestClientCountsRetriesOfGRPC(t *testing.T) {
	var times atomic.Int32
	address, _ := serve(t, func(context.Context, string, *order) (*receipt, error) {
		if times.Add(1) == 1 {
			return nil, status.Error(codes.Unavailable, "charged, and gone")
		}
		return nil, status.Error(codes.FailedPrecondition, "no more stock")
	})
	retrying := grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {
		"maxAttempts": 3, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`)
	conn := dial(t, address, append(idemgrpc.DialOptions(idemgrpc.ClientConfig{}), retrying)...)
	_, err := charges(t, conn).Do(t.Context(), "k", "o")
	var unknown *idempotency.UnknownError
	require.ErrorAs(t, err, &unknown)
	assert.EqualValues(t, 2, times.Load())
}

func TestClientObeysRetryInfo(t *testing.T) {
	busy, err := status.New(codes.Unavailable, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(1234 * time.Millisecond)})
	require.NoError(t, err)
	address, _ := serve(t, func(context.Context, string, *order) (*receipt, error) { return nil, busy.Err() })
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	send := idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, o string) (string, error) {
		return invoke(ctx, conn, chargeMethod, o)
	})
	_, err = send(t.Context(), idempotency.Attempt{Key: "k"}, "o")
	var after interface{ RetryAfter() time.Duration }
	require.ErrorAs(t, err, &after)
	assert.Equal(t, 1234*time.Millisecond, after.RetryAfter())
}

// What the server only repeats is not sent again: it would be repeated for ever.
func TestClientReadsReplays(t *testing.T) {
	address, _ := serve(t, func(ctx context.Context, _ string, _ *order) (*receipt, error) {
		_ = grpc.SetHeader(ctx, metadata.Pairs(idemgrpc.ReplayedMetadata, "true"))
		return nil, status.Error(codes.Internal, "a recorded failure")
	})
	var times atomic.Int32
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	w := charges(t, conn, func(c *idempotency.Call[string, string]) {
		c.Retry = retry.Policy{Initial: time.Millisecond, Max: time.Millisecond, Attempts: 5}
		c.Send = idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, o string) (string, error) {
			times.Add(1)
			return invoke(ctx, conn, chargeMethod, o)
		})
	})
	_, err := w.Do(t.Context(), "k", "o")
	var unknown *idempotency.UnknownError
	require.ErrorAs(t, err, &unknown)
	assert.EqualValues(t, 1, times.Load())
}

func TestClientSecondRPC(t *testing.T) {
	var mu sync.Mutex
	seen := map[string][]string{}
	address, _ := serve(t, func(ctx context.Context, method string, o *order) (*receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		seen[method+" "+o.GetValue()] = metadata.ValueFromIncomingContext(ctx, idemgrpc.KeyMetadata)
		return o, nil
	})
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	attempt := idempotency.Attempt{Key: "the key"}
	send := idemgrpc.Send(func(ctx context.Context, a idempotency.Attempt, _ string) (string, error) {
		if _, err := invoke(idemgrpc.Aside(ctx), conn, confirmMethod, "aside"); err != nil {
			return "", err
		}
		if _, err := invoke(ctx, conn, chargeMethod, "first"); err != nil {
			return "", err
		}
		if _, err := invoke(idemgrpc.Sub(ctx, "confirm"), conn, confirmMethod, "sub"); err != nil {
			return "", err
		}
		return invoke(ctx, conn, confirmMethod, "same key")
	})
	_, err := send(t.Context(), attempt, "")
	require.ErrorContains(t, err, "Give it a key of its own with idemgrpc.Sub")
	assert.False(t, idempotency.Marked(err), "something was sent")
	assert.Equal(t, map[string][]string{
		confirmMethod + " aside": nil,
		chargeMethod + " first":  {"the key"},
		confirmMethod + " sub":   {attempt.Sub("confirm")},
	}, seen)
}

func TestClientKeepsMarks(t *testing.T) {
	address, _ := serve(t, func(context.Context, string, *order) (*receipt, error) {
		return nil, status.Error(codes.Internal, "E4711: no such card")
	})
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	w := charges(t, conn, func(c *idempotency.Call[string, string]) {
		c.Send = idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, o string) (string, error) {
			_, err := invoke(ctx, conn, chargeMethod, o)
			return "", idempotency.Rejected("no_such_card", err) // Send knows this provider
		})
	})
	_, err := w.Do(t.Context(), "k", "o")
	require.ErrorIs(t, err, &idempotency.Rejection{Code: "no_such_card"})
}

func TestClientRefusesWhatComesTooLate(t *testing.T) {
	var times atomic.Int32
	address, _ := serve(t, func(_ context.Context, _ string, o *order) (*receipt, error) { times.Add(1); return o, nil })
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	var kept context.Context
	send := idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, o string) (string, error) { kept = ctx; return o, nil })
	_, err := send(t.Context(), idempotency.Attempt{Key: "k"}, "o")
	require.NoError(t, err)
	_, err = invoke(kept, conn, chargeMethod, "late")
	require.ErrorContains(t, err, "the attempt is over")
	assert.Zero(t, times.Load())
}

// An attempt whose context has ended before it begins sends nothing, and knows it.
func TestClientDeadContext(t *testing.T) {
	address, _ := serve(t, func(_ context.Context, _ string, o *order) (*receipt, error) { return o, nil })
	conn := dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...)
	w := charges(t, conn, func(c *idempotency.Call[string, string]) {
		c.Send = idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, o string) (string, error) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return invoke(ctx, conn, chargeMethod, o)
		})
	})
	_, err := w.Do(t.Context(), "k", "o")
	require.ErrorIs(t, err, idempotency.ErrNotSent)
}

// Both sides together: of a third of all orders the first answer is lost after the charge.
func TestClientAndServer(t *testing.T) {
	var mu sync.Mutex
	charged := map[string]int{}
	var n atomic.Int32
	var lost sync.Map
	calls := newServer(t)
	faults := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		n.Add(1)
		res, err := handle(ctx, req)
		if o := req.(*order).GetValue(); o[len(o)-1]%3 == 0 {
			if _, again := lost.LoadOrStore(o, true); !again {
				return nil, status.Error(codes.Unavailable, "the answer is lost")
			}
		}
		return res, err
	}
	address, _ := serve(t, func(_ context.Context, _ string, o *order) (*receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		charged[o.GetValue()]++
		return wrapperspb.String("paid " + o.GetValue()), nil
	}, grpc.ChainUnaryInterceptor(faults, calls.Intercept))
	w := charges(t, dial(t, address, idemgrpc.DialOptions(idemgrpc.ClientConfig{})...), func(c *idempotency.Call[string, string]) {
		c.Retry = retry.Policy{Initial: time.Millisecond, Max: time.Millisecond, Attempts: 50}
	})
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			key := "order-" + string(rune('A'+i))
			res, err := w.Do(context.Background(), key, key)
			if assert.NoError(t, err) {
				assert.Equal(t, "paid "+key, res.Value)
			}
		})
	}
	wg.Wait()
	assert.Len(t, charged, 60)
	for key, times := range charged {
		assert.Equal(t, 1, times, key)
	}
	assert.EqualValues(t, 80, n.Load(), "20 are repetitions")
}

var errBroken = errors.New("broken")
