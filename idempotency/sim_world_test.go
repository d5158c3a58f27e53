package idempotency_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// The world of one seed: a store, a provider, four processes that crash and pause, and people who click.

type simMode string

const (
	simKeys simMode = "keys" // the provider remembers keys
	simAsk  simMode = "ask"  // it ignores keys, and can be asked
	simNone simMode = "none" // it ignores keys, and cannot be asked
)

var simModes = []simMode{simKeys, simAsk, simNone}

// Times are short where they are polled, so that a seed stays cheap; what matters is how they compare.
const (
	simProcesses = 4
	simTimeout   = 2 * time.Second
	simGrace     = 500 * time.Millisecond
	simSettling  = 20 * time.Second
	simMargin    = time.Minute // what the library keeps of a key's life: a minute is above Timeout + Grace + Settling
	simPoll      = 4 * time.Second
	simFaulty    = 50 * time.Second // how long things go wrong

	// The bound of P1: a pause between the last check and the wire, the way to the provider, and its work there stay
	// together below simSettling.
	simWirePause = 9 * time.Second
	simLanding   = 8 * time.Second
	simWorking   = 2 * time.Second
)

type simOrder struct {
	Order  string `json:"order"`
	Amount int    `json:"amount"`
}

type simReceipt struct {
	Charge string `json:"charge"`
	Amount int    `json:"amount"`
}

type (
	simWrapper = idempotency.Wrapper[simOrder, simReceipt]
	simStatus  = idempotency.Status[simReceipt]
	simVerdict = idempotency.Verdict[simReceipt]
)

// simConfig is what a seed decides before anything happens.
type simConfig struct {
	seed           uint64
	mode           simMode
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
	settleFor      time.Duration
	providerOutage [2]time.Duration
	storeOutage    [2]time.Duration
	lonely         bool // only one process is left at the end
}

func newSimConfig(seed uint64, mode simMode, beyond bool, r *rand.Rand) simConfig {
	c := simConfig{seed: seed, mode: mode, beyond: beyond, lookup: mode == simAsk}
	c.heat = []float64{0.3, 1, 1, 2}[r.IntN(4)]
	if beyond {
		c.heat = 2
	}
	c.lease = []time.Duration{6 * time.Second, 6 * time.Second, 2 * time.Second}[r.IntN(3)]
	if mode == simKeys {
		c.keyLife = []time.Duration{75 * time.Second, 90 * time.Second, 200 * time.Second}[r.IntN(3)]
		c.lookup = r.IntN(2) == 0
		c.errorsKeyed = r.IntN(2) == 0
		c.declinesKeyed = r.IntN(2) == 0
	}
	c.declines = []float64{0, 0.1, 0.3}[r.IntN(3)]
	c.accepts = []float64{0, 0, 0.2}[r.IntN(3)]
	c.busyIsNotSent = r.IntN(2) == 0
	if r.IntN(4) == 0 {
		c.giveUp = simBetween(r, 5*time.Second, 60*time.Second)
	}
	if r.IntN(8) == 0 {
		c.maxInFlight = 1
	}
	c.breaker = r.IntN(6) == 0
	if r.IntN(6) == 0 {
		c.retention = max(c.keyLife, simBetween(r, time.Second, 40*time.Second))
	}
	c.peek = r.IntN(2) == 0
	c.settleFor = []time.Duration{10 * time.Second, 10 * time.Minute}[r.IntN(2)]
	if r.IntN(3) == 0 {
		c.providerOutage = simWindow(r, 30*time.Second)
	}
	if r.IntN(3) == 0 {
		c.storeOutage = simWindow(r, 15*time.Second)
	}
	c.lonely = r.IntN(2) == 0
	return c
}

