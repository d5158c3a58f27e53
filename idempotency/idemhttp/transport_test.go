package idemhttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/breaker"
	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
	"github.com/steadfast-go/steadfast/retry"
)

// plain is a provider of these tests: declines with 402, refuses to be hurried with 429, works in the background with 202.
var plain = idemhttp.Provider{
	Name: "Bank", Codes: []string{"error.code", "status"}, Message: "error.message", Ref: "id",
	Answers: []idemhttp.Answer{
		{Status: http.StatusPaymentRequired, Means: idemhttp.MeansRejected},
		{Status: http.StatusTooManyRequests, Means: idemhttp.MeansUntouched},
		{Status: http.StatusConflict, Means: idemhttp.MeansInProgress},
		{Status: http.StatusAccepted, Means: idemhttp.MeansAccepted},
		{Status: http.StatusCreated, Code: "processing", Means: idemhttp.MeansAccepted},
	},
	Keyed: []string{"expired_card"},
}

const declined = `{"error":{"code":"insufficient_funds","message":"There is not enough money."}}`

// What answers come to, for a Send that does not look at the status, and for one whose SDK makes an error of it.
func TestAnswers(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(http.ResponseWriter, int)
		class  string
		check  func(t *testing.T, err error)
	}{
		{"201", nil, "succeeded", nil},
		{"a decline", alwaysReply(http.StatusPaymentRequired, declined), "rejected", func(t *testing.T, err error) {
			var no *idempotency.Rejection
			require.ErrorAs(t, err, &no)
			assert.Equal(t, "insufficient_funds", no.Code)
			assert.Contains(t, no.Message, "There is not enough money.")
		}},
		{"T11: a proxy's 402", func(w http.ResponseWriter, _ int) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusPaymentRequired)
			_, _ = io.WriteString(w, "<h1>Please pay for this network</h1>")
		}, "unknown", nil},
		{"a proxy's 402 in JSON", alwaysReply(http.StatusPaymentRequired, `{"message":"pay"}`), "unknown", nil},
		{"a proxy's 429", alwaysReply(http.StatusTooManyRequests, ``), "unknown", nil},
		{"a rate limit", alwaysReply(http.StatusTooManyRequests, `{"error":{"code":"slow_down"}}`), "not sent", func(t *testing.T, err error) {
			require.ErrorIs(t, err, idempotency.ErrNotSent)
		}},
		{"T12: in progress", alwaysReply(http.StatusConflict, `{"error":{"code":"in_use"}}`), "unknown", nil},
		{"T50: 202", alwaysReply(http.StatusAccepted, `{"id":"ch_7"}`), "accepted", nil},
		{"T50: processing", alwaysReply(http.StatusCreated, `{"id":"ch_7","status":"processing"}`), "accepted", nil},
		{"T11: 500", alwaysReply(http.StatusInternalServerError, `{"error":{"code":"oops"}}`), "unknown", nil},
		{"500 that replays a decline", alwaysReply(http.StatusInternalServerError, declined), "unknown", nil},
		{"404", alwaysReply(http.StatusNotFound, `{"error":{"code":"no_such"}}`), "unknown", nil},
		{"a success without a body", alwaysReply(http.StatusNoContent, ``), "succeeded", nil},
		{"a redirect nowhere", alwaysReply(http.StatusTemporaryRedirect, `{}`), "unknown", nil},
		{"early hints first", func(w http.ResponseWriter, _ int) {
			w.WriteHeader(http.StatusEarlyHints)
			jsonReply(w, http.StatusPaymentRequired, declined)
		}, "rejected", nil},
	} {
		errSDK := errors.New("sdk: it did not work")
		for kind, after := range map[string]func(res *http.Response) error{
			"the status is ignored": func(*http.Response) error { return nil },
			"an SDK's error": func(res *http.Response) error {
				if res.StatusCode > 299 {
					return fmt.Errorf("sdk: %w", errSDK)
				}
				return nil
			},
		} {
			t.Run(row.name+"/"+kind, func(t *testing.T) {
				bank := newPSP(t, row.answer)
				client := wired(t, &idemhttp.Transport{Provider: plain})
				class, attemptErr, err := oneAttempt(t, func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, bank.URL+"/charges", strings.NewReader("{}"))
					if err != nil {
						return out, err
					}
					res, err := client.Do(req)
					if err != nil {
						return out, err
					}
					defer func() { _ = res.Body.Close() }()
					if _, err := io.Copy(io.Discard, res.Body); err != nil {
						return out, err
					}
					return out, after(res)
				})
				require.Equal(t, row.class, class, "the attempt's error was %v", attemptErr)
				if row.class == "succeeded" {
					require.NoError(t, err)
				}
				if row.class == "unknown" {
					var unknown *idempotency.UnknownError
					require.ErrorAs(t, err, &unknown)
				}
				if row.class == "unknown" || row.class == "rejected" || row.class == "not sent" {
					var said *idemhttp.ReplyError
					if assert.ErrorAs(t, attemptErr, &said) || row.name == "a redirect nowhere" {
						assert.Equal(t, kind == "an SDK's error", errors.Is(attemptErr, errSDK), "what the SDK said is kept")
					}
				}
				if row.check != nil {
					row.check(t, err)
				}
				assert.Len(t, bank.seen(), 1)
			})
		}
	}
}

