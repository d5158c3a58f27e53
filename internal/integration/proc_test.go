package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// role is what another process of a test is told.
type role struct {
	Part    string
	Driver  string
	DSN     string
	Table   string
	Dialect sqlstore.Dialect

	Ahead    time.Duration // how far its clock is ahead
	Key      string
	Calls    int    // at once
	Provider string // a URL
	Effects  string // a table
	Case     string
}

// event is what it reports.
type event struct {
	What string
	Key  string `json:",omitempty"` // a provider key
	Text string `json:",omitempty"`
	N    int    `json:",omitempty"`

	Took   time.Duration  `json:",omitempty"`
	Values map[string]int `json:",omitempty"`
}

// partVariable holds the role of a process.
const partVariable = "STEADFAST_TEST_PART"

// parts are what a process can do.
var parts = map[string]func(t *testing.T, p *player){
	"wait":    playWait,
	"recover": playRecover,
	"clock":   playClock,
	"crash":   playCrash,
	"start":   playStart,
}

// TestPart is what the other processes of a test run: this binary again, with this test only.
func TestPart(t *testing.T) {
	told := os.Getenv(partVariable)
	if told == "" {
		t.Skip("other tests run it, in processes of their own")
	}
	p := &player{in: bufio.NewScanner(os.Stdin), out: json.NewEncoder(os.NewFile(3, "events"))}
	if err := json.Unmarshal([]byte(told), &p.role); err != nil {
		t.Fatal(err)
	}
	if p.Ahead == 0 {
		p.open(t)
		parts[p.Part](t, p)
		return
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(p.Ahead - time.Nanosecond) // of the bubble's clock
		p.open(t)
		parts[p.Part](t, p)
	})
}

// player is a process that plays a role: it reports events to the test, and hears its words.
type player struct {
	role
	store *counted

	mu  sync.Mutex
	out *json.Encoder
	in  *bufio.Scanner
}

func (p *player) open(t *testing.T) {
	t.Helper()
	db := pool(t, p.Driver, p.DSN)
	db.SetMaxOpenConns(4) // there are many processes
	s, err := sqlstore.New(db, sqlstore.Config{Dialect: p.Dialect, Table: p.Table})
	if err != nil {
		t.Fatal(err)
	}
	p.store = &counted{Store: s, db: db}
}

func (p *player) say(e event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.out.Encode(e); err != nil {
		os.Exit(3) // the test has gone
	}
}

// hear waits for a word from the test.
func (p *player) hear() string {
	if !p.in.Scan() {
		os.Exit(3) // the test has gone
	}
	return p.in.Text()
}

// process is another process, seen from the test.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	words  io.WriteCloser
	events chan event
	said   bytes.Buffer // on its standard output; read when it has ended
	ended  chan struct{}
	err    error // set when it has ended
}

// spawn begins a process that plays a role on the database. It is killed with the test.
func spawn(t *testing.T, d database, r role) *process {
	t.Helper()
	r.Driver, r.DSN = d.reached(t)
	r.Dialect = d.dialect
	told, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	events, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: r.Part, events: make(chan event, 64), ended: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), self, "-test.run=^TestPart$", "-test.timeout=3m")
	p.cmd.Env = append(os.Environ(), partVariable+"="+string(told))
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.ExtraFiles = []*os.File{out}
	if p.words, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = out.Close() // it is the process's now
	go func() {
		defer close(p.ended)
		defer close(p.events)
		defer func() { _ = events.Close() }()
		for lines := json.NewDecoder(events); ; {
			var e event
			if lines.Decode(&e) != nil { // it has ended, or been killed in the middle of a word
				break
			}
			p.events <- e
		}
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && p.said.Len() > 0 {
			t.Logf("process %q said:\n%s", p.name, p.said.String())
		}
	})
	return p
}

// kill kills the process, as a machine that dies would: SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // or it has ended
	for range p.events {
		continue
	}
	<-p.ended
}

