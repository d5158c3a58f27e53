package idemhttp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Response is a recorded response, as [Config.Call] shows it to those who settle what is unknown. Only headers that are replayed are in it.
type Response struct {
	Status  int
	Header  http.Header
	Body    []byte
	Trailer http.Header
}

// responseVersion is the first byte of a recorded response. Then come the status, the headers, the body, the trailers,
// and the length of the trailers.
const responseVersion = 1

const footer = 4

var errResponse = errors.New("idemhttp: the recorded response cannot be read, it was written by another version")

// MarshalBinary makes what is stored.
func (r Response) MarshalBinary() ([]byte, error) {
	if r.Status < 200 || r.Status > 999 {
		return nil, fmt.Errorf("idemhttp: Response.Status is %d: use that of a final response", r.Status)
	}
	data := appendStatus(nil, r.Status)
	data = appendHeader(data, r.Header, nil)
	data = append(data, r.Body...)
	return appendTrailer(data, r.Trailer), nil
}

// UnmarshalBinary reads what was stored.
func (r *Response) UnmarshalBinary(data []byte) error {
	v, err := readResponse(data)
	if err != nil {
		return err
	}
	*r = Response{Status: v.status, Body: slices.Clone(v.body)}
	if r.Header, err = v.headers(); err != nil {
		return err
	}
	r.Trailer, err = v.trailers()
	return err
}

func appendStatus(data []byte, status int) []byte {
	return binary.AppendUvarint(append(data, responseVersion), uint64(status))
}

// appendHeader appends the headers that allow lets through; nil lets all.
func appendHeader(data []byte, h http.Header, allow map[string]struct{}) []byte {
	n := 0
	for name := range h {
		if allowed(allow, name) {
			n++
		}
	}
	data = binary.AppendUvarint(data, uint64(n))
	for name, values := range h {
		if allowed(allow, name) {
			data = fields(field(data, name), values)
		}
	}
	return data
}

func allowed(allow map[string]struct{}, name string) bool {
	if allow == nil {
		return true
	}
	_, ok := allow[name]
	return ok
}

func appendTrailer(data []byte, h http.Header) []byte {
	before := len(data)
	if len(h) > 0 {
		data = appendHeader(data, h, nil)
	}
	return binary.BigEndian.AppendUint32(data, uint32(len(data)-before))
}

// stored is a recorded response whose headers have not been read.
type stored struct {
	status  int
	header  []byte
	body    []byte
	trailer []byte
}

func readResponse(data []byte) (r stored, err error) {
	if len(data) < 2+footer || data[0] != responseVersion {
		return r, errResponse
	}
	status, n := binary.Uvarint(data[1:])
	if n <= 0 || status < 100 || status > 999 || len(data) < 1+n+footer {
		return r, errResponse
	}
	r.status = int(status)
	data = data[1+n:]
	end := len(data) - footer
	length := int64(binary.BigEndian.Uint32(data[end:]))
	if length > int64(end) {
		return r, errResponse
	}
	data, r.trailer = data[:end-int(length)], data[end-int(length):end]
	rest, ok := skipHeader(data)
	if !ok {
		return r, errResponse
	}
	r.header, r.body = data[:len(data)-len(rest)], rest
	return r, nil
}

// skipHeader returns what follows the headers.
func skipHeader(data []byte) (rest []byte, ok bool) {
	c := cursor{data: data}
	for range c.count() {
		c.skip()
		for range c.count() {
			c.skip()
		}
	}
	return c.data, !c.bad
}

func (r *stored) headers() (http.Header, error) {
	h := http.Header{}
	return h, readHeader(r.header, h)
}

func (r *stored) trailers() (http.Header, error) {
	if len(r.trailer) == 0 {
		return nil, nil
	}
	h := http.Header{}
	err := readHeader(r.trailer, h)
	if len(h) == 0 {
		h = nil // the same, in more bytes
	}
	return h, err
}

// readHeader sets the headers in h.
func readHeader(data []byte, h http.Header) error {
	c := cursor{data: data}
	for range c.count() {
		name := c.text()
		values := make([]string, 0, min(c.count(), 8))
		for range c.last {
			values = append(values, c.text())
		}
		if c.bad {
			break
		}
		h[name] = values
	}
	if c.bad || len(c.data) > 0 {
		return errResponse
	}
	return nil
}

// cursor reads texts and counts; after the first that cannot be read, nothing is there.
type cursor struct {
	data []byte
	last int
	bad  bool
}

func (c *cursor) count() int {
	n, size := binary.Uvarint(c.data)
	if c.last = 0; size <= 0 || n > uint64(len(c.data)-size) { // a text has at least its length
		c.data, c.bad = nil, true
		return 0
	}
	c.data = c.data[size:]
	c.last = int(n)
	return c.last
}

func (c *cursor) skip() []byte {
	n := c.count()
	text := c.data[:n]
	c.data = c.data[n:]
	return text
}

func (c *cursor) text() string { return string(c.skip()) }

// replay answers with a recorded response.
func (r *stored) replay(w http.ResponseWriter) error {
	h := w.Header()
	if err := readHeader(r.header, h); err != nil {
		return err
	}
	trailer, err := r.trailers()
	if err != nil {
		return err
	}
	for name := range trailer {
		h.Add("Trailer", name)
	}
	h[ReplayedHeader] = []string{"true"}
	w.WriteHeader(r.status)
	if bodyAllowed(r.status) && len(r.body) > 0 {
		_, _ = w.Write(r.body) // it is recorded; a client that has gone may ask again
	}
	for name, values := range trailer {
		h[name] = values
	}
	return nil
}

// bodyAllowed says whether a response with this status has a body (RFC 9110, section 6.4.1).
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}
