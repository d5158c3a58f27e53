package idemhttp

import (
	"net/http"
	"strings"
)

// finish ends the response, and returns it as it is to be recorded. What the handler writes later is refused.
func (r *recorder) finish() (status int, record []byte, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status == 0 {
		r.begin(http.StatusOK)
	}
	r.finished = true
	r.end = len(r.record)
	r.trailer = r.lateHeaders()
	var kept http.Header
	for name, values := range r.trailer {
		if name = strings.TrimPrefix(name, http.TrailerPrefix); allowed(r.allow, name) {
			if kept == nil {
				kept = http.Header{}
			}
			kept[name] = values
		}
	}
	r.record = appendTrailer(r.record, kept)
	return r.status, r.record, r.over
}

// abandon ends a response that is none, because the handler panicked.
func (r *recorder) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = true
}

// respond sends what was held back, and the trailers, once the outcome is recorded.
func (r *recorder) respond() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.through {
		r.through = true
		r.w.WriteHeader(r.status)
		if r.end > r.head {
			_, _ = r.w.Write(r.record[r.head:r.end])
		}
	}
	if len(r.trailer) > 0 {
		h := r.w.Header()
		for name, values := range r.trailer {
			h[name] = values
		}
	}
}

// lateHeaders returns the handler's trailers, announced or not, as net/http knows them.
func (r *recorder) lateHeaders() (late http.Header) {
	set := func(name string, values []string) {
		if late == nil {
			late = http.Header{}
		}
		late[name] = values
	}
	for _, line := range r.header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values := r.header[name]; len(values) > 0 && !neverReplayed(name) {
				set(name, values)
			}
		}
	}
	for name, values := range r.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			set(name, values)
		}
	}
	return late
}
