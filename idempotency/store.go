package idempotency

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Never stands for a moment that does not come by itself: a record without a next step, a call without a give-up time,
// a sending that was never made.
const Never time.Duration = math.MaxInt64

// MaxKey is the longest operation, scope or key, in bytes.
const MaxKey = 255

// ID names one call: the key within a scope within an operation. All three are bytes; they are compared without folding
// case or spaces. Operation and Key are 1 to [MaxKey] bytes long; Scope may be empty.
type ID struct {
	Operation string
	Scope     string
	Key       string
}

// Token names one claim. It is random, made by the client, and never used again, so that a request whose reply was lost
// can be repeated.
type Token [16]byte

// Lease is the proof of a claim. A store compares fence and token, never the time.
type Lease struct {
	ID
	Fence uint64
	Token Token
}

// State is where a call stands. The numbers are stored; they never change.
type State uint8

// The states of a call. Succeeded, Rejected and Cancelled are settled: final.
const (
	// StateAbsent is the zero State: there is no record.
	StateAbsent State = 0
	// StateFree is a record whose only claim ended with "not sent". To a caller it is as good as absent. It is kept for
	// a while because its fence refuses a delayed copy of an earlier Acquire.
	StateFree State = 1
	// StateScheduled is committed to and not claimed.
	StateScheduled State = 2
	// StateRunning is claimed.
	StateRunning State = 3
	// StateAccepted was taken by the provider, which answers later. It is never sent again.
	StateAccepted State = 4
	// StateUnknown may or may not have happened.
	StateUnknown State = 5
	// StateAbandoned was given up while unknown or accepted. Nothing is sent; it is still asked about.
	StateAbandoned State = 6
	// StateSucceeded happened.
	StateSucceeded State = 7
	// StateRejected was definitely refused by the provider.
	StateRejected State = 8
	// StateCancelled will never be sent, and never took effect.
	StateCancelled State = 9
)

// Settled reports whether s is final.
func (s State) Settled() bool { return s >= StateSucceeded && s <= StateCancelled }

// String returns the state's name, in lower case.
func (s State) String() string {
	names := [...]string{
		"absent", "free", "scheduled", "running", "accepted", "unknown", "abandoned", "succeeded", "rejected", "cancelled",
	}
	if int(s) >= len(names) {
		return "invalid"
	}
	return names[s]
}

// Record is what a store knows of one call, as it was at the moment the store answered.
//
// All times are durations measured by the store's clock at that moment: ages count up, remaining times count down and
// are zero or negative once they have passed. [Never] means that there is no such moment.
//
// The byte slices belong to the store: they must not be changed by who reads them, and the store must not change them
// once handed out.
type Record struct {
	ID    ID
	State State
	// From is, while State is StateRunning, the state that the claim was made from: StateFree (also for a record that
	// the claim created), StateScheduled, StateAccepted, StateUnknown or StateAbandoned.
	From State
	// Owned says that the token that was presented holds the claim (or, for a settled record that is to be notified,
	// the claim to notify).
	Owned bool
	// Fence grows with every claim of this record.
	Fence uint64
	// Lapsed says that a claim's lease ran out and nobody has taken the record over. State is then what the record falls
	// back to, but its owner may still come back, so no negative verdict from outside is believed, and a claim says whether it
	// saw the record so.
	Lapsed bool
	// Sending says that the claim was marked as sending.
	Sending bool
	// CancelWanted says that Cancel was called while the record was claimed: no further attempt is made.
	CancelWanted bool
	// Ambiguous says that an attempt ended unknown and that nothing has proven since that it had no effect.
	Ambiguous bool
	// ReplayedError says that the provider's last answer was an error that it had stored under the provider key.
	ReplayedError bool
	// Started says that the record was committed to (Start, or a proven "did not happen"): it is never freed.
	Started bool
	// Notify says that OnSettled has not yet been told of the record's present state.
	Notify bool
	// Late says that a success became known after the call was abandoned; Value holds it.
	Late bool
	// Omitted says that the call succeeded with a value that could not be stored.
	Omitted bool
	// Expired says that retention has emptied Value and Request.
	Expired bool
	// Attempts counts the sendings that were reported.
	Attempts int

	Fingerprint []byte
	Request     []byte
	Value       []byte
	Ref         string // the provider's id for an accepted call
	Code        string // why it was rejected
	Message     string // the last error, for people

	Created   time.Duration // age of the record
	FirstSent time.Duration // age of the first possible sending, or Never
	LastSent  time.Duration // age of the last possible sending, or Never
	SettledAt time.Duration // age of the settlement (for an abandoned record: of its last change), or Never
	Lease     time.Duration // remaining; zero unless claimed
	Due       time.Duration // until the next step (claimed: the lease's end), or Never
	GiveUp    time.Duration // remaining, or Never
}

