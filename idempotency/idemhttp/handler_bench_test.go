package idemhttp_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
	"github.com/steadfast-go/steadfast/store/memstore"
)

// nowhere is a response that goes nowhere, and costs next to nothing.
type nowhere struct{ h http.Header }

func (w nowhere) Header() http.Header         { return w.h }
func (w nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w nowhere) WriteHeader(int)             {}

func benchHandler(b *testing.B) (empty, wrapped http.Handler) {
	empty = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	middleware, err := idemhttp.Handler(memstore.New(memstore.Config{MaxRecords: 1 << 30}),
		idemhttp.Config{Name: "api", Principal: idemhttp.SingleTenant("acme")})
	require.NoError(b, err)
	return empty, middleware(empty)
}

// BenchmarkFirst measures a request with a new key, and what the empty handler alone costs: the difference is the middleware's.
func BenchmarkFirst(b *testing.B) {
	for _, name := range []string{"alone", "wrapped"} {
		b.Run(name, func(b *testing.B) {
			h, wrapped := benchHandler(b) // a store of its own: a benchmark may be run more than once
			if name == "wrapped" {
				h = wrapped
			}
			keys := make([][]string, b.N)
			for i := range keys {
				keys[i] = []string{`"` + strconv.Itoa(i) + `"`}
			}
			r := httptest.NewRequest(http.MethodPost, "/charges", http.NoBody)
			w := nowhere{http.Header{}}
			b.ReportAllocs()
			b.ResetTimer()
			for _, key := range keys {
				clear(w.h)
				r.Header["Idempotency-Key"] = key
				h.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkReplay measures a repetition.
func BenchmarkReplay(b *testing.B) {
	_, wrapped := benchHandler(b)
	r := httptest.NewRequest(http.MethodPost, "/charges", http.NoBody)
	r.Header["Idempotency-Key"] = []string{`"k"`}
	w := nowhere{http.Header{}}
	wrapped.ServeHTTP(w, r)
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		wrapped.ServeHTTP(w, r)
	}
	require.Equal(b, "true", w.h.Get("Idempotent-Replayed"))
}