// The key goes where the provider wants it, with every request that changes something, and nowhere else.
func TestKeyGoesWhereTheProviderWantsIt(t *testing.T) {
	const form, asJSON = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	for _, row := range []struct {
		name        string
		provider    idemhttp.Provider
		contentType string
		body        string
		header      string // where the key is to be found, …
		value       string // … and what is there; KEY stands for it
		arrives     string // the body
	}{
		{"by default", idemhttp.Provider{}, asJSON, `{"a":1}`, "Idempotency-Key", "KEY", `{"a":1}`},
		{"by name", idemhttp.Provider{Header: "paypal-request-id"}, asJSON, `{"a":1}`, "Paypal-Request-Id", "KEY", `{"a":1}`},
		{"quoted", idemhttp.Draft(), asJSON, `{"a":1}`, "Idempotency-Key", `"KEY"`, `{"a":1}`},
		{"in JSON", idemhttp.Square(), asJSON, ` {"a":1}`, "", "", ` {"idempotency_key":"KEY","a":1}`},
		{"in empty JSON", idemhttp.Square(), asJSON, `{}`, "", "", `{"idempotency_key":"KEY"}`},
		{"in JSON of no bytes", idemhttp.Square(), asJSON, ``, "", "", `{"idempotency_key":"KEY"}`},
		{"in JSON that has it", idemhttp.Square(), asJSON, `{"a":1,"idempotency_key":"KEY"}`, "", "", `{"a":1,"idempotency_key":"KEY"}`},
		{"in a form", idemhttp.Provider{Field: "key"}, form, `a=1&b=2`, "", "", `a=1&b=2&key=KEY`},
		{"in an empty form", idemhttp.Provider{Field: "key"}, form, ``, "", "", `key=KEY`},
		{"both", idemhttp.Provider{Header: "X-Key", Field: "key"}, form, `a=1`, "X-Key", "KEY", `a=1&key=KEY`},
		{"none", idemhttp.Provider{NoKey: true}, asJSON, `{"a":1}`, "", "", `{"a":1}`},
		{"without a body", idemhttp.Provider{}, "", ``, "Idempotency-Key", "KEY", ``},
	} {
		t.Run(row.name, func(t *testing.T) {
			bank := newPSP(t, nil)
			client := wired(t, &idemhttp.Transport{Provider: row.provider})
			key := ""
			_, _, err := oneAttempt(t, func(ctx context.Context, a idempotency.Attempt, _ payment) (paid, error) {
				key = a.Key
				var body io.Reader
				if row.body != "" {
					body = strings.NewReader(strings.ReplaceAll(row.body, "KEY", key))
				}
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, bank.URL, body)
				require.NoError(t, err)
				req.Header.Set("Content-Type", row.contentType)
				req.Header.Set("Authorization", "Bearer x")
				if row.header != "" {
					req.Header.Set(row.header, "the SDK's own")
				}
				before := req.Header.Clone()
				out, err := sendRequest(client, req)
				assert.Equal(t, before, req.Header, "a RoundTripper must not change its request")
				return out, err
			})
			require.NoError(t, err)
			require.Len(t, bank.seen(), 1)
			got := bank.seen()[0]
			assert.Equal(t, strings.ReplaceAll(row.arrives, "KEY", key), got.body)
			assert.Equal(t, "Bearer x", got.header.Get("Authorization"))
			if row.header != "" {
				assert.Equal(t, []string{strings.ReplaceAll(row.value, "KEY", key)}, got.header.Values(row.header))
			}
			if row.header != "Idempotency-Key" {
				assert.Empty(t, got.header.Values("Idempotency-Key"))
			}
		})
	}
}

