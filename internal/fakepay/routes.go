package fakepay

import (
	"net/http"
	"strings"
)

func (p *provider) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(path string, methods map[string]http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if h := methods[r.Method]; h != nil {
				h(w, r)
				return
			}
			notAllowed(w, methods)
		})
	}
	type methods = map[string]http.HandlerFunc
	handle("/charges", methods{"POST": p.take(OpCharge), "GET": p.take(OpList)})
	handle("/charges/{id}", methods{"GET": p.take(OpGet)})
	handle("/charges/{id}/capture", methods{"POST": p.take(OpCapture)})
	handle("/charges/{id}/refund", methods{"POST": p.take(OpRefund)})
	handle("/charges/{id}/void", methods{"POST": p.take(OpVoid)})
	handle("/_ledger", methods{"GET": p.showLedger})
	handle("/_attempts", methods{"GET": p.showAttempts})
	handle("/_faults", methods{"GET": p.showConditions, "PUT": p.putConditions})
	handle("/_outage", methods{"POST": p.postOutage})
	handle("/_charges/{id}/decide", methods{"POST": p.postDecide})
	handle("/_reset", nil) // POST: Server
	p.stripeRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_ = write(w, refuse(http.StatusNotFound, &Error{Code: CodeNotFound, Message: "there is nothing here", Field: "path", Value: r.URL.Path, Remedy: "start at /charges"}))
	})
	return mux
}

func notAllowed(w http.ResponseWriter, methods map[string]http.HandlerFunc) {
	allowed := []string{"POST"}
	if len(methods) > 0 {
		allowed = nil
		for _, m := range []string{"GET", "POST", "PUT"} {
			if methods[m] != nil {
				allowed = append(allowed, m)
			}
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	_ = write(w, refuse(http.StatusMethodNotAllowed, &Error{Code: CodeNotAllowed, Message: "this method does not work here", Remedy: "use one of Allow"}))
}

// take returns the handler of an operation: it reads the request, and serves it if it is well-formed.
func (p *provider) take(op Op) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := &request{op: op, id: r.PathValue("id")}
		q.reference = p.book.reference(q.id)
		p.begin(w, r, q, q.read(w, r))
	}
}

// begin serves a request that was read, unless something is wrong with it.
func (p *provider) begin(w http.ResponseWriter, r *http.Request, q *request, wrong *answer) {
	var own *Fault
	if text := r.Header.Get(FaultHeader); text != "" && wrong == nil {
		f, err := ParseFault(text)
		if err != nil {
			wrong = refuse(http.StatusBadRequest, invalid(FaultHeader, text, err.Error()))
		}
		own = &f
	}
	if wrong != nil {
		// Noted, but it counts as nothing: what later requests meet must not hang on a client's mistake.
		v := p.arrive(q, encounter{fault: Fault{Kind: NoFault}}, false)
		wrong = p.present(v, wrong)
		p.noteAnswer(v, wrong)
		p.reply(w, r, v, wrong)
		return
	}
	p.serve(w, r, q, own)
}
