// Package crash kills the shop in the middle of its payments, again and again, and counts what its customers got; and then, with
// the same customers and kills, the naive shop. Shop, bank, warehouse and mail server are processes of their own; the shop's is ended
// with SIGKILL.
package crash

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/buyer"
)

type options struct {
	orders, kills int
	seed          uint64
	json, verbose bool
}

// limit is how long customers look at their orders' pages at most.
const limit = 4 * time.Minute

// ErrWrong says that an order went wrong.
var ErrWrong = errors.New("crash: an order went wrong")

// Main runs it with a command line's arguments.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("demo -crash", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.orders, "orders", 120, "how many customers order")
	flags.IntVar(&o.kills, "kills", 24, "how often the shop is killed meanwhile")
	flags.Uint64Var(&o.seed, "seed", 1, "decides when, and what goes wrong at the bank")
	flags.BoolVar(&o.json, "json", false, "print the results as one JSON object")
	flags.BoolVar(&o.verbose, "v", false, "print what the processes log")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("demo -crash: %q is not a flag: give flags only", flags.Arg(0))
	}
	if o.orders < 1 || o.orders > 2000 || o.kills < 0 {
		return fmt.Errorf("demo -crash: -orders is %d, -kills %d: use 1 to 2000 orders", o.orders, o.kills)
	}
	log := io.Discard
	if o.verbose {
		log = stderr
	}
	r, err := run(ctx, o, log)
	if err != nil {
		return err
	}
	if o.json {
		err = json.NewEncoder(stdout).Encode(r)
	} else {
		err = r.print(stdout)
	}
	if err == nil && !r.OK {
		err = ErrWrong
	}
	return err
}

