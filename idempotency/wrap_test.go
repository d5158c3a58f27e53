package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/retry"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// Each error names the field, its value and what to do instead, and comes before anything is sent.
func TestWrapRefusesBadCalls(t *testing.T) {
	rows := []struct {
		name  string
		spoil func(*call)
		says  []string
	}{
		{"no Name", func(c *call) { c.Name = "" }, []string{"Call.Name", `""`, "name the kind of call"}},
		{"long Name", func(c *call) { c.Name = strings.Repeat("n", 256) }, []string{"Call.Name", "256 bytes", "at most 255"}},
		{"no Send", func(c *call) { c.Send = nil }, []string{"Call.Send", "nil", "set the function"}},
		{"KeyLife below zero", func(c *call) { c.KeyLife = -time.Hour }, []string{"Call.KeyLife", "-1h0m0s", "positive"}},
		{"Settling below zero", func(c *call) { c.Settling = -time.Second }, []string{"Call.Settling", "-1s", "positive"}},
		{"Timeout below zero", func(c *call) { c.Timeout = -1 }, []string{"Call.Timeout", "-1ns", "positive"}},
		{"Grace below zero", func(c *call) { c.Grace = -1 }, []string{"Call.Grace", "-1ns", "positive"}},
		{"Lease below zero", func(c *call) { c.Lease = -1 }, []string{"Call.Lease", "-1ns", "positive"}},
		{"GiveUp below zero", func(c *call) { c.GiveUp = -1 }, []string{"Call.GiveUp", "-1ns", "positive"}},
		{"Retention below zero", func(c *call) { c.Retention = -1 }, []string{"Call.Retention", "-1ns", "positive"}},
		{"StubFor below zero", func(c *call) { c.StubFor = -1 }, []string{"Call.StubFor", "-1ns", "positive"}},
		{"SettleFor below zero", func(c *call) { c.SettleFor = -1 }, []string{"Call.SettleFor", "-1ns", "positive"}},
		{"Poll below zero", func(c *call) { c.Poll = -1 }, []string{"Call.Poll", "-1ns", "positive"}},
		{"MaxInFlight below zero", func(c *call) { c.MaxInFlight = -2 }, []string{"Call.MaxInFlight", "-2", "positive"}},
		{"Concurrency below zero", func(c *call) { c.Concurrency = -2 }, []string{"Call.Concurrency", "-2", "positive"}},
		{"MaxBytes below zero", func(c *call) { c.MaxBytes = -2 }, []string{"Call.MaxBytes", "-2", "positive"}},
		{"T55: KeyLife without Namespace", func(c *call) { c.KeyLife, c.Namespace = time.Hour, "" }, []string{"Call.Namespace", "empty", "1h0m0s", "shop-prod"}},
		{"long Namespace", func(c *call) { c.Namespace = strings.Repeat("n", 256) }, []string{"Call.Namespace", "256 bytes", "at most 255"}},
		{"KeyLife of a minute", func(c *call) { c.KeyLife, c.Namespace = time.Minute, "x" }, []string{"Call.KeyLife", "1m0s", "margin", "lower"}},
		{"KeyLife not above Timeout and Settling", func(c *call) {
			c.KeyLife, c.Namespace, c.Settling = 5*time.Minute, "x", 5*time.Minute
		}, []string{"Call.KeyLife", "5m0s", "margin", "Settling"}},
		{"T6: Retention below KeyLife", func(c *call) {
			c.KeyLife, c.Namespace, c.Retention = 24*time.Hour, "x", time.Hour
		}, []string{"Call.Retention", "1h0m0s", "24h0m0s", "at least as long"}},
		{"Lookup without Settling", func(c *call) { c.Lookup = (&provider{}).look }, []string{"Call.Settling", "zero", "Lookup", "1m0s"}},
		{"bad Retry", func(c *call) { c.Retry = retry.Policy{Max: -1} }, []string{"Call.Retry", "Policy.Max", "-1ns", "positive"}},
		{"bad Budget", func(c *call) { c.Retry = retry.Policy{Budget: retry.NewBudget(math.NaN(), 1)} }, []string{"Call.Retry", "NaN"}},
		{"bad Breaker", func(c *call) { c.Breaker = breaker.New(breaker.Config{OpenFor: -1}) }, []string{"Call.Breaker", "OpenFor", "-1ns", "positive"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := &provider{script: []step{pay}}
			c := blind(p)
			row.spoil(&c)
			w, err := idempotency.Wrap(newStore(), c)
			require.Error(t, err, "Wrap must refuse this call")
			require.Nil(t, w)
			require.True(t, strings.HasPrefix(err.Error(), "idempotency: "), "the error says where it comes from: %v", err)
			for _, part := range row.says {
				require.ErrorContains(t, err, part)
			}
			require.Empty(t, p.sendings())
		})
	}
}