// ClaimMode says what Acquire is to do where it finds no record, or the free or resting one that the claim names.
type ClaimMode uint8

const (
	// ClaimRun claims the record for attempts (Sending) or for asking.
	ClaimRun ClaimMode = iota
	// ClaimSchedule commits to the call without claiming it. It is due at once, or when the free record may be claimed.
	ClaimSchedule
	// ClaimTombstone writes StateCancelled, so that the key can never be sent.
	ClaimTombstone
)

// Claim is what Acquire is asked for.
//
// With Fence zero it applies only where no record exists. Any other Fence must be the one that the caller saw on the
// record, with Lapsed as the caller saw it; and the record must be at rest: free, scheduled, accepted, unknown or abandoned (also by a
// lapsed claim), neither Late nor marked to notify, for ClaimRun due (or free with Due Never), and for ClaimSchedule and ClaimTombstone free. So a delayed copy of a claim
// can never bring back a record that has moved on, not even where the owner of a lapsed claim has come back and settled it.
type Claim struct {
	ID      ID
	Token   Token // never zero
	Mode    ClaimMode
	Fence   uint64
	Lapsed  bool          // the record's, as it was seen with Fence
	Sending bool          // marks the claim as sending from its start
	Lease   time.Duration // for ClaimRun

	// What follows is stored when the claim creates the record or takes a free one; other records keep theirs.
	Fingerprint []byte
	Request     []byte
	GiveUp      time.Duration // from now; Never for none
	Retention   time.Duration // how long value and request are kept after the record has settled
	StubFor     time.Duration // how long the stub is kept after that; Never for ever
	Notify      bool          // for ClaimTombstone: mark to notify
}

// DueClaim is what AcquireDue is asked for.
type DueClaim struct {
	Operation string
	Token     Token // never zero; the claims of one DueClaim share it
	Lease     time.Duration
	N         int // at most this many
}

// Outcome is what Settle is asked to write.
type Outcome struct {
	// State is the state to go to. Owners may name any but StateAbsent and StateRunning.
	State State
	// Ambiguous replaces the record's mark. It must be true for StateUnknown.
	Ambiguous     bool
	ReplayedError bool
	Omitted       bool
	// Attempts is added to the record's count.
	Attempts int
	Value    []byte
	Ref      string // empty keeps the record's
	Code     string
	Message  string
	// Due is the time until the next step, for a record that does not settle. Never for none.
	Due time.Duration
	// Notify marks the record to notify when it ends up settled or abandoned. Its next step is then due after NotifyIn;
	// until then the owner that settled it holds the claim to notify.
	Notify   bool
	NotifyIn time.Duration
}

// Query selects records of one operation for List. The order is by scope and key, bytewise, or by age.
type Query struct {
	Operation string
	// Scope restricts the list to one scope, unless it is nil.
	Scope *string
	// States restricts the list; empty means all but StateFree.
	States []State
	// After continues a list after this scope and key (its Operation is ignored). The zero ID begins.
	After ID
	// OldestFirst orders by age instead; After must be zero then.
	OldestFirst bool
	// N is the largest number of records to return, 1 to 1000.
	N int
}

// Validate says which field cannot work, and why. Stores refuse such queries.
func (q Query) Validate() error {
	switch {
	case q.N < 1 || q.N > maxList:
		return fmt.Errorf("idempotency: Query.N is %d: ask for 1 to %d records, and go on with After", q.N, maxList)
	case q.OldestFirst && q.After != ID{}:
		return fmt.Errorf("idempotency: Query.After is %q while OldestFirst is set: a list by age cannot be continued, leave it zero", q.After.Key)
	}
	for _, s := range q.States {
		if s <= StateAbsent || s > StateCancelled {
			return fmt.Errorf("idempotency: Query.States has %d, which is no state of a record: use the State constants", s)
		}
	}
	return nil
}

const maxList = 1000

