package idemhttp_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

func readyProviders() map[string]idemhttp.Provider {
	return map[string]idemhttp.Provider{
		"Stripe": idemhttp.Stripe(), "StripeV2": idemhttp.StripeV2(), "Adyen": idemhttp.Adyen(), "PayPal": idemhttp.PayPal(),
		"Square": idemhttp.Square(), "Checkout": idemhttp.Checkout(), "Draft": idemhttp.Draft(), "zero": {},
	}
}

func TestReadyProvidersAreValid(t *testing.T) {
	for name, p := range readyProviders() {
		require.NoError(t, p.Validate(), name)
		p.Answers, p.Keyed = append(p.Answers, idemhttp.Answer{Status: 599}), append(p.Keyed, "x")
		require.NotEqual(t, len(p.Answers), len(readyProviders()[name].Answers), "%s: every caller gets a copy of its own", name)
	}
}

// Answers of real providers, in the shapes that their pages show, and what they come to.
func TestReadyProviders(t *testing.T) {
	for _, row := range []struct {
		name   string
		status int
		body   string
		class  string
		code   string // of the rejection, or the reference of what was accepted
		keyed  bool
	}{
		{"Stripe", 402, `{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"Your card has insufficient funds."}}`, "rejected", "insufficient_funds", true},
		{"Stripe", 402, `{"error":{"type":"card_error","code":"expired_card"}}`, "rejected", "expired_card", true},
		{"Stripe", 400, `{"error":{"type":"invalid_request_error","code":"parameter_missing"}}`, "rejected", "parameter_missing", false},
		{"Stripe", 400, `{"error":{"type":"idempotency_error","message":"Keys for idempotent requests can only be used with the same parameters."}}`, "unknown", "", false},
		{"Stripe", 409, `{"error":{"type":"invalid_request_error","code":"idempotency_key_in_use"}}`, "unknown", "", false},
		{"Stripe", 429, `{"error":{"type":"invalid_request_error","code":"rate_limit"}}`, "not sent", "", false},
		{"Stripe", 429, `{"error":{"type":"invalid_request_error","code":"lock_timeout"}}`, "unknown", "", false},
		{"Stripe", 401, `{"error":{"type":"invalid_request_error","message":"Invalid API Key provided"}}`, "not sent", "", false},
		{"Stripe", 500, `{"error":{"type":"api_error"}}`, "unknown", "", false},
		{"Stripe", 200, `{"id":"pi_1","status":"succeeded"}`, "succeeded", "", false},
		{"Stripe", 200, `{"id":"pi_1","status":"processing"}`, "accepted", "pi_1", false},
		{"Stripe", 200, `{"id":"pi_1","status":"requires_action"}`, "accepted", "pi_1", false},
		{"StripeV2", 400, `{"error":{"code":"invalid_fields"}}`, "unknown", "", false},
		{"StripeV2", 200, `{"id":"x"}`, "succeeded", "", false},
		{"Adyen", 200, `{"pspReference":"P1","resultCode":"Authorised"}`, "succeeded", "", false},
		{"Adyen", 200, `{"pspReference":"P1","resultCode":"Refused","refusalReason":"Not enough balance","refusalReasonCode":"12"}`, "rejected", "12", true},
		{"Adyen", 200, `{"pspReference":"P1","resultCode":"Received"}`, "accepted", "P1", false},
		{"Adyen", 200, `{"pspReference":"P1","resultCode":"Error","refusalReasonCode":"1"}`, "unknown", "", false},
		{"Adyen", 422, `{"status":422,"errorCode":"704","message":"request already processed or in progress"}`, "unknown", "", false},
		{"Adyen", 422, `{"status":422,"errorCode":"14_006","message":"Required object 'paymentMethod' is not provided."}`, "rejected", "14_006", false},
		{"PayPal", 201, `{"id":"O1","status":"COMPLETED"}`, "succeeded", "", false},
		{"PayPal", 201, `{"id":"C1","status":"PENDING"}`, "accepted", "C1", false},
		{"PayPal", 201, `{"id":"O1","status":"COMPLETED","purchase_units":[{"payments":{"captures":[{"status":"PENDING"}]}}]}`, "accepted", "O1", false},
		{"PayPal", 422, `{"name":"UNPROCESSABLE_ENTITY","details":[{"issue":"INSTRUMENT_DECLINED"}]}`, "rejected", "INSTRUMENT_DECLINED", false},
		{"PayPal", 422, `{"name":"UNPROCESSABLE_ENTITY","details":[{"issue":"ORDER_ALREADY_CAPTURED"}]}`, "unknown", "", false},
		{"Square", 200, `{"payment":{"id":"S1","status":"COMPLETED"}}`, "succeeded", "", false},
		{"Square", 402, `{"errors":[{"category":"PAYMENT_METHOD_ERROR","code":"CARD_DECLINED","detail":"no"}]}`, "rejected", "CARD_DECLINED", false},
		{"Square", 400, `{"errors":[{"category":"INVALID_REQUEST_ERROR","code":"IDEMPOTENCY_KEY_REUSED"}]}`, "unknown", "", false},
		{"Checkout", 201, `{"id":"pay_1","approved":true,"status":"Authorized","response_code":"10000"}`, "succeeded", "", false},
		{"Checkout", 201, `{"id":"pay_1","approved":false,"status":"Declined","response_code":"20051"}`, "rejected", "20051", true},
		{"Checkout", 202, `{"id":"pay_1","status":"Pending"}`, "accepted", "pay_1", false},
		{"Checkout", 422, `{"request_id":"0","error_type":"request_invalid","error_codes":["amount_required"]}`, "rejected", "amount_required", false},
		{"Checkout", 429, ``, "unknown", "", false},
		{"Draft", 409, `{"type":"https://bank.example/in-progress","title":"A request is outstanding"}`, "unknown", "", false},
		{"Draft", 422, `{"type":"https://bank.example/key-reused"}`, "unknown", "", false},
	} {
		t.Run(row.name+" "+row.class+" "+row.code, func(t *testing.T) {
			p := readyProviders()[row.name]
			bank := newPSP(t, alwaysReply(row.status, row.body))
			client := wired(t, &idemhttp.Transport{Provider: p})
			ref := ""
			l := newLedger(t, posting(client, bank.URL), func(c *idempotency.Call[payment, paid]) {
				c.Settling = time.Minute
				c.Lookup = func(_ context.Context, a idempotency.Attempt, _ payment) (idempotency.Verdict[paid], error) {
					ref = a.Ref
					return idempotency.Happened(paid{}), nil
				}
			})
			_, err := l.Do(t.Context(), "order-1", payment{4200})
			class, attemptErr := l.last()
			require.Equal(t, row.class, class, "the attempt's error was %v", attemptErr)
			switch row.class {
			case "rejected":
				var no *idempotency.Rejection
				require.ErrorAs(t, err, &no)
				assert.Equal(t, row.code, no.Code)
				assert.Equal(t, row.keyed, p.KeyedErrors(no))
			case "accepted":
				_, err := l.Recover(t.Context())
				require.NoError(t, err)
				assert.Equal(t, row.code, ref, "what Lookup is given")
			}
		})
	}
}

