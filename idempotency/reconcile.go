package idempotency

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"time"
)

// Entry is a line of the provider's own list of what it did.
type Entry struct {
	// ProviderKey is the key that was sent, [Attempt.Key]. If the provider does not give it back, Scope and Key, from its
	// metadata, say the same.
	ProviderKey string
	Scope       string
	Key         string
	// Ref is the provider's id.
	Ref string
	// Happened says whether it took effect; false for what the provider lists as declined, failed or voided.
	Happened bool
	// Time is when, by the provider's clock.
	Time time.Time
}

// Discrepancy is what Reconcile found.
type Discrepancy struct {
	Kind DiscrepancyKind
	// Entry is the provider's line; zero for MissingAtProvider.
	Entry Entry
	// Scope, Key and State are ours; State is StateAbsent for MissingHere.
	Scope string
	Key   string
	State State
}

// DiscrepancyKind says how the two lists differ.
type DiscrepancyKind uint8

const (
	// MissingHere: the provider did something that no record speaks of. The store was restored from a backup, or the
	// entry is somebody else's.
	MissingHere DiscrepancyKind = iota + 1
	// MissingAtProvider: a call is recorded as succeeded that the provider does not list.
	MissingAtProvider
	// Disagree: the provider says that it happened, and the record that it was rejected, cancelled or never sent; or the
	// other way round.
	Disagree
	// Unsettled: the provider says that it happened, and the record is not settled. Settle it, or wait for Run.
	Unsettled
	// Twice: the provider lists the same key more than once as happened.
	Twice
)

// String names the kind.
func (k DiscrepancyKind) String() string {
	names := [...]string{"invalid", "missing here", "missing at the provider", "disagree", "unsettled", "twice"}
	if int(k) >= len(names) {
		return names[0]
	}
	return names[k]
}

// Reconciliation says what to compare.
type Reconciliation struct {
	// Entries yields the provider's list; for a wrapper made by For, that of its scope, in any order. It is read more than once, one time for every MaxEntries lines,
	// and should yield the same lines every time. An error ends Reconcile.
	Entries iter.Seq2[Entry, error]
	// From and To bound the time that the list covers, by this process's clock: only calls whose first sending lies between
	// them can be missing at the provider. Leave out the last minutes, in which things are still under way.
	From time.Time
	To   time.Time
	// MaxEntries bounds how many lines are held in memory at once. Default 100,000.
	MaxEntries int
}

// reconcilePage is how many records are read at once.
const reconcilePage = 500

// Reconcile compares the provider's own list with the records, both ways, and yields what only one side has and where
// the two disagree. It changes nothing. It is the only net under a store restored from a backup, a wrong [NotSent] or a
// wrong Settling.
//
// Memory is bounded by MaxEntries: longer lists are compared in parts, chosen by a hash of the provider key, for each of
// which the list and the records are read once.
func (w *Wrapper[In, Out]) Reconcile(ctx context.Context, with Reconciliation) iter.Seq2[Discrepancy, error] {
	return func(yield func(Discrepancy, error) bool) {
		if err := w.e.reconcile(ctx, with, w.scopeFilter(), yield); err != nil {
			yield(Discrepancy{}, err)
		}
	}
}

func (w *Wrapper[In, Out]) scopeFilter() *string {
	if w.scoped {
		return &w.scope
	}
	return nil
}

