package fakepay

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of Stripe's metadata.
const (
	maxMetadataName  = 40
	maxMetadataValue = 500
)

// stripeRequest is what a Stripe request says beyond the plain one that does the same.
type stripeRequest struct {
	endpoint stripeEndpoint
	values   url.Values // all parameters, as they came: a key must not come back with others
	expand   []string

	confirm     bool
	method      string // payment_method
	methodTypes []string
	description string
	reason      string
	metadata    map[string]string
	target      string // the charge or the intent that a refund, or a list of refunds, is about
	page        page
	clauses     []clause
}

// page says which part of a list is wanted.
type page struct {
	limit    int
	after    string
	from, to int64 // created, in seconds; to is exclusive, 0: no end
}

// form reads parameters, and remembers the first thing that is wrong.
type form struct {
	values url.Values
	known  map[string]bool
	wrong  *Error
}

func (f *form) fail(code, param, value, remedy string) {
	if f.wrong == nil {
		f.wrong = &Error{Code: code, Message: param + " is not valid", Field: param, Value: value, Remedy: remedy}
	}
}

func (f *form) text(param string) string {
	f.known[param] = true
	all := f.values[param]
	if len(all) > 1 {
		f.fail("parameter_invalid_string", param, strings.Join(all, ", "), "give it once")
	}
	s := f.values.Get(param)
	if e := checkText(param, s, false); e != nil {
		f.fail("parameter_invalid_string", param, e.Value, e.Remedy)
	}
	return s
}

func (f *form) required(param string) string {
	s := f.text(param)
	if s == "" {
		f.fail("parameter_missing", param, s, "it is required")
	}
	return s
}

func (f *form) integer(param string, low, high int64) int64 {
	s := f.text(param)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil || n < low:
		f.fail("parameter_invalid_integer", param, s, fmt.Sprintf("use a whole number from %d to %d", low, high))
	case n > high && strings.HasPrefix(param, "amount"):
		f.fail("amount_too_large", param, s, fmt.Sprintf("use at most %d", high))
	case n > high:
		f.fail("parameter_invalid_integer", param, s, fmt.Sprintf("use at most %d", high))
	}
	return n
}

func (f *form) flag(param string) bool {
	switch s := f.text(param); s {
	case "", "false":
		return false
	case "true":
		return true
	default:
		f.fail("parameter_invalid_string", param, s, "use true or false")
		return false
	}
}

// oneOf returns the parameter, or the first of what it may be.
func (f *form) oneOf(param string, values ...string) string {
	s := f.text(param)
	if s == "" {
		return values[0]
	}
	if !slices.Contains(values, s) {
		f.fail("parameter_invalid_string", param, s, "use one of "+strings.Join(values, ", "))
	}
	return s
}

// list reads name[], name[0], name[1] and so on.
func (f *form) list(name string) (all []string) {
	for i := 0; ; i++ {
		param := fmt.Sprintf("%s[%d]", name, i)
		if !f.values.Has(param) {
			break
		}
		all = append(all, f.text(param))
	}
	f.known[name+"[]"] = true
	return append(all, f.values[name+"[]"]...)
}

func (f *form) metadata() map[string]string {
	m := make(map[string]string)
	for param, values := range f.values {
		name, ok := strings.CutPrefix(param, "metadata[")
		name, closed := strings.CutSuffix(name, "]")
		if !ok || !closed {
			continue
		}
		f.known[param] = true
		value := values[0]
		switch {
		case name == "" || len(name) > maxMetadataName:
			f.fail("parameter_invalid_string", param, name, fmt.Sprintf("use a name of 1 to %d bytes", maxMetadataName))
		case len(value) > maxMetadataValue || !utf8.ValidString(value):
			f.fail("parameter_invalid_string", param, value[:min(len(value), 32)]+"…", fmt.Sprintf("use at most %d bytes of UTF-8", maxMetadataValue))
		case value != "": // an empty value takes the name away
			m[name] = value
		}
	}
	if len(m) > MaxMetadata {
		f.fail("parameter_invalid_string", "metadata", strconv.Itoa(len(m)), fmt.Sprintf("use at most %d entries", MaxMetadata))
	}
	return m
}

