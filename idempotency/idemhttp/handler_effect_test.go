package idemhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// fails answers with a status, after it has said what it did.
func fails(status int, said idemhttp.Effect) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if said != 0 {
			idemhttp.SetEffect(r.Context(), said)
		}
		http.Error(w, "no", status)
	}
}

// T1, T11: what a response means for the next request with the key.
func TestEffects(t *testing.T) {
	const replayed, unknown, again = "replayed", "unknown", "executed again"
	for _, c := range []struct {
		name     string
		status   int
		said     idemhttp.Effect
		harmless bool
		then     string
	}{
		{"200", 200, 0, false, replayed},
		{"302", 302, 0, false, replayed},
		{"400", 400, 0, false, replayed},
		{"409", 409, 0, false, replayed},
		{"429", 429, 0, false, replayed},
		{"500", 500, 0, false, unknown},
		{"503", 503, 0, false, unknown},
		{"599", 599, 0, false, unknown},
		{"400 that had no effect", 400, idemhttp.EffectNone, false, again},
		{"500 that was rolled back", 500, idemhttp.EffectNone, false, again},
		{"500 that happened", 500, idemhttp.EffectDone, false, replayed},
		{"200 that is a guess", 200, idemhttp.EffectUnknown, false, unknown},
		{"200 that is harmless", 200, 0, true, replayed},
		{"400 that is harmless", 400, 0, true, replayed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, fails(c.status, c.said), func(config *idemhttp.Config) { config.Harmless = c.harmless })
			first, second := s.post("k", "42"), s.post("k", "42")
			require.Equal(t, c.status, first.Code, "the first client gets the handler's response, whatever it means")
			switch c.then {
			case replayed:
				wantReplay(t, first, second)
				s.wantRuns(1)
			case unknown:
				wantProblem(t, second, idemhttp.OutcomeUnknown, 409)
				assert.Empty(t, second.Header().Get("Retry-After"), "nobody is finding out")
				s.wantRuns(1)
			case again:
				require.Equal(t, c.status, second.Code)
				require.Empty(t, second.Header().Get("Idempotent-Replayed"))
				s.wantRuns(2)
			}
		})
	}
}

// A status means what the service says, unless the handler knows better.
func TestClassify(t *testing.T) {
	classify := func(config *idemhttp.Config) {
		config.Classify = func(_ *http.Request, status int) idemhttp.Effect {
			switch status {
			case 429:
				return idemhttp.EffectNone
			case 502:
				return idemhttp.EffectDone
			case 418:
				panic("classify")
			}
			return 0 // which is no effect, and so unknown
		}
	}
	for status, runs := range map[int]int{429: 2, 502: 1, 418: 1, 200: 1} {
		s := serve(t, fails(status, 0), classify)
		first, second := s.post("k", "42"), s.post("k", "42")
		require.Equal(t, status, first.Code)
		s.wantRuns(runs)
		if status == 418 || status == 200 {
			wantProblem(t, second, idemhttp.OutcomeUnknown, 409)
		}
	}
	s := serve(t, fails(429, idemhttp.EffectDone), classify)
	wantReplay(t, s.post("k", "42"), s.post("k", "42"))
}

// After a validation error that had no effect the key belongs to nobody: a form whose first version was refused may be corrected.
func TestCorrectedAfterNoEffect(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) == "bad" {
			idemhttp.SetEffect(r.Context(), idemhttp.EffectNone)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}, nil)
	require.Equal(t, 400, s.post("k", "bad").Code)
	good := s.post("k", "good")
	require.Equal(t, 201, good.Code)
	wantProblem(t, s.post("k", "bad"), idemhttp.KeyReused, 422)
	wantReplay(t, good, s.post("k", "good"))
	s.wantRuns(2)
}

// An execution that is harmless to repeat is repeated after its outcome became unknown, not before RetryAfter.
func TestHarmless(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		status := 500
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, func(c *idemhttp.Config) { c.Harmless = true })
		require.Equal(t, 500, s.post("k", "42").Code)
		wantProblem(t, s.post("k", "42"), idemhttp.InProgress, 409)
		sleep(1)
		require.Equal(t, 500, s.post("k", "42").Code)
		sleep(1)
		status = 201
		require.Equal(t, 201, s.post("k", "42").Code)
		require.Equal(t, "true", s.post("k", "42").Header().Get("Idempotent-Replayed"))
		s.wantRuns(3)
	})
}

