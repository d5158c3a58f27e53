package idemhttp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"testing"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// BenchmarkTransport compares a request through the Transport with the same one through its Base alone. The two take turns
// within one run, so that what else the machine does hits both. The Base of "answered at once" does nothing, so that added-ns is what
// the Transport itself costs; "over loopback" is a real request, whose traced headers are part of the price.
func BenchmarkTransport(b *testing.B) {
	body := []byte(`{"amount":4200,"currency":"eur"}`)
	success := []byte(`{"id":"pi_1","object":"payment_intent","amount":4200,"currency":"eur","status":"succeeded"}`)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(success)
	}))
	b.Cleanup(s.Close)
	real := &http.Transport{}
	b.Cleanup(real.CloseIdleConnections)

	for _, row := range []struct {
		name     string
		provider idemhttp.Provider
		base     http.RoundTripper
		url      string
	}{
		{"answered at once", idemhttp.Provider{}, answering(http.StatusOK, http.Header{}, success), "http://bank.example/charges"},
		{"answered at once, Stripe's answers read", idemhttp.Stripe(), answering(http.StatusOK, http.Header{}, success), "http://bank.example/charges"},
		{"over loopback", idemhttp.Provider{}, real, s.URL},
	} {
		b.Run(row.name, func(b *testing.B) {
			tr := &idemhttp.Transport{Provider: row.provider, Base: row.base}
			request := func(ctx context.Context, rt http.RoundTripper, key string) {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, row.url, bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				req.Header["Content-Type"] = []string{"application/json"}
				req.Header["Authorization"] = []string{"Bearer sk_test"}
				req.Header["User-Agent"] = []string{"sdk/1"}
				if key != "" {
					req.Header["Idempotency-Key"] = []string{key}
				}
				res, err := rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			bare := func(ctx context.Context, a idempotency.Attempt, _ payment) (out paid, err error) {
				request(ctx, row.base, a.Key)
				return out, nil
			}
			through := idemhttp.Send(func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				request(ctx, tr, "")
				return out, nil
			})
			a := idempotency.Attempt{Key: "8e03978e-40d5-43dd-bc93-6894a57f9324"}
			const turn = 20
			took := map[bool][]float64{}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				ours := n/turn%2 == 0
				began := time.Now()
				if ours {
					_, _ = through(b.Context(), a, payment{})
				} else {
					_, _ = bare(b.Context(), a, payment{})
				}
				took[ours] = append(took[ours], float64(time.Since(began).Nanoseconds()))
			}
			if len(took[false]) < turn {
				return
			}
			for _, at := range []int{10, 50} { // the lower one is what is left of it when others let the machine alone
				bare, ours := percentile(took[false], at), percentile(took[true], at)
				b.ReportMetric(bare, fmt.Sprintf("bare-p%d-ns", at))
				b.ReportMetric(ours-bare, fmt.Sprintf("added-p%d-ns", at))
			}
		})
	}
}

func percentile(ns []float64, p int) float64 {
	sort.Float64s(ns)
	return ns[len(ns)*p/100]
}