func TestWrapRefusesANilStore(t *testing.T) {
	w, err := idempotency.Wrap(nil, blind(&provider{script: []step{pay}}))
	require.Nil(t, w)
	require.ErrorContains(t, err, "store is nil")
	require.ErrorContains(t, err, "memstore.New", "it names a remedy")

	var none *memstore.Store
	_, err = idempotency.Wrap(none, blind(&provider{script: []step{pay}}))
	require.ErrorContains(t, err, "store is nil", "a nil pointer in an interface")
}

// A query that cannot be answered is the caller's mistake, not the store's failure.
func TestListRefusesWhatItCannotAnswer(t *testing.T) {
	w := wrap(t, newStore(), blind(&provider{script: []step{pay}}))
	for want, q := range map[string]idempotency.Query{
		"Query.N is 5000":    {N: 5000},
		"Query.N is -1":      {N: -1},
		`Query.After is "k"`: {OldestFirst: true, After: idempotency.ID{Key: "k"}},
		"States has 77":      {States: []idempotency.State{77}},
	} {
		_, err := w.List(t.Context(), q)
		require.ErrorContains(t, err, want)
		require.NotErrorIs(t, err, idempotency.ErrStore)
	}
}

type (
	unmarshalable struct{ C chan int }
	oneWay        struct{}
	panicky       struct{}
)

func (oneWay) MarshalJSON() ([]byte, error)  { return []byte(`"?"`), nil }
func (*oneWay) UnmarshalJSON([]byte) error   { return errors.New("cannot be read back") }
func (panicky) MarshalJSON() ([]byte, error) { panic("no zero value") }

// The codec is tried with zero values, since what fails there would fail after the provider was paid.
func TestWrapTriesTheCodec(t *testing.T) {
	rows := []struct {
		name string
		err  error
		says []string
	}{
		{"In cannot be encoded", tryWrap[unmarshalable, int](nil), []string{"Call.Codec", "In", "unmarshalable", "use"}},
		{"Out cannot be encoded", tryWrap[int, unmarshalable](nil), []string{"Call.Codec", "Out", "unmarshalable", "use"}},
		{"a func", tryWrap[func(), int](nil), []string{"Call.Codec", "In", "func()"}},
		{"In cannot be decoded", tryWrap[oneWay, int](nil), []string{"Call.Codec", "In", "oneWay", "cannot be read back"}},
		{"Out cannot be decoded", tryWrap[int, oneWay](nil), []string{"Call.Codec", "Out", "oneWay", "cannot be read back"}},
		{"both", tryWrap[func(), unmarshalable](nil), []string{"In", "func()", "Out", "unmarshalable"}},
		{"Raw takes bytes only", tryWrap[int, []byte](idempotency.Raw), []string{"Call.Codec", "In", "int", "JSON"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			require.Error(t, row.err, "Wrap must refuse this call")
			for _, part := range row.says {
				require.ErrorContains(t, row.err, part)
			}
		})
	}
	t.Run("a codec that panics", func(t *testing.T) {
		require.ErrorContains(t, tryWrap[panicky, int](nil), "Call.Codec", "the error must name the field whatever went wrong in it")
	})
	for name, err := range map[string]error{
		"[]byte and string by Raw": tryWrap[[]byte, string](idempotency.Raw),
		"nothing at all":           tryWrap[struct{}, struct{}](nil),
		"a pointer":                tryWrap[*purchase, *payment](nil),
		"any":                      tryWrap[any, any](nil),
	} {
		require.NoError(t, err, name)
	}
}

