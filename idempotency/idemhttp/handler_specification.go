package idemhttp

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Policy is what a service publishes of its use of keys, as the draft asks (sections 2.3 and 2.5).
type Policy struct {
	Header     string   `json:"header"`
	Methods    []string `json:"methods"`
	Required   bool     `json:"required"`
	Quoted     bool     `json:"quoted"` // a key without quotes is refused
	MaxKey     int      `json:"max_key_bytes"`
	MaxBody    int64    `json:"max_body_bytes"`
	Retention  Seconds  `json:"response_kept_seconds"`
	Remembered *Seconds `json:"key_remembered_seconds"` // nil: for ever
	Identity   string   `json:"same_request"`
}

// Seconds is a duration as JSON shows it.
type Seconds time.Duration

// MarshalJSON gives whole seconds.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(int64(time.Duration(s) / time.Second))
}

// Policy returns what the service should publish.
func (c Config) Policy() (Policy, error) {
	if err := c.prepare(); err != nil {
		return Policy{}, err
	}
	p := Policy{
		Header: KeyHeader, Methods: c.Methods, Required: !c.Optional, Quoted: !c.Bare, MaxKey: idempotency.MaxKey, MaxBody: c.MaxBody,
		Retention: Seconds(c.Retention),
		Identity: "method, path, query, Content-Type, Content-Encoding" + strings.Join(append([]string{""}, c.FingerprintHeaders...), ", ") +
			" and content; of a multipart body its parts, whatever separates them",
	}
	if c.Fingerprint != nil {
		p.Identity = "method, path, and what the service considers the same request"
	}
	if c.StubFor > 0 && c.StubFor < idempotency.Never-c.Retention {
		remembered := Seconds(c.Retention + c.StubFor)
		p.Remembered = &remembered
	}
	return p, nil
}

// Specification serves the [Policy], as JSON for those who accept only that and as a page for people, with an anchor for every [Kind] of
// problem. Serve it at Config.Docs.
func Specification(c Config) (http.Handler, error) {
	policy, err := c.Policy()
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(policy, "", "  ")
	if err != nil {
		return nil, err
	}
	page := policy.page()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if accept := r.Header.Get("Accept"); strings.Contains(accept, "json") && !strings.Contains(accept, "html") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(data)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	}), nil
}

func (p Policy) page() []byte {
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Idempotency-Key</title>\n<h1>Idempotency-Key</h1>\n<ul>\n")
	item := func(format string, args ...any) {
		fmt.Fprintf(&b, "<li>%s\n", html.EscapeString(fmt.Sprintf(format, args...)))
	}
	if p.Required {
		item("Every %s request needs a key.", strings.Join(p.Methods, " or "))
	} else {
		item("A %s request with a key is executed once. Without one it is not protected.", strings.Join(p.Methods, " or "))
	}
	item(`Make a new random key for every new request, a UUID for instance, and send it again with every repetition: %s: "8e03978e-40d5-43e8-bc93-6894a57f9324".`, p.Header)
	item("A key has 1 to %d printable ASCII characters. Quoted or not, it is the same key%s.", p.MaxKey, map[bool]string{true: "; it must be quoted", false: ""}[p.Quoted])
	item("Keys belong to whoever made them: those of others never meet yours.")
	item("A request is the same one if these are: %s.", p.Identity)
	item("The content of a request has at most %d bytes.", p.MaxBody)
	item("A response is kept for %v after its request was completed; a repetition gets it, marked %s: true.", time.Duration(p.Retention), ReplayedHeader)
	if p.Remembered == nil {
		item("A key is never forgotten: after that, a repetition is refused.")
	} else {
		item("After that, a repetition is refused until %v have passed. Then the key is forgotten, and a request with it is new.", time.Duration(*p.Remembered))
	}
	b.WriteString("</ul>\n<h2>Problems</h2>\n<dl>\n")
	for _, k := range kinds {
		fmt.Fprintf(&b, "<dt id=\"%s\">%d %s\n<dd>%s\n", k.kind, k.status, html.EscapeString(k.title), html.EscapeString(k.detail))
	}
	b.WriteString("</dl>\n</html>\n")
	return []byte(b.String())
}
