package idempotency

import (
	"context"
	"errors"
)

// start schedules a call.
func (e *engine) start(ctx context.Context, key flightKey, request []byte) (Record, error) {
	if err := e.begin(); err != nil {
		return Record{}, err
	}
	defer e.owned.Done()
	cl := Claim{
		ID: key.id, Mode: ClaimSchedule, Token: newToken(),
		Fingerprint: key.fingerprint[:], Request: request,
		GiveUp: e.giveUp, Retention: e.retention, StubFor: e.stubFor,
	}
	var rec Record
	err := e.claim(ctx, &cl, &rec)
	for n := 0; err == nil && rec.State == StateFree && n < acquireTries; n++ {
		if err := e.belongs(&rec, key.fingerprint); err != nil {
			return rec, err
		}
		cl.Fence, cl.Lapsed, cl.Token = rec.Fence, rec.Lapsed, newToken()
		err = e.claim(ctx, &cl, &rec)
		if errors.Is(err, ErrNoRecord) { // purged since
			cl.Fence, cl.Token = 0, newToken()
			err = e.claim(ctx, &cl, &rec)
		}
	}
	if err != nil {
		return rec, err
	}
	if err := e.belongs(&rec, key.fingerprint); err != nil {
		return rec, err
	}
	if rec.State == StateFree || rec.State == StateRunning && rec.From == StateFree && !rec.Started { // a Do has it, and may give it back
		return rec, &PendingError{ID: key.id, State: rec.State, after: e.poll}
	}
	e.hint()
	return rec, nil
}