// ignore names parameters that Stripe knows and that mean nothing here.
func (f *form) ignore(names ...string) {
	for param := range f.values {
		name, _, _ := strings.Cut(param, "[")
		if slices.Contains(names, name) {
			f.known[param] = true
		}
	}
}

// done refuses what nobody has asked for: a mistyped parameter must not become a charge without it.
func (f *form) done() *Error {
	for param := range f.values {
		if !f.known[param] {
			f.fail("parameter_unknown", param, f.values.Get(param), "Received unknown parameter: "+param)
		}
	}
	return f.wrong
}

// readStripe fills in what a Stripe request says, up to the first thing that is wrong.
func (q *request) readStripe(w http.ResponseWriter, r *http.Request) *answer {
	if wrong := authorize(r); wrong != nil {
		return wrong
	}
	if q.op.writes() { // with GET, a key has no effect
		if e := q.readKey(r.Header); e != nil {
			return refuse(http.StatusBadRequest, e)
		}
	}
	raw, wrong := r.URL.RawQuery, (*answer)(nil)
	if r.Method == http.MethodPost {
		raw, wrong = readForm(w, r)
	}
	if wrong != nil {
		return wrong
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return refuse(http.StatusBadRequest, invalid("body", raw[:min(len(raw), 64)], "encode it as a form"))
	}
	q.stripe.values = values
	f := &form{values: values, known: make(map[string]bool)}
	q.stripe.expand = f.list("expand")
	for _, property := range q.stripe.expand {
		if property != "latest_charge" && property != "data.latest_charge" && property != "payment_intent" && property != "charge" {
			f.fail("", "expand", property, "This property cannot be expanded ("+property+").")
		}
	}
	q.stripe.endpoint.read(q, f)
	if e := f.done(); e != nil {
		return refuse(http.StatusBadRequest, e)
	}
	return nil
}

// authorize wants a key of the test mode, as a bearer token or as curl -u sends it.
func authorize(r *http.Request) *answer {
	key, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !given {
		key, _, given = r.BasicAuth()
	}
	switch {
	case !given || key == "":
		return refuse(http.StatusUnauthorized, &Error{Code: "", Message: "You did not provide an API key", Remedy: "send Authorization: Bearer sk_test_…"})
	case !strings.HasPrefix(key, "sk_test_") && !strings.HasPrefix(key, "rk_test_"):
		return refuse(http.StatusUnauthorized, &Error{Code: "", Message: "Invalid API Key provided", Remedy: "use one that begins with sk_test_; any will do here"})
	}
	return nil
}

func readForm(w http.ResponseWriter, r *http.Request) (string, *answer) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBodyBytes))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return "", refuse(413, &Error{Code: CodeInvalid, Message: "the body is too large", Remedy: fmt.Sprintf("send at most %d bytes", MaxBodyBytes)})
	}
	if err != nil {
		return "", refuse(http.StatusBadRequest, &Error{Code: CodeInvalid, Message: "the body broke off", Remedy: "send the request again"})
	}
	return string(body), nil
}

func readNothing(*request, *form) {}

func readIntent(q *request, f *form) {
	s := q.stripe
	f.required("amount")
	q.charge.AmountCents = f.integer("amount", 1, MaxAmountCents)
	q.charge.Currency = f.required("currency")
	if f.wrong == nil {
		check := ChargeRequest{AmountCents: 1, Currency: q.charge.Currency, Source: "any"}
		if checkCharge(&check) != nil {
			f.fail("", "currency", q.charge.Currency, "use three letters, as in eur")
		}
	}
	s.method, s.methodTypes, s.description = f.text("payment_method"), f.list("payment_method_types"), f.text("description")
	if len(s.methodTypes) == 0 {
		s.methodTypes = []string{"card"}
	}
	q.capturing(f)
	s.metadata = f.metadata()
	f.ignore("automatic_payment_methods", "customer", "receipt_email", "statement_descriptor", "statement_descriptor_suffix", "off_session",
		"return_url", "setup_future_usage", "confirmation_method", "error_on_requires_action", "use_stripe_sdk", "shipping", "payment_method_options")
	q.reference = s.metadata[OrderMetadata]
	if s.confirm = f.flag("confirm"); s.confirm {
		q.op = OpCharge
		if s.method == "" {
			f.fail("parameter_missing", "payment_method", "", "with confirm, it is required")
		}
	}
	q.charge.Reference, q.charge.Metadata, q.charge.Source = q.reference, s.metadata, sourceOf(s.method)
}

