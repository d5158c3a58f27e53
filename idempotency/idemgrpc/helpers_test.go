package idemgrpc_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemgrpc"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

type (
	order   = wrapperspb.StringValue
	receipt = wrapperspb.StringValue
)

const (
	chargeMethod  = "/shop.Payments/Charge"
	confirmMethod = "/shop.Payments/Confirm"
)

// charging is what a payment service does with an order.
type charging func(ctx context.Context, method string, o *order) (*receipt, error)

// patience bounds an attempt that no test is about: on a busy machine, long.
const patience = 2 * time.Minute

// serve serves both methods on a port of its own.
func serve(t *testing.T, charge charging, options ...grpc.ServerOption) (address string, server *grpc.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l.Addr().String(), serveOn(t, l, charge, options...)
}

func serveOn(t *testing.T, l net.Listener, charge charging, options ...grpc.ServerOption) *grpc.Server {
	t.Helper()
	server := grpc.NewServer(options...)
	server.RegisterService(service(charge), nil)
	over := make(chan struct{})
	go func() { defer close(over); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-over })
	return server
}

// service is what protoc would have generated.
func service(charge charging) *grpc.ServiceDesc {
	method := func(name, full string) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			in := new(order)
			if err := decode(in); err != nil {
				return nil, err
			}
			handle := func(ctx context.Context, req any) (any, error) { return charge(ctx, full, req.(*order)) }
			if intercept == nil {
				return handle(ctx, in)
			}
			return intercept(ctx, in, &grpc.UnaryServerInfo{FullMethod: full}, handle)
		}}
	}
	return &grpc.ServiceDesc{
		ServiceName: "shop.Payments", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{method("Charge", chargeMethod), method("Confirm", confirmMethod)},
	}
}

func dial(t *testing.T, address string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func invoke(ctx context.Context, conn *grpc.ClientConn, method, o string, options ...grpc.CallOption) (string, error) {
	out := new(receipt)
	err := conn.Invoke(ctx, method, wrapperspb.String(o), out, options...)
	return out.GetValue(), err
}

// charges wraps the call of a client that makes one attempt.
func charges(t *testing.T, conn *grpc.ClientConn, change ...func(*idempotency.Call[string, string])) *idempotency.Wrapper[string, string] {
	t.Helper()
	call := idempotency.Call[string, string]{
		Name: "charge", Namespace: "test", KeyLife: time.Hour, Timeout: patience, Retry: retry.Policy{Attempts: 1},
		Send: idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, o string) (string, error) {
			return invoke(ctx, conn, chargeMethod, o)
		}),
	}
	for _, c := range change {
		c(&call)
	}
	w, err := idempotency.Wrap(memstore.New(memstore.Config{}), call)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return w
}
