package idemgrpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Domain is the domain of the google.rpc.ErrorInfo in the statuses that a [Server] makes itself. Its reason is a [Reason].
const Domain = "steadfast-go.github.io"

// Reason says why a [Server] did not answer with the handler's reply.
type Reason string

// The reasons, with their codes. Those of Aborted say that the request may have taken effect, and must not be sent with a new key.
const (
	KeyMissing      Reason = "KEY_MISSING"      // InvalidArgument
	KeyMalformed    Reason = "KEY_MALFORMED"    // InvalidArgument
	KeyReused       Reason = "KEY_REUSED"       // InvalidArgument: with another method or message
	KeyClosed       Reason = "KEY_CLOSED"       // FailedPrecondition: it was cancelled before it had any effect
	InProgress      Reason = "IN_PROGRESS"      // Aborted, with google.rpc.RetryInfo
	OutcomeUnknown  Reason = "OUTCOME_UNKNOWN"  // Aborted
	ResponseOmitted Reason = "RESPONSE_OMITTED" // Aborted: it succeeded; the reply could not be recorded
	KeyExpired      Reason = "KEY_EXPIRED"      // Aborted: it succeeded; the reply is no longer kept
	Unavailable     Reason = "UNAVAILABLE"      // Unavailable: the store cannot be asked
)

func (r Reason) code() codes.Code {
	switch r {
	case KeyMissing, KeyMalformed, KeyReused:
		return codes.InvalidArgument
	case KeyClosed:
		return codes.FailedPrecondition
	case Unavailable:
		return codes.Unavailable
	default:
		return codes.Aborted
	}
}

// refuse makes a status of a reason. Its message never repeats a key or a principal.
func refuse(r Reason, after time.Duration, format string, args ...any) error {
	details := []protoadapt.MessageV1{protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: string(r), Domain: Domain})}
	if after > 0 {
		details = append(details, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}))
	}
	s := status.New(r.code(), fmt.Sprintf(format, args...))
	if detailed, err := s.WithDetails(details...); err == nil {
		s = detailed
	}
	return s.Err()
}

// ReasonOf returns the reason of a status that a [Server] made, and an empty one of any other error.
func ReasonOf(err error) Reason {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return Reason(info.GetReason())
		}
	}
	return ""
}

// replay answers with what is recorded. began says that this very request has set out to find it.
func (s *Server) replay(ctx context.Context, value []byte, err error, began bool) (any, error) {
	switch e := err.(type) { //nolint:errorlint // what is hidden in it may speak of a call that the handler made
	case nil:
		reply, err := unmarshal(value)
		if err != nil {
			return nil, refuse(ResponseOmitted, 0, "the request was completed, its reply cannot be read: %v", err)
		}
		markReplayed(ctx, began)
		return reply, nil
	case *idempotency.Rejection:
		markReplayed(ctx, began)
		return nil, status.Error(s.codeOf(e.Code), e.Message)
	case *idempotency.PendingError:
		return nil, refuse(InProgress, e.RetryAfter(), "the request with this key is under way: send it again later, with the same key")
	case *idempotency.UnknownError:
		return nil, refuse(OutcomeUnknown, e.RetryAfter(), "nobody knows whether the request with this key took effect: it is not executed again until that is known")
	}
	switch {
	case errors.Is(err, idempotency.ErrKeyReused):
		return nil, refuse(KeyReused, 0, "the key was used with another method or message: send that again, or make a new key for this one")
	case errors.Is(err, idempotency.ErrCancelled):
		return nil, refuse(KeyClosed, 0, "the request with this key will not be executed any more: a new key is safe")
	case errors.Is(err, idempotency.ErrExpired):
		return nil, refuse(KeyExpired, 0, "the request with this key was completed, longer ago than replies are kept")
	case errors.Is(err, idempotency.ErrValueOmitted):
		return nil, refuse(ResponseOmitted, 0, "the request with this key was completed, its reply could not be kept")
	default:
		return nil, refuse(Unavailable, 0, "the server cannot tell whether it has seen the key: send the request again with the same key")
	}
}

func markReplayed(ctx context.Context, began bool) {
	if !began {
		_ = grpc.SetHeader(ctx, metadata.Pairs(ReplayedMetadata, "true")) // or the client has gone
	}
}

// codeOf finds the code that a rejection was recorded by.
func (s *Server) codeOf(name string) codes.Code {
	for code := range s.rejections {
		if code.String() == name {
			return code
		}
	}
	return codes.FailedPrecondition // an operator's, or a handler's own: it is a definite no
}