func tryWrap[In, Out any](codec idempotency.Codec) error {
	c := idempotency.Call[In, Out]{Name: "charge", Codec: codec}
	c.Send = func(_ context.Context, _ attempt, _ In) (out Out, err error) { return out, nil }
	_, err := idempotency.Wrap(newStore(), c)
	return err
}

// Keys are refused before anything is sent or stored, by every method that takes one.
func TestBadKeys(t *testing.T) {
	long := strings.Repeat("k", 256)
	rows := []struct {
		name       string
		scope, key string
		says       []string
	}{
		{"empty key", "tenant", "", []string{"key is empty", "NewKey"}},
		{"long key", "tenant", long, []string{"key", "256 bytes", "at most 255", "KeyFrom"}},
		{"long scope", long, "k", []string{"scope", "256 bytes", "at most 255"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &provider{script: []step{pay}}
				store := newFaulty(newStore())
				w := wrap(t, store, blind(p)).For(row.scope)
				for method, err := range everyMethod(t, w, row.key) {
					for _, part := range row.says {
						require.ErrorContains(t, err, part, method)
					}
				}
				require.Empty(t, p.sendings())
				require.Zero(t, store.count("Acquire")+store.count("Settle")+store.count("Get"), "the store was asked")
			})
		})
	}
	t.Run("255 bytes are allowed, of any value", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			w := wrap(t, newStore(), blind(&provider{script: []step{pay}})).For(strings.Repeat("\x00", 255))
			_, err := w.Do(t.Context(), strings.Repeat("\xff", 255), book)
			require.NoError(t, err)
		})
	})
}

// everyMethod calls each method that takes a key, and returns what it said.
func everyMethod(t *testing.T, w *wrapper, key string) map[string]error {
	said := map[string]error{}
	_, said["Do"] = w.Do(t.Context(), key, book)
	_, said["Start"] = w.Start(t.Context(), key, book)
	_, said["Status"] = w.Status(t.Context(), key)
	_, said["Settle"] = w.Settle(t.Context(), key, idempotency.Happened(payment{}))
	_, said["Cancel"] = w.Cancel(t.Context(), key)
	return said
}

func TestScopedNeedsFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		c := blind(p)
		c.Scoped = true
		w := wrap(t, newStore(), c)
		for method, err := range everyMethod(t, w, "k") {
			require.ErrorContains(t, err, "Call.Scoped", method)
			require.ErrorContains(t, err, "For", "%s names the remedy", method)
		}
		require.Empty(t, p.sendings())
		_, err := w.For("tenant").Do(t.Context(), "k", book)
		require.NoError(t, err)
	})
}

func TestAClosedWrapperRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &provider{script: []step{pay}}
		w := wrap(t, newStore(), blind(p))
		_, err := w.Do(t.Context(), "old", book)
		require.NoError(t, err)
		require.NoError(t, w.Close(t.Context()))
		require.NoError(t, w.Close(t.Context()), "closing twice is no error")

		_, err = w.Do(t.Context(), "new", book)
		require.ErrorIs(t, err, idempotency.ErrClosed)
		requireUnsafe(t, err)
		_, err = w.Do(t.Context(), "old", book)
		require.ErrorIs(t, err, idempotency.ErrClosed, "also where the answer is known: a closed wrapper is a mistake to be seen")
		_, err = w.For("tenant").Do(t.Context(), "new", book)
		require.ErrorIs(t, err, idempotency.ErrClosed, "all scopes are closed")
		_, err = w.Start(t.Context(), "new", book)
		require.ErrorIs(t, err, idempotency.ErrClosed)
		_, err = w.Cancel(t.Context(), "new")
		require.ErrorIs(t, err, idempotency.ErrClosed)
		_, err = w.Settle(t.Context(), "new", idempotency.Happened(payment{}))
		require.ErrorIs(t, err, idempotency.ErrClosed)
		_, err = w.Recover(t.Context())
		require.ErrorIs(t, err, idempotency.ErrClosed)
		require.ErrorIs(t, w.Run(t.Context()), idempotency.ErrClosed)
		require.Len(t, p.sendings(), 1)
	})
}