// Which requests of a Send carry which key.
func TestEveryRequestOfAnAttempt(t *testing.T) {
	bank := newPSP(t, nil)
	client := wired(t, &idemhttp.Transport{})
	request := func(ctx context.Context, method, path string) error {
		req, err := http.NewRequestWithContext(ctx, method, bank.URL+path, http.NoBody)
		require.NoError(t, err)
		_, err = sendRequest(client, req)
		return err
	}
	var a idempotency.Attempt
	var stale context.Context
	_, _, err := oneAttempt(t, func(ctx context.Context, attempt idempotency.Attempt, _ payment) (out paid, err error) {
		a, stale = attempt, ctx
		require.NoError(t, request(ctx, http.MethodGet, "/lookup"))
		require.NoError(t, request(idemhttp.Aside(ctx), http.MethodPost, "/token"))
		require.NoError(t, request(ctx, http.MethodPost, "/intents"))
		require.NoError(t, request(idemhttp.Sub(ctx, "confirm"), http.MethodPost, "/confirm"))
		require.NoError(t, request(idemhttp.Sub(idemhttp.Aside(ctx), "capture"), http.MethodPut, "/capture"))

		err = request(ctx, http.MethodPost, "/refunds")
		for _, part := range []string{"POST /refunds", "POST /intents", "idemhttp.Sub", "idemhttp.Aside"} {
			require.ErrorContains(t, err, part, "a second request with the same key")
		}
		return out, nil
	})
	var unknown *idempotency.UnknownError
	require.ErrorAs(t, err, &unknown, "its last request did not succeed")

	require.ErrorContains(t, request(stale, http.MethodPost, "/late"), "the attempt is over")
	require.ErrorContains(t, request(t.Context(), http.MethodPost, "/charges"), "carries no attempt")
	require.ErrorContains(t, request(idemhttp.Sub(t.Context(), "x"), http.MethodDelete, "/charges"), "idemhttp.Send")
	require.NoError(t, request(t.Context(), http.MethodGet, "/elsewhere"))
	require.NoError(t, request(idemhttp.Aside(t.Context()), http.MethodPost, "/search"))

	want := map[string]string{
		"/lookup": "", "/token": "", "/intents": a.Key, "/confirm": a.Sub("confirm"), "/capture": a.Sub("capture"), "/elsewhere": "", "/search": "",
	}
	got := map[string]string{}
	for _, r := range bank.seen() {
		got[r.path] = r.header.Get("Idempotency-Key")
	}
	assert.Equal(t, want, got)
}

