package integration_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

func reflectName(db *sql.DB) string { return fmt.Sprintf("%T", db.Driver()) }

// token returns the n-th token.
func token(n int) (t idempotency.Token) {
	copy(t[:], fmt.Sprintf("token %d", n))
	return t
}

// claim is a claim to run the key for the first time.
func claim(key string, n int) idempotency.Claim {
	return idempotency.Claim{
		ID: idempotency.ID{Operation: "charge", Key: key}, Token: token(n), Sending: true, Lease: time.Hour,
		Fingerprint: []byte("fingerprint"), Request: []byte("request"),
		GiveUp: idempotency.Never, Retention: time.Hour, StubFor: idempotency.Never,
	}
}

// succeed makes a call that has succeeded.
func succeed(t testing.TB, s idempotency.Store, key string) {
	t.Helper()
	r, err := s.Acquire(t.Context(), claim(key, 1))
	if err != nil || !r.Owned {
		t.Fatalf("Acquire: owned is %v, %v", r.Owned, err)
	}
	l := idempotency.Lease{ID: r.ID, Fence: r.Fence, Token: token(1)}
	if _, err := s.Settle(t.Context(), l, idempotency.Outcome{State: idempotency.StateSucceeded, Value: []byte("value")}); err != nil {
		t.Fatal(err)
	}
}

func wantText(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error is %v, want one that says %q", err, text)
	}
}

// eventually asks until it is so.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	for begin := time.Now(); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 5*time.Minute {
			t.Error("waited for five minutes")
			return
		}
	}
}
