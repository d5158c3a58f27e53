package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// Every crash point. Nothing is drawn in these worlds: one call, one process, and, when that has crashed, another one. At every step
// the world chooses whether the process crashes there, and at every request what becomes of it; all choices are played.

// most are the bounds of the tree: a crash, a crash of the process that recovers, and two requests whose fate is chosen; those that
// follow get through.
const (
	mostCrashes = 2
	mostFates   = 2
)

// choices walks a tree, depth first: it remembers which way was taken at each fork.
type choices struct {
	taken []int
	width []int
	at    int
}

func (c *choices) choose(n int) int {
	if c.at == len(c.taken) {
		c.taken = append(c.taken, 0)
	}
	if c.at == len(c.width) {
		c.width = append(c.width, n)
	}
	if c.width[c.at] != n {
		panic(fmt.Sprintf("fork %d had %d ways, and has %d: the world does not repeat itself", c.at, c.width[c.at], n))
	}
	c.at++
	return c.taken[c.at-1]
}

// next turns to the next path, or reports that there is none.
func (c *choices) next() bool {
	for i := len(c.taken) - 1; i >= 0; i-- {
		if c.taken[i]++; c.taken[i] < c.width[i] {
			c.taken, c.width, c.at = c.taken[:i+1], c.width[:i+1], 0
			return true
		}
	}
	return false
}

// String writes the path down, with runs of zeros counted, so that it can be given to -path.
func (c *choices) String() string {
	var parts []string
	zeros := 0
	for _, n := range c.taken[:c.at] {
		if n == 0 {
			zeros++
			continue
		}
		parts = append(parts, strconv.Itoa(zeros), strconv.Itoa(n))
		zeros = 0
	}
	return strings.Join(parts, ",")
}

func parsePath(s string) (taken []int, err error) {
	for i, part := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(part)
		switch {
		case err != nil:
			return nil, err
		case n < 0:
			return nil, fmt.Errorf("%d is below zero", n)
		case i%2 == 0:
			taken = append(taken, make([]int, n)...)
		default:
			taken = append(taken, n)
		}
	}
	return taken, nil
}

// plan is a world without chance.
type plan struct {
	name    string
	config  config
	started bool // the call is made by Start, not by Do
	again   bool // whoever asked asks again, while the call is recovered
	choices choices

	crashes int
	fates   int
	seen    int      // changes
	said    []string // what was chosen
}

// plans are the trees: each way to make the call, with each kind of provider.
func plans() (all []*plan) {
	providers := []struct {
		name   string
		config config
	}{
		{"keys", config{mode: modeKeys, keyLife: 90 * time.Second}},
		{"keys that store errors", config{mode: modeKeys, keyLife: 90 * time.Second, errorsKeyed: true, declinesKeyed: true}},
		{"keys, and can be asked", config{mode: modeKeys, keyLife: 90 * time.Second, errorsKeyed: true, lookup: true}},
		{"ask", config{mode: modeAsk, lookup: true}},
		{"none", config{mode: modeNone}},
	}
	for _, p := range providers {
		for _, way := range []string{"Do", "Do, and again", "Start"} {
			c := p.config
			c.seed, c.lease, c.settleFor = 1, 6*time.Second, 10*time.Minute
			all = append(all, &plan{name: p.name + ": " + way, config: c, started: way == "Start", again: way == "Do, and again"})
		}
	}
	return all
}

// ways are the fates of a request.
var ways = []struct {
	name  string
	route route
}{
	{"answered", route{}},
	{"refused", route{refused: true}},
	{"lost", route{there: -1, silent: true, reset: 200 * time.Millisecond}},
	{"lands late", route{there: longestWay, silent: true}},
	{"answer lost", route{silent: true, reset: time.Second}},
	{"answered after the attempt", route{there: timeout + 2*grace, stuck: 2 * timeout}}, // T53
	{"500 before", route{fortune: &fortune{before: true}}},
	{"500 after", route{fortune: &fortune{after: true}}},
	{"429", route{fortune: &fortune{busy: true}}},
	{"declined", route{fortune: &fortune{decline: true}}},
	{"accepted", route{fortune: &fortune{accept: true, late: 15 * time.Second}}},
	{"accepted, declined at last", route{fortune: &fortune{accept: true, late: 15 * time.Second, refuse: true}}},
	// Only where keys are alive: the design's assumption.
	{"twice", route{twice: 3 * time.Second}},
	{"twice, and Send knows", route{twice: time.Second, told: true}},
}

// route is what becomes of the next request. The lock is held.
func (p *plan) route(w *world) route {
	n := 0
	if p.fates < mostFates && !w.quiet {
		all := len(ways)
		if w.mode != modeKeys {
			all -= 2
		}
		n = p.choices.choose(all)
		p.said = append(p.said, "request "+strconv.Itoa(p.fates+1)+" "+ways[n].name)
	}
	p.fates++
	r := ways[n].route
	if r.there == 0 {
		r.there = 20 * time.Millisecond
	}
	r.back = 30 * time.Millisecond
	f := fortune{work: 50 * time.Millisecond}
	if r.fortune != nil {
		f = *r.fortune
		f.work = 50 * time.Millisecond
	}
	r.fortune = &f
	return r
}

// crash says whether the process does so here. Where nothing has happened to the record or at the provider since it was asked last, a
// crash leaves the same world as it would have then, and is not tried again. The lock is held.
func (p *plan) crash(w *world, at string) bool {
	if p.crashes == mostCrashes || w.quiet || w.changes == p.seen {
		return false
	}
	p.seen = w.changes
	if p.choices.choose(2) == 0 {
		return false
	}
	p.crashes++
	p.said = append(p.said, "crash at "+at)
	return true
}

func newPlanned(p *plan) *world {
	p.crashes, p.fates, p.seen, p.said = 0, 0, -1, nil
	w := &world{
		config:   p.config,
		began:    time.Now(),
		rng:      rand.New(rand.NewPCG(1, 1)),
		store:    memstore.New(memstore.Config{}),
		byID:     map[idempotency.ID]*call{},
		instants: make(map[time.Duration]struct{}, 256),
		events:   make([]event, 0, 64),
		plan:     p,
	}
	w.addKey(idempotency.ID{Operation: "charge", Scope: "anna", Key: "k0"}, 100)
	return w
}

// perform plays a planned world.
func (w *world) perform() {
	k := w.keys[0]
	w.spawn(0, 0)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		c := &caller{w: w, k: k, name: "caller", r: w.rng}
		if w.plan.started {
			c.startFor(w.procs[0], 30*time.Second)
			return
		}
		for range 5 {
			if p := w.living(w.rng); p != nil && c.doFor(p, k.order, 20*time.Second) || !w.plan.again {
				return
			}
			w.sleep(2 * time.Second)
		}
	}()
	for deadline := w.now() + patience; w.now() < deadline; {
		w.sleep(2 * time.Second)
		select {
		case <-answered:
		default:
			continue
		}
		w.mu.Lock()
		settled := w.procs[0] != nil && !w.procs[0].dead && len(w.unresolved()) == 0
		w.mu.Unlock()
		if settled {
			break
		}
	}
	w.calm()
	w.spawn(1, 1) // there may be nobody yet who runs Run
	w.converge()
	w.finish()
	w.end()
}

// definite says whether a caller has no reason to ask again.
func definite(err error) bool {
	var no *idempotency.Rejection
	return err == nil || errors.As(err, &no) || errors.Is(err, idempotency.ErrCancelled)
}

// summary says what was chosen.
func (p *plan) summary() string { return p.name + ": " + strings.Join(slices.Clone(p.said), ", ") }
