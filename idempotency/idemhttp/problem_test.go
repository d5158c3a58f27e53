package idemhttp_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// RFC 9457, section 3.1: members of another type are ignored; so is what nobody knows.
func TestParseProblem(t *testing.T) {
	for text, want := range map[string]idemhttp.Problem{
		`{}`: {},
		`{"type":"https://example.com/p#InProgress","title":"T","status":409,"detail":"D","instance":"/i","extension":[1]}`: {
			Type: "https://example.com/p#InProgress", Title: "T", Status: 409, Detail: "D", Instance: "/i", Kind: idemhttp.InProgress,
		},
		`{"type":7,"title":null,"status":"409","detail":{},"instance":[]}`: {},
		`{"status":409.5}`:                       {},
		`{"status":1e2}`:                         {},
		`{"status":99999}`:                       {},
		`{"status":-1,"title":"T"}`:              {Title: "T"},
		`{"type":"https://example.com/p#Other"}`: {Type: "https://example.com/p#Other"},
	} {
		p, err := idemhttp.ParseProblem([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, *p, text)
	}
	for _, text := range []string{``, `null`, `[]`, `"x"`, `{`, `{} {}`, `<html>`} {
		_, err := idemhttp.ParseProblem([]byte(text))
		require.Error(t, err, text)
	}
}

func TestProblemServed(t *testing.T) {
	p := &idemhttp.Problem{Type: "https://example.com/p", Title: "T <b>", Status: 409, Detail: "D", RetryAfter: 1500 * time.Millisecond, Docs: "https://example.com/p"}
	w := httptest.NewRecorder()
	w.Header().Set("ETag", `"x"`)
	p.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", http.NoBody))
	require.Equal(t, 409, w.Code)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "en", w.Header().Get("Content-Language"))
	require.Empty(t, w.Header().Get("ETag"))
	require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
	require.EqualError(t, p, "idemhttp: 409 T <b>: D")
	require.EqualError(t, &idemhttp.Problem{Status: 400, Title: "T"}, "idemhttp: 400 T")

	w = httptest.NewRecorder()
	(&idemhttp.Problem{Title: "T"}).ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/", http.NoBody))
	require.Equal(t, 500, w.Code)
	require.Empty(t, w.Body.String())
}

// Every kind has a status, a title and a place in the published specification, and is called as its constant is, so that the default types
// lead to its documentation.
func TestKinds(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	require.NoError(t, err)
	h, err := idemhttp.Specification(idemhttp.Config{Name: "api", Principal: tenant})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	kinds := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Kind" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			assert.NoError(t, err)
			assert.Equal(t, spec.Names[0].Name, value)
			assert.Contains(t, w.Body.String(), `<dt id="`+value+`">`)
			kinds++
		}
		return true
	})
	require.Equal(t, 12, kinds)
}

// By default the types are those of this package's documentation; there is always one.
func TestDefaultType(t *testing.T) {
	w := serve(t, charge, nil).post("", "42")
	p, err := idemhttp.ParseProblem(w.Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, "https://pkg.go.dev/github.com/steadfast-go/steadfast/idempotency/idemhttp#KeyMissing", p.Type)
	require.Contains(t, w.Header().Get("Link"), `rel="describedby"`)
}

// Whatever a problem says arrives as it was said; whatever arrives is read without a panic.
func FuzzProblem(f *testing.F) {
	f.Add("https://example.com/p#InProgress", "T", 409, "D", "/i", []byte(`{"status":409}`))
	f.Add("", "", 0, "", "", []byte(`{"type":7}`))
	f.Add("\x00", "<>&", -1, "\xff", "\u2028", []byte(`{"type":"a","type":"b"}`))
	f.Fuzz(func(t *testing.T, kind, title string, status int, detail, instance string, data []byte) {
		p := &idemhttp.Problem{Type: kind, Title: title, Status: status, Detail: detail, Instance: instance}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", http.NoBody))
		require.True(t, json.Valid(w.Body.Bytes()))
		got, err := idemhttp.ParseProblem(w.Body.Bytes())
		require.NoError(t, err)
		for _, pair := range [][2]string{{kind, got.Type}, {title, got.Title}, {detail, got.Detail}, {instance, got.Instance}} {
			if utf8.ValidString(pair[0]) {
				require.Equal(t, pair[0], pair[1])
			}
		}
		if status >= 100 && status <= 599 {
			require.Equal(t, status, got.Status)
		}
		if p, err := idemhttp.ParseProblem(data); err == nil {
			require.True(t, p.Status == 0 || p.Status >= 100 && p.Status <= 599)
			require.True(t, strings.HasPrefix(strings.TrimSpace(string(data)), "{"))
		}
	})
}