func simBetween(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

func simWindow(r *rand.Rand, longest time.Duration) [2]time.Duration {
	from := simBetween(r, 0, simFaulty*3/4)
	return [2]time.Duration{from, from + simBetween(r, time.Second, longest)}
}

// simWorld is everything outside the library. Its lock makes one history of what the store, the provider and the oracle
// see; nobody sleeps under it.
type simWorld struct {
	simConfig
	mu     sync.Mutex
	began  time.Time
	rng    *rand.Rand // everybody's who has none of their own
	store  *memstore.Store
	keys   []*simKey
	byID   map[idempotency.ID]*simKey
	procs  [simProcesses]*simProc // those that live, or the last that lived
	deaths int
	quiet  bool      // nothing goes wrong any more
	coming int       // requests, replies and webhooks that are on their way
	lands  time.Time // when the last of them arrives
	wg     sync.WaitGroup

	events     []simEvent
	violations []string
	doubles    int // second effects of one key
	lasted     time.Duration
}

func newSimWorld(seed uint64, mode simMode, beyond bool) *simWorld {
	r := rand.New(rand.NewPCG(seed, uint64(len(mode))<<8|uint64(mode[0])))
	w := &simWorld{
		simConfig: newSimConfig(seed, mode, beyond, r),
		began:     time.Now(),
		rng:       r,
		store:     memstore.New(memstore.Config{}),
		byID:      map[idempotency.ID]*simKey{},
		events:    make([]simEvent, 0, 512),
	}
	for i := range 2 + r.IntN(2) {
		// T24: the same key in several scopes.
		id := idempotency.ID{Operation: "charge", Scope: []string{"anna", "bert"}[i%2], Key: fmt.Sprintf("k%d", i/2)}
		w.addKey(id, 100+i)
	}
	return w
}

// addKey returns the key, made with the world's order that it is to pay.
func (w *simWorld) addKey(id idempotency.ID, amount int) *simKey {
	k := &simKey{w: w, id: id, order: simOrder{Order: id.Scope + "/" + id.Key, Amount: amount}}
	w.keys = append(w.keys, k)
	w.byID[id] = k
	return k
}

func (w *simWorld) now() time.Duration { return time.Since(w.began) }

// chance draws from r under the lock, and never comes true once nothing goes wrong any more.
func (w *simWorld) chance(r *rand.Rand, p float64) bool {
	return r.Float64() < p*w.heat && !w.quiet
}

func (w *simWorld) during(window [2]time.Duration) bool {
	return !w.quiet && w.now() >= window[0] && w.now() < window[1]
}

// later runs fn after d, whatever becomes of the process that asked for it.
func (w *simWorld) later(d time.Duration, fn func()) {
	if at := time.Now().Add(d); at.After(w.lands) {
		w.lands = at
	}
	w.coming++
	time.AfterFunc(d, func() {
		fn()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.coming--
	})
}

// arrived waits until nothing is on its way any more.
func (w *simWorld) arrived() {
	for {
		w.mu.Lock()
		coming, wait := w.coming, max(time.Until(w.lands), 100*time.Millisecond)
		w.mu.Unlock()
		if coming == 0 {
			return
		}
		time.Sleep(wait)
	}
}

// draw takes a random duration, of whole microseconds so that two events rarely share an instant.
func (w *simWorld) draw(r *rand.Rand, low, high time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return simBetween(r, low, high)
}

func simNap(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// run plays the seed to its end and leaves the violations.
func (w *simWorld) run() {
	for i := range simProcesses {
		w.spawn(i, 0)
	}
	var people sync.WaitGroup
	r := rand.New(rand.NewPCG(w.seed, 40_000))
	stream := func(n int) *rand.Rand { return rand.New(rand.NewPCG(w.seed, uint64(n))) }
	for i, k := range slices.Clone(w.keys) {
		for n := range 2 + r.IntN(2) {
			people.Go(func() { (&simCaller{w: w, k: k, r: stream(10_000 + 100*i + n)}).live() })
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
	if left := simFaulty - w.now(); left > 0 {
		time.Sleep(left)
	}
	w.calm()
	w.converge()
	w.finish()
	w.end()
}

// calm ends all faults, and waits for what is on its way.
func (w *simWorld) calm() {
	w.mu.Lock()
	w.quiet = true
	w.event(nil, nil, "all faults end", 0, 0, nil)
	w.mu.Unlock()
	time.Sleep(10 * time.Second) // until every replacement has started
	w.mu.Lock()
	for i, p := range w.procs {
		p.paused = time.Time{}
		if w.lonely && i > 0 {
			p.crash() // P6: one is enough
		}
	}
	w.mu.Unlock()
	w.arrived()
}

// simPatience is how long after the last fault everything must be resolved that can be.
const simPatience = 20 * time.Minute

func (w *simWorld) converge() {
	deadline := time.Now().Add(simPatience)
	for {
		w.mu.Lock()
		stuck := w.unresolved()
		if len(stuck) == 0 || time.Now().After(deadline) {
			for _, s := range stuck {
				w.fail(nil, "stuck: %s", s)
			}
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		time.Sleep(2 * time.Second)
	}
}

// finish lets the operator resolve what nothing else can, asks for every key once more, and compares the books.
func (w *simWorld) finish() {
	p := w.living(w.rng)
	ctx := context.Background()
	if _, err := p.wrapper.Recover(ctx); err != nil {
		w.failNow("Recover failed without a fault: " + err.Error())
	}
	w.listed(p)
	for round := range 4 {
		time.Sleep(simSettling + time.Second) // an operator who asks too early is not believed
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
		if len(k.request) > 0 && !simSameOrder(k.request, in) {
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
func (w *simWorld) calmDown() {
	time.Sleep(2 * simPoll)
	w.arrived()
	w.converge()
}

// end closes what lives and waits for everything else to be gone.
func (w *simWorld) end() {
	for _, p := range w.procs {
		if p.dead {
			continue
		}
		p.stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := p.wrapper.Close(ctx); err != nil {
			w.failNow("Close did not end: " + err.Error())
		}
		cancel()
	}
	time.Sleep(time.Minute)
	w.wg.Wait()
}