// T48: a request that was not sent says nothing about the ones before it.
func TestT48EveryRequestOfTheAttempt(t *testing.T) {
	closed := newFaultProxy(t, "", func(*faultyConn) {})
	_ = closed.ln.Close()
	nowhere := "http://" + closed.addr()

	for _, row := range []struct {
		name  string
		send  func(client *http.Client, url string) sendFunc
		class string
	}{
		{"an SDK that retries a 500 elsewhere", func(client *http.Client, url string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (paid, error) {
				_, _ = sendPost(ctx, client, url+"/fails")
				return sendPost(idemhttp.Sub(ctx, "again"), client, nowhere)
			}
		}, "unknown"},
		{"a lookup arrived", func(client *http.Client, url string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
				_, _ = sendRequest(client, req)
				return sendPost(ctx, client, nowhere)
			}
		}, "unknown"},
		{"a lookup aside arrived", func(client *http.Client, url string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				req, _ := http.NewRequestWithContext(idemhttp.Aside(ctx), http.MethodGet, url, http.NoBody)
				_, _ = sendRequest(client, req)
				return sendPost(ctx, client, nowhere)
			}
		}, "not sent"},
		{"all failed", func(client *http.Client, _ string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				_, _ = sendPost(ctx, client, nowhere)
				return sendPost(ctx, client, nowhere)
			}
		}, "not sent"},
		{"a swallowed dial error", func(client *http.Client, _ string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				_, _ = sendPost(ctx, client, nowhere)
				return out, nil
			}
		}, "not sent"},
		{"a swallowed 500", func(client *http.Client, url string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				_, _ = sendPost(ctx, client, url+"/fails")
				return out, nil
			}
		}, "unknown"},
		{"a swallowed 500, looked after", func(client *http.Client, url string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				_, _ = sendPost(ctx, client, url+"/fails")
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
				return sendRequest(client, req)
			}
		}, "succeeded"},
		{"no request at all", func(*http.Client, string) sendFunc {
			return func(context.Context, idempotency.Attempt, payment) (out paid, err error) {
				return out, errors.New("sdk: it went another way")
			}
		}, "unknown"},
		{"still under way", func(client *http.Client, url string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				entered := make(chan struct{})
				ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { close(entered) }})
				go func() { _, _ = sendPost(ctx, client, url) }()
				<-entered
				return out, errors.New("sdk: I will not wait for it")
			}
		}, "unknown"},
		{"still under way, and nobody asks", func(client *http.Client, url string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				entered := make(chan struct{})
				ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { close(entered) }})
				go func() { _, _ = sendPost(ctx, client, url+"/hangs") }()
				<-entered
				return out, nil
			}
		}, "unknown"},
		{"two different ones, the second declined", func(client *http.Client, url string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				_, _ = sendPost(ctx, client, url)
				return sendPost(idemhttp.Sub(ctx, "ship"), client, url+"/declines")
			}
		}, "unknown"},
		{"Send knows best: it reads the decline itself", func(client *http.Client, url string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				_, _ = sendPost(ctx, client, url+"/declines")
				return out, idempotency.Rejected("by_hand", nil)
			}
		}, "rejected"},
		{"Send knows best: it says rejected", func(client *http.Client, url string) sendFunc {
			return func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				_, _ = sendPost(ctx, client, url+"/fails")
				return out, idempotency.Rejected("by_hand", nil)
			}
		}, "rejected"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bank := newPSP(t, nil)
			bank.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/fails":
					jsonReply(w, http.StatusInternalServerError, `{"error":{"code":"oops"}}`)
				case "/hangs":
					_, _ = io.Copy(io.Discard, r.Body) // until then the server does not notice that the client has gone
					<-r.Context().Done()
				case "/declines":
					jsonReply(w, http.StatusPaymentRequired, declined)
				default:
					jsonReply(w, http.StatusCreated, `{"id":"ch_1"}`)
				}
			})
			client := wired(t, &idemhttp.Transport{Provider: plain})
			class, attemptErr, _ := oneAttempt(t, row.send(client, bank.URL))
			assert.Equal(t, row.class, class, "the attempt's error was %v", attemptErr)
		})
	}
}

