package integration_test

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"testing"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// BenchmarkFresh is Acquire and Settle of a new key, BenchmarkReplay is Acquire of a settled one, by one caller each.
// BenchmarkFloor is what a database needs at least: an INSERT and an UPDATE by key, each committed.

func benchEach(b *testing.B, run func(b *testing.B, d database, db *sql.DB, s *sqlstore.Store, table string)) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) {
			db := d.open(b)
			name := table(b, db)
			s, err := sqlstore.New(db, sqlstore.Config{Dialect: d.dialect, Table: name})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Migrate(b.Context()); err != nil {
				b.Fatal(err)
			}
			run(b, d, db, s, name)
		})
	}
}

func BenchmarkFresh(b *testing.B) {
	benchEach(b, func(b *testing.B, _ database, _ *sql.DB, s *sqlstore.Store, _ string) {
		n := 0
		for b.Loop() {
			n++
			succeed(b, s, fmt.Sprint("order ", n))
		}
	})
}

func BenchmarkReplay(b *testing.B) {
	benchEach(b, func(b *testing.B, _ database, _ *sql.DB, s *sqlstore.Store, _ string) {
		succeed(b, s, "k")
		for b.Loop() {
			if r, err := s.Acquire(b.Context(), claim("k", 2)); err != nil || r.State != idempotency.StateSucceeded {
				b.Fatal(r.State, err)
			}
		}
	})
}

func BenchmarkFloor(b *testing.B) {
	benchEach(b, func(b *testing.B, d database, db *sql.DB, _ *sqlstore.Store, name string) {
		insert := "INSERT INTO " + name + " (operation, scope, call_key, state, claimed_from, flags, fence, token, attempts, changed, created, request) VALUES (?, '', ?, 3, 1, 1, 1, ?, 0, 1, 1, ?)"
		update := "UPDATE " + name + " SET state = 7, value = ? WHERE operation = ? AND scope = '' AND call_key = ? AND fence = 1"
		if d.name == "postgres" {
			insert = "INSERT INTO " + name + " (operation, scope, call_key, state, claimed_from, flags, fence, token, attempts, changed, created, request) VALUES ($1, '', $2, 3, 1, 1, 1, $3, 0, 1, 1, $4)"
			update = "UPDATE " + name + " SET state = 7, value = $1 WHERE operation = $2 AND scope = '' AND call_key = $3 AND fence = 1"
		}
		ins, err := db.PrepareContext(b.Context(), insert)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = ins.Close() }()
		upd, err := db.PrepareContext(b.Context(), update)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = upd.Close() }()
		token := make([]byte, 16)
		n := 0
		for b.Loop() {
			n++
			rand.Read(token)
			key := []byte(fmt.Sprint("order ", n))
			if _, err := ins.ExecContext(b.Context(), []byte("charge"), key, token, []byte("request")); err != nil {
				b.Fatal(err)
			}
			if _, err := upd.ExecContext(b.Context(), []byte("value"), []byte("charge"), key); err != nil {
				b.Fatal(err)
			}
		}
	})
}
