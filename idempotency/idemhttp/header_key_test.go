package idemhttp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// keyOf returns the key that a header's value names, and the problem's detail where it names none.
func keyOf(t testing.TB, value string, bare bool) (key, detail string) {
	t.Helper()
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, key, _ = idemhttp.Key(r.Context()) },
		func(c *idemhttp.Config) { c.Bare = bare })
	r := post("", "/charges", "")
	r.Header["Idempotency-Key"] = []string{value}
	w := s.do(r)
	if w.Code == 200 {
		s.wantRuns(1)
		return key, ""
	}
	wantProblem(t, w, idemhttp.KeyMalformed, 400)
	s.wantRuns(0)
	p, err := idemhttp.ParseProblem(w.Body.Bytes())
	require.NoError(t, err)
	return "", p.Detail
}

// RFC 9651, sections 3.3.3 and 4.2.5: what a string is, what it means, and what is wrong with others.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		value string
		bare  bool
		key   string
		wrong string
	}{
		{`"k"`, false, "k", ""},
		{` "k" `, false, "k", ""},
		{`"a b,c;d"`, false, "a b,c;d", ""},
		{`"\"\\"`, false, `"\`, ""},
		{`"a\"b\\c"`, true, `a"b\c`, ""},
		{`k`, true, "k", ""},
		{`/order/17?x=y#z`, true, "/order/17?x=y#z", ""},
		{`"` + strings.Repeat("k", 255) + `"`, false, strings.Repeat("k", 255), ""},
		{`"` + strings.Repeat(`\"`, 255) + `"`, false, strings.Repeat(`"`, 255), ""},
		{strings.Repeat("k", 255), true, strings.Repeat("k", 255), ""},

		{``, false, "", "empty"},
		{`""`, false, "", "empty"},
		{`  `, true, "", "empty"},
		{`k`, false, "", "quotes"},
		{`"k`, false, "", "closing quote"},
		{`"k\`, false, "", "backslash"},
		{`"k\n"`, false, "", "backslash"},
		{`"k" "l"`, false, "", "closing quote"},
		{`"k", "l"`, true, "", "closing quote"},
		{`"k";a`, false, "", "closing quote"},
		{"\"\t\"", false, "", "printable"},
		{"\"a\\\\\x01\"", false, "", "printable"},
		{"\"\x7f\"", false, "", "printable"},
		{`"ü"`, false, "", "printable"},
		{"ü", true, "", "quotes"},
		{"a\x00", true, "", "quotes"},
		{`a"b`, true, "", "quotes"},
		{`a b`, true, "", "quotes"},
		{`"` + strings.Repeat("k", 256) + `"`, false, "", "255 bytes"},
		{strings.Repeat("k", 256), true, "", "255 bytes"},
	} {
		key, detail := keyOf(t, c.value, c.bare)
		require.Equal(t, c.key, key, "%.40q", c.value)
		require.Contains(t, detail, c.wrong, "%.40q", c.value)
	}
}

// A key is either refused, or exactly what the string says; and what it says can be written again.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{`"k"`, `k`, `"a\"b\\"`, `"k";a=1`, `"k","l"`, "\"\x00\"", `"`, ``, strings.Repeat("k", 256)} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, value string, bare bool) {
		key, detail := keyOf(t, value, bare)
		if key == "" {
			require.NotEmpty(t, detail)
			require.NotContains(t, detail, "\n")
			return
		}
		require.LessOrEqual(t, len(key), 255)
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
		if trimmed := strings.Trim(value, " "); strings.HasPrefix(trimmed, `"`) {
			require.Equal(t, quoted, trimmed)
		} else {
			require.True(t, bare)
			require.Equal(t, key, trimmed)
		}
		again, _ := keyOf(t, quoted, false)
		require.Equal(t, key, again)
	})
}