func TestKeyedErrors(t *testing.T) {
	p := idemhttp.Provider{Keyed: []string{"declined", "20*"}}
	for code, want := range map[string]bool{"declined": true, "declined_again": false, "20": true, "20051": true, "2": false, "": false} {
		assert.Equal(t, want, p.KeyedErrors(&idempotency.Rejection{Code: code}), "%q", code)
	}
	assert.False(t, p.KeyedErrors(nil))
	assert.False(t, idemhttp.Provider{}.KeyedErrors(&idempotency.Rejection{}))
}

// Every error names the field, its value and what to use instead; and nothing is sent.
func TestTransportRefusesBadConfigurations(t *testing.T) {
	type P = idemhttp.Provider
	answers := func(a idemhttp.Answer) P { return P{Answers: []idemhttp.Answer{a}} }
	for name, row := range map[string]struct {
		transport *idemhttp.Transport
		says      []string
	}{
		"header with a space":       {&idemhttp.Transport{Provider: P{Header: "Idempotency Key"}}, []string{"Provider.Header", `"Idempotency Key"`, "letters"}},
		"header with a line feed":   {&idemhttp.Transport{Provider: P{Header: "Key\r\nX-Evil: 1"}}, []string{"Provider.Header", `\r\n`}},
		"header that net/http owns": {&idemhttp.Transport{Provider: P{Header: "content-length"}}, []string{"Provider.Header", "content-length", "net/http writes"}},
		"replayed header":           {&idemhttp.Transport{Provider: P{Replayed: "ä"}}, []string{"Provider.Replayed", "ä"}},
		"transient header":          {&idemhttp.Transport{Provider: P{Transient: "a b"}}, []string{"Provider.Transient", "a b"}},
		"no key and a header":       {&idemhttp.Transport{Provider: P{NoKey: true, Header: "X"}}, []string{"Provider.NoKey", "true", "Header"}},
		"no key and a field":        {&idemhttp.Transport{Provider: P{NoKey: true, Field: "x"}}, []string{"Provider.NoKey"}},
		"quoted field":              {&idemhttp.Transport{Provider: P{Quoted: true, Field: "x"}}, []string{"Provider.Quoted", "set Header"}},
		"negative MaxKey":           {&idemhttp.Transport{Provider: P{MaxKey: -1}}, []string{"Provider.MaxKey", "-1", "bytes"}},
		"negative KeyLife":          {&idemhttp.Transport{Provider: P{KeyLife: -time.Hour}}, []string{"Provider.KeyLife", "-1h0m0s", "zero"}},
		"empty code place":          {&idemhttp.Transport{Provider: P{Codes: []string{"a", ""}}}, []string{"Provider.Codes[1]", `""`, "error.code"}},
		"message place":             {&idemhttp.Transport{Provider: P{Message: "a..b"}}, []string{"Provider.Message", "a..b"}},
		"ref place":                 {&idemhttp.Transport{Provider: P{Ref: "."}}, []string{"Provider.Ref", `"."`}},
		"interim status":            {&idemhttp.Transport{Provider: answers(idemhttp.Answer{Status: 100})}, []string{"Answers[0].Status", "100", "final"}},
		"negative status":           {&idemhttp.Transport{Provider: answers(idemhttp.Answer{Status: -1})}, []string{"Answers[0].Status", "-1"}},
		"no such meaning":           {&idemhttp.Transport{Provider: answers(idemhttp.Answer{Status: 200, Means: 77})}, []string{"Answers[0].Means", "0x4d", "constants"}},
		"answers of all":            {&idemhttp.Transport{Provider: answers(idemhttp.Answer{Means: idemhttp.MeansRejected})}, []string{"Answers[0]", "Status", "Code"}},
		"code without codes":        {&idemhttp.Transport{Provider: answers(idemhttp.Answer{Status: 400, Code: "x"})}, []string{"Answers[0].Code", `"x"`, "Codes"}},
		"all keyed":                 {&idemhttp.Transport{Provider: P{Keyed: []string{"*"}}}, []string{"Provider.Keyed[0]", "*", "KeyedErrors"}},
		"negative MaxRetryAfter":    {&idemhttp.Transport{MaxRetryAfter: -time.Second}, []string{"Transport.MaxRetryAfter", "-1s", "positive"}},
		"negative MaxRead":          {&idemhttp.Transport{MaxRead: -1}, []string{"Transport.MaxRead", "-1", "positive"}},
		"negative MaxBody":          {&idemhttp.Transport{MaxBody: -1}, []string{"Transport.MaxBody", "-1", "positive"}},
		"bad breakers":              {&idemhttp.Transport{Breakers: breaker.NewSet[string](breaker.Config{OpenFor: -1}, 1)}, []string{"Transport.Breakers", "OpenFor", "-1ns"}},
	} {
		t.Run(name, func(t *testing.T) {
			bank := newPSP(t, nil)
			err := row.transport.Validate()
			require.Error(t, err)
			for _, part := range row.says {
				assert.ErrorContains(t, err, part)
			}
			client := wired(t, row.transport)
			_, attemptErr, _ := oneAttempt(t, posting(client, bank.URL))
			require.ErrorContains(t, attemptErr, err.Error())
			assert.Empty(t, bank.seen())
		})
	}
}

