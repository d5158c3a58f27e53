// Package crash kills the database under eight writers, with SIGKILL, and starts it again: what it has acknowledged must be there.
package crash

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/processes"
	"github.com/steadfast-go/steadfast/internal/torture/report"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// Config says what is to be done.
type Config struct {
	Store string // sqlite, postgres or mariadb
	Kills int
	// Settings are the server's, "name=value": by some of them it may lose what it has acknowledged.
	Settings []string
}

const (
	writers   = 8
	operation = "write"
)

// Parts are the processes of this test: SQLite has no server, so the process that writes is killed.
func Parts() map[string]processes.Part { return map[string]processes.Part{"crash/writer": playWriter} }

// Run kills the database, and looks for all that it has acknowledged.
func Run(ctx context.Context, c Config) (*report.Line, error) {
	line := report.Begin("crash", c.Store)
	var t target
	var err error
	if c.Store == databases.SQLite {
		t, err = newFile(ctx)
	} else {
		t, err = newServed(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	defer t.close()
	for range c.Kills {
		acks, err := t.crash(ctx)
		if err != nil {
			return nil, err
		}
		if err := judge(ctx, line, t.store(), acks); err != nil {
			return nil, err
		}
		line.Runs++
		if !line.OK() {
			break // one loss is enough
		}
	}
	return line.End(), nil
}

// target is a database that can be killed.
type target interface {
	// crash lets the writers write, kills, starts again, and returns what was acknowledged.
	crash(ctx context.Context) ([]ack, error)
	store() idempotency.Store
	close()
}

// ack is what the store has acknowledged.
type ack struct {
	Lease   idempotency.Lease
	Settled bool
}

func value(l *idempotency.Lease) []byte { return append([]byte("value of "), l.Key...) }

// write makes calls until ctx ends. What fails is neither there nor not there, and is left alone.
func write(ctx context.Context, store idempotency.Store, said func(ack)) {
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := writeOne(ctx, store, said); err != nil {
					pause(ctx, 5*time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
}

func writeOne(ctx context.Context, store idempotency.Store, said func(ack)) error {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	l := idempotency.Lease{ID: idempotency.ID{Operation: operation, Key: rand.Text()}}
	_, _ = rand.Read(l.Token[:])
	r, err := store.Acquire(limited, idempotency.Claim{
		ID: l.ID, Token: l.Token, Sending: true, Lease: time.Hour, Fingerprint: []byte("f"), Request: []byte("request of " + l.Key),
		GiveUp: idempotency.Never, Retention: time.Hour, StubFor: idempotency.Never,
	})
	if err != nil {
		return err
	}
	l.Fence = r.Fence
	said(ack{Lease: l})
	if mathrand.IntN(4) == 0 {
		return nil // it stays a claim
	}
	if _, err := store.Settle(limited, l, idempotency.Outcome{State: idempotency.StateSucceeded, Attempts: 1, Value: value(&l)}); err != nil {
		return err
	}
	said(ack{Lease: l, Settled: true})
	return nil
}

// judge looks for what was acknowledged.
func judge(ctx context.Context, line *report.Line, store idempotency.Store, acks []ack) error {
	settled := map[idempotency.ID]bool{}
	for _, a := range acks {
		settled[a.Lease.ID] = settled[a.Lease.ID] || a.Settled
	}
	line.Keys += len(settled)
	for _, a := range acks {
		l := a.Lease
		if a.Settled {
			line.More["outcomes"]++
		} else {
			line.More["claims"]++
		}
		r, err := store.Get(ctx, l.ID)
		switch {
		case errors.Is(err, idempotency.ErrNoRecord):
			line.Add(&line.Lost, "the claim of %s was acknowledged, and is gone", l.Key)
			continue
		case err != nil:
			return err
		case r.Fence != l.Fence || string(r.Request) != "request of "+l.Key:
			line.Add(&line.Violations, "%s has fence %d and the request %q", l.Key, r.Fence, r.Request)
		case r.State == idempotency.StateSucceeded && string(r.Value) != string(value(&l)):
			line.Add(&line.Violations, "%s has succeeded with %q", l.Key, r.Value)
		case r.State == idempotency.StateSucceeded: // perhaps by a settlement whose reply was lost
		case a.Settled:
			line.Add(&line.Lost, "the outcome of %s was acknowledged, and it is %s", l.Key, r.State)
		case settled[l.ID]: // said above, or below
		default:
			stands, err := store.Extend(ctx, []idempotency.Lease{l}, time.Hour, false)
			if err != nil {
				return err
			}
			if !stands[0] {
				line.Add(&line.Lost, "the claim of %s was acknowledged, and does not stand: it is %s", l.Key, r.State)
			}
		}
	}
	return nil
}

// each crash comes after so many acknowledgements, and a little later.
const acksBefore = 300

func aLittle() time.Duration { return time.Duration(mathrand.Int64N(int64(200 * time.Millisecond))) }

// journal collects acknowledgements.
type journal struct {
	mu     sync.Mutex
	list   []ack
	enough chan struct{} // closed after so many
}

func newJournal() *journal { return &journal{enough: make(chan struct{})} }

func (j *journal) add(a ack) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, a)
	if len(j.list) == acksBefore {
		close(j.enough)
	}
}

func (j *journal) all() []ack {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.list
}

// wait waits until there is something to lose.
func (j *journal) wait(ctx context.Context) error {
	select {
	case <-j.enough:
		pause(ctx, aLittle())
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Minute):
		return fmt.Errorf("crash: only %d acknowledgements in a minute", len(j.all()))
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// served is a database with a server. The writers live on while it dies.
type served struct {
	server *databases.Server
	s      *sqlstore.Store
	ended  func() error
}

func newServed(ctx context.Context, c Config) (*served, error) {
	server, err := databases.NewServer(ctx, c.Store, c.Settings...)
	if err != nil {
		return nil, err
	}
	t := &served{server: server}
	db, err := server.Database.Connect()
	if err == nil {
		t.ended = db.Close
		t.s, err = server.Database.Store(ctx, db)
	}
	if err != nil {
		server.Close()
		return nil, err
	}
	return t, nil
}

func (t *served) crash(ctx context.Context) ([]ack, error) {
	j := newJournal()
	writing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { write(writing, t.s, j.add) })
	err := j.wait(ctx)
	t.server.Kill()
	if err == nil {
		err = t.server.Start(ctx)
	}
	pause(ctx, aLittle()) // and on the server that is back
	stop()
	wg.Wait()
	return j.all(), err
}

func (t *served) store() idempotency.Store { return t.s }

func (t *served) close() {
	_ = t.ended()
	t.server.Close()
}

// file is a database without a server: it dies with the process that writes.
type file struct {
	d   *databases.Database
	s   *sqlstore.Store
	end func()
}

func newFile(ctx context.Context) (*file, error) {
	dir, err := os.MkdirTemp("", "steadfast-crash-")
	if err != nil {
		return nil, err
	}
	d, db, err := databases.Open(ctx, databases.SQLite, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	t := &file{d: d, end: func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}}
	if t.s, err = d.Store(ctx, db); err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

func (t *file) crash(ctx context.Context) ([]ack, error) {
	j := newJournal()
	p, err := processes.Spawn("crash/writer", t.d, func(e processes.Event) { j.add(ackOf(e)) })
	if err != nil {
		return nil, err
	}
	err = j.wait(ctx)
	p.Kill()
	return j.all(), err
}

func (t *file) store() idempotency.Store { return t.s }
func (t *file) close()                   { t.end() }

// playWriter writes until it is killed.
func playWriter(p *processes.Player, told []byte) error {
	var d databases.Database
	if err := json.Unmarshal(told, &d); err != nil {
		return err
	}
	db, err := d.Connect()
	if err != nil {
		return err
	}
	store, err := sqlstore.New(db, sqlstore.Config{Table: d.Table})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		p.Hear()
	}()
	write(ctx, store, func(a ack) { p.Say(eventOf(a)) })
	return db.Close()
}

func eventOf(a ack) processes.Event {
	e := processes.Event{What: "claimed", Key: a.Lease.Key, Text: hex.EncodeToString(a.Lease.Token[:]), N: int64(a.Lease.Fence)}
	if a.Settled {
		e.What = "settled"
	}
	return e
}

func ackOf(e processes.Event) ack {
	a := ack{Settled: e.What == "settled"}
	a.Lease.ID = idempotency.ID{Operation: operation, Key: e.Key}
	a.Lease.Fence = uint64(e.N)
	_, _ = hex.Decode(a.Lease.Token[:], []byte(e.Text)) // eventOf has written it
	return a
}
