package golden_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// load makes a table of a dump, as old as it is said to be.
func load(t *testing.T, name, file string, db *sql.DB, table string, age time.Duration) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for statement := range strings.SplitSeq(strings.ReplaceAll(string(text), "steadfast_calls", table), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, statement)
		}
	}
	shift := time.Now().Add(-age).UnixMicro() - taken
	var sets []string
	for _, column := range times {
		sets = append(sets, fmt.Sprintf("%[1]s = CASE WHEN %[1]s < %[2]d THEN %[1]s + %[3]d ELSE %[1]s END", column, far, shift))
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE "+table+" SET "+strings.Join(sets, ", ")); err != nil {
		t.Fatal(err)
	}
}

// eachDump runs a test on every dump of every version.
func eachDump(t *testing.T, test func(t *testing.T, age time.Duration, s *sqlstore.Store)) {
	t.Helper()
	versions, err := filepath.Glob("testdata/v*")
	if err != nil || len(versions) != sqlstore.Version {
		t.Fatalf("there are dumps of the versions %v, and the schema has version %d: write those that are missing with TestMake, %v", versions, sqlstore.Version, err)
	}
	for _, version := range versions {
		for name, file := range dumps {
			for _, age := range []time.Duration{2 * time.Minute, 365 * 24 * time.Hour} {
				t.Run(fmt.Sprint(filepath.Base(version), " ", name, " ", age), func(t *testing.T) {
					t.Parallel()
					d, db := databases.ForTest(t, name)
					load(t, name, filepath.Join(version, file), db, d.Table, age)
					s, err := d.Store(t.Context(), db) // which brings the table up to date
					if err != nil {
						t.Fatal(err)
					}
					test(t, age, s)
				})
			}
		}
	}
}

// was is what the records of the dumps say.
var was = map[string]idempotency.Record{
	"scheduled": {State: idempotency.StateScheduled, Started: true},
	"running":   {State: idempotency.StateUnknown, Lapsed: true, Sending: true, Ambiguous: true},
	"accepted":  {State: idempotency.StateAccepted, Ref: "ref-1", Attempts: 1},
	"unknown":   {State: idempotency.StateUnknown, Ambiguous: true, Attempts: 1, Message: "no answer"},
	"abandoned": {State: idempotency.StateAbandoned, Ambiguous: true, Attempts: 1},
	"late":      {State: idempotency.StateAbandoned, Ambiguous: true, Late: true, Attempts: 1, Value: []byte(`{"ID":"receipt of late"}`)},
	"succeeded": {State: idempotency.StateSucceeded, Attempts: 1, Value: []byte(`{"ID":"receipt of succeeded"}`)},
	oddKey:      {State: idempotency.StateSucceeded, Attempts: 1},
	"to notify": {State: idempotency.StateSucceeded, Attempts: 1, Notify: true, Value: []byte(`{"ID":"receipt of to notify"}`)},
	"omitted":   {State: idempotency.StateSucceeded, Attempts: 1, Omitted: true},
	"expired":   {State: idempotency.StateSucceeded, Attempts: 1, Expired: true},
	"rejected":  {State: idempotency.StateRejected, Attempts: 1, Code: "declined", Message: "no money"},
	"cancelled": {State: idempotency.StateCancelled, Started: true},
	"tombstone": {State: idempotency.StateCancelled, Notify: true},
	"free":      {State: idempotency.StateFree, Attempts: 1, Message: "no way there"},
}

