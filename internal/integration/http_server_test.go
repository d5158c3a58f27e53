package integration_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
	"github.com/steadfast-go/steadfast/store/sqlstore"
)

// server puts a handler behind the middleware.
func server(t *testing.T, s idempotency.Store, handle http.HandlerFunc, change func(*idemhttp.Config)) http.Handler {
	t.Helper()
	config := idemhttp.Config{Name: "api", Principal: idemhttp.SingleTenant("acme"), Poll: 20 * time.Millisecond}
	if change != nil {
		change(&config)
	}
	middleware, err := idemhttp.Handler(s, config)
	if err != nil {
		t.Fatal(err)
	}
	return middleware(handle)
}

func postTo(t *testing.T, h http.Handler, key, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/charges", strings.NewReader(body))
	r.Header.Set("Idempotency-Key", `"`+key+`"`)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// P1: two server processes on one database, sixteen clients with one key: it is executed once, and all get its response.
func TestHTTPTwoServersOneKey(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		if d.processes() < 2 {
			t.Skip("a database in memory belongs to one process")
		}
		first := d.open(t)
		name := table(t, first)
		var charges atomic.Int64
		var servers []http.Handler
		for _, db := range []*sql.DB{first, d.open(t)} {
			servers = append(servers, server(t, d.storeOn(t, db, name), func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(20 * time.Millisecond)
				w.WriteHeader(http.StatusCreated)
				fmt.Fprintf(w, "charge %d", charges.Add(1))
			}, func(c *idemhttp.Config) { c.Wait = time.Minute }))
		}
		for round := range 5 {
			var wg sync.WaitGroup
			var executed atomic.Int64
			for i := range 16 {
				wg.Go(func() {
					w := postTo(t, servers[i%2], fmt.Sprint("k", round), "42")
					if w.Code != http.StatusCreated || w.Body.String() != fmt.Sprintf("charge %d", round+1) {
						t.Errorf("round %d: %d %s", round, w.Code, w.Body)
					}
					if w.Header().Get("Idempotent-Replayed") == "" {
						executed.Add(1)
					}
				})
			}
			wg.Wait()
			if n := executed.Load(); n != 1 || charges.Load() != int64(round+1) {
				t.Fatalf("round %d: %d responses were no replays, %d charges were made", round, n, charges.Load())
			}
		}
	})
}

// T2: a server process dies inside the handler. Another one finds the claim, then an outcome that is unknown; it does not execute it again.
func TestHTTPServerDies(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		store := d.store(t, d.open(t))
		died := &dying{Store: store}
		charges := 0
		first := server(t, died, func(http.ResponseWriter, *http.Request) {
			charges++
			died.dead.Store(true)
			panic(http.ErrAbortHandler)
		}, func(c *idemhttp.Config) { c.Lease, c.SettleFor = time.Second, time.Millisecond })
		func() {
			defer func() { _ = recover() }()
			postTo(t, first, "k", "42")
		}()
		second := server(t, store, func(http.ResponseWriter, *http.Request) { charges++ }, nil)
		eventually(t, func() bool {
			w := postTo(t, second, "k", "42")
			p, err := idemhttp.ParseProblem(w.Body.Bytes())
			if err != nil || w.Code != http.StatusConflict {
				t.Fatalf("the response is %d: %s; want a conflict", w.Code, w.Body)
			}
			return p.Kind == idemhttp.OutcomeUnknown
		})
		if charges != 1 {
			t.Errorf("it was executed %d times", charges)
		}
	})
}

// dying is a process whose store hears nothing more of it.
type dying struct {
	*sqlstore.Store
	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (d *dying) Settle(ctx context.Context, l idempotency.Lease, o idempotency.Outcome) (idempotency.Record, error) {
	if d.dead.Load() {
		return idempotency.Record{}, errDead
	}
	return d.Store.Settle(ctx, l, o)
}

func (d *dying) Extend(ctx context.Context, l []idempotency.Lease, length time.Duration, sending bool) ([]bool, error) {
	if d.dead.Load() {
		return nil, errDead
	}
	return d.Store.Extend(ctx, l, length, sending)
}

// T15: replies of the database get lost, every other one: it is asked again, and says what it did. (See deaf.)
func TestHTTPLostReplies(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		charges := 0
		h := server(t, &deaf{Store: d.store(t, d.open(t))}, func(w http.ResponseWriter, _ *http.Request) {
			charges++
			fmt.Fprintf(w, "charge %d", charges)
		}, nil)
		for i := range 4 {
			for range 2 {
				if w := postTo(t, h, fmt.Sprint("k", i), "42"); w.Code != http.StatusOK || w.Body.String() != fmt.Sprintf("charge %d", i+1) {
					t.Fatalf("the response is %d: %s", w.Code, w.Body)
				}
			}
		}
	})
}
