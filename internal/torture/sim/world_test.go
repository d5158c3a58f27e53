package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// The world of one seed: a store, a provider, four processes that crash and pause, and people who click.

type mode string

const (
	modeKeys mode = "keys" // the provider remembers keys
	modeAsk  mode = "ask"  // it ignores keys, and can be asked
	modeNone mode = "none" // it ignores keys, and cannot be asked
)

var modes = []mode{modeKeys, modeAsk, modeNone}

// Times are short where they are polled, so that a seed stays cheap; what matters is how they compare.
const (
	processes = 4
	timeout   = 2 * time.Second
	grace     = 500 * time.Millisecond
	settling  = 20 * time.Second
	margin    = time.Minute // what the library keeps of a key's life: a minute is above Timeout + Grace + Settling
	poll      = 4 * time.Second
	faulty    = 50 * time.Second // how long things go wrong

	// The bound of P1: a pause between the last check and the wire, the way to the provider, and its work there stay
	// together below settling.
	wirePause   = 9 * time.Second
	longestWay  = 8 * time.Second
	longestWork = 2 * time.Second
)

type order struct {
	Order  string `json:"order"`
	Amount int    `json:"amount"`
}

type receipt struct {
	Charge string `json:"charge"`
	Amount int    `json:"amount"`
}

type (
	wrapper = idempotency.Wrapper[order, receipt]
	status  = idempotency.Status[receipt]
	verdict = idempotency.Verdict[receipt]
)

// config is what a seed decides before anything happens.
type config struct {
	seed           uint64
	mode           mode
	beyond         bool    // goes beyond the bound of P1
	heat           float64 // of all faults
	lease          time.Duration
	lookup         bool
	keyLife        time.Duration
	errorsKeyed    bool // the provider stores its 5xx under the key
	declinesKeyed  bool // and its declines
	declines       float64
	accepts        float64
	busyIsNotSent  bool // Send says "not sent" of a 429
	giveUp         time.Duration
	maxInFlight    int
	retention      time.Duration
	breaker        bool
	peek           bool
	cacheBytes     int // where nobody can peek
	settleFor      time.Duration
	providerOutage [2]time.Duration
	storeOutage    [2]time.Duration
	lonely         bool // only one process is left at the end
}

func newConfig(seed uint64, mode mode, beyond bool, r *rand.Rand) config {
	c := config{seed: seed, mode: mode, beyond: beyond, lookup: mode == modeAsk}
	c.heat = []float64{0.3, 1, 1, 2}[r.IntN(4)]
	if beyond {
		c.heat = 2
	}
	c.lease = []time.Duration{6 * time.Second, 6 * time.Second, 2 * time.Second}[r.IntN(3)]
	if mode == modeKeys {
		c.keyLife = []time.Duration{75 * time.Second, 90 * time.Second, 200 * time.Second}[r.IntN(3)]
		c.lookup = r.IntN(2) == 0
		c.errorsKeyed = r.IntN(2) == 0
		c.declinesKeyed = r.IntN(2) == 0
	}
	c.declines = []float64{0, 0.1, 0.3}[r.IntN(3)]
	c.accepts = []float64{0, 0, 0.2}[r.IntN(3)]
	c.busyIsNotSent = r.IntN(2) == 0
	if r.IntN(4) == 0 {
		c.giveUp = between(r, 5*time.Second, 60*time.Second)
	}
	if r.IntN(8) == 0 {
		c.maxInFlight = 1
	}
	c.breaker = r.IntN(6) == 0
	if r.IntN(6) == 0 {
		c.retention = max(c.keyLife, between(r, time.Second, 40*time.Second))
	}
	c.peek = r.IntN(2) == 0
	c.settleFor = []time.Duration{10 * time.Second, 10 * time.Minute}[r.IntN(2)]
	if r.IntN(3) == 0 {
		c.providerOutage = window(r, 30*time.Second)
	}
	if r.IntN(3) == 0 {
		c.storeOutage = window(r, 15*time.Second)
	}
	c.lonely = r.IntN(2) == 0
	c.cacheBytes = []int{0, 2000, -1}[r.IntN(3)]
	return c
}

func window(r *rand.Rand, longest time.Duration) [2]time.Duration {
	from := between(r, 0, faulty*3/4)
	return [2]time.Duration{from, from + between(r, time.Second, longest)}
}

// world is everything outside the library. Its lock makes one history of what the store, the provider and the oracle
// see; nobody sleeps under it.
type world struct {
	config
	mu     sync.Mutex
	began  time.Time
	rng    *rand.Rand // everybody's who has none of their own
	store  *memstore.Store
	keys   []*call
	byID   map[idempotency.ID]*call
	procs  [processes]*process // those that live, or the last that lived
	deaths int
	quiet  bool          // nothing goes wrong any more
	coming int           // requests, replies and webhooks that are on their way
	lands  time.Duration // when the last of them arrives
	wg     sync.WaitGroup

	plan       *plan                      // where nothing is drawn
	changes    int                        // of records, and at the provider
	instants   map[time.Duration]struct{} // taken
	events     []event
	violations []string
	doubles    int // second effects of one key
	lost       int // P4
	stuck      int // P6
	pauses     int
	lasted     time.Duration
}

