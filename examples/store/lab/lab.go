// Package lab shows what the demo finds out as a picture: the naive shop on the left, the protected one on the right, the
// same customer, the same seed, the same faults.
//
// Nothing in it is drawn by hand: both sides are runs of package demo, over real connections to a bank whose ledger is the
// judge. A run is named by its settings, which are the page's query: who opens the same link sees the same run, and who
// starts it twice at a time joins it.
package lab

import (
	"context"
	"embed"
	"log/slog"
	"net/http"
)

// Path is where the lab is: mount its Handler at Path and at Path + "/".
const Path = "/lab"

// Config is what a lab needs. The zero value is a good one.
type Config struct {
	MaxPlaying int          // runs at the same time; 0: 3
	MaxKept    int          // runs that are remembered, those that play included; 0: 24
	MaxViewers int          // streams at the same time; further viewers ask again and again; 0: 16
	Log        *slog.Logger // nil: no log
}

func (c Config) withDefaults() Config {
	if c.MaxPlaying <= 0 {
		c.MaxPlaying = 3
	}
	if c.MaxKept <= 0 {
		c.MaxKept = 24
	}
	c.MaxKept = max(c.MaxKept, c.MaxPlaying)
	if c.MaxViewers <= 0 {
		c.MaxViewers = 16
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Lab plays scenarios for whoever looks. It is safe for concurrent use. Serve Handler, and Close it in the end.
type Lab struct {
	runs    *runs
	viewers chan struct{}
	log     *slog.Logger
}

// New returns a lab in which nothing plays.
func New(c Config) *Lab {
	c = c.withDefaults()
	return &Lab{runs: newRuns(c.MaxPlaying, c.MaxKept), viewers: make(chan struct{}, c.MaxViewers), log: c.Log}
}

// Close ends every run, and returns when none plays any more or ctx ends.
func (l *Lab) Close(ctx context.Context) error { return l.runs.close(ctx) }

//go:embed static
var static embed.FS

// maxForm is generous: the form has eight short fields.
const maxForm = 4 << 10

// Handler serves the lab's pages under Path.
func (l *Lab) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, l.show)
	mux.HandleFunc("POST "+Path, l.play)
	mux.HandleFunc("POST "+Path+"/kill", l.kill)
	mux.HandleFunc("GET "+Path+"/events", l.stream)
	mux.HandleFunc("GET "+Path+"/state", l.state)
	mux.Handle("GET "+Path+"/static/", http.StripPrefix(Path, http.FileServerFS(static)))
	return http.MaxBytesHandler(secure(http.NewCrossOriginProtection().Handler(mux)), maxForm)
}

// secure sets the headers of every answer. Nothing comes from elsewhere, and nothing is inline.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}
