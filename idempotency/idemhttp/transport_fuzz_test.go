package idemhttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency"
	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// answering is a Base that gives one answer.
func answering(status int, header http.Header, body []byte) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), Request: req}, nil
	})
}

// through makes one request in an attempt, and returns what the attempt came to and the body that the caller read.
func through(t testing.TB, tr *idemhttp.Transport, said error) (read []byte, err error) {
	t.Helper()
	_, err = idemhttp.Send(func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, _ error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bank.example/charges", strings.NewReader("{}"))
		require.NoError(t, err)
		res, err := tr.RoundTrip(req)
		require.NoError(t, err)
		read, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return out, said
	})(t.Context(), idempotency.Attempt{Key: "k"}, payment{})
	return read, err
}

// Whatever stands in Retry-After: what is passed on is never negative, and never above the cap.
func FuzzTransportRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "120", "-1", "9223372037", "18446744073709551617", "1e3", "Sun, 06 Nov 1994 08:49:37 GMT",
		"Friday, 31-Dec-99 23:59:59 GMT", "Fri Dec 31 23:59:59 9999", "soon", "5, 6"} {
		f.Add(s, int64(time.Minute))
	}
	f.Fuzz(func(t *testing.T, value string, most int64) {
		if most <= 0 {
			return
		}
		tr := &idemhttp.Transport{MaxRetryAfter: time.Duration(most), Base: answering(http.StatusServiceUnavailable, http.Header{"Retry-After": {value}}, nil)}
		_, err := through(t, tr, nil)
		require.Error(t, err)
		require.False(t, idempotency.Marked(err))
		var says interface{ RetryAfter() time.Duration }
		if errors.As(err, &says) {
			require.GreaterOrEqual(t, says.RetryAfter(), time.Duration(0))
			require.LessOrEqual(t, says.RetryAfter(), time.Duration(most))
		}
	})
}

// Whatever a provider, or what stands before it, answers: the caller reads it as it came, nothing panics, a 5xx is never an
// outcome, and a refusal counts only where its code stands in the answer.
func FuzzAnswer(f *testing.F) {
	for _, row := range []struct {
		status int
		body   string
	}{
		{402, declined}, {402, `{"error":{"code":7}}`}, {402, `{"error":{"code":null}}`}, {402, `{"error":[{"code":"x"}]}`}, {402, `{"error":`}, {402, `[]`},
		{201, `{"status":"processing","id":"ch_1"}`}, {201, `{"id":"ch_1"}`}, {202, ``}, {500, declined}, {429, declined}, {409, `null`}, {302, `<html>`}, {402, ` {"status":"x"} x`},
		{402, `{"error":{"code":"a"},"error":{"code":"b"}}`}, {402, `{"error":{"code":"a"},"error":7}`}, {402, `{"error":{"code":"a\u0062"},"status":-1.5e+3}`}, {402, `"error"`}, {402, "{\"error\":{\"code\":\"\xff\"}}"}, {402, strings.Repeat(`{"error":`, 200)},
	} {
		f.Add(row.status, []byte(row.body), false)
		f.Add(row.status, []byte(row.body), true)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, sdk bool) {
		if status < 200 || status > 599 || strings.Count(string(body), "{")+strings.Count(string(body), "[") > 90 { // deeper ones are not read
			return
		}
		var said error
		if sdk {
			said = errors.New("sdk: no")
		}
		read, err := through(t, &idemhttp.Transport{Provider: plain, MaxRead: 4096, Base: answering(status, http.Header{}, body)}, said)
		require.True(t, bytes.Equal(body, read), "the caller read %q of %q", read, body)
		codes := codesIn(body)
		if len(body) > 4096 {
			codes = nil
		}
		var answer *idemhttp.ReplyError
		if errors.As(err, &answer) {
			require.Equal(t, strings.Join(append(codes, "")[:1], ""), answer.Code)
		}
		switch {
		case status >= 500:
			require.Error(t, err)
			require.False(t, idempotency.Marked(err), "a 5xx is unknown")
		case status == http.StatusPaymentRequired, status == http.StatusTooManyRequests:
			require.Equal(t, len(codes) > 0, idempotency.Marked(err), "a refusal is believed by its code: %q", codes)
		case status >= 300:
			require.Error(t, err)
			require.False(t, idempotency.Marked(err))
		case status == http.StatusAccepted, status == http.StatusCreated && slices.Contains(codes, "processing"):
			require.True(t, idempotency.Marked(err))
		case sdk:
			require.ErrorIs(t, err, said)
		default:
			require.NoError(t, err)
		}
	})
}

// codesIn reads what plain.Codes name, by encoding/json.
func codesIn(body []byte) (codes []string) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var doc any
	if !json.Valid(body) || d.Decode(&doc) != nil {
		return nil
	}
	top, _ := doc.(map[string]any)
	inner, _ := top["error"].(map[string]any)
	for _, v := range []any{inner["code"], top["status"]} {
		switch v := v.(type) {
		case string:
			codes = append(codes, v)
		case json.Number:
			codes = append(codes, v.String())
		}
	}
	return slices.DeleteFunc(codes, func(code string) bool { return code == "" })
}

// A key that is written into a body leaves the rest of it as it was.
func FuzzKeyInBody(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "k", "idempotency_key", false)
	f.Add([]byte(` { } `), "k\"\\", "a.b", false)
	f.Add([]byte(`{"k":"x"}`), "x", "k", false)
	f.Add([]byte(`{"a":{"k":"x"},"a":2}`), "x", "k", false)
	f.Add([]byte(`a=1&b=%20`), "k&=", "key", true)
	f.Add([]byte(`k=x`), "x", "k", true)
	f.Fuzz(func(t *testing.T, body []byte, key, field string, form bool) {
		if field == "" {
			return
		}
		var sent []byte
		tr := &idemhttp.Transport{Provider: idemhttp.Provider{Field: field}, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			var err error
			sent, err = io.ReadAll(req.Body)
			require.NoError(t, err)
			require.EqualValues(t, len(sent), req.ContentLength)
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}}, nil
		})}
		_, err := idemhttp.Send(func(ctx context.Context, _ idempotency.Attempt, _ payment) (out paid, _ error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bank.example/charges", bytes.NewReader(body))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/json")
			if form {
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			res, err := tr.RoundTrip(req)
			if err == nil {
				_ = res.Body.Close()
			}
			return out, err
		})(t.Context(), idempotency.Attempt{Key: key}, payment{})
		if err != nil {
			require.Nil(t, sent, "refused, and sent all the same")
			return
		}
		if form {
			before, err := url.ParseQuery(string(body))
			require.NoError(t, err)
			before.Set(field, key)
			after, err := url.ParseQuery(string(sent))
			require.NoError(t, err)
			require.Equal(t, before, after)
			return
		}
		before, after := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		if len(bytes.TrimSpace(body)) > 0 {
			require.NoError(t, json.Unmarshal(body, &before))
		}
		require.NoError(t, json.Unmarshal(sent, &after))
		var got string
		require.NoError(t, json.Unmarshal(after[field], &got))
		require.Equal(t, key, got)
		delete(after, field)
		delete(before, field)
		require.Equal(t, before, after)
	})
}
