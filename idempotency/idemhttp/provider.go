package idemhttp

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/steadfast-go/steadfast/idempotency"
)

// Provider says where a provider wants its key, and what it means by its answers. It is data: copy one of the ready ones and
// change what your contract with the provider says otherwise. The zero value sends the key as Idempotency-Key, takes 2xx for
// a success and everything else for unknown.
type Provider struct {
	// Name is used in errors.
	Name string

	// Header carries the key. Default "Idempotency-Key", unless Field is set or NoKey is.
	Header string
	// Quoted sends the header as a structured-field string, in quotes, as the IETF draft asks.
	Quoted bool
	// Field carries the key instead: the name of a member at the top of a JSON object, or of a form's field. The request's
	// Content-Type says which. A request that has that field with another value is refused.
	Field string
	// NoKey says that the provider knows no keys. Requests go out as they are, watched all the same.
	NoKey bool
	// MaxKey is the longest key the provider takes, in bytes. Zero: as far as a header allows.
	MaxKey int

	// KeyLife is for [idempotency.Call]: how long the provider remembers a key. Zero: it publishes no such promise, or has none.
	KeyLife time.Duration

	// Codes are the places in an answer's JSON where it says what it is, the most specific first; a place is the names of
	// members on the way there, or numbers of elements, joined by dots ("error.decline_code", "errors.0.code"). The first that is there becomes the
	// Code of a Rejection; an Answer may match any. Where Codes are set, a refusal counts only if one is there, since a proxy or
	// a firewall, which answers with the same statuses, does not write them.
	Codes []string
	// Message is the place of a refusal's message for people, and Ref that of the provider's id of what it accepted.
	Message, Ref string

	// Answers say what answers mean. The first that fits counts. Where none does, 2xx is a success and the rest unknown.
	Answers []Answer

	// Replayed is the header that marks an answer as the stored one of an earlier request. It counts unless its value is "false". Default "Idempotent-Replayed".
	Replayed string
	// Transient is the header with which the provider says ("true") that the same key may get another answer later. An error
	// of the provider's own without it is taken for a stored one. Empty: there is no such header.
	Transient string

	// Keyed are the codes of refusals that the provider stores under the key, so that one of them answers every request that
	// was sent with it. A star at the end stands for the rest of a code. See [Provider.KeyedErrors].
	Keyed []string

	places [][]string // Codes, Message and Ref, in steps
}

// Answer is one row of [Provider.Answers].
type Answer struct {
	Status int    // zero fits every status
	Code   string // what stands in one of Provider.Codes; empty fits every answer
	Means  Meaning
}

// Meaning is what an answer says about the call.
type Meaning uint8

// The meanings of an answer.
const (
	// MeansUnknown: the call may or may not have taken effect.
	MeansUnknown Meaning = iota
	// MeansSucceeded: it took effect.
	MeansSucceeded
	// MeansRejected: a definite no, without effect.
	MeansRejected
	// MeansAccepted: the provider has taken it, and what becomes of it is known later.
	MeansAccepted
	// MeansInProgress: an earlier request with this key is still at work. It says nothing about the outcome.
	MeansInProgress
	// MeansUntouched: this request had no effect, and the same one may be sent again (a rate limit, a wrong password).
	MeansUntouched
)

// String returns the meaning in words.
func (m Meaning) String() string {
	if int(m) >= len(meanings) {
		return fmt.Sprintf("Meaning(%d)", uint8(m))
	}
	return meanings[m]
}

var meanings = [...]string{"unknown", "succeeded", "rejected", "accepted", "in progress", "untouched"}

// KeyedErrors is for [idempotency.Call]: it reports whether the provider stores this rejection under the key.
func (p Provider) KeyedErrors(no *idempotency.Rejection) bool {
	return no != nil && slices.ContainsFunc(p.Keyed, func(code string) bool {
		start, rest := strings.CutSuffix(code, "*")
		return no.Code == code || rest && strings.HasPrefix(no.Code, start)
	})
}

// Defaults of Provider, and limits that are not configurable.
const (
	maxCodes        = maxPlaces - 2
	defaultHeader   = "Idempotency-Key"
	defaultReplayed = "Idempotent-Replayed"
)

func (p *Provider) setDefaults() {
	if p.Header == "" && p.Field == "" && !p.NoKey {
		p.Header = defaultHeader
	}
	p.Header = http.CanonicalHeaderKey(p.Header)
	if p.Replayed == "" {
		p.Replayed = defaultReplayed
	}
	p.Replayed = http.CanonicalHeaderKey(p.Replayed)
	p.places = make([][]string, 0, len(p.Codes)+2)
	for _, place := range append(slices.Clip(p.Codes), p.Message, p.Ref) {
		var steps []string
		if place != "" {
			steps = strings.Split(place, ".")
		}
		p.places = append(p.places, steps)
	}
}