// Today's version reads the records of all versions.
func TestReadsGoldenRecords(t *testing.T) {
	eachDump(t, func(t *testing.T, age time.Duration, s *sqlstore.Store) {
		for key, want := range was {
			r, err := s.Get(t.Context(), idempotency.ID{Operation: "charge", Scope: scope, Key: key})
			if err != nil {
				t.Errorf("%q: %v", key, err)
				continue
			}
			same := r.State == want.State && r.Lapsed == want.Lapsed && r.Ambiguous == want.Ambiguous && r.Late == want.Late && r.Notify == want.Notify &&
				r.Omitted == want.Omitted && r.Expired == want.Expired && r.Started == want.Started && r.Sending == want.Sending &&
				r.Attempts == want.Attempts && r.Ref == want.Ref && r.Code == want.Code &&
				(want.Message == "" || r.Message == want.Message) && (want.Value == nil || bytes.Equal(r.Value, want.Value))
			if !same {
				t.Errorf("%q was\n%+v, and is read as\n%+v", key, want, r)
			}
			if off := r.Created - age; off < -time.Hour || off > time.Hour {
				t.Errorf("%q is %v old, want about %v", key, r.Created, age)
			}
			if key != "expired" && key != "tombstone" && string(r.Request) != `{"Item":"book","Cents":4200}` {
				t.Errorf("%q asks for %s", key, r.Request)
			}
		}
	})
}

// what becomes of the records, after two minutes and after a year: how often they are sent, and what Do then says. The provider says of
// those that it is asked about that they happened, but for "running", of which it has never heard.
var becomes = map[string]struct {
	sent, sentLater int
	check           func(res idempotency.Result[receipt], err error) bool
}{
	"scheduled": {1, 1, value("sent")},
	// Its process has died. The key is alive, so it is sent again; after a year the provider is asked first.
	"running":   {1, 1, value("sent")},
	"unknown":   {1, 0, func(_ idempotency.Result[receipt], err error) bool { return err == nil }},
	"accepted":  {0, 0, value("found by ref-1")},
	"abandoned": {0, 0, isUnknown},
	"late":      {0, 0, isUnknown},
	"succeeded": {0, 0, value("receipt of succeeded")},
	oddKey:      {0, 0, value("receipt of " + strings.ToValidUTF8(oddKey, "\ufffd"))},
	"to notify": {0, 0, value("receipt of to notify")},
	"omitted":   {0, 0, is(idempotency.ErrValueOmitted)},
	"expired":   {0, 0, is(idempotency.ErrExpired)},
	"rejected":  {0, 0, is(&idempotency.Rejection{Code: "declined"})},
	"cancelled": {0, 0, is(idempotency.ErrCancelled)},
	"tombstone": {0, 0, is(idempotency.ErrCancelled)},
	"free":      {1, 1, value("sent")},
}

func value(want string) func(idempotency.Result[receipt], error) bool {
	return func(res idempotency.Result[receipt], err error) bool { return err == nil && res.Value.ID == want }
}

func is(want error) func(idempotency.Result[receipt], error) bool {
	return func(_ idempotency.Result[receipt], err error) bool { return errors.Is(err, want) }
}

func isUnknown(_ idempotency.Result[receipt], err error) bool {
	var unknown *idempotency.UnknownError
	return errors.As(err, &unknown)
}

// providerKeys are what the provider has been sent by the version that wrote the dumps. They never change.
var providerKeys = map[string]string{
	"scheduled": "c4dd1b82-3de6-5ef8-a32e-84e52e20e10b", "running": "75429741-7551-571b-818b-55bbbbfbcc16", "unknown": "b2d6c751-51e5-5423-9597-7063f0933527", "free": "07ffe429-ef39-580a-a0b3-7d0d69f54b89",
}

