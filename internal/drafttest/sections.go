package drafttest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

const uuid = `"8e03978e-40d5-43e8-bc93-6894a57f9324"`

var syntax = []Case{
	{"2.1 the key is a structured-field string", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		for n, key := range []string{uuid, `"k"`, `"with space, and \"quotes\" and \\"`, `  "padded" `, `"` + strings.Repeat("k", 255) + `"`} {
			first := a.post("42", key)
			a.wantFresh(first, http.StatusCreated)
			a.wantReplay(first, a.post("42", key))
			a.wantCharges(int64(n + 1))
		}
	}},
	{"2.1 what is no string is malformed", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		for _, key := range []string{
			"", `""`, "k", "8e03978e-40d5-43e8-bc93-6894a57f9324", "17", "4.2", "?1", ":aGVsbG8=:", "@1659578233", `("k")`, `"k", "l"`,
			`"open`, `open"`, `"k" l`, `"k";a=1`, `"a\b"`, `"a\`, "\"a\x00b\"", "\"a\tb\"", "\"a\x7fb\"", "\"\xc3\xa9\"", `"` + strings.Repeat("k", 256) + `"`,
		} {
			a.wantProblem(a.post("42", key), http.StatusBadRequest, idemhttp.KeyMalformed)
		}
		a.wantCharges(0)
	}},
	{"2.1 at most one header field", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) { c.Bare = true })
		a.wantProblem(a.post("42", `"k"`, `"l"`), http.StatusBadRequest, idemhttp.KeyMalformed)
		a.wantProblem(a.post("42", `"k"`, `"k"`), http.StatusBadRequest, idemhttp.KeyMalformed)
		a.wantProblem(a.post("42", "k", "l"), http.StatusBadRequest, idemhttp.KeyMalformed)
		a.wantProblem(a.post("42", "k, l"), http.StatusBadRequest, idemhttp.KeyMalformed) // as proxies join them
		a.wantCharges(0)
	}},
	{"2.1 beyond it, the bare form if so configured", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) { c.Bare = true })
		first := a.post("42", "8e03978e-40d5-43e8-bc93-6894a57f9324")
		a.wantFresh(first, http.StatusCreated)
		a.wantReplay(first, a.post("42", uuid)) // the same key
		for _, key := range []string{"a b", `a"b`, "a;b=1", `a\b`, "a\x00", "é", strings.Repeat("k", 256), ""} {
			a.wantProblem(a.post("42", key), http.StatusBadRequest, idemhttp.KeyMalformed)
		}
		a.wantCharges(1)
	}},
}

var uniqueness = []Case{
	{"2.2 another key is another request", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		a.wantFresh(a.post("42", `"k"`), http.StatusCreated)
		a.wantFresh(a.post("42", `"K"`), http.StatusCreated)
		a.wantFresh(a.post("42", `"k "`), http.StatusCreated)
		a.wantCharges(3)
	}},
	{"2.2 a key is not reused with another payload", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		first := a.post("42", `"k"`)
		a.wantProblem(a.post("43", `"k"`), http.StatusUnprocessableEntity, idemhttp.KeyReused)
		a.wantReplay(first, a.post("42", `"k"`))
		a.wantCharges(1)
	}},
	{"2.2 a UUID is a key", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		a.wantFresh(a.post("42", `"`+idempotency.NewKey()+`"`), http.StatusCreated)
	}},
	{"2.2 the server defines what a key is", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) {
			c.CheckKey = func(key string) error {
				if len(key) != 36 {
					return errNoUUID
				}
				return nil
			}
		})
		a.wantFresh(a.post("42", uuid), http.StatusCreated)
		a.wantProblem(a.post("42", `"guessed"`), http.StatusBadRequest, idemhttp.KeyMalformed)
		a.wantCharges(1)
	}},
}

type constError string

func (e constError) Error() string { return string(e) }

const errNoUUID = constError("the key must be a UUID")

var expiry = []Case{
	{"2.3 a key may expire", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) { c.Retention = 1 })
		a.wantFresh(a.post("42", `"k"`), http.StatusCreated)
		purge(t, store, 1)
		a.wantProblem(a.post("42", `"k"`), http.StatusConflict, idemhttp.KeyExpired)
		a.wantProblem(a.post("43", `"k"`), http.StatusUnprocessableEntity, idemhttp.KeyReused)
		a.wantCharges(1)
	}},
	{"2.3 an expired key may be removed", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) { c.Retention, c.StubFor = 1, 1 })
		a.wantFresh(a.post("42", `"k"`), http.StatusCreated)
		purge(t, store, 2)
		a.wantFresh(a.post("42", `"k"`), http.StatusCreated)
		a.wantCharges(2)
	}},
	{"2.3 the expiry is published", func(t T, _ idempotency.Store) {
		page := specification(t, "text/html", idemhttp.Config{Retention: 48 * time.Hour})
		if !strings.Contains(page, "48h0m0s") || !strings.Contains(page, "never forgotten") {
			t.Errorf("the page does not say when keys expire:\n%s", page)
		}
		page = specification(t, "text/html", idemhttp.Config{Retention: 48 * time.Hour, StubFor: 24 * time.Hour})
		if !strings.Contains(page, "until 72h0m0s") {
			t.Errorf("the page does not say when keys are forgotten:\n%s", page)
		}
		data := specification(t, "application/json", idemhttp.Config{Retention: 48 * time.Hour})
		if !strings.Contains(data, `"response_kept_seconds": 172800`) || !strings.Contains(data, `"key_remembered_seconds": null`) {
			t.Errorf("the document does not say when keys expire:\n%s", data)
		}
	}},
}

