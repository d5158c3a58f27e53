// Package wire lets the network between the library and its database fail: latency, connections that are reset in the middle of a
// statement, connections that stand and carry nothing, and a failover to a server that knows nothing.
package wire

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/report"
	"github.com/steadfast-go/steadfast/retry"
)

const (
	callers = 8
	waits   = 500 * time.Millisecond // of each caller
	hangs   = 20 * time.Second       // nobody may wait so long who wanted to wait for waits
	settles = 2 * time.Minute        // all calls, in fair weather
)

// Config says what is to be done.
type Config struct {
	Store string        // postgres or mariadb
	Each  time.Duration // how long calls are made in each weather
	// Forget gives the server that is failed over to a table, which is empty: as one that was restored from nothing. That is more than
	// the library promises to survive. Where a provider does not remember keys, there must be second charges.
	Forget bool
}

// Run makes calls in each weather.
func Run(ctx context.Context, c Config) (*report.Line, error) {
	name, each := c.Store, c.Each
	line := report.Begin("wire", name)
	server, err := databases.NewServer(ctx, name)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	empty, err := databases.NewServer(ctx, name)
	if err != nil {
		return nil, err
	}
	defer empty.Close()
	proxy, err := NewProxy(addressOf(server.Database))
	if err != nil {
		return nil, err
	}
	defer proxy.Close()

	d := through(proxy, server.Database)
	db, err := d.Connect()
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	store, err := d.Store(ctx, db)
	if err != nil {
		return nil, err
	}
	s := &shop{line: line, store: store, bank: &bank{charges: map[string]int{}}, known: map[string]string{}}
	if err := s.open(); err != nil {
		return nil, err
	}
	defer s.close(ctx)

	for _, f := range forecasts {
		before := s.bank.sent()
		over := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { f.play(proxy, each, over) })
		s.trade(ctx, each)
		close(over)
		wg.Wait()
		proxy.Set(Weather{})
		proxy.Reset()
		line.More["sends in "+f.name] = int64(s.bank.sent() - before)
		line.Runs++
	}
	if err := s.finish(ctx); err != nil {
		return nil, err
	}
	if c.Forget {
		err = s.forget(ctx, proxy, empty.Database)
	} else {
		err = s.failOver(ctx, proxy, server.Database, empty.Database)
	}
	if err != nil {
		return nil, err
	}
	line.Runs++
	s.bank.judge(line)
	return line.End(), nil
}

// forecasts are what the wire does while calls are made.
var forecasts = []forecast{
	{"fair weather", nil},
	{"latency", func(p *Proxy) { p.Set(Weather{Latency: 40 * time.Millisecond}) }},
	{"resets", func(p *Proxy) { p.Set(Weather{CutWithin: 60_000}) }},
	{"more resets", func(p *Proxy) { p.Set(Weather{CutWithin: 12_000}) }},
	// Everything stands for a while, and then goes on, or breaks.
	{"silence", func(p *Proxy) {
		w := Weather{HalfOpen: rand.IntN(2) == 0}
		p.Set(w)
		if !w.HalfOpen && rand.IntN(2) == 0 {
			p.Reset()
		}
	}},
	// Connections that there are carry nothing any more, and nobody is told: new ones are good.
	{"strandings", func(p *Proxy) { p.Strand() }},
}

// forecast is what changes the weather, several times while calls are made.
type forecast struct {
	name   string
	change func(p *Proxy)
}

func (f forecast) play(p *Proxy, d time.Duration, over <-chan struct{}) {
	const changes = 8
	ticker := time.NewTicker(d / changes)
	defer ticker.Stop()
	for f.change != nil {
		f.change(p)
		select {
		case <-ticker.C:
		case <-over:
			return
		}
	}
}

// through is a database behind the proxy.
func through(p *Proxy, d *databases.Database) *databases.Database {
	via := *d
	via.DSN = strings.Replace(d.DSN, addressOf(d), p.Addr(), 1)
	return &via
}

