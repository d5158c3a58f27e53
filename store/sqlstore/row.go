package sqlstore

import (
	"database/sql"
	"slices"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/internal/record"
)

// The columns of the table, in the order in which they are read and written. schema/ says what they mean.
var (
	keyColumns  = blobs("operation", "scope", "call_key")
	restColumns = []param{ // what transitions change
		{"state", integer}, {"claimed_from", integer}, {"flags", integer}, {"fence", integer}, {"token", bytes}, {"batch", bytes},
		{"attempts", integer}, {"lease_until", integer}, {"due", integer}, {"next_step", integer}, {"expires", integer},
		{"give_up", integer}, {"changed", integer}, {"first_sent", integer}, {"last_sent", integer},
		{"value", bytes}, {"ref", bytes}, {"code", bytes}, {"message", bytes},
	}
	createdColumn = integers("created")
	freshColumns  = slices.Concat(keyColumns, []param{ // what is not the same in all new records
		{"state", integer}, {"claimed_from", integer}, {"flags", integer}, {"token", bytes},
		{"lease_until", integer}, {"due", integer}, {"next_step", integer}, {"expires", integer}, {"give_up", integer}, {"first_sent", integer},
		{"retention", integer}, {"stub_for", integer}, {"fingerprint", bytes}, {"request", bytes},
	})
	claimColumns = []param{ // what the claim says of the call itself
		{"retention", integer}, {"stub_for", integer}, {"fingerprint", bytes}, {"request", bytes},
	}
)

// The bits of flags. They are stored; they never change.
const (
	flagSending = 1 << iota
	flagCancelWanted
	flagTell
	flagAmbiguous
	flagReplayedError
	flagStarted
	flagNotify
	flagLate
	flagOmitted
	flagExpired
)

// far is the next step of an open call that waits for somebody. So next_step finds all open calls, and nothing else beside
// what is to be notified.
const far = int64(1) << 62

// row is a record as the database has it.
type row struct {
	record.Record
	batch []byte        // the claim of AcquireDue that holds it
	clock record.Moment // of the statement that returned it
}

// from returns a record that was made at moment zero as it is when that moment is now: what a statement wrote that adds its
// own now.
func (r *row) from(now record.Moment) record.Record {
	at := r.Record
	moments := []*record.Moment{&at.DueAt, &at.GiveUpAt, &at.CreatedAt, &at.ChangedAt, &at.FirstSentAt, &at.LastSentAt}
	if at.LeaseEnd != 0 {
		moments = append(moments, &at.LeaseEnd)
	}
	for _, m := range moments {
		if *m != record.Never {
			*m = now.In(time.Duration(*m).Truncate(time.Microsecond))
		}
	}
	at.Retention, at.StubFor = at.Retention.Truncate(time.Microsecond), at.StubFor.Truncate(time.Microsecond)
	return at
}

// settled returns what the settlement r has made of a record of which kept has what a settlement does not replace.
func (r *row) settled(kept *row) record.Record {
	at := r.from(kept.clock)
	written := marks(&at)
	for i, mark := range kept.marks() {
		*written[i] = *mark
	}
	at.Attempts, at.Ref, at.GiveUpAt = kept.Attempts, kept.Ref, kept.GiveUpAt
	at.CreatedAt, at.FirstSentAt, at.LastSentAt = kept.CreatedAt, kept.FirstSentAt, kept.LastSentAt
	at.Retention, at.StubFor, at.Fingerprint, at.Request = kept.Retention, kept.StubFor, kept.Fingerprint, kept.Request
	return at
}

// flags returns the record's marks.
func (r *row) flags() int64 {
	var f int64
	for bit, set := range r.marks() {
		if *set {
			f |= 1 << bit
		}
	}
	return f
}

func (r *row) marks() [10]*bool { return marks(&r.Record) }

func marks(r *record.Record) [10]*bool {
	return [...]*bool{
		&r.Sending, &r.CancelWanted, &r.Tell, &r.Ambiguous, &r.ReplayedError, &r.Started, &r.Notify, &r.Late, &r.Omitted, &r.Expired,
	}
}

// micros is how a moment, or a distance from now, is stored.
func micros(m record.Moment) any {
	if m == record.Never {
		return nil
	}
	return int64(m) / int64(time.Microsecond)
}

func (r *row) leaseUntil() any {
	switch r.LeaseEnd {
	case 0:
		return nil
	case record.Never:
		return far / 2 // NULL is a record that is not claimed
	}
	return micros(r.LeaseEnd)
}

