package idemgrpc_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemgrpc"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// A client and a server, both by this package: the order is charged once, and the repetition gets the first receipt.
func Example() {
	ctx := context.Background()
	calls, err := idemgrpc.NewServer(memstore.New(memstore.Config{}), idemgrpc.ServerConfig{
		Name:      "payments",
		Principal: func(context.Context) (string, error) { return "shop-1", nil }, // whoever was authenticated
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(calls.Intercept))
	server.RegisterService(service(func(_ context.Context, _ string, o *order) (*receipt, error) {
		fmt.Println("charging", o.GetValue())
		return wrapperspb.String("receipt for " + o.GetValue()), nil
	}), nil)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	conn, err := grpc.NewClient("passthrough:payments", append(idemgrpc.DialOptions(idemgrpc.ClientConfig{}),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))...)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }()

	charge := idemgrpc.Send(func(ctx context.Context, _ idempotency.Attempt, o string) (string, error) {
		return invoke(ctx, conn, chargeMethod, o)
	})
	charges, err := idempotency.Wrap(memstore.New(memstore.Config{}), idempotency.Call[string, string]{
		Name: "charge", Namespace: "shop-example", KeyLife: 24 * time.Hour, Send: charge,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		res, err := charges.Do(ctx, "order-1", "order-1")
		fmt.Println(res.Value, err)
	}
	// Output:
	// charging order-1
	// receipt for order-1 <nil>
	// receipt for order-1 <nil>
}