func addressOf(d *databases.Database) string {
	if d.Driver == "mysql" {
		if config, err := mysql.ParseDSN(d.DSN); err == nil {
			return config.Addr
		}
	}
	u, err := url.Parse(d.DSN)
	if err != nil {
		return err.Error()
	}
	return u.Host
}

// bank is a provider that remembers keys, or can be asked: everything else is the library's business.
type bank struct {
	mu      sync.Mutex
	sends   int
	charges map[string]int // by call
	bound   map[string]bool
}

func (b *bank) sent() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sends
}

// charge takes money, unless the provider remembers the key.
func (b *bank) charge(id, key string, remembers bool) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sends++
	if b.bound == nil {
		b.bound = map[string]bool{}
	}
	if !remembers || !b.bound[key] {
		b.bound[key] = true
		b.charges[id]++
	}
	return "receipt of " + id
}

func (b *bank) charged(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.charges[id] > 0
}

func (b *bank) judge(line *report.Line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line.Sends, line.Keys = b.sends, len(b.charges)
	for id, n := range b.charges {
		line.Charges += n
		if n > 1 {
			line.Add(&line.Duplicates, "%s was charged %d times", id, n)
		}
	}
}

type wrapper = idempotency.Wrapper[string, string]

// shop makes calls of two kinds: to a provider that remembers keys, and to one that can be asked.
type shop struct {
	line  *report.Line
	store idempotency.Store
	bank  *bank
	kinds []*wrapper
	stop  func()

	next  atomic.Int64
	mu    sync.Mutex
	known map[string]string // what callers were told
}

// names of the two kinds of calls.
var names = []string{"keys", "ask"}

func (s *shop) open() error {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	s.stop = func() {
		cancel()
		wg.Wait()
	}
	for _, name := range names {
		call := idempotency.Call[string, string]{
			Name: name, CacheBytes: -1, Lease: 2 * time.Second, Timeout: time.Second, Grace: 100 * time.Millisecond, Poll: 100 * time.Millisecond,
			Retry: retry.Policy{Initial: 10 * time.Millisecond, Max: 100 * time.Millisecond},
			Send: func(_ context.Context, a idempotency.Attempt, _ string) (string, error) {
				return s.bank.charge(a.ID, a.Key, name == "keys"), nil
			},
		}
		if name == "keys" {
			call.Namespace, call.KeyLife = "torture", time.Hour
		} else {
			call.Settling = 100 * time.Millisecond // what is sent here lands before Send returns
			call.Lookup = func(_ context.Context, a idempotency.Attempt, _ string) (idempotency.Verdict[string], error) {
				if s.bank.charged(a.ID) {
					return idempotency.Happened("receipt of " + a.ID), nil
				}
				return idempotency.DidNotHappen[string](), nil
			}
		}
		w, err := idempotency.Wrap(s.store, call)
		if err != nil {
			s.stop()
			return err
		}
		s.kinds = append(s.kinds, w)
		wg.Go(func() { _ = w.Run(ctx) })
	}
	return nil
}

func (s *shop) close(ctx context.Context) {
	s.stop()
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, w := range s.kinds {
		if err := w.Close(limited); err != nil {
			s.line.Add(&s.line.Stuck, "%v", err)
		}
	}
}

// trade lets callers call for so long, each key by two of them.
func (s *shop) trade(ctx context.Context, d time.Duration) {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for limited.Err() == nil {
				n := s.next.Add(1) / 2
				s.do(ctx, int(n))
			}
		})
	}
	wg.Wait()
}

func keyOf(n int) (key string, kind int) { return fmt.Sprint(names[n%2], " ", n), n % 2 }