// Today's version finishes what all versions have begun, with the provider keys that they have used.
func TestFinishesGoldenRecords(t *testing.T) {
	eachDump(t, func(t *testing.T, age time.Duration, s *sqlstore.Store) {
		var mu sync.Mutex
		sent, told := map[string]int{}, map[string][]string{}
		c := golden()
		c.Send = func(_ context.Context, a idempotency.Attempt, o order) (receipt, error) {
			mu.Lock()
			defer mu.Unlock()
			sent[a.ID]++
			if a.Key != providerKeys[a.ID] || a.Scope != scope || o != book {
				t.Errorf("%q of %q is sent with the provider key %s and %+v, want %s", a.ID, a.Scope, a.Key, o, providerKeys[a.ID])
			}
			return receipt{"sent"}, nil
		}
		c.Lookup = func(_ context.Context, a idempotency.Attempt, _ order) (idempotency.Verdict[receipt], error) {
			if a.ID == "running" {
				return idempotency.DidNotHappen[receipt](), nil
			}
			return idempotency.Happened(receipt{"found by " + a.Ref}), nil
		}
		c.OnSettled = func(_ context.Context, s idempotency.Settled[order, receipt]) error {
			mu.Lock()
			defer mu.Unlock()
			what := s.State.String()
			if s.Late {
				what += " late"
			}
			told[s.Key] = append(told[s.Key], what)
			return nil
		}
		charges, err := idempotency.Wrap(s, c)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 { // each turn takes a step
			if _, err := charges.Recover(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w := charges.For(scope)
		for key, want := range becomes {
			res, err := w.Do(t.Context(), key, book)
			if !want.check(res, err) {
				t.Errorf("%q: %+v, %v", key, res, err)
			}
			if key != "tombstone" && key != "free" {
				if _, err := w.Do(t.Context(), key, order{"book", 1}); !errors.Is(err, idempotency.ErrKeyReused) {
					t.Errorf("%q with another request: %v, want ErrKeyReused", key, err)
				}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for key, want := range becomes {
			n := want.sent
			if age > c.KeyLife {
				n = want.sentLater
			}
			if sent[key] != n {
				t.Errorf("%q was sent %d times, want %d", key, sent[key], n)
			}
		}
		for key, want := range map[string]string{"to notify": "[succeeded]", "abandoned": "[abandoned late]", "succeeded": "[]", "running": "[succeeded]"} {
			if got := fmt.Sprint(told[key]); got != want {
				t.Errorf("OnSettled of %q was told %s, want %s", key, got, want)
			}
		}
		fingerprints(t, s, w)
	})
}

// A request has the fingerprint that it had in all versions.
func fingerprints(t *testing.T, s *sqlstore.Store, w *idempotency.Wrapper[order, receipt]) {
	t.Helper()
	if _, err := w.Start(t.Context(), "new", book); err != nil {
		t.Fatal(err)
	}
	then, err := s.Get(t.Context(), idempotency.ID{Operation: "charge", Scope: scope, Key: "succeeded"})
	if err != nil {
		t.Fatal(err)
	}
	now, err := s.Get(t.Context(), idempotency.ID{Operation: "charge", Scope: scope, Key: "new"})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(then.Fingerprint, now.Fingerprint) {
		t.Errorf("the fingerprint of the same request was %x, and is %x", then.Fingerprint, now.Fingerprint)
	}
}

// Keys are derived as they always were: a provider remembers those of yesterday.
func TestGoldenKeys(t *testing.T) {
	for _, row := range []struct {
		parts []string
		want  string
	}{
		{nil, "d2ecdf5c-e3eb-539e-b66e-29d85cf56388"},
		{[]string{""}, "af49b18e-668f-5f44-9302-76338804eb6d"},
		{[]string{"order", "17"}, "c9a43db5-0ac0-54c0-8302-8fa7e32d0b8d"},
		{[]string{"o", "rder17"}, "8f86d77a-df1e-565d-ba5d-ea2721cba232"},
		{[]string{"\x00\xff", strings.Repeat("long", 100)}, "b620ba1d-0950-5e7c-acc5-d6248972140c"},
	} {
		if got := idempotency.KeyFrom(row.parts...); got != row.want {
			t.Errorf("KeyFrom(%q) is %s, and was %s", row.parts, got, row.want)
		}
	}
	const sub = "bfd84653-33ff-5d8f-97ef-18fcff5f549b"
	if got := (idempotency.Attempt{Key: "key"}).Sub("confirm"); got != sub {
		t.Errorf("Sub is %s, and was %s", got, sub)
	}
}