// T46, T3: whoever sent it again, two sendings make a decline ambiguous, unless the provider stores it by key.
func TestSecondSendingsMakeADeclineAmbiguous(t *testing.T) {
	retrying := func(client *http.Client, url string) sendFunc { // an SDK with retries of its own
		return func(ctx context.Context, _ idempotency.Attempt, _ payment) (paid, error) {
			_, _ = sendPost(ctx, client, url)
			return sendPost(ctx, client, url)
		}
	}
	redirected := func(w http.ResponseWriter, n int) {
		if n == 1 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		jsonReply(w, http.StatusPaymentRequired, declined)
	}
	for _, row := range []struct {
		name   string
		answer func(http.ResponseWriter, int)
		send   func(*http.Client, string) sendFunc
		sent   int
		final  bool // a Rejection
	}{
		{"sent once", alwaysReply(http.StatusPaymentRequired, declined), posting, 1, true},
		{"an SDK's retry", alwaysReply(http.StatusPaymentRequired, declined), retrying, 2, false},
		{"an SDK's retry, stored by key", alwaysReply(http.StatusPaymentRequired, `{"error":{"code":"expired_card"}}`), retrying, 2, true},
		{"a redirect", redirected, posting, 2, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			bank := newPSP(t, row.answer)
			client := wired(t, &idemhttp.Transport{Provider: plain})
			l := newLedger(t, row.send(client, bank.URL), func(c *idempotency.Call[payment, paid]) {
				c.KeyLife, c.KeyedErrors = time.Hour, plain.KeyedErrors
			})
			_, err := l.Do(t.Context(), "order-1", payment{4200})
			var no *idempotency.Rejection
			assert.Equal(t, row.final, errors.As(err, &no), "%v", err)
			require.Len(t, bank.seen(), row.sent)
			for _, r := range bank.seen() {
				assert.Equal(t, bank.seen()[0].header["Idempotency-Key"], r.header["Idempotency-Key"])
				assert.JSONEq(t, `{"cents":4200}`, r.body)
			}
		})
	}
}

// Retry-After is passed on, in both forms, and capped (T38).
func TestRetryAfter(t *testing.T) {
	for _, row := range []struct {
		header   string
		cap      time.Duration
		atLeast  time.Duration
		atMost   time.Duration
		isPassed bool
	}{
		{"7", 0, 7 * time.Second, 7 * time.Second, true},
		{"86400", 0, time.Hour, time.Hour, true},
		{"86400", time.Minute, time.Minute, time.Minute, true},
		{time.Now().Add(50 * time.Minute).UTC().Format(http.TimeFormat), 0, 45 * time.Minute, 50 * time.Minute, true},
		{"0", 0, 0, 0, true},
		{"soon", 0, 0, 0, false},
		{"", 0, 0, 0, false},
	} {
		t.Run(row.header, func(t *testing.T) {
			bank := newPSP(t, alwaysReply(http.StatusServiceUnavailable, "{}", "Retry-After", row.header))
			client := wired(t, &idemhttp.Transport{Provider: plain, MaxRetryAfter: row.cap})
			_, err, _ := oneAttempt(t, posting(client, bank.URL))
			var says interface{ RetryAfter() time.Duration }
			require.Equal(t, row.isPassed, errors.As(err, &says), "%v", err)
			if row.isPassed {
				assert.GreaterOrEqual(t, says.RetryAfter(), row.atLeast)
				assert.LessOrEqual(t, says.RetryAfter(), row.atMost)
			}
		})
	}
	t.Run("Send's own counts", func(t *testing.T) {
		bank := newPSP(t, alwaysReply(http.StatusServiceUnavailable, "{}", "Retry-After", "7"))
		client := wired(t, &idemhttp.Transport{Provider: plain})
		_, err, _ := oneAttempt(t, func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
			_, _ = sendPost(ctx, client, bank.URL)
			return out, retry.After(time.Minute, errors.New("sdk: slow down"))
		})
		var says interface{ RetryAfter() time.Duration }
		require.ErrorAs(t, err, &says)
		assert.Equal(t, time.Minute, says.RetryAfter())
	})
}

