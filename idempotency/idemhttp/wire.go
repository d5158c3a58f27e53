package idemhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// This file knows bytes: names of headers, keys, and where a key or a code stands in a body.

// isToken says whether a string may be a header's name (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if !isTokenByte(c) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// checkRequest refuses what net/http would refuse, before it can be asked whether anything was sent.
func checkRequest(req *http.Request) error {
	switch {
	case req.URL == nil:
		return errors.New("idemhttp: the request was not sent: its URL is nil")
	case req.URL.Host == "" && (req.URL.Scheme == "http" || req.URL.Scheme == "https"):
		return fmt.Errorf("idemhttp: the request was not sent: its URL %q names no host", req.URL.Redacted())
	case !isToken(req.Method):
		return fmt.Errorf("idemhttp: the request was not sent: its method %q is none", req.Method)
	}
	for name, values := range req.Header {
		if !isToken(name) {
			return fmt.Errorf("idemhttp: the request was not sent: its header %q has an invalid name: use letters, digits and dashes", name)
		}
		for _, value := range values {
			for i, c := range []byte(value) {
				if c < ' ' && c != '\t' || c == 0x7f {
					return fmt.Errorf("idemhttp: the request was not sent: the value of its header %s has the byte 0x%02x at %d: a header takes no control bytes (is there a line feed at the end of a secret?)", name, c, i)
				}
			}
		}
	}
	return nil
}

// ownedByHTTP are headers that say how a message is framed, or that net/http writes by itself: a key in one of them would
// not arrive, or break the request.
func ownedByHTTP(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection", "Keep-Alive", "Trailer", "Te",
		"Upgrade", "Expect", "Proxy-Connection", "Proxy-Authorization", "Authorization", "Cookie", "Accept-Encoding":
		return true
	}
	return false
}

// checkKey says why a key cannot travel as it is. What a server would trim or fold is refused: it would be another key there.
func (p *Provider) checkKey(key string) error {
	if key == "" {
		return fmt.Errorf("idemhttp: the provider key is empty: make requests with the context that Send was given")
	}
	if p.MaxKey > 0 && len(key) > p.MaxKey {
		return fmt.Errorf("idemhttp: the provider key %.16q… is %d bytes long, %q takes %d (Provider.MaxKey): shorten it with idempotency.KeyFrom", key, len(key), p.Name, p.MaxKey)
	}
	if p.Header != "" {
		for i, c := range []byte(key) {
			if c <= ' ' || c >= 0x7f {
				return fmt.Errorf("idemhttp: the provider key %q has the byte 0x%02x at %d, which the header %s cannot carry: derive a key of visible ASCII with idempotency.KeyFrom", key, c, i, p.Header)
			}
		}
	} else if !utf8.ValidString(key) {
		return fmt.Errorf("idemhttp: the provider key %q is not valid UTF-8, which the field %s needs: derive one with idempotency.KeyFrom", key, p.Field)
	}
	return nil
}

// quoted is a structured-field string (RFC 9651, section 3.3.3).
func quoted(key string) string {
	if strings.ContainsAny(key, `"\`) {
		key = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key)
	}
	return `"` + key + `"`
}

// withField returns a body that has the key in it.
func withField(body []byte, contentType, field, key string) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		kind = contentType
	}
	switch {
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		return withMember(body, field, key)
	case kind == "application/x-www-form-urlencoded":
		return withFormField(body, field, key)
	}
	return nil, fmt.Errorf("idemhttp: the key belongs into the body's field %q (Provider.Field), but the body is %q: send JSON or a form, with its Content-Type", field, contentType)
}

func withFormField(body []byte, field, key string) ([]byte, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fmt.Errorf("idemhttp: the key belongs into the form's field %q, but the body is no form: %w", field, err)
	}
	if have, ok := values[field]; ok {
		if len(have) == 1 && have[0] == key {
			return body, nil
		}
		return nil, hasAnother(field)
	}
	if len(body) > 0 {
		body = append(body, '&')
	}
	return append(body, url.QueryEscape(field)+"="+url.QueryEscape(key)...), nil
}

func withMember(body []byte, field, key string) ([]byte, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, fmt.Errorf("idemhttp: the key belongs into the member %q at the top of the body, but the body is no JSON object (%w)", field, err)
	}
	if raw, ok := members[field]; ok {
		var have string
		if json.Unmarshal(raw, &have) == nil && have == key {
			return body, nil
		}
		return nil, hasAnother(field)
	}
	name, err := json.Marshal(field)
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(key)
	if err != nil {
		return nil, err
	}
	brace := bytes.IndexByte(body, '{') + 1 // it begins with one, after spaces
	out := make([]byte, 0, len(body)+len(name)+len(value)+2)
	out = append(out, body[:brace]...)
	out = append(append(append(out, name...), ':'), value...)
	if len(members) > 0 {
		out = append(out, ',')
	}
	return append(out, body[brace:]...), nil
}

func hasAnother(field string) error {
	return fmt.Errorf("idemhttp: the body has the field %q already, with another key: leave it out, or put Attempt.Key there", field)
}

// isPlace says whether every step of a place has a name.
func isPlace(place string) bool {
	for step := range strings.SplitSeq(place, ".") {
		if step == "" {
			return false
		}
	}
	return true
}
