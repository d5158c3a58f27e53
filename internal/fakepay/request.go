package fakepay

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// request is a request that was read and is well-formed.
type request struct {
	op        Op
	key       string
	reference string // of the charge
	id        string // of the charge, from the path
	charge    ChargeRequest
	amount    AmountRequest
	list      listQuery
	stripe    *stripeRequest // nil: it came by the plain API
}

type listQuery struct {
	reference, key, after string
	from, to              time.Time
	limit                 int
}

func (q listQuery) matches(c Charge) bool {
	return (q.reference == "" || c.Reference == q.reference) && (q.key == "" || c.Key == q.key) &&
		!c.Created.Before(q.from) && (q.to.IsZero() || c.Created.Before(q.to))
}

func (o Op) writes() bool { return o != OpGet && o != OpLookup && o != OpList }

// subject is what scripts and draws go by.
func (q *request) subject() string {
	name := q.reference
	switch {
	case name != "":
	case q.id != "":
		name = q.id
	default:
		name = q.key
	}
	if q.op == OpCharge {
		return name
	}
	return string(q.op) + ":" + name
}

// print identifies the parameters: a key must not come back with others.
func (q *request) print() [sha256.Size]byte {
	said := []any{q.op, q.id, q.charge, q.amount}
	if q.stripe != nil { // every parameter counts, as does the endpoint
		said = []any{q.stripe.endpoint.method, q.stripe.endpoint.path, q.id, q.stripe.values}
	}
	b, err := json.Marshal(said)
	if err != nil {
		panic(err) // strings, numbers and maps of strings always marshal
	}
	return sha256.Sum256(b)
}

// read fills in what a request says, up to the first thing that is wrong. The error's status is 400 or 413.
func (q *request) read(w http.ResponseWriter, r *http.Request) *answer {
	if e := q.readKey(r.Header); e != nil {
		return refuse(400, e)
	}
	if !q.op.writes() {
		if e := q.readQuery(r.URL.RawQuery); e != nil {
			return refuse(400, e)
		}
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBodyBytes))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return refuse(413, &Error{Code: CodeInvalid, Message: "the body is too large", Remedy: fmt.Sprintf("send at most %d bytes", MaxBodyBytes)})
	}
	if err != nil {
		return refuse(400, &Error{Code: CodeInvalid, Message: "the body broke off", Remedy: "send the request again"})
	}
	if e := q.readBody(body); e != nil {
		return refuse(400, e)
	}
	return nil
}

func (q *request) readKey(h http.Header) *Error {
	keys := h.Values(KeyHeader)
	if len(keys) == 0 {
		return nil
	}
	if len(keys) > 1 {
		return invalid(KeyHeader, strings.Join(keys, ", "), "send one key")
	}
	q.key = keys[0]
	return checkText(KeyHeader, q.key, true)
}

func (q *request) readBody(body []byte) *Error {
	if q.op == OpCharge {
		if e := decode(body, &q.charge); e != nil {
			return e
		}
		q.reference = q.charge.Reference
		return checkCharge(&q.charge)
	}
	if len(bytes.TrimSpace(body)) > 0 {
		if e := decode(body, &q.amount); e != nil {
			return e
		}
	}
	switch a := q.amount; {
	case a.AmountCents < 0 || a.AmountCents > MaxAmountCents:
		return invalid("amount_cents", a.AmountCents, fmt.Sprintf("use 1 to %d, or leave it out for all of it", MaxAmountCents))
	case a.AmountCents != 0 && q.op == OpVoid:
		return invalid("amount_cents", a.AmountCents, "leave it out: a void is always of all")
	}
	return checkText("reference", q.amount.Reference, false)
}

func decode(body []byte, into any) *Error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something comes after it")
		}
	}
	if err == nil {
		return nil
	}
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) && wrong.Field != "" {
		return invalid(wrong.Field, "a JSON "+wrong.Value, "use what belongs into a Go "+wrong.Type.String())
	}
	return &Error{
		Code: CodeInvalid, Message: "the body is not the JSON object that belongs here: " + err.Error(), Field: "body",
		Value: string(body[:min(len(body), 64)]), Remedy: "send one object with the documented members",
	}
}

func checkCharge(c *ChargeRequest) *Error {
	switch {
	case c.AmountCents < 1 || c.AmountCents > MaxAmountCents:
		return invalid("amount_cents", c.AmountCents, fmt.Sprintf("use 1 to %d", MaxAmountCents))
	case len(c.Currency) != 3 || strings.ContainsFunc(c.Currency, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) }):
		return invalid("currency", c.Currency, "use three letters, as in eur")
	case len(c.Metadata) > MaxMetadata:
		return invalid("metadata", len(c.Metadata), fmt.Sprintf("use at most %d entries", MaxMetadata))
	}
	if e := checkText("source", c.Source, true); e != nil {
		return e
	}
	for name, value := range c.Metadata {
		if e := checkText("metadata", name, true); e != nil {
			return e
		}
		if e := checkText("metadata."+name, value, false); e != nil {
			return e
		}
	}
	return checkText("reference", c.Reference, false)
}

func checkText(field, s string, required bool) *Error {
	switch {
	case s == "" && required:
		return invalid(field, s, "do not leave it empty")
	case len(s) > MaxTextBytes:
		return invalid(field, s[:32]+"…", fmt.Sprintf("use at most %d bytes, not %d", MaxTextBytes, len(s)))
	case strings.ContainsFunc(s, unicode.IsControl):
		return invalid(field, s, "use no control characters")
	}
	return nil
}

func (q *request) readQuery(raw string) *Error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return invalid("query", raw, "encode it as a URL query")
	}
	q.list.limit = 20
	for name, all := range values {
		if len(all) > 1 {
			return invalid(name, strings.Join(all, ", "), "give it once")
		}
		value, remedy := all[0], "use a time as in 2026-01-31T12:00:00Z"
		if e := checkText(name, value, true); e != nil {
			return e
		}
		switch name {
		case "reference":
			q.list.reference = value
		case "key":
			q.list.key = value
		case "after":
			q.list.after = value
		case "from":
			q.list.from, err = time.Parse(time.RFC3339, value)
		case "to":
			q.list.to, err = time.Parse(time.RFC3339, value)
		case "limit":
			remedy = "use 1 to 100"
			if q.list.limit, err = strconv.Atoi(value); err == nil && (q.list.limit < 1 || q.list.limit > 100) {
				err = errors.New("out of range")
			}
		default:
			// A mistyped filter must not become a list of everything.
			return invalid(name, value, "use reference, key, from, to, after and limit")
		}
		if err != nil {
			return invalid(name, value, remedy)
		}
	}
	q.reference = q.list.reference
	if q.op == OpList && (q.list.reference != "" || q.list.key != "") {
		q.op = OpLookup
		q.key = q.list.key
	}
	return nil
}

func invalid(field string, value any, remedy string) *Error {
	return &Error{Code: CodeInvalid, Message: field + " is not valid", Field: field, Value: fmt.Sprint(value), Remedy: remedy}
}
