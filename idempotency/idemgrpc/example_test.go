package idemgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemgrpc"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// provide serves a provider of payments and returns a connection to it.
func provide(charge charging, client []grpc.DialOption, server ...grpc.ServerOption) (conn *grpc.ClientConn, closing func()) {
	s := grpc.NewServer(server...)
	s.RegisterService(service(charge), nil)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = s.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:payments", append(client,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))...)
	if err != nil {
		panic(err)
	}
	return conn, func() { _ = conn.Close(); s.Stop() }
}

// idempotent is a server whose requests are all of one principal.
func idempotent() *idemgrpc.Server {
	calls, err := idemgrpc.NewServer(memstore.New(memstore.Config{}), idemgrpc.ServerConfig{
		Name:      "payments",
		Principal: func(context.Context) (string, error) { return "shop-1", nil }, // whoever was authenticated
	})
	if err != nil {
		panic(err)
	}
	return calls
}

// A client and a server, both by this package: the order is charged once, and the repetition gets the first receipt.
func Example() {
	conn, closing := provide(func(_ context.Context, _ string, o *order) (*receipt, error) {
		fmt.Println("charging", o.GetValue())
		return wrapperspb.String("receipt for " + o.GetValue()), nil
	}, idemgrpc.DialOptions(idemgrpc.ClientConfig{}), grpc.ChainUnaryInterceptor(idempotent().Intercept))
	defer closing()

	charges, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[string, string]{
		Name: "charge", Namespace: "shop-example", KeyLife: 24 * time.Hour,
		Send: idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, o string) (string, error) {
			return invoke(ctx, conn, chargeMethod, o)
		}),
	})
	if err != nil {
		panic(err)
	}
	for range 2 {
		res, err := charges.Do(context.Background(), "order-1", "order-1")
		fmt.Println(res.Value, err)
	}
	// Output:
	// charging order-1
	// receipt for order-1 <nil>
	// receipt for order-1 <nil>
}

// A status of the server's own that says no is a rejection, whatever the code around it makes of the error.
func ExampleSend() {
	conn, closing := provide(func(context.Context, string, *order) (*receipt, error) {
		return nil, status.Error(codes.FailedPrecondition, "the card has expired")
	}, idemgrpc.DialOptions(idemgrpc.ClientConfig{}))
	defer closing()

	charges, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[string, string]{
		Name: "charge",
		Send: idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, o string) (string, error) {
			receipt, err := invoke(ctx, conn, chargeMethod, o)
			if err != nil {
				err = errors.New("payments: something went wrong")
			}
			return receipt, err
		}),
	})
	if err != nil {
		panic(err)
	}
	_, err = charges.Do(context.Background(), "order-1", "order-1")
	var no *idempotency.Rejection
	fmt.Println(errors.As(err, &no), no.Code)
	// Output: true FailedPrecondition
}

// Sub gives a second RPC of the same attempt a key of its own. Aside is for those that are no part of the call.
func ExampleSub() {
	conn, closing := provide(func(ctx context.Context, method string, o *order) (*receipt, error) {
		keys := metadata.ValueFromIncomingContext(ctx, idemgrpc.KeyMetadata)
		fmt.Println(method, o.GetValue(), keys)
		return o, nil
	}, idemgrpc.DialOptions(idemgrpc.ClientConfig{}))
	defer closing()

	a := idempotency.Attempt{Key: "the-key"}
	send := idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, o string) (string, error) {
		if _, err := invoke(idemgrpc.Aside(ctx), conn, confirmMethod, "nothing"); err != nil {
			return "", err
		}
		if _, err := invoke(ctx, conn, chargeMethod, o); err != nil {
			return "", err
		}
		return invoke(idemgrpc.Sub(ctx, "confirm"), conn, confirmMethod, o)
	})
	_, err := send(context.Background(), a, "order-1")
	fmt.Println(err, a.Sub("confirm"))
	// Output:
	// /shop.Payments/Confirm nothing []
	// /shop.Payments/Charge order-1 [the-key]
	// /shop.Payments/Confirm order-1 [cbcf05bb-3a6c-534c-80bf-168d4c564469]
	// <nil> cbcf05bb-3a6c-534c-80bf-168d4c564469
}

// ReasonOf says why the server did not answer with the handler's reply.
func ExampleReasonOf() {
	conn, closing := provide(func(_ context.Context, _ string, o *order) (*receipt, error) { return o, nil }, nil,
		grpc.ChainUnaryInterceptor(idempotent().Intercept))
	defer closing()

	_, err := invoke(context.Background(), conn, chargeMethod, "order-1") // without a key
	fmt.Println(status.Code(err), idemgrpc.ReasonOf(err))
	// Output: InvalidArgument KEY_MISSING
}

// Whoever operates the server settles what its handler left unknown.
func ExampleServer_Calls() {
	calls := idempotent()
	conn, closing := provide(func(context.Context, string, *order) (*receipt, error) {
		return nil, status.Error(codes.Internal, "the bank's answer was lost")
	}, nil, grpc.ChainUnaryInterceptor(calls.Intercept))
	defer closing()

	ctx := metadata.AppendToOutgoingContext(context.Background(), idemgrpc.KeyMetadata, "order-1")
	_, err := invoke(ctx, conn, chargeMethod, "order-1")
	fmt.Println(err)
	_, err = invoke(ctx, conn, chargeMethod, "order-1")
	fmt.Println(idemgrpc.ReasonOf(err))

	reply, err := idemgrpc.Marshal(wrapperspb.String("receipt ch_1")) // as the bank's own pages say
	if err != nil {
		panic(err)
	}
	if _, err := calls.Calls().For("shop-1").Settle(ctx, "order-1", idempotency.Happened(reply)); err != nil {
		panic(err)
	}
	fmt.Println(invoke(ctx, conn, chargeMethod, "order-1"))
	// Output:
	// rpc error: code = Internal desc = the bank's answer was lost
	// OUTCOME_UNKNOWN
	// receipt ch_1 <nil>
}
