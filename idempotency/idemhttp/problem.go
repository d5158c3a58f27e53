package idemhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Kind is what a [Problem] of a [Handler] is about. It is the fragment of the problem's type, so that it never changes.
type Kind string

// The kinds of problems. After the first six nothing was executed for this request. Where the status is 409 and Retry-After is set, the same
// request with the same key will get its answer later.
const (
	// KeyMissing (400): the operation needs a key and the request has none.
	KeyMissing Kind = "KeyMissing"
	// KeyMalformed (400): there are two keys, or one that is not of the published form.
	KeyMalformed Kind = "KeyMalformed"
	// KeyReused (422): the key belongs to another request; a new request needs a new key.
	KeyReused Kind = "KeyReused"
	// BodyTooLarge (413): the request's body is longer than the server takes.
	BodyTooLarge Kind = "BodyTooLarge"
	// BodyIncomplete (400, or 408 when it took too long): the body ended before it was complete.
	BodyIncomplete Kind = "BodyIncomplete"
	// PrincipalUnknown (403, or 500 when the server is configured wrongly): nobody knows whose request it is.
	PrincipalUnknown Kind = "PrincipalUnknown"
	// InProgress (409): the first request with this key is still under way. Try the same request again after Retry-After.
	InProgress Kind = "InProgress"
	// OutcomeUnknown (409): the first request with this key was begun, and nobody knows whether it took effect. A new key may make it happen
	// twice. With Retry-After, somebody is finding out.
	OutcomeUnknown Kind = "OutcomeUnknown"
	// ResponseOmitted (409): the first request with this key is complete; its response was too long to be kept.
	ResponseOmitted Kind = "ResponseOmitted"
	// KeyExpired (409): the request with this key was complete so long ago that its response is no longer kept.
	KeyExpired Kind = "KeyExpired"
	// KeyClosed (409): the key was closed by the server's operators before it had any effect, or its request was refused for good. A new
	// key is safe.
	KeyClosed Kind = "KeyClosed"
	// Unavailable (503): the server cannot tell whether it has seen the key, and has executed nothing.
	Unavailable Kind = "Unavailable"
)

// defaultDocs documents the kinds: it has an anchor for every constant.
const defaultDocs = "https://pkg.go.dev/github.com/steadfast-go/steadfast/idempotency/idemhttp"

// kinds says what every kind is, for problems and for the [Specification].
var kinds = []struct {
	kind   Kind
	status int
	title  string
	detail string
}{
	{KeyMissing, 400, "Idempotency-Key is missing", "This operation needs an Idempotency-Key header, with a new unique key for every new request and the same key for its repetitions."},
	{KeyMalformed, 400, "Idempotency-Key is malformed", ""}, // its detail says what is wrong
	{KeyReused, 422, "Idempotency-Key was used with another request", "The key belongs to a request with another method, path, query or content. Send that request again, or make a new key for this one."},
	{BodyTooLarge, 413, "The request is too large", "The content of a request with an Idempotency-Key is bounded. Nothing was done."},
	{BodyIncomplete, 400, "The request is incomplete", "The content ended before it was complete. Nothing was done; send the request again with the same key."},
	{PrincipalUnknown, 403, "The request belongs to nobody", "Keys belong to whoever made them, and the server cannot tell who that is. Nothing was done."},
	{InProgress, 409, "A request with this Idempotency-Key is under way", "Its response is not ready. Send the same request again later, with the same key."},
	{OutcomeUnknown, 409, "The outcome of the request with this Idempotency-Key is unknown", "It was begun and may have taken effect, or may not. It is not executed again until that is known. Do not send it with a new key."},
	{ResponseOmitted, 409, "The response is not kept", "The request with this Idempotency-Key was completed. Its response was too long to be kept."},
	{KeyExpired, 409, "The response is no longer kept", "The request with this Idempotency-Key was completed, longer ago than responses are kept."},
	{KeyClosed, 409, "The Idempotency-Key was closed", "The request with this key will not be executed any more. A new key is safe."},
	{Unavailable, 503, "Idempotency cannot be guaranteed at the moment", "The server cannot tell whether it has seen the key. Nothing was done; send the request again with the same key."},
}

// Problem is a problem detail of RFC 9457.
type Problem struct {
	// Type is the URI of the kind of problem; empty means "about:blank".
	Type string `json:"type,omitempty"`
	// Title is the same for all problems of a type.
	Title string `json:"title,omitempty"`
	// Status repeats the response's status.
	Status int `json:"status,omitempty"`
	// Detail is about this occurrence. It never repeats a key or a principal.
	Detail string `json:"detail,omitempty"`
	// Instance is the URI of this occurrence.
	Instance string `json:"instance,omitempty"`

	// Kind is the kind of a problem that a Handler made. It is part of Type.
	Kind Kind `json:"-"`
	// RetryAfter, if it is not zero, goes into a Retry-After header.
	RetryAfter time.Duration `json:"-"`
	// Docs goes into a Link header, as what describes the problem.
	Docs string `json:"-"`
}

// Error gives title and detail.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("idemhttp: %d %s", p.Status, p.Title)
	}
	return fmt.Sprintf("idemhttp: %d %s: %s", p.Status, p.Title, p.Detail)
}

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// ServeHTTP answers a request with the problem.
func (p *Problem) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(p)
	if err != nil { // a Problem has nothing that JSON could refuse
		body = nil
	}
	h := w.Header()
	h.Set("Content-Type", ProblemType)
	h.Set("Content-Language", "en")
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Encoding")
	h.Del("ETag")
	if p.Docs != "" {
		h.Add("Link", "<"+p.Docs+`>; rel="describedby"; type="text/html"`)
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	status := p.Status
	if status < 200 || status > 999 {
		status = http.StatusInternalServerError
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// ParseProblem reads problem+json. Members of another type than RFC 9457 gives them are ignored, as its section 3.1 asks; what is not a
// JSON object is an error. Kind is set where the type has one of this package's kinds as its fragment.
func ParseProblem(data []byte) (*Problem, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, fmt.Errorf("idemhttp: the problem is not a JSON object: %w", err)
	}
	if members == nil {
		return nil, errors.New("idemhttp: the problem is not a JSON object: null")
	}
	p := &Problem{}
	for name, into := range map[string]any{
		"type": &p.Type, "title": &p.Title, "status": &p.Status, "detail": &p.Detail, "instance": &p.Instance,
	} {
		if raw := members[name]; len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
			_ = json.Unmarshal(raw, into)
		}
	}
	if p.Status < 100 || p.Status > 599 {
		p.Status = 0
	}
	if _, fragment, ok := strings.Cut(p.Type, "#"); ok {
		for _, k := range kinds {
			if string(k.kind) == fragment {
				p.Kind = k.kind
			}
		}
	}
	return p, nil
}

// problem makes a problem of a kind.
func (m *middleware) problem(kind Kind) *Problem {
	base := m.Docs
	if base == "" {
		base = defaultDocs
	}
	for _, k := range kinds {
		if k.kind == kind {
			return &Problem{Type: base + "#" + string(kind), Title: k.title, Status: k.status, Detail: k.detail, Kind: kind, Docs: base}
		}
	}
	return &Problem{Title: string(kind), Status: http.StatusInternalServerError, Kind: kind}
}

// refuse answers with a problem.
func (m *middleware) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	if m.WriteProblem != nil {
		m.WriteProblem(w, r, p)
		return
	}
	p.ServeHTTP(w, r)
}
