package idemhttp_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// Two requests have the same fingerprint exactly when method, path, query, content type and body are the same, however long they are and
// wherever the body is kept. (A multipart body is compared by its parts: then nothing is said of bodies that differ.)
func FuzzFingerprint(f *testing.F) {
	f.Add("/charges", "a=b", "text/plain", "42", "/charges", "a=b", "text/plain", "42")
	f.Add("/a", "b", "c", "d", "/ab", "", "c", "d")
	f.Add("/a", "", "multipart/form-data; boundary=b", "--b\r\n\r\nx\r\n--b--\r\n", "/a", "", "multipart/form-data; boundary=c", "--c\r\n\r\nx\r\n--c--\r\n")
	f.Add("/a", "", "multipart/form-data; boundary=b", "--b\r\n", "/a", "", "Multipart/Mixed; boundary=b", "--b\r\n")
	f.Add("/a", "", "", strings.Repeat("x", 100), "/a", "", "", strings.Repeat("x", 101))
	f.Fuzz(func(t *testing.T, path, query, kind, body, path2, query2, kind2, body2 string) {
		s := serve(t, charge, func(c *idemhttp.Config) { c.SpoolAbove = 32 })
		request := func(path, query, kind, body string) *http.Request {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.URL = &url.URL{Path: path, RawQuery: query}
			r.Header["Idempotency-Key"] = []string{`"k"`}
			r.Header["Content-Type"] = []string{kind}
			return r
		}
		first := s.do(request(path, query, kind, body))
		if len(body) > 1<<20 {
			wantProblem(t, first, idemhttp.BodyTooLarge, 413)
			return
		}
		require.Equal(t, "charged "+body, first.Body.String(), "the handler has read what was sent")
		wantReplay(t, first, s.do(request(path, query, kind, body)))
		same := path == path2 && query == query2 && kind == kind2 && body == body2
		second := s.do(request(path2, query2, kind2, body2))
		multipart := strings.HasPrefix(strings.ToLower(kind), "multipart/") && strings.HasPrefix(strings.ToLower(kind2), "multipart/")
		switch {
		case same:
			wantReplay(t, first, second)
		case multipart && path == path2 && query == query2:
			require.Contains(t, []int{201, 422}, second.Code)
		default:
			wantProblem(t, second, idemhttp.KeyReused, 422)
		}
		s.wantRuns(1)
	})
}

// A recorded response is read as it was written, and what is none is refused.
func FuzzResponse(f *testing.F) {
	good, err := idemhttp.Response{
		Status: 201, Header: http.Header{"Location": {"/charges/1"}, "Link": {"a", "b"}}, Body: []byte("body"), Trailer: http.Header{"Repr-Digest": {"x"}},
	}.MarshalBinary()
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte{1, 200, 1, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 200, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1}) // a trailer without fields
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var r idemhttp.Response
		if r.UnmarshalBinary(data) != nil {
			return
		}
		again, err := r.MarshalBinary()
		if r.Status < 200 {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		var back idemhttp.Response
		require.NoError(t, back.UnmarshalBinary(again))
		require.Equal(t, r, back)
	})
}
