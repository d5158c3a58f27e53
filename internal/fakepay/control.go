package fakepay

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// The pages for whoever runs the test. They meet no faults.

func (p *provider) showLedger(w http.ResponseWriter, _ *http.Request) {
	_ = writeJSON(w, http.StatusOK, p.book.snapshot(p.clock.now()))
}

func (p *provider) showAttempts(w http.ResponseWriter, r *http.Request) {
	l := p.book.snapshot(p.clock.now())
	if reference := r.URL.Query().Get("reference"); reference != "" {
		l = l.For(reference)
	}
	_ = writeJSON(w, http.StatusOK, l.Attempts)
}

func (p *provider) showConditions(w http.ResponseWriter, _ *http.Request) {
	_ = writeJSON(w, http.StatusOK, p.conditions.get())
}

func (p *provider) putConditions(w http.ResponseWriter, r *http.Request) {
	var c Conditions
	if !readControl(w, r, &c) {
		return
	}
	if err := p.conditions.set(c); err != nil {
		refuseControl(w, err)
		return
	}
	p.showConditions(w, r)
}

func (p *provider) postOutage(w http.ResponseWriter, r *http.Request) {
	var in struct {
		For   string `json:"for"`
		Fault Fault  `json:"fault"`
	}
	if !readControl(w, r, &in) {
		return
	}
	var d time.Duration
	var err error
	if in.For != "" {
		d, err = time.ParseDuration(in.For)
	}
	if err == nil {
		err = p.conditions.outage(p.clock.now(), d, in.Fault)
	}
	if err != nil {
		refuseControl(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (p *provider) postDecide(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Code string `json:"code"`
	}
	if !readControl(w, r, &in) {
		return
	}
	if err := p.decide(r.PathValue("id"), in.Code); err != nil {
		refuseControl(w, err)
		return
	}
	c, _ := p.book.find(p.book.chargeOf(r.PathValue("id")))
	_ = writeJSON(w, http.StatusOK, c)
}

// readControl reads a body that may be empty.
func readControl(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16*MaxBodyBytes))
	if err != nil {
		refuseControl(w, err)
		return false
	}
	if len(body) == 0 {
		return true
	}
	if e := decode(body, into); e != nil {
		refuseControl(w, e)
		return false
	}
	return true
}

func refuseControl(w http.ResponseWriter, err error) {
	e := &Error{Code: CodeInvalid, Message: err.Error(), Remedy: "see the package comment of fakepay"}
	status := http.StatusBadRequest
	if own := (*Error)(nil); errors.As(err, &own) {
		e = own
		if own.Code == CodeNotFound {
			status = http.StatusNotFound
		}
	}
	_ = write(w, refuse(status, e))
}
