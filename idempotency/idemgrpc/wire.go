package idemgrpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

type exchangeKey struct{}

// watcher sees what is written and read for an exchange.
type watcher struct{}

// TagRPC implements [stats.Handler]. It is called before each time that gRPC writes an RPC, if it does.
func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		x.trip.mu.Lock()
		x.watched = true
		x.answered, x.said, x.replayed = false, codes.OK, false // by whoever got the one before
		x.trip.mu.Unlock()
	}
	return ctx
}

// HandleRPC implements [stats.Handler].
func (watcher) HandleRPC(ctx context.Context, s stats.RPCStats) {
	x, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return
	}
	x.trip.mu.Lock()
	defer x.trip.mu.Unlock()
	switch s := s.(type) {
	case *stats.OutHeader: // there is a stream: from here on the server may see it
		x.written++
	case *stats.InHeader:
		x.replayed = x.replayed || replayed(s.Header)
	case *stats.InTrailer: // not of a proxy's HTTP answer
		x.answered = true
		x.replayed = x.replayed || replayed(s.Trailer)
	case *stats.End:
		if x.answered {
			x.said = status.Code(s.Error)
		}
	}
}

// TagConn implements [stats.Handler].
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements [stats.Handler].
func (watcher) HandleConn(context.Context, stats.ConnStats) {}

func replayed(md metadata.MD) bool { return slices.Contains(md.Get(ReplayedMetadata), "true") }

// checkName says why the key would not arrive as metadata of that name.
func checkName(name string) error {
	name = strings.ToLower(name)
	if name == "te" || name == "content-type" || name == "user-agent" || strings.HasPrefix(name, "grpc-") || strings.HasPrefix(name, ":") {
		return errors.New("that name is gRPC's own: use another one")
	}
	return checkMetadata(metadata.MD{name: nil})
}

// checkMetadata says why gRPC would refuse to send metadata. It does not show the values, which may be secret.
func checkMetadata(md metadata.MD) error {
	for name, values := range md {
		if name == "" {
			return errors.New("metadata has an empty name: use letters, digits, dashes and dots")
		}
		for i, c := range []byte(name) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' && (c != ':' || i > 0) {
				return fmt.Errorf("the metadata's name %q has the byte 0x%02x at %d: use letters, digits, dashes and dots", name, c, i)
			}
		}
		if strings.HasSuffix(name, "-bin") {
			continue
		}
		for _, value := range values {
			for i, c := range []byte(value) {
				if c < ' ' || c > '~' {
					return fmt.Errorf("the metadata %s has the byte 0x%02x at %d: use printable ASCII, or a name that ends in -bin "+
						"(is there a line feed at the end of a secret?)", name, c, i)
				}
			}
		}
	}
	return nil
}
