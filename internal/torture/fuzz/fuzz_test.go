package fuzz_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/google/uuid"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/internal/torture/fuzz"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// All targets are found, these too.
func TestTargets(t *testing.T) {
	list, err := fuzz.Targets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, target := range list {
		found[target.Name] = true
	}
	for _, name := range []string{"FuzzStoredRecord", "FuzzParseRetryAfter", "FuzzAnswer", "FuzzParseFault"} {
		if !found[name] {
			t.Errorf("%s is not among the targets %v", name, list)
		}
	}
}

// FuzzKeyFrom: parts never run together, and what comes out is a UUIDv5.
func FuzzKeyFrom(f *testing.F) {
	f.Add("ab", "c", "a", "bc")
	f.Add("", "", "", "\x00")
	f.Add(strings.Repeat("a", 300), "", "a", strings.Repeat("a", 299))
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		x, y := idempotency.KeyFrom(a, b), idempotency.KeyFrom(c, d)
		if (x == y) != (a == c && b == d) {
			t.Errorf("KeyFrom(%q, %q) is %s, KeyFrom(%q, %q) is %s", a, b, x, c, d, y)
		}
		if id, err := uuid.Parse(x); err != nil || id.Version() != 5 || idempotency.KeyFrom(a+b) == x {
			t.Errorf("KeyFrom(%q, %q) is %s: %v", a, b, x, err)
		}
	})
}

func memory(f *testing.F) (*sql.DB, *sqlstore.Store) {
	f.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		f.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	f.Cleanup(func() { _ = db.Close() })
	s, err := sqlstore.New(db, sqlstore.Config{})
	if err == nil {
		err = s.Migrate(context.Background())
	}
	if err != nil {
		f.Fatal(err)
	}
	return db, s
}

// FuzzID: the stores take the same IDs, and keep them byte by byte.
func FuzzID(f *testing.F) {
	_, onDisk := memory(f)
	f.Add("charge", "customer", "key")
	f.Add("", "", "")
	f.Add("a\x00", "\xff", "Key ")
	f.Add("o", strings.Repeat("s", 256), "k")
	f.Fuzz(func(t *testing.T, operation, scope, key string) {
		id := idempotency.ID{Operation: operation, Scope: scope, Key: key}
		valid := id.Validate() == nil
		for _, s := range []idempotency.Store{memstore.New(memstore.Config{}), onDisk} {
			r, err := s.Acquire(t.Context(), idempotency.Claim{
				ID: id, Token: idempotency.Token{1}, Lease: time.Hour, GiveUp: idempotency.Never, Retention: time.Hour, StubFor: idempotency.Never,
			})
			if (err == nil) != valid {
				t.Errorf("%T takes %q: %v; Validate: %v", s, id, err, id.Validate())
			}
			if err == nil && r.ID != id {
				t.Errorf("%T makes %q of %q", s, r.ID, id)
			}
			if got, err := s.Get(t.Context(), id); valid && (err != nil || got.ID != id) {
				t.Errorf("%T finds %q of %q: %v", s, got.ID, id, err)
			}
		}
	})
}

type order struct {
	Item  string         `json:"item"`
	Cents int64          `json:"cents"`
	More  map[string]any `json:"more,omitempty"`
}

// FuzzCodec: what a codec reads it can write, and reads again; Raw changes nothing.
func FuzzCodec(f *testing.F) {
	f.Add([]byte(`{"item":"book","cents":1}`))
	f.Add([]byte(`{"item":"\ud800","cents":1e2,"more":{"a":[null]}}`))
	f.Add([]byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		id := idempotency.ID{Operation: "o", Key: "k"}
		var raw []byte
		if err := idempotency.Raw.Decode(id, data, &raw); err != nil || !bytes.Equal(raw, data) {
			t.Errorf("Raw reads %q as %q: %v", data, raw, err)
		}
		if again, err := idempotency.Raw.Encode(id, raw); err != nil || !bytes.Equal(again, data) {
			t.Errorf("Raw writes %q as %q: %v", raw, again, err)
		}
		var o order
		if idempotency.JSON.Decode(id, data, &o) != nil {
			return
		}
		once, err := idempotency.JSON.Encode(id, o)
		if err != nil {
			t.Fatalf("JSON reads %q, and cannot write it: %v", data, err)
		}
		var again order
		if err := idempotency.JSON.Decode(id, once, &again); err != nil {
			t.Fatalf("JSON writes %q, and cannot read it: %v", once, err)
		}
		if twice, err := idempotency.JSON.Encode(id, again); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("JSON writes %q, then %q: %v", once, twice, err)
		}
	})
}

