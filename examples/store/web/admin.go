package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/steadfast-go/steadfast/examples/store/shop"
	"github.com/steadfast-go/steadfast/idempotency"
)

// operator lets in who knows the password.
func (s *Site) operator(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.AdminPassword))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		// Of their hashes, so that not even the password's length can be measured.
		given := sha256.Sum256([]byte(password))
		if subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="Stillwater's operator", charset="UTF-8"`)
			s.problem(w, r, http.StatusUnauthorized, "For the operator only", "The password was printed when the shop started.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Site) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin", s.admin)
	mux.HandleFunc("GET /admin/reconcile", s.reconcile)
	mux.HandleFunc("POST /admin/settle", s.settle)
	mux.HandleFunc("/", s.notFound)
	return mux
}

// adminPage is what an operator sees.
type adminPage struct {
	shop.Overview
	Shown      int64 // when, in microseconds since 1970: what an operator knows was learned after that
	Unresolved []callRow
	Latency    latencyPlot
	Rate       ratePlot
}

// callRow is a call that is not settled.
type callRow struct {
	shop.Call
	Age, Sent, Next string
}

func (s *Site) admin(w http.ResponseWriter, r *http.Request) {
	shown := time.Now()
	overview, err := s.Shop.Overview(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	calls, err := s.Shop.Unresolved(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	attempts := s.Shop.Attempts()
	page := adminPage{Overview: overview, Shown: shown.UnixMicro(), Latency: plotLatency(attempts), Rate: plotRate(attempts, time.Now())}
	for _, c := range calls {
		page.Unresolved = append(page.Unresolved, callRow{c, precisely(c.Age), moment(c.LastSent, "not yet", "%s ago"), moment(c.Due, "only by you", "in %s")})
	}
	s.render(w, r, http.StatusOK, "admin", page)
}

// maxRef is how long a provider's number for something may be.
const maxRef = 100

// settle does what one of the buttons beside a call says.
func (s *Site) settle(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	operation, customer, key := r.PostFormValue("operation"), r.PostFormValue("customer"), r.PostFormValue("key")
	var said string
	var err error
	switch r.PostFormValue("do") {
	case "ask":
		said, err = s.Shop.AskBank(r.Context(), customer, key)
	case "happened":
		if ref := r.PostFormValue("ref"); ref == "" || len(ref) > maxRef || !utf8.ValidString(ref) || strings.ContainsFunc(ref, unicode.IsControl) {
			s.problem(w, r, http.StatusUnprocessableEntity, "What is it called there?", "Please enter the provider's own number for it, so that it can be found again.")
			return
		}
		err = s.Shop.SettleHappened(r.Context(), operation, customer, key, r.PostFormValue("ref"))
	case "didnot":
		shown, malformed := strconv.ParseInt(r.PostFormValue("shown"), 10, 64)
		if malformed != nil {
			s.problem(w, r, http.StatusUnprocessableEntity, "Nothing was done", "The form does not say when its page was shown.")
			return
		}
		err = s.Shop.SettleDidNot(r.Context(), operation, customer, key, time.UnixMicro(shown))
	case "cancel":
		err = s.Shop.CancelCall(r.Context(), operation, customer, key)
	default:
		s.problem(w, r, http.StatusUnprocessableEntity, "Nothing was done", "The form does not say what to do.")
		return
	}
	s.Log.Info("an operator has settled", "do", r.PostFormValue("do"), "operation", operation, "key", key, "err", err)
	status, text := outcome(err)
	if pending := new(idempotency.PendingError); errors.As(err, &pending) && r.PostFormValue("do") == "cancel" {
		status, text = http.StatusAccepted, "A request is under way. When that has ended the call is given up, unless it was the answer: nothing more is sent."
	}
	s.render(w, r, status, "settled", settledPage{said, text})
}

// settledPage says what came of it.
type settledPage struct{ Said, Text string }

// outcome says in words what the library answered.
func outcome(err error) (status int, text string) {
	var pending *idempotency.PendingError
	var unknown *idempotency.UnknownError
	var rejected *idempotency.Rejection
	switch {
	case err == nil:
		return http.StatusOK, "Done. What follows from it has been started."
	case errors.As(err, &unknown):
		return http.StatusOK, "Given up: nothing more is sent. It is still asked about, and should it have happened, it is undone."
	case errors.As(err, &pending), errors.Is(err, shop.ErrTooYoung):
		return http.StatusConflict, "Not now: a request is under way, or too young to be judged. Please look again, ask again, and come back in a moment."
	case errors.As(err, &rejected):
		return http.StatusConflict, "The provider had refused it before (" + rejected.Code + ")."
	case errors.Is(err, idempotency.ErrConflict):
		return http.StatusConflict, "That contradicts what is recorded, so nothing was changed. One of the two is wrong: see the reconciliation."
	case errors.Is(err, idempotency.ErrNoRecord):
		return http.StatusNotFound, "There is no such call."
	}
	return http.StatusBadGateway, "It did not work: " + err.Error()
}

// reconcilePage compares the bank's list with ours.
type reconcilePage struct {
	Since time.Time
	Found []idempotency.Discrepancy
	Err   error
}

func (s *Site) reconcile(w http.ResponseWriter, r *http.Request) {
	found, err := s.Shop.Reconcile(r.Context(), s.BankSince)
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadGateway
	}
	s.render(w, r, status, "reconcile", reconcilePage{s.BankSince, found, err})
}

// moment writes how far away something is.
func moment(d time.Duration, never, form string) string {
	switch {
	case d == idempotency.Never:
		return never
	case d < 50*time.Millisecond: // or it would be 0.0 s
		return "now"
	}
	return fmt.Sprintf(form, seconds(d))
}
