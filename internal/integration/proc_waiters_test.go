package integration_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// P1, T22: a thousand callers in ten processes want one call. It is sent once, all get the same answer, and however many wait in a
// process, it asks the store about ten times a second.
func TestThousandCallersInTenProcesses(t *testing.T) {
	eachServed(t, func(t *testing.T, d database) {
		const processes, callers = 10, 100
		db := d.open(t)
		name := table(t, db)
		d.storeOn(t, db, name)

		var mu sync.Mutex
		sent := map[string]int{} // by provider key
		everybody := make(chan struct{})
		provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			sent[r.Header.Get("Idempotency-Key")]++
			n := len(sent)
			mu.Unlock()
			select {
			case <-everybody: // is waiting; and then it takes two seconds
			case <-r.Context().Done():
			}
			select {
			case <-time.After(2 * time.Second):
			case <-r.Context().Done():
			}
			fmt.Fprintf(w, "charge %d", n)
		}))
		t.Cleanup(provider.Close)

		var all []*process
		for range processes {
			all = append(all, spawn(t, d, role{Part: "wait", Table: name, Key: "k", Calls: callers, Provider: provider.URL}))
		}
		for _, p := range all {
			p.want("waiting")
		}
		close(everybody)
		values := map[string]int{}
		for _, p := range all {
			e := p.want("done")
			for value, n := range e.Values {
				values[value] += n
			}
			// It may have asked a little more often at first: the pauses grow.
			if most := 10*e.Took.Seconds() + 5; float64(e.N) > most {
				t.Errorf("%d callers of a process asked the store %d times in %v, want at most %.0f", callers, e.N, e.Took, most)
			}
			t.Logf("asked %d times in %v", e.N, e.Took)
			p.end()
		}
		if len(values) != 1 || values["charge 1"] != processes*callers {
			t.Errorf("the callers got %v, want charge 1 for all %d", values, processes*callers)
		}
		mu.Lock()
		defer mu.Unlock()
		total := 0
		for _, n := range sent {
			total += n
		}
		if total != 1 {
			t.Errorf("it was sent %d times, by key: %v", total, sent)
		}
	})
}

func playWait(t *testing.T, p *player) {
	client := &http.Client{Timeout: time.Minute}
	w := wrap(t, p.store, func(ctx context.Context, a idempotency.Attempt, in order) (receipt, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Provider, strings.NewReader(in.Item))
		if err != nil {
			return receipt{}, err
		}
		r.Header.Set("Idempotency-Key", a.Key)
		r.GetBody = nil // net/http would send it again by itself
		reply, err := client.Do(r)
		if err != nil {
			return receipt{}, err
		}
		defer func() { _ = reply.Body.Close() }()
		text, err := io.ReadAll(reply.Body)
		return receipt{ID: string(text)}, err
	}, func(c *call) {
		c.Timeout = time.Minute
		c.Poll = 0 // the default
	})
	values := map[string]int{}
	var mu sync.Mutex
	var begun, all sync.WaitGroup
	begun.Add(p.Calls)
	for range p.Calls {
		all.Go(func() {
			begun.Done()
			res, err := w.Do(t.Context(), p.Key, order{"book"})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				values[err.Error()]++
			} else {
				values[res.Value.ID]++
			}
		})
	}
	begun.Wait()
	p.say(event{What: "waiting"})
	all.Wait()
	p.say(event{What: "done", Values: values, N: int(p.store.asked.Load()), Took: p.store.took()})
}