func newWorld(seed uint64, mode mode, beyond bool) *world {
	r := rand.New(rand.NewPCG(seed, uint64(len(mode))<<8|uint64(mode[0])))
	w := &world{
		config:   newConfig(seed, mode, beyond, r),
		began:    time.Now(),
		rng:      r,
		store:    memstore.New(memstore.Config{}),
		byID:     map[idempotency.ID]*call{},
		instants: make(map[time.Duration]struct{}, 2048),
		events:   make([]event, 0, 512),
	}
	for i := range 2 + r.IntN(2) {
		// T24: the same key in several scopes.
		id := idempotency.ID{Operation: "charge", Scope: []string{"anna", "bert"}[i%2], Key: fmt.Sprintf("k%d", i/2)}
		w.addKey(id, 100+i)
	}
	return w
}

// addKey returns the key, made with the world's order that it is to pay.
func (w *world) addKey(id idempotency.ID, amount int) *call {
	k := &call{w: w, id: id, order: order{Order: id.Scope + "/" + id.Key, Amount: amount}}
	w.keys = append(w.keys, k)
	w.byID[id] = k
	return k
}

// chance draws from r under the lock, and never comes true once nothing goes wrong any more.
func (w *world) chance(r *rand.Rand, p float64) bool {
	return r.Float64() < p*w.heat && !w.quiet
}

func (w *world) during(window [2]time.Duration) bool {
	return !w.quiet && w.now() >= window[0] && w.now() < window[1]
}

// arrived waits until nothing is on its way any more.
func (w *world) arrived() {
	for {
		w.mu.Lock()
		coming, wait := w.coming, max(w.lands-w.now(), 100*time.Millisecond)
		w.mu.Unlock()
		if coming == 0 {
			return
		}
		w.sleep(wait)
	}
}

// run plays the seed to its end and leaves the violations.
func (w *world) run() {
	for i := range processes {
		w.spawn(i, 0)
		w.sleep(time.Millisecond)
	}
	var people sync.WaitGroup
	r := rand.New(rand.NewPCG(w.seed, 40_000))
	stream := func(n int) *rand.Rand { return rand.New(rand.NewPCG(w.seed, uint64(n))) }
	for i, k := range slices.Clone(w.keys) {
		for n := range 2 + r.IntN(2) {
			people.Go(func() { (&caller{w: w, k: k, name: fmt.Sprint("caller ", n), r: stream(10_000 + 100*i + n)}).live() })
		}
		if r.IntN(3) == 0 {
			people.Go(func() { w.operate(k, stream(20_000+i)) })
		}
	}
	if r.IntN(2) == 0 {
		people.Go(func() { w.shop(stream(30_000)) })
	}
	if w.retention > 0 {
		people.Go(w.sweep)
	}
	people.Wait()
	if left := faulty - w.now(); left > 0 {
		w.sleep(left)
	}
	w.calm()
	w.converge()
	w.finish()
	w.end()
}

// calm ends all faults, and waits for what is on its way.
func (w *world) calm() {
	w.mu.Lock()
	w.quiet = true
	w.event(nil, nil, "all faults end", 0, 0, nil)
	w.mu.Unlock()
	w.sleep(10 * time.Second) // until every replacement has started
	w.mu.Lock()
	for i, p := range w.procs {
		if p == nil {
			continue
		}
		p.paused = time.Time{}
		if w.lonely && i > 0 {
			p.crash("the end") // P6: one is enough
		}
	}
	w.mu.Unlock()
	w.arrived()
}

// patience is how long after the last fault everything must be resolved that can be.
const patience = 20 * time.Minute

func (w *world) converge() {
	deadline := time.Now().Add(patience)
	for {
		w.mu.Lock()
		stuck := w.unresolved()
		if len(stuck) == 0 || time.Now().After(deadline) {
			for _, s := range stuck {
				if strings.HasPrefix(s, "P4") {
					w.lost++
				} else {
					w.stuck++
				}
				w.fail(nil, "stuck: %s", s)
			}
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		w.sleep(2 * time.Second)
	}
}

// finish lets the operator resolve what nothing else can, asks for every key once more, and compares the books.
func (w *world) finish() {
	p := w.living(w.rng)
	ctx := context.Background()
	if _, err := p.wrapper.Recover(ctx); err != nil {
		w.failNow("Recover failed without a fault: " + err.Error())
	}
	w.listed(p)
	for round := range 4 {
		w.sleep(settling + time.Second) // an operator who asks too early is not believed
		open := false
		for _, k := range w.keys {
			open = w.ask(p, k, true) || open
		}
		if !open {
			break
		}
		if round == 3 {
			w.failNow("the operator could not resolve everything")
			return
		}
		w.calmDown()
	}
	for _, k := range w.keys {
		w.mu.Lock()
		rec := w.look(k)
		k.calls++
		w.mu.Unlock()
		switch rec.State {
		case idempotency.StateAbsent, idempotency.StateFree: // it would be sent: nobody asks for it any more
			continue
		}
		in := k.order
		if len(k.request) > 0 && !sameOrder(k.request, in) {
			in = k.other()
		}
		short, cancel := context.WithTimeout(ctx, time.Minute)
		res, err := p.wrapper.For(k.id.Scope).Do(short, k.id.Key, in)
		cancel()
		w.judgeAnswer(k, in, res, err, 0)
		w.judgeReplay(k, res, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.balance()
}

// calmDown waits until what the operator's verdicts set off is through.
func (w *world) calmDown() {
	w.sleep(2 * poll)
	w.arrived()
	w.converge()
}

// end closes what lives and waits for everything else to be gone.
func (w *world) end() {
	for _, p := range w.procs {
		if p == nil || p.dead {
			continue
		}
		p.stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := p.wrapper.Close(ctx); err != nil {
			w.failNow("Close did not end: " + err.Error())
		}
		cancel()
	}
	w.sleep(time.Minute)
	w.wg.Wait()
}