func (r *row) nextStep() any {
	if m := r.NextStep(); m != record.Never {
		return micros(m)
	}
	if r.State != idempotency.StateFree && !r.State.Settled() {
		return far
	}
	return nil
}

// orNull is for drivers that write an empty value where they are given none.
func orNull(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func keyArgs(id *idempotency.ID) []any {
	return []any{[]byte(id.Operation), []byte(id.Scope), []byte(id.Key)}
}

// restArgs appends the values of restColumns. They are moments, or, on a record that was made at moment zero, distances from
// the statement's own now.
func (r *row) restArgs(args []any) []any {
	return append(args,
		int64(r.State), int64(r.From), r.flags(), int64(r.Fence), r.Token[:], orNull(r.batch),
		int64(r.Attempts), r.leaseUntil(), micros(r.DueAt), r.nextStep(), micros(r.Expires()),
		micros(r.GiveUpAt), micros(r.ChangedAt), micros(r.FirstSentAt), micros(r.LastSentAt),
		r.Value, []byte(r.Ref), []byte(r.Code), []byte(r.Message),
	)
}

// claimArgs appends the values of claimColumns.
func (r *row) claimArgs(args []any) []any {
	return append(args, micros(record.Moment(r.Retention)), micros(record.Moment(r.StubFor)), r.Fingerprint, r.Request)
}

// freshArgs are the values of freshColumns.
func (r *row) freshArgs() []any {
	return append(keyArgs(&r.ID),
		int64(r.State), int64(r.From), r.flags(), r.Token[:],
		r.leaseUntil(), micros(r.DueAt), r.nextStep(), micros(r.Expires()), micros(r.GiveUpAt), micros(r.FirstSentAt),
		micros(record.Moment(r.Retention)), micros(record.Moment(r.StubFor)), r.Fingerprint, r.Request,
	)
}

// scan reads all columns, and the statement's now behind them. Where a statement leaves out what its caller knows, it says NULL.
func (r *row) scan(rows *sql.Rows) (now record.Moment, err error) {
	var operation, scope, key, token, ref, code, message []byte
	var state, from, flags, fence, attempts, changed, created sql.NullInt64
	var lease, due, next, expires, giveUp, firstSent, lastSent, retention, stubFor sql.NullInt64
	var clock int64
	err = rows.Scan(&operation, &scope, &key,
		&state, &from, &flags, &fence, &token, &r.batch,
		&attempts, &lease, &due, &next, &expires,
		&giveUp, &changed, &firstSent, &lastSent,
		&r.Value, &ref, &code, &message,
		&created, &retention, &stubFor, &r.Fingerprint, &r.Request, &clock)
	if err != nil {
		return 0, err
	}
	r.ID = idempotency.ID{Operation: string(operation), Scope: string(scope), Key: string(key)}
	r.State, r.From = idempotency.State(state.Int64), idempotency.State(from.Int64)
	for bit, set := range r.marks() {
		*set = flags.Int64&(1<<bit) != 0
	}
	r.Fence, r.Attempts = uint64(fence.Int64), int(attempts.Int64)
	copy(r.Token[:], token)
	r.Ref, r.Code, r.Message = string(ref), string(code), string(message)
	if lease.Valid {
		r.LeaseEnd = moment(lease)
	}
	r.DueAt, r.GiveUpAt, r.FirstSentAt, r.LastSentAt = moment(due), moment(giveUp), moment(firstSent), moment(lastSent)
	r.CreatedAt, r.ChangedAt = record.Moment(created.Int64)*1000, record.Moment(changed.Int64)*1000
	r.Retention, r.StubFor = time.Duration(moment(retention)), time.Duration(moment(stubFor))

	// No clock stands before what was written by it: not because the statement waited for whoever wrote, and not because
	// an administrator set it back.
	r.clock = record.Moment(clock) * 1000
	now = max(r.clock, r.CreatedAt, r.ChangedAt)
	for _, m := range []record.Moment{r.FirstSentAt, r.LastSentAt} {
		if m != record.Never {
			now = max(now, m)
		}
	}
	return now, nil
}

func moment(n sql.NullInt64) record.Moment {
	if !n.Valid || n.Int64 > int64(record.Never)/1000 {
		return record.Never
	}
	return record.Moment(n.Int64) * 1000
}
