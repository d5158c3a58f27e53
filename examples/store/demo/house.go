package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// reboot is how long nothing answers after a crash.
const reboot = 2 * time.Second

// premises are a shop that is open in one process.
type premises struct {
	handler  http.Handler
	underWay func(context.Context) (int, error) // what the shop has still to do, without its visitors' requests
	close    func(context.Context) error
	die      func() // all that a crash takes away, and nothing that it would not
}

// opener opens a shop in a new process, which reaches the bank at a URL. What it is called for again finds what the last one
// had stored, if it had.
type opener func(bankURL string) (premises, error)

// builder makes what outlives the processes of a shop.
type builder func(*trial) opener

// house is where a shop is: its address stays, its processes come and go.
type house struct {
	*trial
	open opener

	mu  sync.Mutex
	now *process // nil: none runs
}

// process is a shop that runs. It has connections to the bank of its own, so that they break when it dies.
type process struct {
	premises
	bank     *server
	web      *server
	visitors atomic.Int64 // requests under way
}

func (t *trial) openHouse(ctx context.Context, open opener) (h *house, err error) {
	h = &house{trial: t, open: open}
	h.now, err = h.start(ctx, freePort)
	return h, err
}

func (h *house) start(ctx context.Context, address string) (*process, error) {
	p := &process{}
	var err error
	if p.bank, err = serve(ctx, freePort, h.provider); err != nil {
		return nil, err
	}
	if p.premises, err = h.open(p.bank.url); err != nil {
		return nil, errors.Join(err, p.bank.cut())
	}
	p.web, err = serve(ctx, address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.visitors.Add(1)
		defer p.visitors.Add(-1)
		p.handler.ServeHTTP(w, r)
	}))
	if err != nil {
		p.die()
		return nil, errors.Join(err, p.bank.cut())
	}
	return p, nil
}

func (h *house) url() string { return h.process().web.url }

func (h *house) process() *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) become(p *process) (was *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was, h.now = h.now, p
	return was
}

// crash ends the process without a farewell, and starts another one after a while, on what it left behind.
func (h *house) crash(ctx context.Context) error {
	dead := h.become(nil)
	h.line.add(Event{Kind: Killed, Text: "is killed"})
	dead.die()
	err := errors.Join(dead.web.cut(), dead.bank.cut())
	if err != nil {
		return err
	}
	if err := h.pace.sleep(ctx, reboot); err != nil {
		return err
	}
	p, err := h.start(ctx, dead.web.address)
	if err != nil {
		return err
	}
	h.line.add(Event{Kind: Reopened, Text: "is back, in a new process"})
	h.become(p)
	return nil
}

// idle waits until the shop has done all that it has to. While there is no process, it has.
func (h *house) idle(ctx context.Context) error {
	for {
		n, err := h.busy(ctx)
		if err != nil || n == 0 {
			return err
		}
		if err := h.pace.sleep(ctx, look); err != nil {
			return fmt.Errorf("demo: the shop has still %d things to do after %v: %w", n, longest, err)
		}
	}
}

func (h *house) busy(ctx context.Context) (int, error) {
	p := h.process()
	if p == nil {
		return 1, nil // coming back is one
	}
	n, err := p.underWay(ctx)
	if h.process() != p {
		return 1, nil // killed meanwhile: what it said does not count
	}
	return n + int(p.visitors.Load()), err
}

// close ends the shop in good order.
func (h *house) close(ctx context.Context) error {
	p := h.process()
	if p == nil { // killed, and could not be opened again
		return nil
	}
	return errors.Join(p.web.stop(ctx), p.premises.close(ctx), p.bank.stop(ctx))
}