// purge takes so many steps of what retention asks for, which is due at once, or in a moment.
func purge(t T, store idempotency.Store, steps int) {
	t.Helper()
	for steps > 0 {
		n, err := store.Purge(t.Context(), 1)
		if err != nil {
			t.Fatalf("Purge: %v", err)
		}
		steps -= n
	}
}

func specification(t T, accept string, c idemhttp.Config) string {
	t.Helper()
	c.Name, c.Principal = "api", idemhttp.SingleTenant("acme")
	h, err := idemhttp.Specification(c)
	if err != nil {
		t.Fatalf("Specification: %v", err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, docs, http.NoBody)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, accept) {
		t.Errorf("Content-Type is %q, want %s", got, accept)
	}
	return w.Body.String()
}

var fingerprints = []Case{
	{"2.4 a checksum of the entire payload", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) { c.SpoolAbove = 1000 })
		for key, body := range map[string]string{`"none"`: "", `"short"`: "42", `"memory"`: strings.Repeat("4", 1000), `"file"`: strings.Repeat("4", 1001), `"long"`: strings.Repeat("4", 100_000)} {
			first := a.post(body, key)
			a.wantFresh(first, http.StatusCreated)
			a.wantReplay(first, a.post(body, key))
			a.wantProblem(a.post(body+"2", key), http.StatusUnprocessableEntity, idemhttp.KeyReused)
		}
		a.wantCharges(5)
	}},
	{"2.4 a checksum of selected elements", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) {
			c.Fingerprint = func(w io.Writer, _ *http.Request, body io.Reader) error {
				amount := make([]byte, 2)
				if _, err := io.ReadFull(body, amount); err != nil {
					return err
				}
				_, err := w.Write(amount)
				return err
			}
		})
		first := a.post("42 at noon", `"k"`)
		a.wantFresh(first, http.StatusCreated)
		a.wantReplay(first, a.post("42 a minute later", `"k"`))
		a.wantProblem(a.post("43 at noon", `"k"`), http.StatusUnprocessableEntity, idemhttp.KeyReused)
		a.wantCharges(1)
	}},
	{"2.4 method, path, query and content type belong to a request", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) { c.FingerprintHeaders = []string{"account"} })
		a.wantFresh(a.post("42", `"k"`), http.StatusCreated)
		for _, change := range []func(*http.Request){
			func(r *http.Request) { r.Method = http.MethodPatch },
			func(r *http.Request) { r.URL.Path = "/refunds" },
			func(r *http.Request) { r.URL.RawQuery = "currency=eur" },
			func(r *http.Request) { r.Header.Set("Content-Type", "application/json") },
			func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
			func(r *http.Request) { r.Header.Set("Account", "other") },
		} {
			r := a.request("/charges", "42", `"k"`)
			change(r)
			a.wantProblem(a.do(r), http.StatusUnprocessableEntity, idemhttp.KeyReused)
		}
		a.wantCharges(1)
	}},
}

var responsibilities = []Case{
	{"2.5 the server identifies the key by the header", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		r := a.request("/charges?Idempotency-Key=k", "42")
		r.Header.Set("X-Idempotency-Key", `"k"`)
		a.wantProblem(a.do(r), http.StatusBadRequest, idemhttp.KeyMissing)
		a.wantCharges(0)
	}},
	{"2.5 a client may send a key that nobody asked it for", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) { c.Optional = true })
		first := a.post("42", `"k"`)
		a.wantFresh(first, http.StatusCreated)
		a.wantReplay(first, a.post("42", `"k"`))
		a.wantCharges(1)
	}},
	{"2.5 idempotent methods need no key", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		for n, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"} {
			for i := range 2 {
				r := httptest.NewRequestWithContext(t.Context(), method, "/charges", http.NoBody)
				r.Header.Set("Idempotency-Key", `"k"`)
				a.wantFresh(a.do(r), http.StatusCreated)
				a.wantCharges(int64(2*n + i + 1))
			}
		}
	}},
	{"2.5 the specification is published", func(t T, _ idempotency.Store) {
		page := specification(t, "text/html", idemhttp.Config{Docs: docs, MaxBody: 12345, FingerprintHeaders: []string{"Account"}})
		for _, said := range []string{"POST or PATCH", "must be quoted", "255", "12345", "24h0m0s", "Account", `id="KeyMissing"`, `id="KeyReused"`, `id="InProgress"`} {
			if !strings.Contains(page, said) {
				t.Errorf("the page does not say %q:\n%s", said, page)
			}
		}
	}},
}

