package fakepay_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/internal/fakepay"
)

func TestBadInput(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, fakepay.Config{})
		long := strings.Repeat("x", 256)
		post := func(body string) said { return b.call("POST", "/charges", "", "", body) }
		with := func(members string) said {
			return post(`{"amount_cents":1,"currency":"eur","source":"tok_visa",` + members + `}`)
		}
		for field, s := range map[string]said{
			"amount_cents":      post(`{"currency":"eur","source":"tok_visa"}`),
			"amount_cents ":     with(`"amount_cents":-1`),
			"amount_cents  ":    with(`"amount_cents":100000001`),
			"amount_cents   ":   with(`"amount_cents":"1"`),
			"amount_cents    ":  with(`"amount_cents":1.5`),
			"currency":          with(`"currency":"euro"`),
			"currency ":         with(`"currency":"e1r"`),
			"source":            with(`"source":""`),
			"source ":           with(`"source":"` + long + `"`),
			"reference":         with(`"reference":"` + long + `"`),
			"reference ":        with(`"reference":"a\u0000b"`),
			"metadata.a":        with(`"metadata":{"a":"\n"}`),
			"metadata":          with(`"metadata":{"":"a"}`),
			"metadata ":         with(`"metadata":{"` + long + `":"a"}`),
			"body":              post(``),
			"body ":             post(`{`),
			"body  ":            post(`[]`),
			"body   ":           post(`{} {}`),
			"body    ":          with(`"amuont":1`),
			fakepay.KeyHeader:   b.call("POST", "/charges", long, "", order("a")),
			fakepay.FaultHeader: b.call("POST", "/charges", "", "nonsense", order("a")),
			"limit":             b.call("GET", "/charges?limit=0", "", "", nil),
			"limit ":            b.call("GET", "/charges?limit=101", "", "", nil),
			"from":              b.call("GET", "/charges?from=yesterday", "", "", nil),
			"after":             b.call("GET", "/charges?after=ch_nobody", "", "", nil),
			"ref":               b.call("GET", "/charges?ref=a", "", "", nil),
			"reference  ":       b.call("GET", "/charges?reference=a&reference=b", "", "", nil),
			"reference    ":     b.call("GET", "/charges?reference=", "", "", nil),
			"query":             b.call("GET", "/charges?a=%zz", "", "", nil),
		} {
			assert.Equal(t, 400, s.status, "%s: %s", field, s.body)
			assert.Equal(t, fakepay.CodeInvalid, s.err.Code, field)
			assert.Equal(t, strings.TrimSpace(field), s.err.Field, s.body)
			assert.NotEmpty(t, s.err.Remedy, field)
		}
		huge := post(`{"source":"` + strings.Repeat("x", fakepay.MaxBodyBytes) + `"}`)
		assert.Equal(t, 413, huge.status)
		assert.Equal(t, 404, b.call("GET", "/nowhere", "", "", nil).status)
		assert.Equal(t, 405, b.call("DELETE", "/charges", "", "", nil).status)
		assert.Equal(t, 404, b.call("GET", "/charges/ch_nobody", "", "", nil).status)

		l := b.settled()
		assert.Empty(t, l.Charges)
		b.call("POST", "/charges", "", "", order(""))
		assert.Equal(t, 1, b.srv.Ledger().Attempts[len(l.Attempts)].Occurrence, "bad input counts as no occurrence")
	})
}

func TestTwoKeysAreRefused(t *testing.T) {
	t.Parallel()
	srv, err := fakepay.New(fakepay.Config{})
	require.NoError(t, err)
	req := httptest.NewRequest(http.MethodPost, "/charges", strings.NewReader(`{"amount_cents":1,"currency":"eur","source":"s"}`))
	req.Header[fakepay.KeyHeader] = []string{"a", "b"}
	rec := httptest.NewRecorder()
	srv.ServeHTTP(rec, req)
	assert.Equal(t, 400, rec.Code)
	assert.Contains(t, rec.Body.String(), `"value":"a, b"`)
}

// Whatever comes in, an answer goes out that is JSON, and money moves only with a 201.
func FuzzCharge(f *testing.F) {
	f.Add("key", "none", "", `{"amount_cents":1,"currency":"eur","source":"tok_visa","metadata":{"a":"b"}}`)
	f.Add("", "error_after;latency=0s", "reference=a&limit=3", `{"amount_cents":1e9}`)
	f.Add("\x00", "decline;code=x", "key=%zz", `{"amount_cents":null,"capture":false}{`)
	f.Add("k", "rate_limited;delay=-1s", "from=2026-01-31T12:00:00Z", `null`)
	f.Fuzz(func(t *testing.T, key, fault, query, body string) {
		if parsed, err := fakepay.ParseFault(fault); err != nil || parsed.Latency > 0 || parsed.Delay > 0 || parsed.Kind == fakepay.LandsLate || parsed.Kind == fakepay.ReplyLate || parsed.Cut == fakepay.CutHang {
			fault = "" // nothing that waits
		}
		srv, err := fakepay.New(fakepay.Config{})
		require.NoError(t, err)
		defer func() { require.NoError(t, srv.Close(context.Background())) }()
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			req := httptest.NewRequest(method, "/charges", strings.NewReader(body))
			req.URL.RawQuery = query
			req.Header[fakepay.KeyHeader] = []string{key}
			req.Header[fakepay.FaultHeader] = []string{fault}
			rec := httptest.NewRecorder()
			func() {
				defer func() {
					if r := recover(); r != nil {
						require.Equal(t, http.ErrAbortHandler, r, "the only panic, which net/http understands")
					}
				}()
				srv.ServeHTTP(rec, req)
				require.True(t, json.Valid(rec.Body.Bytes()), "%s", rec.Body)
				if method == http.MethodPost && rec.Code >= 300 && rec.Code < 500 {
					require.Zero(t, srv.Ledger().Totals.Charges)
				}
			}()
		}
	})
}

// Every fault that is read can be written and read again.
func FuzzParseFault(f *testing.F) {
	f.Add("lands_late=0.5;delay=40s;cut=hang")
	f.Add("latency=0s,status=503")
	f.Fuzz(func(t *testing.T, s string) {
		fault, err := fakepay.ParseFault(s)
		if err != nil {
			return
		}
		again, err := fakepay.ParseFault(fault.String())
		require.NoError(t, err)
		require.Equal(t, fault.String(), again.String())
	})
}