func (s *shop) do(ctx context.Context, n int) {
	key, kind := keyOf(n)
	limited, cancel := context.WithTimeout(ctx, waits)
	defer cancel()
	began := time.Now()
	res, err := s.kinds[kind].Do(limited, key, "pay")
	took := time.Since(began)
	s.mu.Lock()
	defer s.mu.Unlock()
	if took > hangs { // P5
		s.line.Add(&s.line.Stuck, "a caller of %s wanted to wait for %v, and waited for %v", key, waits, took)
	}
	var unrecorded *idempotency.UnrecordedError
	switch {
	case err == nil:
		s.known[key] = res.Value
	case errors.As(err, &unrecorded): // its value is known, and recorded later
	case errors.Is(err, idempotency.ErrStore):
		s.line.More["refused"]++
		pause(ctx, 5*time.Millisecond)
	}
}

// finish waits, in fair weather, until all calls are settled, and compares.
func (s *shop) finish(ctx context.Context) error {
	for _, name := range names {
		for began := time.Now(); ; pause(ctx, 100*time.Millisecond) {
			left, err := s.store.List(ctx, idempotency.Query{Operation: name, States: idempotency.Unresolved(), N: 1000})
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil && len(left) == 0 {
				break
			}
			if time.Since(began) > settles {
				for _, r := range left {
					s.line.Add(&s.line.Stuck, "%s is still %s: %s", r.ID.Key, r.State, r.Message)
				}
				if err != nil {
					return err
				}
				break
			}
		}
	}
	return s.compare(ctx)
}

// compare holds what callers were told, and the bank's ledger, against what is recorded.
func (s *shop) compare(ctx context.Context) error {
	for n := range int(s.next.Load()/2) + 1 {
		key, kind := keyOf(n)
		r, err := s.store.Get(ctx, idempotency.ID{Operation: names[kind], Key: key})
		recorded := err == nil && r.State == idempotency.StateSucceeded
		if err != nil && !errors.Is(err, idempotency.ErrNoRecord) {
			return err
		}
		s.mu.Lock()
		told := s.known[key]
		s.mu.Unlock()
		switch {
		case told != "" && (!recorded || string(r.Value) != fmt.Sprintf("%q", told)):
			s.line.Add(&s.line.Lost, "a caller of %s was told %q, recorded is %s %s", key, told, r.State, r.Value)
		case s.bank.charged(key) && !recorded:
			s.line.Add(&s.line.Lost, "%s was charged, recorded is %s", key, r.State)
		case recorded && !s.bank.charged(key):
			s.line.Add(&s.line.Violations, "%s has succeeded, and was never charged", key)
		}
	}
	return nil
}

// failOver leads to a server without the table. All that is asked there is refused (P7): a key that it does not know may have been
// paid.
func (s *shop) failOver(ctx context.Context, proxy *Proxy, home, empty *databases.Database) error {
	sent := s.bank.sent()
	proxy.Fail(addressOf(empty))
	var wg sync.WaitGroup
	for n := range 40 {
		if n%2 == 1 {
			n = int(s.next.Add(2)) // a new key is no better
		}
		wg.Go(func() {
			key, kind := keyOf(n)
			limited, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			_, err := s.kinds[kind].Do(limited, key, "pay")
			s.mu.Lock()
			defer s.mu.Unlock()
			if !errors.Is(err, idempotency.ErrStore) {
				s.line.Add(&s.line.Violations, "on a server without the table, Do of %s says %v, want ErrStore", key, err)
			}
			s.line.More["refused after failover"]++
		})
	}
	wg.Wait()
	if n := s.bank.sent() - sent; n > 0 {
		s.line.Add(&s.line.Violations, "%d calls were sent while the store was on a server without the table", n)
	}
	proxy.Fail(addressOf(home))
	return s.finish(ctx)
}

// forget leads to a server whose table is empty, and asks for calls that are settled.
func (s *shop) forget(ctx context.Context, proxy *Proxy, empty *databases.Database) error {
	db, err := empty.Connect()
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := empty.Store(ctx, db); err != nil {
		return err
	}
	proxy.Fail(addressOf(empty))
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() { s.do(ctx, n) })
	}
	wg.Wait()
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
