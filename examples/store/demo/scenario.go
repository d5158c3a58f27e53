package demo

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/goods"
	"github.com/steadfast-go/steadfast/internal/fakepay"
)

// Scenario is a bad day, or a good one. What exactly happens on it follows from the seed.
type Scenario struct {
	Name  string
	Title string
	span  time.Duration // about how long it takes
	plan  func(r *rand.Rand, p *plan)
}

// plan is one such day. Both shops get the same.
type plan struct {
	bank fakepay.Config
	kill time.Duration // when the shop is killed, after the first click; 0: never
	habits
}

// habits are a customer's.
type habits struct {
	item        goods.Item
	card        string
	otherCard   string        // used after a decline
	patience    time.Duration // how long the customer looks at the shop, from the first click
	thinking    time.Duration // before another try
	secondClick time.Duration // after the first; 0: none
}

// order is the number of the only order that a shop gets: what the bank's requests meet goes by it.
const order = "order-1"

const (
	goodCard  = "tok_visa"
	otherCard = "tok_mastercard"
)

// Scenarios returns all of them.
func Scenarios() []Scenario {
	return []Scenario{
		{"happy", "everything works", 5 * time.Second, func(*rand.Rand, *plan) {}},
		{"slow", "the bank needs more than 20 s; the customer does not stay that long", 32 * time.Second, slow},
		{"timeouts", "the bank charges, and its answer is lost or comes too late", 50 * time.Second, timeouts},
		{"doubleclick", "the customer clicks twice", 5 * time.Second, doubleclick},
		{"declined", "the first card is declined, the customer takes another one", 15 * time.Second, declinedCard},
		{"outage", "the bank is out of order for half a minute", 50 * time.Second, outage},
	}
}

func slow(r *rand.Rand, p *plan) {
	p.bank.Latency = fakepay.Latency{Min: 21 * time.Second, Max: 28 * time.Second}
	p.patience = between(r, 9*time.Second, 16*time.Second)
}

func timeouts(r *rand.Rand, p *plan) {
	silent := fakepay.Fault{Kind: fakepay.ReplyLost, Cut: fakepay.CutHang}
	late := fakepay.Fault{Kind: fakepay.ReplyLate, Delay: between(r, 32*time.Second, 36*time.Second)} // than both shops wait
	broken := fakepay.Fault{Kind: fakepay.ReplyLost, Cut: fakepay.CutReset}
	first := []fakepay.Fault{silent, silent, late, late, broken}
	second := []fakepay.Fault{{}, broken}
	p.bank.Scripts = map[string][]fakepay.Fault{order: {pick(r, first), pick(r, second)}}
	p.bank.Latency = fakepay.Latency{P50: 4 * time.Second, P99: 12 * time.Second, Min: time.Second, Max: 12 * time.Second}
}

func doubleclick(r *rand.Rand, p *plan) {
	p.secondClick = between(r, 150*time.Millisecond, 450*time.Millisecond)
}

func declinedCard(r *rand.Rand, p *plan) {
	p.card = pick(r, []string{fakepay.SourceDeclined, fakepay.SourceInsufficientFunds, fakepay.SourceExpiredCard})
}

func outage(r *rand.Rand, p *plan) {
	p.bank.Outages = []fakepay.Outage{{To: between(r, 26*time.Second, 33*time.Second)}}
	p.patience = between(r, 13*time.Second, 20*time.Second)
}

// planFor draws the plan of a seed.
func (s Scenario) planFor(seed uint64) plan {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.Name)) // a hash takes everything
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	p := plan{
		bank: fakepay.Config{
			Seed:         r.Uint64(),
			ReplayErrors: true, // as Stripe does
			Latency:      fakepay.Latency{P50: 700 * time.Millisecond, P99: 1800 * time.Millisecond, Min: 200 * time.Millisecond, Max: 1900 * time.Millisecond},
		},
		habits: habits{
			item: pick(r, goods.All()),
			card: goodCard, otherCard: otherCard,
			patience: 2 * time.Minute,
			thinking: between(r, 3*time.Second, 6*time.Second),
		},
	}
	s.plan(r, &p)
	return p
}

// Select returns the scenario of a name, or all of them for "all".
func Select(name string) ([]Scenario, error) {
	all := Scenarios()
	if name == "all" {
		return all, nil
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	i := slices.Index(names, name)
	if i < 0 {
		return nil, fmt.Errorf("demo: there is no scenario %q: use %s or all", name, strings.Join(names, ", "))
	}
	return all[i : i+1], nil
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