// tell says a word to the process.
func (p *process) tell(word string) {
	p.t.Helper()
	if _, err := io.WriteString(p.words, word+"\n"); err != nil {
		p.t.Fatalf("process %q does not hear %q: %v", p.name, word, err)
	}
}

// next waits for the process's next event.
func (p *process) next() event {
	p.t.Helper()
	select {
	case e, ok := <-p.events:
		if !ok {
			p.t.Fatalf("process %q has ended, and more was to come", p.name)
		}
		return e
	case <-time.After(6 * time.Minute):
		p.t.Fatalf("process %q has said nothing for six minutes", p.name)
	}
	return event{}
}

// want waits for the process's next event, which must be this one.
func (p *process) want(what string) event {
	p.t.Helper()
	e := p.next()
	if e.What != what {
		p.t.Fatalf("process %q says %+v, want %q", p.name, e, what)
	}
	return e
}

// end waits until the process has ended well.
func (p *process) end() {
	p.t.Helper()
	_ = p.words.Close() // who still listens will end
	for e := range p.events {
		p.t.Errorf("process %q also says %+v", p.name, e)
	}
	<-p.ended
	if p.err != nil {
		p.t.Errorf("process %q: %v", p.name, p.err)
	}
}

// reached returns how another process reaches what d.open opens.
func (d database) reached(t *testing.T) (driver, dsn string) {
	t.Helper()
	switch {
	case d.processes() < 2:
		t.Fatalf("%s belongs to one process", d.name)
	case d.name == "postgres":
		return "pgx", postgresDSN("")
	case strings.HasPrefix(d.name, "mysql"):
		return "mysql", mysqlDSN("")
	}
	return "sqlite", "file:" + filepath.Join(dir(t), "calls.db") +
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(60000)&_txlock=immediate"
}

// eachServed runs a test on every database that several processes can have, once.
func eachServed(t *testing.T, test func(t *testing.T, d database)) {
	t.Helper()
	for _, d := range databases {
		if d.processes() < 2 || slices.Contains([]string{"mysql-dialect"}, d.name) {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			test(t, d)
		})
	}
}

// atOnce runs subtests beside each other, however few processors there are: they wait, and do not work.
func atOnce[Row any](t *testing.T, rows []Row, name func(Row) string, test func(t *testing.T, row Row)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, row := range rows {
		wg.Go(func() { t.Run(name(row), func(t *testing.T) { test(t, row) }) })
	}
	wg.Wait()
}

// counted is a store that counts what it is asked.
type counted struct {
	*sqlstore.Store
	db    *sql.DB
	asked atomic.Int64 // Acquire and Get
	due   atomic.Int64 // AcquireDue
	first atomic.Int64 // the first question, in nanoseconds since 1970
	last  atomic.Int64
}

func (c *counted) ask() {
	now := time.Now().UnixNano()
	c.first.CompareAndSwap(0, now)
	c.last.Store(now)
	c.asked.Add(1)
}

func (c *counted) Acquire(ctx context.Context, claim idempotency.Claim) (idempotency.Record, error) {
	c.ask()
	return c.Store.Acquire(ctx, claim)
}

func (c *counted) Get(ctx context.Context, id idempotency.ID) (idempotency.Record, error) {
	c.ask()
	return c.Store.Get(ctx, id)
}

func (c *counted) AcquireDue(ctx context.Context, claim idempotency.DueClaim) ([]idempotency.Record, error) {
	c.due.Add(1)
	return c.Store.AcquireDue(ctx, claim)
}

// took is the time from the first question to the last.
func (c *counted) took() time.Duration { return time.Duration(c.last.Load() - c.first.Load()) }

var errNoAnswer = errors.New("no answer")

// charged is what the provider answers.
func charged(a idempotency.Attempt, in order) receipt {
	return receipt{ID: fmt.Sprint(in.Item, " of ", a.ID)}
}
