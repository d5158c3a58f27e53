package idemhttp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// errFinished is what a handler gets that writes after it returned, which net/http leaves undefined.
var errFinished = errors.New("idemhttp: the handler has returned, its response is complete and recorded")

// recorder is the http.ResponseWriter of an execution. It holds the response back until it is recorded, up to MaxResponse or the
// first Flush; from then on it writes through, and goes on recording up to MaxResponse. It has no Unwrap: whatever reached the
// writer beneath would be sent and not recorded. So the methods of http.ResponseController stand here, one by one.
type recorder struct {
	w     http.ResponseWriter
	allow map[string]struct{}
	most  int // bytes of body that are recorded

	mu       sync.Mutex // a handler may leave goroutines behind that still write
	header   http.Header
	status   int    // zero until the handler has said it
	record   []byte // the response as it will be stored
	head     int    // where its body begins
	through  bool   // what the handler writes goes through to w
	over     bool   // the body is too long to be recorded
	finished bool

	end     int         // where the body ends, once it is finished
	trailer http.Header // as the handler set them
}

var (
	_ http.Flusher  = (*recorder)(nil)
	_ http.Hijacker = (*recorder)(nil)
)

// begins puts the recorder before w.
func (r *recorder) begins(w http.ResponseWriter, m *middleware) {
	r.w, r.allow, r.most = w, m.replayed, m.MaxResponse
	r.header = make(http.Header, len(w.Header()))
	maps.Copy(r.header, w.Header())
}

// Header returns the handler's own headers. They are copied when the response begins, so that nobody changes them later.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader begins the response. Informational ones go through at once, and are not recorded.
func (r *recorder) WriteHeader(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin(status)
}

func (r *recorder) begin(status int) {
	if r.finished || r.status != 0 {
		return
	}
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("idemhttp: invalid WriteHeader code %v", status)) // as net/http does
	}
	r.sync()
	if status < 200 {
		r.w.WriteHeader(status)
		return
	}
	r.status = status
	r.record = appendHeader(appendStatus(r.record[:0], status), r.header, r.allow)
	r.head = len(r.record)
}

// sync copies the handler's headers to the response.
func (r *recorder) sync() {
	h := r.w.Header()
	clear(h)
	maps.Copy(h, r.header)
}

// Write records, and writes through where the response is on its way already. A client that has gone is no reason to stop: its next
// attempt gets the record.
func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok, err := r.writable(len(p)); !ok {
		return 0, err
	}
	if !r.over {
		r.record = append(r.record, p...)
	}
	if !r.through {
		return len(p), nil
	}
	n, err := r.w.Write(p)
	if r.over {
		return n, err
	}
	return len(p), nil
}

// WriteString is Write without a copy.
func (r *recorder) WriteString(s string) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok, err := r.writable(len(s)); !ok {
		return 0, err
	}
	if !r.over {
		r.record = append(r.record, s...)
	}
	if !r.through {
		return len(s), nil
	}
	n, err := io.WriteString(r.w, s)
	if r.over {
		return n, err
	}
	return len(s), nil
}

// writable makes ready for n bytes of body.
func (r *recorder) writable(n int) (bool, error) {
	if r.finished {
		return false, errFinished
	}
	if r.status == 0 {
		r.begin(http.StatusOK)
	}
	if !bodyAllowed(r.status) {
		return false, http.ErrBodyNotAllowed
	}
	if !r.over && len(r.record)-r.head+n > r.most {
		r.commit()
		r.over, r.record = true, r.record[:r.head]
	}
	return true, nil
}

// commit sends what was held back.
func (r *recorder) commit() {
	if r.through {
		return
	}
	r.through = true
	r.w.WriteHeader(r.status)
	if held := r.record[r.head:]; len(held) > 0 {
		_, _ = r.w.Write(held)
	}
}

// Flush sends what there is.
func (r *recorder) Flush() { _ = r.FlushError() }

// FlushError sends what there is, for http.ResponseController.
func (r *recorder) FlushError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return errFinished
	}
	if r.status == 0 {
		r.begin(http.StatusOK)
	}
	r.commit()
	err := http.NewResponseController(r.w).Flush()
	if err != nil && !r.over && !errors.Is(err, http.ErrNotSupported) {
		return nil // the client has gone, see Write
	}
	return err
}

// Hijack is refused.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, fmt.Errorf("%w: idemhttp cannot record what is said on a hijacked connection, leave the Idempotency-Key middleware out for such handlers", http.ErrNotSupported)
}

// SetReadDeadline is for http.ResponseController.
func (r *recorder) SetReadDeadline(t time.Time) error {
	return http.NewResponseController(r.w).SetReadDeadline(t)
}

// SetWriteDeadline is for http.ResponseController.
func (r *recorder) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(r.w).SetWriteDeadline(t)
}

// EnableFullDuplex is for http.ResponseController. The body has been read by then.
func (r *recorder) EnableFullDuplex() error {
	return http.NewResponseController(r.w).EnableFullDuplex()
}
