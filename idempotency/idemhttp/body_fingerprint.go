package idemhttp

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
)

// The versions of a fingerprint say how it was made. What another version made cannot be compared (T21).
const (
	fingerprintPlain     = 0x11 // of all that Config says
	fingerprintMultipart = 0x12 // the same, of a multipart body's parts
	fingerprintCustom    = 0x13 // by Config.Fingerprint
)

// fingerprint is a version and a digest of what makes a request the same one.
type fingerprint [1 + sha256.Size]byte

// fingerprint takes the fingerprint of r, whose body is b, and leaves b at its beginning.
func (m *middleware) fingerprint(r *http.Request, b *body) (fp fingerprint, err error) {
	h := sha256.New()
	var room [256]byte
	text := append(room[:0], "steadfast/idemhttp\x00"...)
	text = field(text, r.Method)
	text = field(text, r.URL.EscapedPath())
	if m.Fingerprint != nil {
		h.Write(text)
		if err = m.Fingerprint(h, r, b); err == nil {
			err = b.rewind()
		}
		fp[0] = fingerprintCustom
		h.Sum(fp[:1])
		return fp, err
	}
	text = field(text, r.URL.RawQuery)
	contentType := r.Header.Get("Content-Type")
	boundary := ""
	if strings.HasPrefix(contentType, "multipart/") || strings.HasPrefix(contentType, "Multipart/") {
		contentType, boundary = splitBoundary(contentType)
	}
	text = field(text, contentType)
	text = fields(text, r.Header["Content-Encoding"])
	for _, name := range m.covered {
		text = fields(text, r.Header[name])
	}
	h.Write(text)
	fp[0] = fingerprintPlain
	if boundary != "" {
		if sum, ok := digestParts(boundary, b); ok {
			fp[0] = fingerprintMultipart
			h.Write(sum)
			h.Sum(fp[:1])
			return fp, b.rewind()
		}
		h.Write([]byte(boundary)) // not readable as parts: every byte counts
		if err := b.rewind(); err != nil {
			return fp, err
		}
	}
	if err = b.digest(h); err == nil {
		err = b.rewind()
	}
	h.Sum(fp[:1])
	return fp, err
}

// field and fields append texts so that no two lists of texts look alike.
func field(to []byte, s string) []byte {
	to = binary.AppendUvarint(to, uint64(len(s)))
	return append(to, s...)
}

func fields(to []byte, values []string) []byte {
	to = binary.AppendUvarint(to, uint64(len(values)))
	for _, v := range values {
		to = field(to, v)
	}
	return to
}

func (b *body) digest(h hash.Hash) error {
	var err error
	if b.file != nil {
		_, err = io.Copy(h, b.file)
	} else {
		_, err = b.memory.WriteTo(h)
	}
	return err
}

// splitBoundary takes the boundary, which clients make anew for every attempt, out of a multipart Content-Type.
func splitBoundary(contentType string) (rest, boundary string) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return contentType, ""
	}
	boundary = params["boundary"]
	delete(params, "boundary")
	return mime.FormatMediaType(kind, params), boundary
}

// digestParts digests the parts of a multipart body: the header and the content of each. ok is false where it cannot be read as that.
func digestParts(boundary string, b *body) (sum []byte, ok bool) {
	whole, content := sha256.New(), sha256.New()
	var from io.Reader = &b.memory
	if b.file != nil {
		from = b.file
	}
	parts := multipart.NewReader(from, boundary)
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return whole.Sum(nil), true
		}
		if err != nil {
			return nil, false
		}
		names := make([]string, 0, len(part.Header))
		for name := range part.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		text := fields(nil, names)
		for _, name := range names {
			text = fields(text, part.Header[name])
		}
		content.Reset()
		if _, err := io.Copy(content, part); err != nil {
			return nil, false
		}
		whole.Write(field(nil, string(text)))
		whole.Write(content.Sum(nil))
	}
}