// Keys and requests that cannot travel as they are: nothing is sent, and that is known.
func TestTransportRefusesWhatCannotTravel(t *testing.T) {
	for _, row := range []struct {
		name     string
		provider idemhttp.Provider
		key      string
		change   func(req *http.Request)
		says     []string
	}{
		{"no key", idemhttp.Provider{}, "", nil, []string{"key is empty"}},
		{"key with a line feed", idemhttp.Provider{}, "a\nb", nil, []string{`"a\nb"`, "0x0a", "at 1", "Idempotency-Key", "KeyFrom"}},
		{"key with a space", idemhttp.Provider{}, "a ", nil, []string{"0x20", "KeyFrom"}},
		{"key beyond ASCII", idemhttp.Provider{}, "ä", nil, []string{"0xc3", "KeyFrom"}},
		{"key too long", idemhttp.Square(), strings.Repeat("k", 46), nil, []string{"46 bytes", "Square", "45", "MaxKey", "KeyFrom"}},
		{"key that is no text", idemhttp.Square(), "\xff", nil, []string{"UTF-8", "idempotency_key"}},
		{"another key in JSON", idemhttp.Square(), "k", bodyOf(`{"idempotency_key":"other"}`), []string{"idempotency_key", "another key", "Attempt.Key"}},
		{"a number for a key in JSON", idemhttp.Square(), "k", bodyOf(`{"idempotency_key":7}`), []string{"another key"}},
		{"no object", idemhttp.Square(), "k", bodyOf(`[1]`), []string{"no JSON object"}},
		{"null", idemhttp.Square(), "k", bodyOf(`null`), []string{"no JSON object"}},
		{"half an object", idemhttp.Square(), "k", bodyOf(`{"a":`), []string{"no JSON object"}},
		{"too long a body", idemhttp.Square(), "k", bodyOf(`{"a":"` + strings.Repeat("x", 2000) + `"}`), []string{"1000 bytes", "MaxBody"}},
		{"a body of another kind", idemhttp.Square(), "k", func(req *http.Request) { req.Header.Set("Content-Type", "text/xml") }, []string{`"text/xml"`, "Content-Type", "Field"}},
		{"a body that fails", idemhttp.Square(), "k", func(req *http.Request) { req.Body = failingBody{} }, []string{"could not be read", "no more"}},
		{"a secret with a line feed", idemhttp.Provider{}, "k", func(req *http.Request) { req.Header["Authorization"] = []string{"Bearer x\n"} }, []string{"Authorization", "0x0a", "secret"}},
		{"a header without a name", idemhttp.Provider{}, "k", func(req *http.Request) { req.Header[""] = []string{"x"} }, []string{"invalid name"}},
		{"no method", idemhttp.Provider{}, "k", func(req *http.Request) { req.Method = "P OST" }, []string{"P OST"}},
		{"no URL", idemhttp.Provider{}, "k", func(req *http.Request) { req.URL = nil }, []string{"URL is nil"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			bank := newPSP(t, nil)
			tr := &idemhttp.Transport{Provider: row.provider, MaxBody: 1000}
			_ = wired(t, tr)
			closed := false
			_, err := idemhttp.Send(func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, bank.URL, strings.NewReader("{}"))
				require.NoError(t, err)
				req.Header.Set("Content-Type", "application/json")
				if row.change != nil {
					row.change(req)
				}
				req.Body = closing{req.Body, &closed}
				res, err := tr.RoundTrip(req) // http.Client refuses some of these itself
				if err == nil {
					_ = res.Body.Close()
				}
				return out, err
			})(t.Context(), idempotency.Attempt{Key: row.key}, payment{})
			require.Error(t, err)
			for _, part := range row.says {
				assert.ErrorContains(t, err, part)
			}
			assert.True(t, idempotency.Marked(err), "it is known that nothing was sent")
			assert.True(t, closed, "a RoundTripper closes the body, whatever happens")
			assert.Empty(t, bank.seen())
		})
	}
}

func bodyOf(s string) func(*http.Request) {
	return func(req *http.Request) { req.Body = readCloser{strings.NewReader(s)} }
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

type failingBody struct{}

func (failingBody) Read([]byte) (int, error) { return 0, errors.New("no more") }
func (failingBody) Close() error             { return nil }

// closing notices that it was closed.
type closing struct {
	rc interface {
		Read([]byte) (int, error)
		Close() error
	}
	closed *bool
}

func (c closing) Read(p []byte) (int, error) { return c.rc.Read(p) }
func (c closing) Close() error {
	*c.closed = true
	return c.rc.Close()
}

func TestMeaningsHaveNames(t *testing.T) {
	assert.Equal(t, "in progress", idemhttp.MeansInProgress.String())
	assert.Equal(t, "Meaning(99)", idemhttp.Meaning(99).String())
}