func (e *engine) reconcile(ctx context.Context, with Reconciliation, scope *string, yield func(Discrepancy, error) bool) error {
	switch {
	case with.Entries == nil:
		return errors.New("idempotency: Reconciliation.Entries is nil: give the provider's list")
	case !with.From.Before(with.To):
		return fmt.Errorf("idempotency: Reconciliation.From %v is not before To %v: give the time that the list covers", with.From, with.To)
	case with.MaxEntries < 0:
		return fmt.Errorf("idempotency: Reconciliation.MaxEntries is %d: use a positive number, or zero for the default", with.MaxEntries)
	case with.MaxEntries == 0:
		with.MaxEntries = 100_000
	}
	lines := 0
	for _, err := range with.Entries {
		if err != nil {
			return fmt.Errorf("idempotency: reading the provider's list: %w", err)
		}
		lines++
	}
	p := part{seed: maphash.MakeSeed(), parts: uint64(lines/with.MaxEntries) + 1}
	for p.number = 0; p.number < p.parts; p.number++ {
		more, err := e.reconcilePart(ctx, with, scope, p, yield)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// part is the share of all provider keys that one round looks at.
type part struct {
	seed          maphash.Seed
	number, parts uint64
}

func (p part) has(providerKey string) bool {
	return maphash.String(p.seed, providerKey)%p.parts == p.number
}

// listed is what the provider says of one key.
type listed struct {
	Entry
	found bool
	twice []Entry // further lines that happened
}

func (e *engine) reconcilePart(ctx context.Context, with Reconciliation, scope *string, p part, yield func(Discrepancy, error) bool) (more bool, err error) {
	theirs := map[string]*listed{}
	for entry, err := range with.Entries {
		if err != nil {
			return false, fmt.Errorf("idempotency: reading the provider's list: %w", err)
		}
		if scope != nil && entry.Key != "" && entry.Scope != *scope {
			continue
		}
		if entry.ProviderKey == "" && entry.Key != "" {
			entry.ProviderKey = providerKey(e.namespace, ID{e.name, entry.Scope, entry.Key}).String()
		}
		if entry.ProviderKey == "" { // made by hand, or before there were keys: no record can speak of it
			if entry.Happened && p.number == 0 && !yield(Discrepancy{Kind: MissingHere, Entry: entry}, nil) {
				return false, nil
			}
			continue
		}
		if !p.has(entry.ProviderKey) {
			continue
		}
		first := theirs[entry.ProviderKey]
		switch {
		case first == nil:
			theirs[entry.ProviderKey] = &listed{Entry: entry}
		case !entry.Happened:
		case !first.Happened:
			first.Entry = entry
		default:
			first.twice = append(first.twice, entry)
		}
	}
	for rec, err := range e.all(ctx, scope) {
		if err != nil {
			return false, err
		}
		key := providerKey(e.namespace, rec.ID).String()
		if !p.has(key) {
			continue
		}
		d := Discrepancy{Scope: rec.ID.Scope, Key: rec.ID.Key, State: rec.State}
		if l := theirs[key]; l != nil {
			l.found, d.Entry = true, l.Entry
			d.Kind = compare(rec, l.Happened)
			for _, again := range l.twice {
				if !yield(Discrepancy{Kind: Twice, Entry: again, Scope: d.Scope, Key: d.Key, State: d.State}, nil) {
					return false, nil
				}
			}
		} else if sent := time.Now().Add(-rec.FirstSent); (rec.State == StateSucceeded || rec.Late) && rec.FirstSent != Never && sent.After(with.From) && sent.Before(with.To) {
			d.Kind = MissingAtProvider
		}
		if d.Kind != 0 && !yield(d, nil) {
			return false, nil
		}
	}
	for _, l := range theirs {
		if l.found || !l.Happened {
			continue
		}
		for _, missing := range append([]Entry{l.Entry}, l.twice...) {
			if !yield(Discrepancy{Kind: MissingHere, Entry: missing, Scope: l.Scope, Key: l.Key}, nil) {
				return false, nil
			}
		}
	}
	return true, nil
}

// compare says how a record and the provider's word differ; zero if they do not.
func compare(rec Record, happened bool) DiscrepancyKind {
	switch rec.State {
	case StateSucceeded:
		if !happened {
			return Disagree
		}
	case StateRejected, StateCancelled, StateScheduled, StateFree:
		if happened {
			return Disagree
		}
	case StateAbandoned:
		if happened != rec.Late {
			return Unsettled
		}
	default:
		if happened {
			return Unsettled
		}
	}
	return 0
}

// all yields every record of the operation, free ones too, a page at a time.
func (e *engine) all(ctx context.Context, scope *string) iter.Seq2[Record, error] {
	every := []State{StateFree, StateScheduled, StateRunning, StateAccepted, StateUnknown, StateAbandoned, StateSucceeded, StateRejected, StateCancelled}
	return func(yield func(Record, error) bool) {
		q := Query{Operation: e.name, Scope: scope, States: every, N: reconcilePage}
		for {
			page, err := op(ctx, e, "List", func(ctx context.Context) ([]Record, error) { return e.store.List(ctx, q) })
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, rec := range page {
				if !yield(rec, nil) {
					return
				}
			}
			if len(page) < q.N {
				return
			}
			q.After = page[len(page)-1].ID
		}
	}
}