// T11, T70: an answer that the provider had stored is not asked for again: the provider is asked what happened.
func TestReplayedErrorsAreNotAskedForAgain(t *testing.T) {
	transient := idemhttp.Provider{Codes: []string{"errorCode"}, Transient: "Transient-Error"}
	for _, row := range []struct {
		name     string
		provider idemhttp.Provider
		answer   func(http.ResponseWriter, int)
		sent     int
	}{
		{"not marked", plain, alwaysReply(http.StatusInternalServerError, "{}"), 3},
		{"marked", plain, alwaysReply(http.StatusInternalServerError, "{}", "Idempotent-Replayed", "true"), 1},
		{"marked as none", plain, alwaysReply(http.StatusInternalServerError, "{}", "Idempotent-Replayed", "false"), 3},
		{"marked otherwise", idemhttp.Provider{Replayed: "X-Cache"}, alwaysReply(http.StatusInternalServerError, "{}", "X-Cache", "hit"), 1},
		{"transient", transient, alwaysReply(http.StatusInternalServerError, `{"errorCode":"9"}`, "Transient-Error", "true"), 3},
		{"not transient", transient, alwaysReply(http.StatusInternalServerError, `{"errorCode":"9"}`), 1},
		{"a proxy's, not transient", transient, alwaysReply(http.StatusBadGateway, ``), 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			bank := newPSP(t, row.answer)
			client := wired(t, &idemhttp.Transport{Provider: row.provider})
			asked := 0
			l := newLedger(t, posting(client, bank.URL), func(c *idempotency.Call[payment, paid]) {
				c.KeyLife, c.Settling = time.Hour, time.Millisecond
				c.Retry = retry.Policy{Attempts: 3, Initial: time.Millisecond, Max: time.Millisecond}
				c.Lookup = func(context.Context, idempotency.Attempt, payment) (idempotency.Verdict[paid], error) {
					asked++
					return idempotency.Happened(paid{"ch_1"}), nil
				}
			})
			_, err := l.Do(t.Context(), "order-1", payment{4200})
			assert.Len(t, bank.seen(), row.sent)
			if row.sent == 1 {
				require.NoError(t, err)
				assert.Equal(t, 1, asked)
			}
		})
	}
}

// An answer that is read by the transport reaches the caller as it came: short, long, packed, without an end.
func TestAnswersAreHandedOnIntact(t *testing.T) {
	long := `{"error":{"code":"insufficient_funds"},"more":"` + strings.Repeat("x", 100_000) + `"}`
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, declined)
	_ = z.Close()
	for _, row := range []struct {
		name, body, encoding string
		class                string
	}{
		{"short", declined, "", "rejected"},
		{"long", long, "", "unknown"},
		{"packed", packed.String(), "gzip", "rejected"},
		{"packed wrongly", declined, "gzip", "unknown"},
		{"empty", "", "", "unknown"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bank := newPSP(t, func(w http.ResponseWriter, _ int) {
				if row.encoding != "" {
					w.Header().Set("Content-Encoding", row.encoding)
				}
				jsonReply(w, http.StatusPaymentRequired, row.body)
			})
			client := wired(t, &idemhttp.Transport{Provider: plain})
			class, attemptErr, _ := oneAttempt(t, func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, bank.URL, http.NoBody)
				require.NoError(t, err)
				req.Header.Set("Accept-Encoding", "gzip") // so that net/http does not unpack it
				res, err := client.Do(req)
				require.NoError(t, err)
				defer func() { _ = res.Body.Close() }()
				got, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				assert.Equal(t, row.body, string(got))
				return out, fmt.Errorf("sdk: status %d", res.StatusCode)
			})
			assert.Equal(t, row.class, class, "the attempt's error was %v", attemptErr)
		})
	}
}

// A request whose body fails half-way may have arrived. (T48)
func TestRequestBodyFails(t *testing.T) {
	errDisk := errors.New("disk on fire")
	bank := newPSP(t, nil)
	client := wired(t, &idemhttp.Transport{})
	class, attemptErr, _ := oneAttempt(t, func(ctx context.Context, _ idempotency.Attempt, _ payment) (paid, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, bank.URL, io.MultiReader(strings.NewReader("half"), &failingReader{errDisk}))
		require.NoError(t, err)
		return sendRequest(client, req)
	})
	assert.Equal(t, "unknown", class)
	assert.ErrorIs(t, attemptErr, errDisk)
	assert.Empty(t, bank.seen())
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

