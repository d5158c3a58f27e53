package kill

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/fakepay"
	"github.com/steadfast-go/steadfast/internal/torture/databases"
	"github.com/steadfast-go/steadfast/internal/torture/processes"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// Parts are the processes of this test.
func Parts() map[string]processes.Part {
	return map[string]processes.Part{"kill/bank": playBank, "kill/worker": playWorker}
}

// faults are what the providers' network does. One that knows no keys gets no request twice but from us: what a network
// duplicates there, nobody could tell from two orders.
func faults(m fakepay.Mode) []fakepay.Fault {
	list := []fakepay.Fault{
		{Kind: fakepay.ReplyLost, Rate: 0.04},
		{Kind: fakepay.RequestLost, Rate: 0.03},
		{Kind: fakepay.LandsLate, Rate: 0.02, Delay: landsLate},
		{Kind: fakepay.ErrorBefore, Rate: 0.02},
		{Kind: fakepay.ErrorAfter, Rate: 0.03},
		{Kind: fakepay.RateLimited, Rate: 0.01},
	}
	if m == fakepay.Keys {
		list = append(list, fakepay.Fault{Kind: fakepay.Duplicate, Rate: 0.03}, fakepay.Fault{Kind: fakepay.ErrorStored, Rate: 0.01},
			fakepay.Fault{Kind: fakepay.ErrorStoredAfter, Rate: 0.02})
	}
	return list
}

// bankRole is what the process with the providers is told.
type bankRole struct{ Seed uint64 }

// playBank serves a provider of each mode, and says where.
func playBank(p *processes.Player, told []byte) error {
	var role bankRole
	if err := json.Unmarshal(told, &role); err != nil {
		return err
	}
	for _, m := range modes {
		bank, err := fakepay.New(fakepay.Config{
			Seed: role.Seed, Mode: m, ReplayErrors: m == fakepay.Keys, Faults: faults(m), DecideAfter: landsLate,
			Latency: fakepay.Latency{P50: 4 * time.Millisecond, P99: 40 * time.Millisecond, Max: 100 * time.Millisecond},
		})
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &http.Server{Handler: bank, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(l) }() // until the process ends
		p.Say(processes.Event{What: "at", Key: string(m), Text: "http://" + l.Addr().String()})
	}
	p.Hear()
	return nil
}

// workerRole is what a worker is told.
type workerRole struct {
	Database databases.Database
	Banks    map[fakepay.Mode]string
	Began    time.Time // of the whole run: which keys are made now follows from it
	Rate     float64   // new keys in a second, of each mode
	Break    bool      // every process sends with provider keys of its own
}

// worker is one process of a shop.
type worker struct {
	workerRole
	p     *processes.Player
	rows  *sql.DB
	drain chan struct{}
}

// playWorker makes calls, beside other workers that make the same, until it is told to end or is killed.
func playWorker(p *processes.Player, told []byte) error {
	w := &worker{p: p, drain: make(chan struct{})}
	if err := json.Unmarshal(told, &w.workerRole); err != nil {
		return err
	}
	var err error
	if w.rows, err = w.Database.Connect(); err != nil {
		return err
	}
	w.rows.SetMaxOpenConns(8) // there are four workers
	store, err := sqlstore.New(w.rows, sqlstore.Config{Table: w.Database.Table})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	for _, m := range modes {
		call := newClient(w.Banks[m]).call(m)
		call.OnSettled = func(ctx context.Context, s idempotency.Settled[order, receipt]) error { return w.settled(ctx, m, s) }
		if w.Break && m == fakepay.Keys {
			call.Namespace = fmt.Sprint("process ", time.Now().UnixNano())
		}
		charges, err := idempotency.Wrap(store, call)
		if err != nil {
			return err
		}
		wg.Go(func() { _ = charges.Run(ctx) })
		for range 3 {
			wg.Go(func() { w.buy(ctx, m, charges) })
		}
	}
	p.Say(processes.Event{What: "ready"})
	p.Hear() // "drain": no new calls
	close(w.drain)
	p.Hear() // "end"
	stop()
	wg.Wait()
	return w.rows.Close()
}

// buy makes calls whose keys other workers use at the same time.
func (w *worker) buy(ctx context.Context, m fakepay.Mode, charges *idempotency.Wrapper[order, receipt]) {
	const newest = 6 // keys that are in use at once
	for {
		select {
		case <-w.drain:
			return
		default:
		}
		n := int(time.Since(w.Began).Seconds()*w.Rate) - rand.IntN(newest)
		key := fmt.Sprintf("%s-%d", m, max(n, 0))
		w.order(ctx, charges, key, max(n, 0))
		if !pause(w.drain, time.Duration(rand.Int64N(int64(20*time.Millisecond)))) {
			return
		}
	}
}

func (w *worker) order(ctx context.Context, charges *idempotency.Wrapper[order, receipt], key string, n int) {
	limited, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	switch {
	case n%16 == 5 && rand.IntN(8) == 0:
		_, _ = charges.Cancel(limited, key)
	case n%8 == 1:
		_, _ = charges.Start(limited, key, orderOf(key))
	default:
		res, err := charges.Do(limited, key, orderOf(key))
		var no *idempotency.Rejection
		switch {
		case err == nil:
			w.p.Say(processes.Event{What: "succeeded", Key: key, Text: res.Value.ChargeID})
		case errors.As(err, &no):
			w.p.Say(processes.Event{What: "rejected", Key: key, Text: no.Code})
		case errors.Is(err, idempotency.ErrCancelled):
			w.p.Say(processes.Event{What: "cancelled", Key: key})
		case errors.Is(err, idempotency.ErrKeyReused), errors.Is(err, idempotency.ErrNoRecord), errors.Is(err, idempotency.ErrReentrant):
			w.p.Say(processes.Event{What: "wrong", Key: key, Text: err.Error()})
		}
	}
}

// settled writes down, in the settling transaction, what it is told.
func (w *worker) settled(ctx context.Context, m fakepay.Mode, s idempotency.Settled[order, receipt]) error {
	state := s.State.String()
	if s.Late {
		state = "late"
	}
	_, err := sqlstore.Tx(ctx).ExecContext(ctx, fmt.Sprintf("INSERT INTO %s_told (mode, call_key, state) VALUES (%s, %s, %s)",
		w.Database.Table, w.Database.Mark(1), w.Database.Mark(2), w.Database.Mark(3)), string(m), s.Key, state)
	return err
}

// pause waits, unless it is to stop.
func pause(stop <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	}
}