// FuzzStoredRecord: whatever stands in the table, nothing panics, and nothing that is not free, scheduled or unknown is ever sent.
func FuzzStoredRecord(f *testing.F) {
	db, s := memory(f)
	f.Add(int64(7), int64(0), int64(0), int64(1), int64(1), int64(0), int64(0), []byte(`{"item":"book"}`), []byte(`{"item":"book"}`), []byte("declined"))
	f.Add(int64(3), int64(1), int64(1), int64(9), int64(0), int64(-1), int64(1), []byte("{"), []byte(nil), []byte("\xff"))
	f.Add(int64(-1), int64(99), int64(-1), int64(-1), int64(1)<<62, int64(-1)<<63, int64(5), []byte("null"), []byte("[]"), []byte{})
	f.Add(int64(256), int64(300), int64(1)<<40, int64(1), int64(3), int64(4), int64(1), []byte("null"), []byte("[]"), []byte{})
	f.Fuzz(func(t *testing.T, state, from, flags, fence, until, at, attempts int64, request, value, code []byte) {
		ctx := t.Context()
		if _, err := db.ExecContext(ctx, "DELETE FROM steadfast_calls"); err != nil {
			t.Fatal(err)
		}
		_, err := db.ExecContext(ctx, "INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, attempts, lease_until, "+
			"due, next_step, expires, changed, first_sent, created, retention, value, code, ref, message, fingerprint, request) "+
			"VALUES (CAST('pay' AS BLOB), x'', CAST('k' AS BLOB), ?, ?, ?, ?, x'00', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, x'', ?, x'01', ?)",
			state, from, flags, fence, attempts, until, until, at, at, at, at, at, until, value, code, code, request)
		if err != nil {
			t.Skip(err)
		}
		var sent atomic.Int64
		w, err := idempotency.Wrap(s, idempotency.Call[order, order]{
			Name: "pay", Timeout: 100 * time.Millisecond, Poll: 10 * time.Millisecond, CacheBytes: -1,
			Retry: retry.Policy{Attempts: 1, Initial: time.Millisecond, Max: time.Millisecond},
			Send: func(context.Context, idempotency.Attempt, order) (order, error) {
				sent.Add(1)
				return order{Item: "sent"}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		limited, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		_, _ = w.Status(limited, "k")
		_, _ = w.List(limited, idempotency.Query{})
		_, _ = s.Stats(limited)
		res, err := w.Do(limited, "k", order{Item: "book"})
		_, _ = w.Recover(limited)
		_, _ = w.Cancel(limited, "k")
		_, _ = w.Settle(limited, "k", idempotency.Happened(order{}))
		_, _ = s.Purge(limited, 10)
		var panicked *idempotency.PanicError
		if errors.As(err, &panicked) {
			t.Errorf("Do panicked: %v\n%s", panicked, panicked.Stack)
		}
		switch idempotency.State(state) {
		case idempotency.StateAccepted, idempotency.StateUnknown, idempotency.StateAbandoned, idempotency.StateSucceeded, idempotency.StateRejected, idempotency.StateCancelled:
			if state < 256 && state > 0 && sent.Load() > 0 {
				t.Errorf("a record in state %d was sent; Do said %+v, %v", state, res, err)
			}
		}
		if err := w.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

var safe = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// FuzzTable: names that could mean something else to a database are refused, in words that name the field.
func FuzzTable(f *testing.F) {
	db, _ := memory(f)
	f.Add("steadfast_calls", "", byte(0))
	f.Add("x; DROP TABLE y", "public", byte(1))
	f.Add("a\n", `"`, byte(2))
	f.Add("ſ", "ok", byte(4))
	f.Fuzz(func(t *testing.T, table, schema string, dialect byte) {
		s, err := sqlstore.New(db, sqlstore.Config{Table: table, Schema: schema, Dialect: sqlstore.Dialect(dialect)})
		if err != nil {
			if !strings.Contains(err.Error(), "Config.") {
				t.Errorf("New(%q, %q, %d) says %v: which field is it?", table, schema, dialect, err)
			}
			return
		}
		if table != "" && !safe.MatchString(table) || schema != "" && !safe.MatchString(schema) || len(table) > 40 || len(schema) > 40 {
			t.Fatalf("New took the table %q and the schema %q", table, schema)
		}
		for _, text := range s.Migrations() {
			if table != "" && !strings.Contains(text, table) {
				t.Errorf("the migration does not name %q:\n%s", table, text)
			}
		}
	})
}

// FuzzLatency: what is read can be written, and read again.
func FuzzLatency(f *testing.F) {
	f.Add("p50=800ms,p99=8s,max=60s")
	f.Add("100ms..2s")
	f.Add("-1ns")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := fakepay.ParseLatency(s)
		if err != nil {
			return
		}
		if again, err := fakepay.ParseLatency(l.String()); err != nil || again != l {
			t.Errorf("%q is read as %v, which is read as %v: %v", s, l, again, err)
		}
	})
}

// FuzzConditions: whatever is put to fakepay as its script, it answers JSON, and says afterwards what it said before if it refused.
func FuzzConditions(f *testing.F) {
	f.Add([]byte(`{"latency":"5ms","faults":["reply_lost=0.1"],"scripts":{"order-1":["reset","none"]}}`))
	f.Add([]byte(`{"faults":["reply_lost=2"]}`))
	f.Add([]byte(`{"scripts":{"":[""]}}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		bank, err := fakepay.New(fakepay.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = bank.Close(context.Background()) }()
		show := func() string {
			data, err := json.Marshal(bank.Conditions())
			if err != nil {
				t.Fatalf("its conditions cannot be written: %v", err)
			}
			return string(data)
		}
		before := show()
		res := httptest.NewRecorder()
		bank.ServeHTTP(res, httptest.NewRequest(http.MethodPut, "/_faults", bytes.NewReader(body)))
		if !json.Valid(res.Body.Bytes()) {
			t.Errorf("%d %q", res.Code, res.Body)
		}
		if res.Code != http.StatusOK && show() != before {
			t.Errorf("%q was refused (%d), and the conditions went from %s to %s", body, res.Code, before, show())
		}
	})
}

// FuzzVerify: a signature that was not made with the secret is none.
func FuzzVerify(f *testing.F) {
	now := time.Unix(1767225600, 0)
	f.Add(fakepay.Sign("secret", []byte("body"), now), []byte("body"))
	f.Add("t=1,v1=", []byte{})
	f.Add("", []byte("x"))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		if err := fakepay.Verify("another", header, body, time.Hour, now); err == nil {
			t.Errorf("%q is taken for a signature of %q", header, body)
		}
		if err := fakepay.Verify("another", fakepay.Sign("another", body, now), body, time.Hour, now); err != nil {
			t.Errorf("its own signature of %q is refused: %v", body, err)
		}
	})
}
