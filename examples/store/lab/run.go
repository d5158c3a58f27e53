package lab

import (
	"math"
	"time"
)

// plays reports whether the run is not over.
func (r *run) plays() bool {
	select {
	case <-r.over:
		return false
	default:
		return true
	}
}

func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// failed returns why the run could not be played to its end.
func (r *run) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// set returns what the run depends on, with what was done to it.
func (r *run) set() Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings
}

// before returns the query that the run had before it was killed by hand.
func (r *run) before() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.was
}

// killedAt notes when the shops were killed by hand.
func (r *run) killedAt(at time.Duration) Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.was = r.settings.Query()
	if r.settings.Speed == 0 {
		r.settings.Speed = r.settings.fitting() // another one would suit it from now on
	}
	const tenth = 10
	r.settings.Kill = max(math.Round(at.Seconds()*tenth)/tenth, 1.0/tenth)
	return r.settings
}
