package idemhttp

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/retry"
)

// reply is an answer's body on its way to whoever reads it: first what was read of it already, then the rest. It notices
// when the answer breaks off.
type reply struct {
	x       *exchange
	read    []byte
	pending error // what reading it ended with
	rest    io.ReadCloser
}

func (r *reply) Read(p []byte) (int, error) {
	if len(r.read) > 0 {
		n := copy(p, r.read)
		r.read = r.read[n:]
		return n, nil
	}
	if r.pending != nil {
		return 0, r.pending
	}
	n, err := r.rest.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.x.brokeOff()
	}
	return n, err
}

func (r *reply) Close() error { return r.rest.Close() }

// read finds out what an answer means, and puts back what it read of it.
func (t *Transport) read(res *http.Response, x *exchange) {
	var body []byte
	if res.StatusCode != http.StatusSwitchingProtocols && res.Body != nil && res.Body != http.NoBody {
		x.reply = reply{x: x, rest: res.Body}
		res.Body = &x.reply
		if t.p.wantsBody(res.StatusCode) {
			body = x.reply.peek(res.ContentLength, t.maxRead())
		}
	}
	if strings.EqualFold(res.Header.Get("Content-Encoding"), "gzip") {
		body = gunzip(body, t.maxRead())
	}
	r := t.p.read(res.StatusCode, res.Header, body)
	if after := res.Header.Get("Retry-After"); after != "" {
		if r.after, r.waits = retry.ParseRetryAfter(after, time.Now()); r.waits {
			r.after = min(r.after, t.maxRetryAfter())
		}
	}
	x.answer, x.provider = r, t.p.Name
}

// peek reads the whole body, or returns nil: it is longer than that, or broke off. length is what was announced, if it is
// known.
func (r *reply) peek(length int64, most int) (body []byte) {
	var err error
	if length > 0 && length <= int64(most) {
		body = make([]byte, length)
		var n int
		n, err = io.ReadFull(r.rest, body)
		body = body[:n]
	} else {
		body, err = io.ReadAll(io.LimitReader(r.rest, int64(most)+1))
	}
	r.read = body
	switch {
	case err != nil:
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.pending = err
		r.x.brokeOff()
		return nil
	case len(body) > most:
		return nil
	}
	return body
}

// gunzip unpacks for reading what the caller asked to get packed.
func gunzip(body []byte, most int) []byte {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil
	}
	out, err := io.ReadAll(io.LimitReader(z, int64(most)+1))
	if err != nil || len(out) > most {
		return nil
	}
	return out
}
