package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// seen is what a negative verdict is based on: the call as show had it, before the provider was asked. It travels by way of
// a person, so it is bound to the call: that of another one is refused.
type seen struct {
	fence    uint64
	state    idempotency.State
	lastSent time.Duration // then
	mark     string
}

// seeing returns what show has seen, or why no negative verdict can be based on it.
func seeing(rec *idempotency.Record) (s *seen, why string) {
	switch {
	case rec.Lapsed:
		return nil, "its process vanished in an attempt and may come back; let the service's Run take it over, then show it again"
	case rec.State == idempotency.StateRunning:
		return nil, "it is being worked on; show it again when that is over"
	case rec.Late:
		return nil, "it is known to have happened"
	case rec.State == idempotency.StateScheduled:
		return nil, "it has not been sent; cancel it, if it must not be"
	case rec.State.Settled():
		return nil, "it is settled, which is final"
	case rec.State != idempotency.StateAccepted && rec.State != idempotency.StateUnknown && rec.State != idempotency.StateAbandoned:
		return nil, "it is " + rec.State.String()
	}
	s = &seen{fence: rec.Fence, state: rec.State, lastSent: rec.LastSent.Truncate(time.Millisecond)}
	if rec.LastSent == idempotency.Never {
		s.lastSent = idempotency.Never
	}
	s.mark = s.of(rec)
	return s, ""
}

// of is the mark of what was seen on this very call. A key that was used again for another request is another call.
func (s *seen) of(rec *idempotency.Record) string {
	return idempotency.KeyFrom(rec.ID.Operation, rec.ID.Scope, rec.ID.Key, string(rec.Fingerprint), s.facts())[:8]
}

func (s *seen) facts() string {
	sent := "never"
	if s.lastSent != idempotency.Never {
		sent = s.lastSent.String()
	}
	return fmt.Sprintf("%d-%s-%s", s.fence, s.state, sent)
}

// String is what -as-of reads.
func (s *seen) String() string { return s.facts() + "-" + s.mark }

func parseSeen(text string) (*seen, error) {
	bad := errors.New("take it from what \"steadfast show\" printed of this call before the provider was asked")
	parts := strings.Split(text, "-")
	if len(parts) != 4 {
		return nil, bad
	}
	s := &seen{mark: parts[3], lastSent: idempotency.Never}
	var err error
	if s.fence, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return nil, bad
	}
	for _, state := range []idempotency.State{idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned} {
		if state.String() == parts[1] {
			s.state = state
		}
	}
	if parts[2] != "never" {
		s.lastSent, err = time.ParseDuration(parts[2])
	}
	if err != nil || s.state == idempotency.StateAbsent || s.facts() != strings.Join(parts[:3], "-") {
		return nil, bad
	}
	return s, nil
}

// asSeen is a store that answers as the database did when the call was shown: what Verdict.AsOf wants is a status that was
// read then, in another process.
type asSeen struct {
	idempotency.Store
	rec idempotency.Record
}

func (a asSeen) Get(context.Context, idempotency.ID) (idempotency.Record, error) { return a.rec, nil }

func (s *seen) status(ctx context.Context, store idempotency.Store, id idempotency.ID, settling time.Duration) (idempotency.Status[written], error) {
	w, err := outsider(asSeen{store, idempotency.Record{ID: id, State: s.state, Fence: s.fence, LastSent: s.lastSent}}, id, settling)
	if err != nil {
		return idempotency.Status[written]{}, err
	}
	return w.Status(ctx, id.Key)
}

// whyNot says why a negative verdict does not count, as far as the call tells.
func (s *seen) whyNot(now *idempotency.Record, settling time.Duration) string {
	again := "show it again, ask the provider again, and settle it as of that"
	switch {
	case now.State == s.state && now.Fence == s.fence && !now.Lapsed:
		return fmt.Sprintf("when it was shown, it might have been sent only %s before, and a sending may take effect for %s (-settling): "+
			"wait until that is over, %s", age(s.lastSent), age(settling), again)
	case now.State.Settled(), now.Late:
		return "it is " + now.State.String() + " now"
	}
	if _, why := seeing(now); why != "" {
		return fmt.Sprintf("it has moved on since it was shown (%s, fence %d; now %s, fence %d): %s", s.state, s.fence, now.State, now.Fence, why)
	}
	return fmt.Sprintf("it has moved on since it was shown (%s, fence %d; now %s, fence %d): %s", s.state, s.fence, now.State, now.Fence, again)
}