// Validate says what is wrong: the field, its value and what to use instead.
func (p Provider) Validate() error {
	bad := func(field string, value any, remedy string) error {
		return fmt.Errorf("idemhttp: Provider.%s of %q is %#v: %s", field, p.Name, value, remedy)
	}
	for _, h := range []struct{ field, name string }{{"Header", p.Header}, {"Replayed", p.Replayed}, {"Transient", p.Transient}} {
		if h.name != "" && !isToken(h.name) {
			return bad(h.field, h.name, "a header's name is made of letters, digits and dashes")
		}
	}
	switch {
	case ownedByHTTP(p.Header):
		return bad("Header", p.Header, "net/http writes that one; name the header that the provider reads its key from")
	case p.NoKey && (p.Header != "" || p.Field != ""):
		return bad("NoKey", p.NoKey, "it cannot be true while Header or Field says where the key goes")
	case p.Quoted && p.Header == "" && (p.Field != "" || p.NoKey):
		return bad("Quoted", p.Quoted, "only a header is quoted: set Header, or leave Quoted out")
	case !utf8.ValidString(p.Field):
		return bad("Field", p.Field, "a field's name is UTF-8")
	case p.MaxKey < 0:
		return bad("MaxKey", p.MaxKey, "use the provider's limit in bytes, or zero")
	case p.KeyLife < 0:
		return bad("KeyLife", p.KeyLife.String(), "use a positive duration, or zero where the provider publishes none")
	}
	if len(p.Codes) > maxCodes {
		return bad("Codes", len(p.Codes), fmt.Sprintf("name at most %d places", maxCodes))
	}
	for i, place := range p.Codes {
		if !isPlace(place) {
			return bad(fmt.Sprintf("Codes[%d]", i), place, "join the names of members by dots, for example \"error.code\"")
		}
	}
	for _, f := range []struct{ field, place string }{{"Message", p.Message}, {"Ref", p.Ref}} {
		if f.place != "" && !isPlace(f.place) {
			return bad(f.field, f.place, "join the names of members by dots, for example \"error.message\"")
		}
	}
	for i, a := range p.Answers {
		field := fmt.Sprintf("Answers[%d]", i)
		switch {
		case a.Status != 0 && (a.Status < 200 || a.Status > 999):
			return bad(field+".Status", a.Status, "use a final status (200 to 999), or zero for all")
		case int(a.Means) >= len(meanings):
			return bad(field+".Means", uint8(a.Means), "use one of the constants")
		case a.Status == 0 && a.Code == "":
			return bad(field, a, "say which answers it is about: a Status, a Code or both")
		case a.Code != "" && len(p.Codes) == 0:
			return bad(field+".Code", a.Code, "say in Codes where codes stand")
		}
	}
	if i := slices.IndexFunc(p.Keyed, func(code string) bool { return code == "" || code == "*" }); i >= 0 {
		return bad(fmt.Sprintf("Keyed[%d]", i), p.Keyed[i], "name the codes that are stored; where all are, write KeyedErrors yourself")
	}
	return nil
}

// reading is what an answer was found to say.
type reading struct {
	means    Meaning
	status   int
	codes    []string
	message  string
	ref      string
	replayed bool
	after    time.Duration // what Retry-After asks for
	waits    bool          // there is one
}

// code is the most specific one.
func (r *reading) code() string {
	if len(r.codes) > 0 {
		return r.codes[0]
	}
	return fmt.Sprintf("http_%d", r.status)
}

// wantsBody says whether the meaning of a status depends on what the body says.
func (p *Provider) wantsBody(status int) bool {
	if status < 200 || status > 299 {
		return len(p.Codes) > 0 || p.Message != ""
	}
	return slices.ContainsFunc(p.Answers, func(a Answer) bool {
		return (a.Status == 0 || a.Status == status) && (a.Code != "" || a.Means == MeansAccepted && p.Ref != "" || a.Means == MeansRejected)
	})
}

// read says what an answer means. body is nil where it could not be read to its end.
func (p *Provider) read(status int, header http.Header, body []byte) reading {
	r := reading{status: status}
	if status >= 200 && status <= 299 {
		r.means = MeansSucceeded
	}
	if found := look(body, p.places); found != nil {
		n := len(p.Codes)
		r.message, r.ref = found[n], found[n+1]
		r.codes = slices.DeleteFunc(found[:n], func(code string) bool { return code == "" })
	}
	for _, a := range p.Answers {
		if (a.Status == 0 || a.Status == status) && (a.Code == "" || slices.Contains(r.codes, a.Code)) {
			r.means = a.Means
			break
		}
	}
	own := len(p.Codes) == 0 || len(r.codes) > 0
	if !own && (r.means == MeansRejected || r.means == MeansUntouched) {
		r.means = MeansUnknown
	}
	if values := header[p.Replayed]; len(values) > 0 {
		r.replayed = !strings.EqualFold(values[0], "false")
	}
	if p.Transient != "" && own && status > 299 && r.means != MeansInProgress && !strings.EqualFold(header.Get(p.Transient), "true") {
		r.replayed = true
	}
	return r
}

// ReplyError is an answer that was not a success. Errors that Send returns after such an answer are wrapped in one; errors.As
// finds both.
type ReplyError struct {
	Provider string
	Status   int
	Means    Meaning
	Code     string // empty where the answer holds none
	Message  string // the provider's, for people
	Err      error  // what Send returned; nil if it took the answer for a success
}

// Error says what was answered.
func (e *ReplyError) Error() string {
	var b strings.Builder
	b.WriteString("idemhttp: ")
	if e.Provider != "" {
		b.WriteString(e.Provider)
	} else {
		b.WriteString("the provider")
	}
	fmt.Fprintf(&b, " answered %d", e.Status)
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Err != nil {
		if text := e.Err.Error(); e.Message == "" || !strings.Contains(text, e.Message) { // an SDK's error often repeats the whole answer
			b.WriteString(": " + text)
		}
	}
	return b.String()
}

// Unwrap returns what Send returned.
func (e *ReplyError) Unwrap() error { return e.Err }
