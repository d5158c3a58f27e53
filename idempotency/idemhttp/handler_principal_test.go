package idemhttp_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// T24, T47: the same key of two tenants is two keys; nobody gets somebody else's response.
func TestPrincipalsNeverMeet(t *testing.T) {
	s := serve(t, charge, nil)
	as := func(tenant, body string) *http.Request {
		r := post("k", "/charges", body)
		r.Header.Set("Tenant", tenant)
		return r
	}
	first := s.do(as("acme", "42"))
	require.Equal(t, 201, first.Code)
	other := s.do(as("evil", "42"))
	require.Empty(t, other.Header().Get("Idempotent-Replayed"))
	s.wantRuns(2)
	require.Equal(t, 201, s.do(as("another", "17")).Code, "not even that the key is used is told")
	wantReplay(t, first, s.do(as("acme", "42")))
	s.wantRuns(3)
}

// T47: there is no principal by default, and none that is empty.
func TestPrincipalRefused(t *testing.T) {
	_, err := idemhttp.Handler(newStore(), idemhttp.Config{Name: "api"})
	require.ErrorContains(t, err, "Config.Principal")
	for name, c := range map[string]struct {
		principal func(*http.Request) (string, error)
		status    int
	}{
		"empty":    {func(*http.Request) (string, error) { return "", nil }, 500},
		"too long": {idemhttp.SingleTenant(strings.Repeat("a", 256)), 500},
		"an error": {func(*http.Request) (string, error) { return "acme", errors.New("no session of secret-token") }, 403},
	} {
		s := serve(t, charge, func(config *idemhttp.Config) { config.Principal = c.principal })
		w := s.post("k", "42")
		wantProblem(t, w, idemhttp.PrincipalUnknown, c.status)
		assert.NotContains(t, w.Body.String(), "secret-token", name)
		s.wantRuns(0)
	}
	s := serve(t, charge, func(c *idemhttp.Config) {
		c.Principal = func(*http.Request) (string, error) {
			return "", &idemhttp.Problem{Type: "https://api.example.com/login", Title: "Log in", Status: 401}
		}
	})
	w := s.post("k", "42")
	require.Equal(t, 401, w.Code)
	require.JSONEq(t, `{"type":"https://api.example.com/login","title":"Log in","status":401}`, w.Body.String())
	s.wantRuns(0)
}

// The configuration is checked before the first request, and the error names the field.
func TestConfigRefused(t *testing.T) {
	for field, change := range map[string]func(*idemhttp.Config){
		"Name":          func(c *idemhttp.Config) { c.Name = "" },
		"Methods":       func(c *idemhttp.Config) { c.Methods = []string{"POST", "GET"} },
		"MaxBody":       func(c *idemhttp.Config) { c.MaxBody = -1 },
		"Retention":     func(c *idemhttp.Config) { c.Retention = -time.Second },
		"Timeout":       func(c *idemhttp.Config) { c.Timeout = 5 },
		"ReplayHeaders": func(c *idemhttp.Config) { c.ReplayHeaders = []string{"X-Ok", "set-cookie"} },
		"Docs":          func(c *idemhttp.Config) { c.Docs = "/idempotency" },
	} {
		config := idemhttp.Config{Name: "api", Principal: idemhttp.SingleTenant("acme")}
		change(&config)
		_, err := idemhttp.Handler(newStore(), config)
		require.ErrorContains(t, err, field)
		_, err = idemhttp.Specification(config)
		require.ErrorContains(t, err, field)
	}
	_, err := idemhttp.Handler(nil, idemhttp.Config{})
	require.ErrorContains(t, err, "store is nil")
}

// T23: a handler behind the same middleware twice would wait for itself for ever.
func TestWrappedTwice(t *testing.T) {
	s := serve(t, charge, nil)
	middleware, err := idemhttp.Handler(s.store, idemhttp.Config{Name: "api", Principal: tenant})
	require.NoError(t, err)
	s.Handler = middleware(s.Handler)
	first := s.post("k", "42")
	require.Equal(t, 201, first.Code)
	wantReplay(t, first, s.post("k", "42"))
	s.wantRuns(1)
}

// A service may render problems in its own shape, and the pattern that an inner mux matched is seen outside, as without the middleware.
func TestOwnShape(t *testing.T) {
	s := serve(t, charge, func(c *idemhttp.Config) {
		c.WriteProblem = func(w http.ResponseWriter, _ *http.Request, p *idemhttp.Problem) {
			http.Error(w, string(p.Kind), p.Status)
		}
	})
	w := s.post("", "42")
	require.Equal(t, 400, w.Code)
	require.Equal(t, "KeyMissing\n", w.Body.String())

	mux := http.NewServeMux()
	mux.HandleFunc("POST /charges/{id}", func(w http.ResponseWriter, r *http.Request) { assert.Equal(t, "7", r.PathValue("id")) })
	s.wrap(newStore(), mux.ServeHTTP, nil)
	r := post("k", "/charges/7", "")
	s.do(r)
	require.Equal(t, "POST /charges/{id}", r.Pattern)
}