var enforcement = []Case{
	{"2.6 a first request is processed normally", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		w := a.post("42", `"k"`)
		a.wantFresh(w, http.StatusCreated)
		if w.Body.String() != "charge 1 of 42" || w.Header().Get("Location") != "/charges/1" {
			t.Errorf("the handler's response was changed: %v %s", w.Header(), w.Body)
		}
	}},
	{"2.6 a retry gets the result, a success", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		first := a.post("42", `"k"`)
		for range 3 {
			a.wantReplay(first, a.post("42", `"k"`))
		}
		a.wantReplay(first, newAPI(t, store, nil).post("42", `"k"`)) // in another process, too
		a.wantCharges(1)
	}},
	{"2.6 a retry gets the result, an error", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		a.status = http.StatusPaymentRequired
		first := a.post("42", `"k"`)
		a.wantFresh(first, http.StatusPaymentRequired)
		a.wantReplay(first, a.post("42", `"k"`))
		a.wantCharges(1)
	}},
	{"2.6 a concurrent request is a conflict", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		end := a.begin()
		a.wantProblem(a.post("42", `"k"`), http.StatusConflict, idemhttp.InProgress)
		a.wantProblem(newAPI(t, store, nil).post("42", `"k"`), http.StatusConflict, idemhttp.InProgress)
		first := end()
		a.wantFresh(first, http.StatusCreated)
		a.wantReplay(first, a.post("42", `"k"`))
		a.wantCharges(1)
	}},
	{"2.6 beyond it, a concurrent request waits if asked to", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		second := newAPI(t, store, func(c *idemhttp.Config) { c.Wait = time.Hour })
		end := a.begin()
		waiting := make(chan *httptest.ResponseRecorder, 1)
		r := second.request("/charges", "42", `"k"`)
		go func() { waiting <- second.do(r) }()
		first := end()
		a.wantReplay(first, <-waiting)
		a.wantCharges(1)
		second.wantCharges(0)
	}},
}

var errorScenarios = []Case{
	{"2.7 a missing key is 400 with a link to the documentation", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		a.wantProblem(a.post("42"), http.StatusBadRequest, idemhttp.KeyMissing)
		a.wantCharges(0)
	}},
	{"2.7 where the key is not required there is no error", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) { c.Optional = true })
		a.wantFresh(a.post("42"), http.StatusCreated)
		a.wantFresh(a.post("42"), http.StatusCreated)
		a.wantProblem(a.post("42", "17"), http.StatusBadRequest, idemhttp.KeyMalformed)
		a.wantCharges(2)
	}},
	{"2.7 a reused key is 422 with a link to the documentation, in every state", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		end := a.begin()
		a.wantProblem(a.post("43", `"k"`), http.StatusUnprocessableEntity, idemhttp.KeyReused)
		end()
		a.wantProblem(a.post("43", `"k"`), http.StatusUnprocessableEntity, idemhttp.KeyReused)
		a.inside, a.status = nil, http.StatusInternalServerError
		a.wantFresh(a.post("42", `"unknown"`), http.StatusInternalServerError)
		a.wantProblem(a.post("43", `"unknown"`), http.StatusUnprocessableEntity, idemhttp.KeyReused)
		a.wantCharges(2)
	}},
	{"2.7 a concurrent request is 409 with a link to the documentation, and Retry-After", func(t T, store idempotency.Store) {
		a := newAPI(t, store, func(c *idemhttp.Config) { c.RetryAfter = 2500 * time.Millisecond })
		end := a.begin()
		w := a.post("42", `"k"`)
		a.wantProblem(w, http.StatusConflict, idemhttp.InProgress)
		if got := w.Header().Get("Retry-After"); got != "3" {
			t.Errorf("Retry-After is %q, want 3: whole seconds, rounded up", got)
		}
		end()
	}},
	{"2.7 a client corrects its request", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		a.wantProblem(a.post("42"), http.StatusBadRequest, idemhttp.KeyMissing)
		a.wantFresh(a.post("42", `"k"`), http.StatusCreated)
		a.wantProblem(a.post("43", `"k"`), http.StatusUnprocessableEntity, idemhttp.KeyReused)
		a.wantFresh(a.post("43", `"l"`), http.StatusCreated)
		a.wantCharges(2)
	}},
	{"2.7 other errors are the server's own", func(t T, store idempotency.Store) {
		a := newAPI(t, store, nil)
		charges := int64(0)
		for _, status := range []int{401, 403, 429} {
			a.status = status
			key := `"` + http.StatusText(status) + `"`
			first := a.post("42", key)
			a.wantFresh(first, status)
			a.wantReplay(first, a.post("42", key))
			charges++
		}
		for _, status := range []int{500, 502, 503, 504} { // nobody knows what was done: once, and never again on a guess
			a.status = status
			key := `"` + http.StatusText(status) + `"`
			a.wantFresh(a.post("42", key), status)
			a.wantProblem(a.post("42", key), http.StatusConflict, idemhttp.OutcomeUnknown)
			charges++
		}
		a.wantCharges(charges)
	}},
}
