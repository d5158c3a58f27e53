package web

import (
	"errors"
	"net/http"
	"strings"
)

// maxForm is how large a form may be, in bytes. None of the shop's comes near it.
const maxForm = 8 << 10

// policy lets pages have what the shop itself serves, and nothing else: no script or style within a page, no frames.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secure is what all requests go through.
func (s *Site) secure(next http.Handler) http.Handler {
	forms := http.NewCrossOriginProtection() // a form that another site sends is refused
	forms.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, http.StatusForbidden, "This form came from another site", "Nothing was done. Please use the shop's own pages.")
	}))
	next = http.MaxBytesHandler(forms.Handler(next), maxForm)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // what a page says is true now, and only for this customer
		next.ServeHTTP(w, r)
	})
}

// cached serves what is the same for everybody.
func cached(files http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") { // no lists of files
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		files.ServeHTTP(w, r)
	})
}

// form reads a form. What is too large or cannot be read is answered, and is no form.
func (s *Site) form(w http.ResponseWriter, r *http.Request) (ok bool) {
	err := r.ParseForm()
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return true
	case errors.As(err, &large):
		s.problem(w, r, http.StatusRequestEntityTooLarge, "That form is too large", "Nothing was done. Please go back and fill it in again.")
	default:
		s.problem(w, r, http.StatusBadRequest, "That form cannot be read", "Nothing was done. Please go back and fill it in again.")
	}
	return false
}
