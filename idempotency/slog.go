package idempotency

import (
	"context"
	"log/slog"
	"time"
)

// LogHooks returns hooks that write to logger: what needs somebody's attention as errors and warnings (an outcome that is
// unknown is one), other transitions as info, attempts and questions as debug. Requests and values are not logged, but for an outcome that could not be recorded
// and a verdict that could not be believed: there the log may be all that is left of it.
func LogHooks(logger *slog.Logger) Hooks {
	log := func(level slog.Level, msg string, id ID, attrs ...slog.Attr) {
		attrs = append([]slog.Attr{slog.String("operation", id.Operation), slog.String("scope", id.Scope), slog.String("key", id.Key)}, attrs...)
		logger.LogAttrs(context.Background(), level, msg, attrs...)
	}
	return Hooks{
		Attempt: func(e AttemptEvent) {
			log(slog.LevelDebug, "attempt", e.ID, slog.String("provider_key", e.ProviderKey), slog.Int("number", e.Number),
				slog.String("class", e.Class), slog.Duration("took", e.Took), slog.Any("error", e.Err))
		},
		Asked: func(e AskedEvent) {
			log(slog.LevelDebug, "asked the provider", e.ID, slog.String("verdict", e.Verdict), slog.Bool("believed", e.Believed),
				slog.Duration("took", e.Took), slog.Any("error", e.Err))
		},
		Settled: func(e SettledEvent) {
			level, msg := slog.LevelInfo, "call is "+e.State.String()
			if e.State == StateUnknown || e.State == StateAbandoned {
				level = slog.LevelWarn
			}
			if e.Late {
				msg += ", and happened: it must be compensated for"
			}
			log(level, msg, e.ID, slog.Int("attempts", e.Attempts), slog.Duration("age", e.Age))
		},
		Conflict: func(e ConflictEvent) {
			log(slog.LevelError, "a verdict contradicts the record", e.ID, slog.String("recorded", e.Recorded.String()),
				slog.String("claimed", e.Claimed.String()), slog.String("code", e.Code), slog.String("value", string(e.Value)), slog.Any("error", e.Err))
		},
		Unrecorded: func(e UnrecordedEvent) {
			log(slog.LevelError, "an outcome could not be recorded", e.ID, slog.String("state", e.Outcome.State.String()), slog.String("ref", e.Outcome.Ref),
				slog.String("code", e.Outcome.Code), slog.String("value", string(e.Outcome.Value)), slog.Any("error", e.Err))
		},
		LeaseLost:   func(id ID) { log(slog.LevelWarn, "a lease was lost", id) },
		Stuck:       func(id ID) { log(slog.LevelWarn, "Send or Lookup ignores that its context ended", id) },
		NotifyError: func(id ID, err error) { log(slog.LevelError, "OnSettled failed", id, slog.Any("error", err)) },
		StoreError: func(op string, err error) {
			logger.LogAttrs(context.Background(), slog.LevelError, "the store failed", slog.String("op", op), slog.Any("error", err))
		},
		Oldest: func(operation string, age time.Duration) {
			if age == 0 { // nothing is unresolved, which is no news
				return
			}
			logger.LogAttrs(context.Background(), slog.LevelDebug, "oldest unresolved call", slog.String("operation", operation), slog.Duration("age", age))
		},
	}
}