// A request that cannot be stored is refused before it is sent: nobody could finish it after a crash (P6).
func TestRequestsThatCannotBeStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sent := 0
		c := idempotency.Call[any, int]{Name: "charge", MaxBytes: 20, Send: func(context.Context, attempt, any) (int, error) {
			sent++
			return 1, nil
		}}
		w := wrap(t, newStore(), c)
		_, err := w.Do(t.Context(), "k", make(chan int))
		require.ErrorContains(t, err, "cannot be encoded")
		_, err = w.Do(t.Context(), "k", strings.Repeat("x", 19))
		require.ErrorContains(t, err, "21 bytes")
		require.ErrorContains(t, err, "Call.MaxBytes 20")
		require.Zero(t, sent)
		_, err = w.Do(t.Context(), "k", strings.Repeat("x", 18))
		require.NoError(t, err, "20 bytes are allowed")
	})
}

func TestKeys(t *testing.T) {
	require.Equal(t, idempotency.KeyFrom("order", "7"), idempotency.KeyFrom("order", "7"), "the same parts give the same key, for ever")
	require.NotEqual(t, idempotency.KeyFrom("ab", "c"), idempotency.KeyFrom("a", "bc"))
	require.NotEqual(t, idempotency.KeyFrom("a", ""), idempotency.KeyFrom("a"))
	require.NotEqual(t, idempotency.KeyFrom(strings.Repeat("x", 4000)), idempotency.KeyFrom(strings.Repeat("x", 4001)))
	seen := map[string]bool{}
	for range 1000 {
		k := idempotency.NewKey()
		require.False(t, seen[k])
		seen[k] = true
		require.Len(t, k, 36)
	}
	// Frozen: a change of these would give every payment under way a new provider key.
	require.Equal(t, "3c0df6ce-2c2f-56f4-bb47-39dbe7e15e26", idempotency.KeyFrom("order", "7"))
}

// T55: (and T5, T24) what the provider key depends on, and what not. The values are frozen: a release that changed them would
// charge every call under way once more.
func TestProviderKeys(t *testing.T) {
	key := func(t *testing.T, namespace, name, scope, id string) (key, sub string) {
		p := &provider{script: []step{pay}}
		c := keyed(p)
		c.Namespace, c.Name = namespace, name
		_, err := wrap(t, newStore(), c).For(scope).Do(t.Context(), id, book)
		require.NoError(t, err)
		a := p.sendings()[0]
		require.Equal(t, scope, a.Scope)
		require.Equal(t, id, a.ID)
		return a.Key, a.Sub("confirm")
	}
	bubble(t, func(t *testing.T) {
		base, sub := key(t, "shop-prod", "charge", "tenant", "k")
		require.Equal(t, "8bebb56e-79e1-585c-a339-d88529c87bb9", base)
		require.Equal(t, "1a05f908-9d6e-5f41-9565-5c88edaeca63", sub)
		again, _ := key(t, "shop-prod", "charge", "tenant", "k")
		require.Equal(t, base, again)
		seen := map[string]string{base: "base", sub: "sub"}
		for _, other := range [][4]string{
			{"shop-staging", "charge", "tenant", "k"},
			{"shop-prod", "refund", "tenant", "k"},
			{"shop-prod", "charge", "other", "k"},
			{"shop-prod", "charge", "tenant", "K"},
			{"shop-prodcharge", "c", "tenant", "k"},
			{"shop-prod", "charge", "tenantk", "k"},
		} {
			k, _ := key(t, other[0], other[1], other[2], other[3])
			require.NotContains(t, seen, k, "%q has the provider key of another call", other)
			seen[k] = fmt.Sprint(other)
		}
	})
}