// T49: "no effect" speaks of one execution; an earlier one may have had one.
func TestNoEffectAfterUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var said idemhttp.Effect
		handle := func(w http.ResponseWriter, r *http.Request) {
			idemhttp.SetEffect(r.Context(), said)
			w.WriteHeader(http.StatusInternalServerError)
		}
		s := serve(t, handle, func(c *idemhttp.Config) { c.Harmless = true })
		said = idemhttp.EffectUnknown
		s.post("k", "42")
		sleep(1)
		said = idemhttp.EffectNone
		s.post("k", "42")
		s.wantRuns(2)
		s.wrap(s.store, handle, nil) // a release that no longer calls it harmless
		wantProblem(t, s.post("k", "42"), idemhttp.OutcomeUnknown, 409)
		s.wantRuns(2)
	})
}

// What had no effect gives its key back, to a corrected request too; after that the key is the corrected one's.
func TestKeyGivenBackToCorrectedRequest(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) == "4x" {
			idemhttp.SetEffect(r.Context(), idemhttp.EffectNone)
			http.Error(w, "no number", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}, nil)
	require.Equal(t, 400, s.post("k", "4x").Code)
	require.Equal(t, 201, s.post("k", "42").Code)
	wantProblem(t, s.post("k", "4x"), idemhttp.KeyReused, 422)
	require.Equal(t, 201, s.post("k", "42").Code)
	s.wantRuns(2)
}

// T10: a panic, whatever its value, and Goexit reach the server as if the middleware were not there, after the outcome was recorded; what the
// handler had written by then is no response.
func TestPanics(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":           func() { panic("half-way") },
		"ErrAbortHandler": func() { panic(http.ErrAbortHandler) },
		"Goexit":          runtime.Goexit,
	} {
		for _, said := range []idemhttp.Effect{0, idemhttp.EffectDone, idemhttp.EffectNone} {
			t.Run(fmt.Sprintf("%s, effect %s", name, said), func(t *testing.T) {
				s := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if said != 0 {
						idemhttp.SetEffect(r.Context(), said)
					}
					w.Header().Set("Location", "/charges/1")
					w.WriteHeader(http.StatusCreated)
					_, _ = io.WriteString(w, "half a resp")
					end()
				}, nil)
				w := httptest.NewRecorder()
				ended := make(chan any)
				go func() {
					defer func() { ended <- recover() }()
					s.ServeHTTP(w, post("k", "/charges", "42"))
				}()
				v := <-ended
				switch name {
				case "panic":
					require.Equal(t, "half-way", v)
				case "ErrAbortHandler":
					require.Equal(t, any(http.ErrAbortHandler), v)
				default:
					require.Nil(t, v)
				}
				require.Empty(t, w.Body.String(), "half a response reached the client")
				s.wrap(s.store, charge, nil)
				next := s.post("k", "42")
				if said == idemhttp.EffectNone {
					require.Equal(t, 201, next.Code)
					s.wantRuns(2)
					return
				}
				wantProblem(t, next, idemhttp.OutcomeUnknown, 409)
				s.wantRuns(1)
			})
		}
	}
}

func TestSetEffectOutside(t *testing.T) {
	assert.False(t, idemhttp.SetEffect(t.Context(), idemhttp.EffectDone))
	_, _, ok := idemhttp.Key(t.Context())
	assert.False(t, ok)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		assert.True(t, idemhttp.SetEffect(r.Context(), idemhttp.EffectDone))
		assert.False(t, idemhttp.SetEffect(r.Context(), 77))
		principal, key, ok := idemhttp.Key(r.Context())
		assert.Equal(t, []any{"acme", "k", true}, []any{principal, key, ok})
	}, nil)
	s.post("k", "")
	s.wantRuns(1)
	assert.Equal(t, "none done unknown not said invalid", fmt.Sprint(idemhttp.EffectNone, " ", idemhttp.EffectDone, " ", idemhttp.EffectUnknown, " ", idemhttp.Effect(0), " ", idemhttp.Effect(9)))
}