// Store keeps records. Its methods are safe for concurrent use, by any number of processes where the store is shared.
//
// A store has one clock of its own; all durations are measured by it. It never interprets requests and values. Every
// mutation is atomic and compares fence and token. Errors other than [ErrNoRecord], [ErrLeaseLost] and [ErrConflict]
// mean that it is unknown whether the mutation was made; asked again with the same arguments, Acquire, AcquireDue and
// Settle return what they did. An error with a method Final() bool that says true is not asked again: a failure in the caller's
// own transaction, for instance, which has ended with it. store/storetest checks all of these rules.
type Store interface {
	// Acquire claims, schedules or cancels as [Claim] says, and returns the record as it then is. Owned (for ClaimRun)
	// tells whether the claim was granted; a claim that does not apply changes nothing and returns what is there. Where
	// Fence is not zero and there is no record, it returns ErrNoRecord.
	//
	// A new claim has Fence one higher than the record had (1 on a new record), From the state at rest, and, if Sending,
	// FirstSent set to now unless it was set. A lapsed claim is written down first: see [Record.Lapsed].
	Acquire(ctx context.Context, c Claim) (Record, error)

	// AcquireDue claims up to N records of the operation whose next step is due: scheduled, accepted, unknown and
	// abandoned ones, lapsed ones, and those to be notified (their state stays as it is). No claim is marked as sending.
	// Longest overdue first; no two callers get the same record.
	AcquireDue(ctx context.Context, c DueClaim) ([]Record, error)

	// Extend sets the leases to end d from now and reports for each whether its claim still stands; a claim whose lease
	// ran out and that nobody took over does. With sending, claims are also marked as sending (FirstSent is set unless
	// it was), and one whose cancellation is wanted is refused instead.
	Extend(ctx context.Context, leases []Lease, d time.Duration, sending bool) ([]bool, error)

	// Settle ends a claim with an outcome, or, with a zero Token, applies a verdict from outside or a cancellation.
	//
	// With a token: fence and token must match, else ErrLeaseLost and the record as it is. A wanted cancellation turns
	// StateFree and StateScheduled into StateCancelled, StateUnknown and StateAccepted into StateAbandoned. Free and
	// scheduled records forget their sendings; for others LastSent becomes now if the claim was sending. A claim to
	// notify is ended by an outcome that names the record's own state: the mark is replaced by Notify, Due is set, all
	// else stays. Settling again with the same lease returns the record.
	//
	// With a zero token it depends on the state at rest or, while claimed, on the record (a lapsed claim counts by what
	// it falls back to, except where said):
	//
	//	StateSucceeded  scheduled, running, accepted, unknown: succeeded. abandoned: Late and Value are set, once.
	//	                Succeeded: no change. free: ErrNoRecord. Others: ErrConflict
	//	StateCancelled  with Fence zero, a cancellation. scheduled, free: cancelled. running: CancelWanted. accepted,
	//	                unknown: abandoned. Others: no change
	//	any, Fence set  a negative verdict or a hint: the record must be at rest (not lapsed) with this fence, else
	//	                ErrLeaseLost; a settled or Late one that says otherwise, ErrConflict. From accepted or unknown to
	//	                rejected or scheduled (sendings are forgotten), from abandoned to cancelled; the record's own
	//	                state sets only Due
	//
	// A record that is settled from outside loses its claim.
	Settle(ctx context.Context, l Lease, o Outcome) (Record, error)

	// Get returns the record, or ErrNoRecord.
	Get(ctx context.Context, id ID) (Record, error)

	// List returns records as they are, values and requests included.
	List(ctx context.Context, q Query) ([]Record, error)

	// Purge does up to limit steps of what retention asks for: it empties settled records (not those still to notify),
	// and removes stubs and free records whose time is over. It returns how many it did.
	Purge(ctx context.Context, limit int) (int, error)
}

// Peeker is an optional ability of a [Store]: a settled record, straight from memory. It must say false for anything
// that is not settled, and may do so at will.
type Peeker interface {
	Peek(id ID) (Record, bool)
}

// TxSettler is an optional ability of a [Store]: it settles and calls fn with the settled record in one transaction,
// which ctx carries. If fn fails, nothing is settled and its error is returned as it is. fn is called only if the
// outcome left the record with a mark to notify, and that mark is cleared by the same transaction. SettleTx also ends
// claims to notify, with an outcome that names the record's own state and Notify.
type TxSettler interface {
	SettleTx(ctx context.Context, l Lease, o Outcome, fn func(ctx context.Context, r Record) error) (Record, error)
}
