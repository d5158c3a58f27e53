// Package linear lets many clients ask a store at the same time, loses some of the replies, and has the history checked by porcupine: is
// there an order of the requests, each within its time, in which a store with one client would have given the same answers?
package linear

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/internal/torture/model"
	"github.com/steadfast-go/steadfast/internal/torture/report"
)

const (
	clients   = 16
	perClient = 6 // operations of each client on a key: the checker's work grows quickly with their number
	lost      = 20
)

// checkFor bounds the search for an order, for all keys of a history together.
const checkFor = 5 * time.Minute

// Run makes histories of so many operations each on a store, and has them checked.
func Run(ctx context.Context, store idempotency.Store, name string, histories, operations int, seed uint64) (*report.Line, error) {
	line := report.Begin("linear", name)
	for i := range histories {
		h := &history{store: store, seed: seed + uint64(i), name: fmt.Sprintf("%x-%d", seed, i)}
		list := h.record(ctx, (operations+clients*perClient-1)/(clients*perClient))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		line.Runs++
		line.Keys += h.keys
		line.More["operations"] += int64(len(list))
		line.More["lost replies"] += int64(h.lost)
		h.check(line, list)
	}
	return line.End(), nil
}

// history is what was asked and answered.
type history struct {
	store idempotency.Store
	name  string
	seed  uint64
	keys  int
	began time.Time

	mu   sync.Mutex
	list []porcupine.Operation
	lost int
}

// record lets the clients go through the keys, all at about the same one.
func (h *history) record(ctx context.Context, keys int) []porcupine.Operation {
	h.began, h.keys = time.Now(), keys
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(h.seed, uint64(i)))
			for k := range keys {
				// An operation of its own, so that AcquireDue, too, is about one key.
				id := idempotency.ID{Operation: fmt.Sprintf("op %s %d", h.name, k), Scope: "scope", Key: "key"}
				c := &model.Client{ID: id, Name: fmt.Sprint("client ", i), Rand: r}
				var again *model.Input
				for range perClient {
					if ctx.Err() != nil {
						return
					}
					in := again
					if again = nil; in == nil {
						in = c.Next()
					}
					out := h.ask(ctx, i, r, in)
					c.Saw(in, &out)
					if out.Unknown && in.Op != model.Get && r.IntN(2) == 0 {
						again = in // as one does whose reply was lost
					}
				}
			}
		})
	}
	wg.Wait()
	return h.list
}

// ask asks the store, and writes down what it says. One reply in twenty is lost: the client does not wait for it, or is not
// told.
func (h *history) ask(ctx context.Context, client int, r *rand.Rand, in *model.Input) model.Output {
	lose := r.IntN(lost) == 0
	if lose && r.IntN(2) == 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(r.Int64N(int64(2*time.Millisecond))))
		defer cancel()
		ctx = limited
	}
	called := time.Since(h.began).Nanoseconds()
	out := model.Ask(ctx, h.store, in)
	returned := time.Since(h.began).Nanoseconds()
	if lose {
		out = model.Output{Unknown: true}
	}
	if out.Unknown {
		returned = math.MaxInt64 // it may still happen
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if out.Unknown {
		h.lost++
	}
	h.list = append(h.list, porcupine.Operation{ClientId: client, Input: in, Call: called, Output: &out, Return: returned})
	return out
}

// check adds to the line what no order explains.
func (h *history) check(line *report.Line, list []porcupine.Operation) {
	byKey := map[string][]porcupine.Operation{}
	for _, op := range list {
		in := op.Input.(*model.Input)
		byKey[in.ID.Operation] = append(byKey[in.ID.Operation], op)
	}
	deadline := time.Now().Add(checkFor)
	for key, ops := range byKey {
		switch result := porcupine.CheckOperationsTimeout(spec, ops, max(time.Until(deadline), time.Second)); result {
		case porcupine.Ok:
		case porcupine.Unknown:
			line.Add(&line.Violations, "%s, seed %d: no order was found within %v, nor that there is none", key, h.seed, checkFor)
		default:
			line.Add(&line.Violations, "%s, seed %d: no order explains what was answered:\n%s", key, h.seed, describe(ops))
		}
	}
}

// spec is the model in porcupine's words, for one key.
var spec = porcupine.Model{
	Init: func() any { return model.State{} },
	Step: func(state, input, output any) (bool, any) {
		next, ok := model.Allows(state.(model.State), input.(*model.Input), output.(*model.Output))
		return ok, next
	},
}

func describe(ops []porcupine.Operation) string {
	text := ""
	for _, op := range ops {
		text += fmt.Sprintf("    %9d..%-9d client %-2d %v -> %v\n", op.Call/1000, min(op.Return/1000, 999999999), op.ClientId, op.Input, op.Output)
	}
	return text
}
