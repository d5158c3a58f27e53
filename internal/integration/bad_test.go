package integration_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// What is wrong with a database, or with what is written to it: in each case the error says what to do, nothing is sent, or what was
// sent is known to its caller, and what was recorded before is found again.

// bad is a table with one call that has succeeded, and one that was started.
type bad struct {
	d        database
	db       *sql.DB
	name     string
	provider sends
	good     *wrapper // on a store as it should be
	settled  idempotency.Record
	started  idempotency.Record
}

func newBad(t *testing.T, d database) *bad {
	t.Helper()
	b := &bad{d: d, db: d.open(t)}
	b.name = table(t, b.db)
	b.good = b.wrap(t, d.storeOn(t, b.db, b.name), nil)
	if _, err := b.good.Do(t.Context(), "settled", order{"book"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.good.Start(t.Context(), "started", order{"book"}); err != nil {
		t.Fatal(err)
	}
	b.settled, b.started = b.record(t, "settled"), b.record(t, "started")
	return b
}

// wrap makes a wrapper that remembers nothing, so that each replay asks the store.
func (b *bad) wrap(t *testing.T, s idempotency.Store, change func(*call)) *wrapper {
	t.Helper()
	return wrap(t, s, b.provider.send, func(c *call) {
		c.CacheBytes = -1
		if change != nil {
			change(c)
		}
	})
}

// store returns a new store on the table, as it is.
func (b *bad) store(t *testing.T, db *sql.DB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(db, sqlstore.Config{Dialect: b.d.dialect, Table: b.name})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *bad) record(t *testing.T, key string) idempotency.Record {
	t.Helper()
	s, err := sqlstore.New(b.db, sqlstore.Config{Dialect: b.d.dialect, Table: b.name})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(t.Context(), idempotency.ID{Operation: "charge", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// refused insists that nothing can be done: Do of a new key, of the settled one and of the started one, and Start, all say so in
// these words, and nothing is sent.
func (b *bad) refused(t *testing.T, w *wrapper, words ...string) {
	t.Helper()
	before := b.provider.of("settled")
	for _, key := range []string{"new", "settled", "started"} {
		_, err := w.Do(t.Context(), key, order{"book"})
		if !errors.Is(err, idempotency.ErrStore) {
			t.Errorf("Do of the %s call: %v, want ErrStore", key, err)
		}
		for _, word := range words {
			wantText(t, err, word)
		}
	}
	_, err := w.Start(t.Context(), "new", order{"book"})
	for _, word := range words {
		wantText(t, err, word)
	}
	if _, err := w.Recover(t.Context()); err == nil {
		t.Error("Recover has no error")
	}
	b.unsent(t)
	if n := b.provider.of("settled"); n != before {
		t.Errorf("the settled call was sent %d times, and %d before", n, before)
	}
}

func (b *bad) unsent(t *testing.T) {
	t.Helper()
	for _, key := range []string{"new", "started"} {
		if n := b.provider.of(key); n != 0 {
			t.Errorf("the %s call was sent %d times", key, n)
		}
	}
}

// intact insists that both records are as they were, and that everything goes on: each call is sent once in the end.
func (b *bad) intact(t *testing.T) {
	t.Helper()
	for key, was := range map[string]idempotency.Record{"settled": b.settled, "started": b.started} {
		r := b.record(t, key)
		if r.State != was.State || r.Fence != was.Fence || r.Attempts != was.Attempts ||
			!bytes.Equal(r.Request, was.Request) || !bytes.Equal(r.Value, was.Value) || !bytes.Equal(r.Fingerprint, was.Fingerprint) {
			t.Errorf("the %s call is now %+v, and was %+v", key, r, was)
		}
	}
	b.goesOn(t)
}

func (b *bad) goesOn(t *testing.T) {
	t.Helper()
	for _, key := range []string{"new", "settled", "started"} {
		var res idempotency.Result[receipt]
		eventually(t, func() (done bool) { // what was tried in vain rests a little
			var err error
			res, err = b.good.Do(t.Context(), key, order{"book"})
			var pending *idempotency.PendingError
			if err != nil && !errors.As(err, &pending) {
				t.Errorf("Do of the %s call, with all as it should be: %v", key, err)
				return true
			}
			return err == nil
		})
		if res.Value.ID != "book of "+key || res.Replayed != (key == "settled") || b.provider.of(key) != 1 {
			t.Errorf("Do of the %s call, with all as it should be: %+v; it was sent %d times", key, res, b.provider.of(key))
		}
	}
}

func TestBadTable(t *testing.T) {
	setVersion := func(t *testing.T, b *bad, n int) {
		t.Helper()
		if _, err := b.db.ExecContext(t.Context(), fmt.Sprintf("UPDATE %s_version SET version = %d", b.name, n)); err != nil {
			t.Fatal(err)
		}
	}
	const newer = sqlstore.Version + 1
	older := sqlstore.Version - 1
	if older == 0 {
		older = -1 // 0 is no table
	}
	ours := fmt.Sprintf("version %d", sqlstore.Version)
	type row struct {
		what  string
		spoil func(t *testing.T, b *bad) (end func())
		words []string
	}
	rows := []row{
		{"newer", func(t *testing.T, b *bad) func() {
			setVersion(t, b, newer)
			return func() { setVersion(t, b, sqlstore.Version) }
		}, []string{fmt.Sprintf("version %d", newer), ours, "newer release"}},
		{"older", func(t *testing.T, b *bad) func() {
			setVersion(t, b, older)
			return func() { setVersion(t, b, sqlstore.Version) }
		}, []string{fmt.Sprintf("version %d", older), ours, "Migrate"}},
		{"missing", func(_ *testing.T, b *bad) func() {
			name := b.name
			b.name += "_missing"
			return func() { b.name = name }
		}, []string{"no table", "Migrate"}},
	}
	each(t, func(t *testing.T, d database) {
		atOnce(t, rows, func(row row) string { return row.what }, func(t *testing.T, row row) {
			b := newBad(t, d)
			end := row.spoil(t, b)
			b.refused(t, b.wrap(t, b.store(t, b.db), soon), append(row.words, b.name)...)
			end()
			b.intact(t)
		})
	})
}

// soon makes a wrapper give up sooner on a store that fails.
func soon(c *call) { c.Lease = 8 * time.Second }

// A table that is dropped while it is in use.
func TestBadDroppedTable(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		b := newBad(t, d)
		s := b.store(t, b.db)
		w := b.wrap(t, s, soon)
		if _, err := w.Do(t.Context(), "settled", order{"book"}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.db.ExecContext(t.Context(), "DROP TABLE "+b.name); err != nil {
			t.Fatal(err)
		}
		b.refused(t, w, b.name, "Migrate")
	})
}

// A database that cannot be written to takes nothing new. It still says where calls stand; it answers replays on SQLite, which looks
// before it claims.
func TestBadReadOnly(t *testing.T) {
	eachServed(t, func(t *testing.T, d database) {
		b := newBad(t, d)
		db := b.readOnly(t)
		w := b.wrap(t, b.store(t, db), soon)
		if st, err := w.Status(t.Context(), "settled"); err != nil || st.Value.ID != "book of settled" {
			t.Errorf("Status: %+v, %v", st, err)
		}
		res, err := w.Do(t.Context(), "settled", order{"book"})
		if d.name != "sqlite-file" {
			wantText(t, err, "read-only")
		} else if err != nil || res.Value.ID != "book of settled" || !res.Replayed {
			t.Errorf("a replay: %+v, %v", res, err)
		}
		for _, key := range []string{"new", "started"} {
			_, err := w.Do(t.Context(), key, order{"book"})
			if !errors.Is(err, idempotency.ErrStore) {
				t.Errorf("Do of the %s call: %v, want ErrStore", key, err)
			}
			wantText(t, err, "read-only")
			wantText(t, err, "primary")
		}
		_, err = w.Start(t.Context(), "new", order{"book"})
		wantText(t, err, "read-only")
		_, err = w.Recover(t.Context())
		wantText(t, err, "read-only")
		_, err = w.Cancel(t.Context(), "started")
		wantText(t, err, "read-only")
		b.unsent(t)
		b.intact(t)
	})
}

// readOnly opens the database so that it cannot be written to.
func (b *bad) readOnly(t *testing.T) *sql.DB {
	t.Helper()
	switch b.d.name {
	case "postgres":
		return postgresWith(t, "default_transaction_read_only=on")
	case "mysql":
		return mysqlWith(t, b.readOnlyVariable(t), "1")
	}
	driver, dsn := b.d.reached(t)
	return pool(t, driver, dsn+"&_pragma=query_only(1)")
}

// readOnlyVariable is the name of the session's variable, which MySQL has changed and MariaDB has not.
func (b *bad) readOnlyVariable(t *testing.T) string {
	t.Helper()
	var version string
	if err := b.db.QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(version, "MariaDB") {
		return "tx_read_only"
	}
	return "transaction_read_only"
}

// P4: the provider has answered, and the database does not take the outcome. The caller gets the value, with an error that says what
// is not recorded and why; and when the database is well again, it is recorded.
func TestBadWhenItSettles(t *testing.T) {
	type trouble struct{ begin, end, word string }
	eachServed(t, func(t *testing.T, d database) {
		troubles := map[string][]trouble{
			"postgres": {{"SET default_transaction_read_only = on", "SET default_transaction_read_only = off", "read-only"}},
			"mysql":    {{"SET SESSION TRANSACTION READ ONLY", "SET SESSION TRANSACTION READ WRITE", "read-only"}},
			"sqlite-file": {
				{"PRAGMA query_only = 1", "PRAGMA query_only = 0", "read-only"},
				{"PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000", "the disk is full"}, // it is never below what is used
			},
		}
		atOnce(t, troubles[d.name], func(trouble trouble) string { return trouble.word }, func(t *testing.T, trouble trouble) {
			db := d.open(t)
			db.SetMaxOpenConns(1) // what is said to it holds for all
			say := func(text string) {
				if _, err := db.ExecContext(t.Context(), text); err != nil {
					t.Error(err)
				}
			}
			long := strings.Repeat("long ", 20000) // does not fit in what is free in the file
			var provider sends
			w := wrap(t, d.store(t, db), func(ctx context.Context, a idempotency.Attempt, in order) (receipt, error) {
				say(trouble.begin)
				_, err := provider.send(ctx, a, in)
				return receipt{ID: long}, err
			}, func(c *call) { c.CacheBytes = -1 })
			res, err := w.Do(t.Context(), "k", order{"book"})
			var unrecorded *idempotency.UnrecordedError
			if !errors.As(err, &unrecorded) || unrecorded.State != idempotency.StateSucceeded || res.Value.ID != long {
				t.Errorf("Do: %d bytes, %v, want the value and an UnrecordedError", len(res.Value.ID), err)
			}
			wantText(t, err, trouble.word)
			say(trouble.end)
			eventually(t, func() bool {
				st, err := w.Status(t.Context(), "k")
				if err != nil {
					t.Fatal(err)
				}
				return st.State == idempotency.StateSucceeded && st.Value.ID == long
			})
			if res, err := w.Do(t.Context(), "k", order{"book"}); err != nil || !res.Replayed || res.Value.ID != long || provider.of("k") != 1 {
				t.Errorf("a replay: replayed is %v, %d bytes, %v; it was sent %d times", res.Replayed, len(res.Value.ID), err, provider.of("k"))
			}
		})
	})
}

// A full disk takes no new call, and forgets none.
func TestBadFullDisk(t *testing.T) {
	eachServed(t, func(t *testing.T, d database) {
		if d.name != "sqlite-file" {
			t.Skip("to fill this server's disk would take a file system, or a tablespace, of its own; TestBadWhenItSettles refuses its writes in another way")
		}
		b := newBad(t, d)
		b.db.SetMaxOpenConns(1)
		if _, err := b.db.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil { // it is never below what is used
			t.Fatal(err)
		}
		large := order{strings.Repeat("long ", 20000)}
		_, err := b.good.Do(t.Context(), "large", large)
		if !errors.Is(err, idempotency.ErrStore) {
			t.Errorf("Do of a new call: %v, want ErrStore", err)
		}
		wantText(t, err, "the disk is full: nothing was written")
		_, err = b.good.Start(t.Context(), "large", large)
		wantText(t, err, "the disk is full: nothing was written")
		if n := b.provider.of("large"); n != 0 {
			t.Errorf("it was sent %d times", n)
		}
		b.unsent(t)
		if res, err := b.good.Do(t.Context(), "settled", order{"book"}); err != nil || !res.Replayed {
			t.Errorf("a replay: %+v, %v", res, err)
		}
		if _, err := b.db.ExecContext(t.Context(), "PRAGMA max_page_count = 1000000"); err != nil {
			t.Fatal(err)
		}
		b.intact(t)
	})
}

// T35: what is larger than Call.MaxBytes is refused before it is sent, and left out after that.
func TestBadSize(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		b := newBad(t, d)
		w := b.wrap(t, b.store(t, b.db), func(c *call) { c.MaxBytes = 100 })
		large := order{strings.Repeat("x", 200)}
		_, err := w.Do(t.Context(), "new", large)
		for _, word := range []string{"new", "211 bytes", "Call.MaxBytes 100", "leave out"} {
			wantText(t, err, word)
		}
		_, err = w.Start(t.Context(), "new", large)
		wantText(t, err, "Call.MaxBytes 100")
		if _, err := w.Status(t.Context(), "new"); !errors.Is(err, idempotency.ErrNoRecord) {
			t.Errorf("Status of what was refused: %v", err)
		}
		b.unsent(t)

		value := strings.Repeat("x", 200)
		generous := func(ctx context.Context, a idempotency.Attempt, in order) (receipt, error) {
			_, err := b.provider.send(ctx, a, in)
			return receipt{value}, err
		}
		w = wrap(t, b.store(t, b.db), generous, func(c *call) { c.MaxBytes, c.CacheBytes = 100, -1 })
		if res, err := w.Do(t.Context(), "large value", order{"book"}); err != nil || res.Value.ID != value {
			t.Errorf("Do whose value is too large: %+v, %v", res, err)
		}
		if res, err := w.Do(t.Context(), "large value", order{"book"}); !errors.Is(err, idempotency.ErrValueOmitted) || res.Value.ID != "" {
			t.Errorf("its replay: %+v, %v, want ErrValueOmitted", res, err)
		}
		st, err := w.Status(t.Context(), "large value")
		if err != nil || st.State != idempotency.StateSucceeded || !st.Omitted || b.provider.of("large value") != 1 {
			t.Errorf("its status: %+v, %v; it was sent %d times", st, err, b.provider.of("large value"))
		}
		wantText(t, errors.New(st.Message), "Call.MaxBytes 100")
		b.intact(t)
	})
}

// What fits into Call.MaxBytes and not into MySQL's max_allowed_packet: a request is refused by the database's word, and not sent; a
// value reaches its caller.
func TestBadPacket(t *testing.T) {
	t.Parallel()
	d := databases[3]
	b := newBad(t, d)
	var packet int
	if err := b.db.QueryRowContext(t.Context(), "SELECT @@global.max_allowed_packet").Scan(&packet); err != nil {
		t.Fatal(err)
	}
	if packet > 64<<20 {
		t.Skipf("max_allowed_packet is %d: there is nothing to send that is larger", packet)
	}
	value := strings.Repeat("x", packet+1000)
	large := func(c *call) { c.MaxBytes, c.CacheBytes, c.SettleFor = 2*packet, -1, 100*time.Millisecond }
	w := wrap(t, b.store(t, mysqlWith(t, "maxAllowedPacket", "0")), b.provider.send, large)
	_, err := w.Do(t.Context(), "new", order{value})
	if !errors.Is(err, idempotency.ErrStore) {
		t.Errorf("Do with a large request: %v, want ErrStore", err)
	}
	wantText(t, err, "max_allowed_packet")
	b.unsent(t)
	if _, err := w.Do(t.Context(), "small", order{"book"}); err != nil {
		t.Errorf("a small request after it, on the same pool: %v", err)
	}

	w = wrap(t, b.store(t, mysqlWith(t, "maxAllowedPacket", "0")), func(ctx context.Context, a idempotency.Attempt, in order) (receipt, error) {
		_, err := b.provider.send(ctx, a, in)
		return receipt{value}, err
	}, large)
	res, err := w.Do(t.Context(), "large value", order{"book"})
	var unrecorded *idempotency.UnrecordedError
	if err != nil && !errors.As(err, &unrecorded) || res.Value.ID != value || b.provider.of("large value") != 1 {
		t.Errorf("Do whose value is too large: %d bytes, %v; it was sent %d times, want the value, if need be with an UnrecordedError",
			len(res.Value.ID), err, b.provider.of("large value"))
	}
	if err != nil {
		wantText(t, err, "max_allowed_packet")
	}
	b.intact(t)
}

// sealed is a codec that encrypts, and binds what it encrypts to its call.
type sealed struct{ key [32]byte }

func (s sealed) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(s.key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (s sealed) bound(id idempotency.ID) []byte {
	return fmt.Appendf(nil, "%q %q %q", id.Operation, id.Scope, id.Key)
}

func (s sealed) Encode(id idempotency.ID, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, data, s.bound(id)), nil
}

func (s sealed) Decode(id idempotency.ID, data []byte, v any) error {
	aead, err := s.aead()
	if err != nil {
		return err
	}
	data, err = aead.Open(nil, nil, data, s.bound(id))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func (s sealed) Fingerprint(_ idempotency.ID, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(data)
	return mac.Sum(nil), err
}

func newSealed() (s sealed) {
	_, _ = rand.Read(s.key[:]) // it does not fail
	return s
}

// T34: a record that was written with another codec, or another key of encryption, is an error that says so, and no miss: nothing
// is sent, and whoever has the right one finds it as it was.
func TestBadCodec(t *testing.T) {
	one := newSealed()
	each(t, func(t *testing.T, d database) {
		for what, row := range map[string]struct{ wrote, reads idempotency.Codec }{
			"JSON, read as encrypted":          {idempotency.JSON, one},
			"encrypted, read as JSON":          {one, idempotency.JSON},
			"encrypted, read with another key": {one, newSealed()},
		} {
			t.Run(what, func(t *testing.T) {
				db := d.open(t)
				b := &bad{d: d, db: db, name: table(t, db)}
				s := d.storeOn(t, db, b.name)
				b.good = b.wrap(t, s, func(c *call) { c.Codec = row.wrote })
				if _, err := b.good.Do(t.Context(), "settled", order{"book"}); err != nil {
					t.Fatal(err)
				}
				if _, err := b.good.Start(t.Context(), "started", order{"book"}); err != nil {
					t.Fatal(err)
				}
				b.settled, b.started = b.record(t, "settled"), b.record(t, "started")

				w := b.wrap(t, s, func(c *call) { c.Codec = row.reads })
				for _, key := range []string{"settled", "started"} {
					_, err := w.Do(t.Context(), key, order{"book"})
					wantText(t, err, key)
					if errors.Is(err, idempotency.ErrKeyReused) { // who is told to make a new key pays again
						t.Errorf("Do of the %s call: %v", key, err)
					}
					wantText(t, err, "cannot be read")
					wantText(t, err, "codec")
				}
				_, err := w.Status(t.Context(), "settled")
				wantText(t, err, "another version or codec")
				listed, err := w.List(t.Context(), idempotency.Query{})
				wantText(t, err, "another version or codec")
				if len(listed) != 2 {
					t.Errorf("%d calls are listed, want both", len(listed))
				}
				if n, err := w.Recover(t.Context()); err != nil {
					t.Errorf("Recover: %d, %v", n, err)
				}
				b.unsent(t)
				if st, err := b.good.Status(t.Context(), "started"); err != nil || st.State != idempotency.StateScheduled || st.Ambiguous {
					t.Errorf("the started call: %+v, %v, want it scheduled as before", st, err)
				}
				b.goesOn(t)
			})
		}
	})
}
