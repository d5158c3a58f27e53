package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/examples/store/bank"
	"github.com/steadfast-go/steadfast/examples/store/buyer"
	"github.com/steadfast-go/steadfast/examples/store/mail"
	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/examples/store/town"
	"github.com/steadfast-go/steadfast/examples/store/warehouse"
	"github.com/steadfast-go/steadfast/examples/store/web"
)

const (
	drainFor = 2 * time.Minute // what was ordered must be done by then
	look     = 50 * time.Millisecond
)

// tally is what the customers saw.
type tally struct {
	mu      sync.Mutex
	clicked map[string]time.Time // by order
	answers []time.Duration
	failed  int
}

func measure(ctx context.Context, o Options, open func(context.Context) (place, error)) (r Result, err error) {
	p, err := open(ctx)
	r.Database = p.name
	if p.missing != "" || err != nil {
		r.Skipped = p.missing
		return r, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	t, err := town.Open(town.Config{Latency: o.Bank.String()})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	office := newOffice()
	timing := shop.RealTime()
	timing.Poll = 100 * time.Millisecond
	depot := &clock{Warehouse: t.Parcels, sent: make(map[string]time.Time)}
	business, err := shop.Open(ctx, shop.Config{DB: p.db, Bank: bank.New(t.Bank), Warehouse: depot, Mail: office, Timing: timing})
	if err != nil {
		return r, err
	}
	began := time.Now()
	seen, err := rush(ctx, o, business)
	if err == nil {
		err = drain(ctx, business)
	}
	r.Seconds = time.Since(began).Seconds()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	if err := errors.Join(err, business.Close(end)); err != nil {
		return r, err
	}
	r.count(seen, t, depot, office)
	return r, nil
}

// rush lets customers order, one after the other has left, until the time is over.
func rush(ctx context.Context, o Options, business *shop.Shop) (*tally, error) {
	site, err := web.New(web.Config{Shop: business, AdminPassword: "unused"})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: site, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	transport := &http.Transport{MaxIdleConnsPerHost: o.Customers}
	defer transport.CloseIdleConnections()
	seen := &tally{clicked: make(map[string]time.Time)}
	open := time.Now().Add(o.For)
	var customers sync.WaitGroup
	for i := range o.Customers {
		customers.Go(func() {
			for n := 0; time.Now().Before(open) && ctx.Err() == nil; n++ {
				seen.note(order(ctx, "http://"+listener.Addr().String(), fmt.Sprintf("customer-%d-%d@example.com", i, n), transport))
			}
		})
	}
	customers.Wait()
	err = server.Close()
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return seen, errors.Join(err, context.Cause(ctx))
}

// order is one customer's visit.
func order(ctx context.Context, shop, email string, transport http.RoundTripper) (id string, clicked time.Time, took time.Duration, err error) {
	b, err := buyer.New(shop, email, transport)
	if err != nil {
		return "", clicked, 0, err
	}
	form, err := b.Fill(ctx, "lamp")
	if err != nil {
		return "", clicked, 0, err
	}
	clicked = time.Now()
	id, err = b.Send(ctx, form)
	return id, clicked, time.Since(clicked), err
}

func (t *tally) note(id string, clicked time.Time, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed++
		return
	}
	t.clicked[id] = clicked
	t.answers = append(t.answers, took)
}

// drain waits until all that was ordered is done.
func drain(ctx context.Context, business *shop.Shop) error {
	ctx, cancel := context.WithTimeout(ctx, drainFor)
	defer cancel()
	for {
		n, err := business.UnderWay(ctx)
		if err != nil || n == 0 {
			return err
		}
		if err := buyer.Pause(ctx, look); err != nil {
			return fmt.Errorf("load: the shop has still %d things to do after %v: %w", n, drainFor, err)
		}
	}
}

// count asks everybody but the shop.
func (r *Result) count(seen *tally, t *town.Town, depot *clock, office *office) {
	charges := make(map[string]int)
	for _, charge := range t.Provider.Ledger().Charges {
		charges[charge.Reference]++
		r.Charges++
	}
	var shipped []time.Duration
	for id, clicked := range seen.clicked {
		parcels := t.Parcels.Parcels(id)
		r.Parcels += parcels
		if charges[id] != 1 || parcels != 1 {
			r.Lost++
		}
		shipped = append(shipped, depot.sent[id].Sub(clicked))
	}
	r.Orders, r.Failed, r.Receipts = len(seen.clicked), seen.failed, office.count()
	r.Lost += max(r.Orders-r.Receipts, r.Receipts-r.Orders, r.Orders-r.Charges, r.Charges-r.Orders)
	r.OrdersPerSecond = float64(r.Orders) / r.Seconds
	r.AnswerMS, r.ShippedMS = spread(seen.answers), spread(shipped)
}

func spread(of []time.Duration) Spread {
	if len(of) == 0 {
		return Spread{}
	}
	slices.Sort(of)
	at := func(share float64) float64 { return of[int(share*float64(len(of)-1))].Seconds() * 1000 }
	return Spread{P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: at(1)}
}

// clock notes when parcels leave.
type clock struct {
	*warehouse.Warehouse
	mu   sync.Mutex
	sent map[string]time.Time
}

// Ship sends a parcel.
func (c *clock) Ship(ctx context.Context, key, order string) (string, error) {
	number, err := c.Warehouse.Ship(ctx, key, order)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.sent[order].IsZero() {
		c.sent[order] = time.Now()
	}
	return number, err
}

// office counts receipts.
type office struct {
	mu   sync.Mutex
	seen map[string]bool
}

func newOffice() *office { return &office{seen: make(map[string]bool)} }

// Send takes a message.
func (o *office) Send(_ context.Context, m mail.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen[m.ID] = true
	return nil
}

func (o *office) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.seen)
}