func run(ctx context.Context, o options, log io.Writer) (r Report, err error) {
	began := time.Now()
	r = Report{Seed: o.seed, Orders: o.orders}
	s := Scenario{Name: "crash"}
	var v visits
	if v, s.Protected, r.EmailCopies, err = play(ctx, o, protectedSide(), log); err != nil {
		return r, err
	}
	r.Kills, r.Stuck = v.kills, v.stuck()
	if _, s.Naive, _, err = play(ctx, o, naiveSide(), log); err != nil {
		return r, err
	}
	r.Scenarios = []Scenario{s}
	r.OK = len(s.Protected.Wrong) == 0 && s.Protected.OverchargedCents == 0 && r.Stuck == 0
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

// side is one of the two shops.
type side struct {
	args     []string // start it
	buy      func(ctx context.Context, b *buyer.Buyer) visit
	receipts time.Duration // how long the last ones may take, after the last customer has left
}

func protectedSide() side {
	return side{args: []string{"-lease", "1s", "-admin-password", "unused"}, buy: buy, receipts: receiptsFor}
}

// naiveSide is asked by customers with the same habits. It writes while they wait.
func naiveSide() side { return side{args: []string{Role, naiveRole}, buy: buyNaively} }

// play sends the customers to one of the shops, in a town of its own.
func play(ctx context.Context, o options, s side, log io.Writer) (v visits, totals Totals, copies int, err error) {
	dir, err := os.MkdirTemp("", "steadfast-crash-")
	if err != nil {
		return v, totals, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	t, err := openTown(ctx, o.seed, log)
	defer t.close()
	if err != nil {
		return v, totals, 0, err
	}
	h, err := newHouse(t, dir, log, s.args...)
	if err != nil {
		return v, totals, 0, err
	}
	defer h.kill()
	if err := h.open(ctx); err != nil {
		return v, totals, 0, err
	}
	patience, leave := context.WithTimeout(ctx, limit)
	defer leave()
	if v, err = storm(patience, o, h, s); err != nil {
		return v, totals, 0, err
	}
	totals, copies, err = audit(ctx, t, v, s.receipts)
	return v, totals, copies, err
}

const (
	atOnce = 12 // customers
	calm   = 150 * time.Millisecond
	storms = 650 * time.Millisecond // between two kills at most, beside calm
)

// visits is what became of the customers' visits.
type visits struct {
	of    []visit // by customer
	kills int
}

// visit is one customer's.
type visit struct {
	order string        // empty: it never came to one
	told  []string      // what its page said, word by word
	first time.Duration // from the first click to the first page
	err   error         // the parcel was not seen to leave in time
}

// stuck counts them.
func (v visits) stuck() (n int) {
	for _, visit := range v.of {
		if visit.err != nil {
			n++
		}
	}
	return n
}

// storm lets customers order, and kills the shop among them: before each kill a few more come, so that it meets somebody. It
// waits until each of them has seen that the parcel has left.
func storm(ctx context.Context, o options, h *house, s side) (v visits, err error) {
	visiting, leave := context.WithCancel(ctx) // the last shop stays open when it ends
	defer leave()
	chance := rand.New(rand.NewPCG(o.seed, 0))
	transport := &http.Transport{MaxIdleConnsPerHost: atOnce}
	defer transport.CloseIdleConnections()
	v.of = make([]visit, o.orders)
	next := make(chan int)
	var people sync.WaitGroup
	for range atOnce {
		people.Go(func() {
			for i := range next {
				b, err := buyer.New("http://"+h.addr, emailOf(i), transport)
				if err != nil {
					v.of[i] = visit{err: err}
					continue
				}
				v.of[i] = s.buy(visiting, b)
			}
		})
	}
	come := 0
	for ; v.kills < o.kills && err == nil; v.kills++ {
		for ; come < (v.kills+1)*o.orders/o.kills; come++ {
			next <- come
		}
		if err = buyer.Pause(ctx, calm+time.Duration(chance.Int64N(int64(storms)))); err == nil {
			err = h.killAndOpen(ctx)
		}
	}
	for ; come < o.orders && err == nil; come++ {
		next <- come
	}
	close(next)
	if err != nil {
		leave() // nobody will open the shop again
	}
	people.Wait()
	return v, err
}

func emailOf(i int) string { return fmt.Sprintf("customer-%d@example.com", i) }

const again = 100 * time.Millisecond

// buy is a customer who does what people do: press the button again when no page comes, and look until the parcel has left.
func buy(ctx context.Context, b *buyer.Buyer) (v visit) {
	var form buyer.Form
	var clicked time.Time
	for v.order == "" {
		if form == nil {
			if form, _ = b.Fill(ctx, "lamp"); form != nil {
				clicked = time.Now()
			}
		}
		if form != nil {
			v.order, _ = b.Send(ctx, form) // no page: once more
		}
		if v.order == "" {
			if v.err = buyer.Pause(ctx, again); v.err != nil {
				return v
			}
		}
	}
	v.first = time.Since(clicked)
	for {
		word, err := b.Look(ctx, v.order)
		v.hear(word, err)
		if word == "shipped" {
			return v
		}
		if v.err = buyer.Pause(ctx, again); v.err != nil {
			return v
		}
	}
}

// buyNaively is the same customer at the naive shop: when no page comes, the order's page is loaded again, and who reads there that
// the order is not paid for presses the button again. The e-mail says when the parcel leaves: nobody looks for that.
func buyNaively(ctx context.Context, b *buyer.Buyer) (v visit) {
	for v.order == "" {
		if v.order, _ = b.Order(ctx, "lamp"); v.order != "" {
			break
		}
		if v.err = buyer.Pause(ctx, again); v.err != nil {
			return v
		}
	}
	clicked := time.Now()
	for next := b.Pay; ; {
		word, err := next(ctx, v.order)
		next = b.Look // no page: what does the order's own say?
		v.hear(word, err)
		if err == nil {
			next = b.Pay // so it says
			if v.first == 0 {
				v.first = time.Since(clicked)
			}
		}
		if word == "paid" {
			return v
		}
		if v.err = buyer.Pause(ctx, again); v.err != nil {
			return v
		}
	}
}

// hear takes down what a page said.
func (v *visit) hear(word string, err error) {
	if err == nil && (len(v.told) == 0 || v.told[len(v.told)-1] != word) {
		v.told = append(v.told, word)
	}
}