func (q *request) capturing(f *form) {
	if f.oneOf("capture_method", "automatic_async", "automatic", "manual") == "manual" {
		q.charge.Capture = new(bool)
	}
}

func readConfirm(q *request, f *form) {
	q.stripe.method = f.text("payment_method")
	f.ignore("off_session", "return_url", "receipt_email", "error_on_requires_action", "use_stripe_sdk", "mandate_data", "payment_method_options")
}

func readCapture(q *request, f *form) {
	q.amount.AmountCents = f.integer("amount_to_capture", 1, MaxAmountCents)
	f.ignore("statement_descriptor", "statement_descriptor_suffix", "final_capture", "metadata")
}

func readCancel(q *request, f *form) {
	q.stripe.reason = f.oneOf("cancellation_reason", "", "duplicate", "fraudulent", "requested_by_customer", "abandoned")
}

func readRefund(q *request, f *form) {
	q.stripe.target = f.text("payment_intent")
	charge := f.text("charge")
	switch {
	case q.stripe.target == "" && charge == "":
		f.fail("parameter_missing", "payment_intent", "", "name a payment_intent or a charge")
	case q.stripe.target == "":
		q.stripe.target = charge
	case charge != "":
		f.fail("", "charge", charge, "name a payment_intent or a charge, not both")
	}
	q.amount.AmountCents = f.integer("amount", 1, MaxAmountCents)
	q.stripe.reason = f.oneOf("reason", "", "duplicate", "fraudulent", "requested_by_customer")
	q.stripe.metadata = f.metadata()
	q.amount.Reference = q.stripe.metadata[OrderMetadata]
}

func readRefundList(q *request, f *form) {
	q.stripe.target = f.text("payment_intent")
	if charge := f.text("charge"); charge != "" {
		q.stripe.target = charge
	}
	q.paging(f)
}

func readIntentList(q *request, f *form) { q.paging(f) }

const maxUnix = 1 << 40 // further than any test goes

func (q *request) paging(f *form) {
	p := &q.stripe.page
	if p.limit = int(f.integer("limit", 1, 100)); p.limit == 0 {
		p.limit = 10
	}
	p.after = f.text("starting_after")
	if at := f.integer("created", 0, maxUnix); at > 0 {
		p.from, p.to = at, at+1
	}
	if at := f.integer("created[gte]", 0, maxUnix); at > 0 {
		p.from = at
	}
	if at := f.integer("created[gt]", 0, maxUnix); at > 0 {
		p.from = at + 1
	}
	if at := f.integer("created[lt]", 0, maxUnix); at > 0 {
		p.to = at
	}
	if at := f.integer("created[lte]", 0, maxUnix); at > 0 {
		p.to = at + 1
	}
}

func (p page) holds(created time.Time) bool {
	at := created.Unix()
	return at >= p.from && (p.to == 0 || at < p.to)
}

func readSearch(q *request, f *form) {
	f.known["query"] = true
	query := f.values.Get("query")
	if query == "" {
		f.fail("parameter_missing", "query", "", "it is required")
	}
	clauses, err := parseSearch(query)
	if err != nil {
		f.fail("", "query", query[:min(len(query), 64)], err.Error())
	}
	q.stripe.clauses = clauses
	for _, c := range clauses {
		if c.field == "metadata" && c.name == OrderMetadata && !c.not {
			q.reference = c.value
		}
	}
	if q.stripe.page.limit = int(f.integer("limit", 1, 100)); q.stripe.page.limit == 0 {
		q.stripe.page.limit = 10
	}
	q.stripe.page.after = f.text("page")
}