// Expect: 100-continue, and a connection that becomes something else.
func TestContinueAndUpgrade(t *testing.T) {
	t.Run("100-continue", func(t *testing.T) {
		bank := newPSP(t, nil)
		client := wired(t, &idemhttp.Transport{Base: &http.Transport{ExpectContinueTimeout: time.Minute}})
		continued := false
		class, attemptErr, _ := oneAttempt(t, func(ctx context.Context, _ idempotency.Attempt, _ payment) (paid, error) {
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
				Got100Continue: func() { continued = true },
				Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil },
			})
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, bank.URL, strings.NewReader("{}"))
			require.NoError(t, err)
			req.Header.Set("Expect", "100-continue")
			return sendRequest(client, req)
		})
		assert.Equal(t, "succeeded", class, "the attempt's error was %v", attemptErr)
		assert.True(t, continued, "the caller's own trace is kept")
	})
	t.Run("101", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
			_, _ = io.CopyN(conn, conn, 4)
		}))
		t.Cleanup(s.Close)
		client := wired(t, &idemhttp.Transport{Provider: plain})
		_, _, _ = oneAttempt(t, func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, http.NoBody)
			require.NoError(t, err)
			req.Header.Set("Connection", "upgrade")
			req.Header.Set("Upgrade", "echo")
			res, err := client.Do(req)
			require.NoError(t, err)
			defer func() { _ = res.Body.Close() }()
			pipe, ok := res.Body.(io.ReadWriter)
			require.True(t, ok, "the connection can be written to")
			_, err = io.WriteString(pipe, "ping")
			require.NoError(t, err)
			echo := make([]byte, 4)
			_, err = io.ReadFull(pipe, echo)
			require.NoError(t, err)
			assert.Equal(t, "ping", string(echo))
			return out, nil
		})
	})
}

// Breakers are kept per host; what they refuse was not sent, and says when to come back.
func TestBreakersPerHost(t *testing.T) {
	down := newPSP(t, alwaysReply(http.StatusInternalServerError, "{}"))
	up := newPSP(t, nil)
	set := breaker.NewSet[string](breaker.Config{MinCalls: 2, Window: time.Hour, OpenFor: time.Hour}, 10)
	client := wired(t, &idemhttp.Transport{Provider: plain, Breakers: set})
	for range 2 {
		class, _, _ := oneAttempt(t, posting(client, down.URL))
		require.Equal(t, "unknown", class)
	}
	class, attemptErr, err := oneAttempt(t, posting(client, down.URL))
	assert.Equal(t, "not sent", class)
	assert.ErrorIs(t, attemptErr, breaker.ErrOpen)
	assert.ErrorIs(t, err, idempotency.ErrNotSent)
	class, attemptErr, _ = oneAttempt(t, func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, err error) {
		_, _ = sendPost(ctx, client, down.URL)
		return out, errors.New("sdk: no")
	})
	assert.Equal(t, "not sent", class, "also when the error was swallowed")
	var says interface{ RetryAfter() time.Duration }
	require.ErrorAs(t, attemptErr, &says)
	assert.Greater(t, says.RetryAfter(), time.Minute)
	assert.Len(t, down.seen(), 2)

	class, _, _ = oneAttempt(t, posting(client, up.URL))
	assert.Equal(t, "succeeded", class)
	assert.Equal(t, 2, set.Len())
}

// T44: a caller that cancels says nothing about the provider.
func TestT44CancellationDoesNotCount(t *testing.T) {
	reached := make(chan struct{}, 1)
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(release) })
	set := breaker.NewSet[string](breaker.Config{MinCalls: 1, OpenFor: time.Hour}, 10)
	client := wired(t, &idemhttp.Transport{Breakers: set})
	for range 3 {
		errLeft := errors.New("the customer has left")
		ctx, cancel := context.WithCancelCause(idemhttp.Aside(t.Context()))
		go func() {
			<-reached
			cancel(errLeft)
		}()
		_, err := sendPost(ctx, client, s.URL)
		require.ErrorIs(t, err, errLeft)
		require.NotErrorIs(t, err, breaker.ErrOpen)
	}
}

// A Base that does not report to httptrace is never taken at its word that nothing was sent.
func TestBaseWithoutTrace(t *testing.T) {
	errFailed := errors.New("it failed, somehow")
	client := wired(t, &idemhttp.Transport{Base: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errFailed })})
	class, attemptErr, _ := oneAttempt(t, posting(client, "http://bank.example"))
	assert.Equal(t, "unknown", class)
	assert.ErrorIs(t, attemptErr, errFailed)

	client = wired(t, &idemhttp.Transport{Base: roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })})
	class, _, _ = oneAttempt(t, posting(client, "http://bank.example"))
	assert.Equal(t, "unknown", class, "a Base that returns nothing at all")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
