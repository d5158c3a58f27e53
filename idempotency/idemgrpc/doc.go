// Package idemgrpc carries idempotency over gRPC's unary calls, in both directions.
//
// # Client
//
// [DialOptions] are for the connection over which a call's Send talks to its provider, and [Send] goes around that function. Together
// they put the attempt's provider key into the metadata, see what became of every RPC on the wire, and turn it into what package
// idempotency asks of an error: rejected, not sent, or unknown.
//
//	conn, err := grpc.NewClient(target, append(idemgrpc.DialOptions(idemgrpc.ClientConfig{}), credentials)...)
//
//	charges, err := idempotency.Wrap(store, idempotency.Call[Order, Receipt]{
//		Name: "charge", Namespace: "shop-prod", KeyLife: 24 * time.Hour,
//		Send: idemgrpc.Send(func(ctx context.Context, a idempotency.Attempt, o Order) (Receipt, error) {
//			return charge(ctx, pb.NewPaymentsClient(conn), o)
//		}),
//	})
//
// A status says less than it seems to. [codes.Unavailable] is what comes back when nobody could be dialled, and also when the connection broke
// after the server had charged; so nothing is called not sent because of it, but only where no header of any RPC of the attempt was
// written, or the server itself has said [codes.Unauthenticated]. A deadline that passed, and every other code that does not say no, stay unknown,
// as does a request that cannot be encoded: gRPC finds that after it has written the header.
//
// # Server
//
// [NewServer] makes an interceptor that executes each request with an idempotency-key in its metadata once, and answers repetitions with
// the recorded reply or refusal.
//
//	calls, err := idemgrpc.NewServer(store, idemgrpc.ServerConfig{
//		Name:      "api",
//		Principal: func(ctx context.Context) (string, error) { return account(ctx), nil },
//	})
//	server := grpc.NewServer(grpc.ChainUnaryInterceptor(authenticate, calls.Intercept))
//
// A handler whose error does not say no, that panics or dies leaves an outcome that nobody knows. It is not executed again on a guess: the handler
// says what it knows (idempotency.NotSent: it had no effect), or somebody finds out ([Server.Calls]).
package idemgrpc
