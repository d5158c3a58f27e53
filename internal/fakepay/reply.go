package fakepay

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

func (p *provider) reply(w http.ResponseWriter, r *http.Request, v *visit, a *answer) {
	gone := r.Context().Err() != nil
	err := write(w, a)
	p.finish(v, !gone && err == nil)
}

// write sends an answer, and flushes it, so that a connection that broke has a chance to show.
func write(w http.ResponseWriter, a *answer) error {
	maps.Copy(w.Header(), a.header)
	if a.replayed {
		w.Header().Set(ReplayedHeader, "true")
	}
	if a.retryAfter > 0 {
		seconds := (a.retryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	return writeJSON(w, a.status, a.body)
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types, without cycles, channels or NaN
	}
	body = append(body, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return err
	}
	if f, ok := w.(interface{ FlushError() error }); ok {
		return f.FlushError()
	}
	return nil
}

// lose ends a request without a reply.
func (p *provider) lose(w http.ResponseWriter, r *http.Request, v *visit) {
	p.hang(r, v)
	p.finish(v, false)
	cut(w, v.fault.cut())
}

// hang lets a client that is to hang do so, until it gives up.
func (p *provider) hang(r *http.Request, v *visit) {
	if v.fault.cut() != CutHang {
		return
	}
	select {
	case <-r.Context().Done():
	case <-p.activity.done:
	}
}

// cut ends the connection. It may not return.
func cut(w http.ResponseWriter, how Cut) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or a recorder: net/http knows how to break this one off
	}
	if tcp, ok := conn.(*net.TCPConn); ok && how == CutReset {
		_ = tcp.SetLinger(0) // close then sends RST; if it cannot be set, FIN does as well
	}
	_ = conn.Close() // it is to be gone; it may be already
}
