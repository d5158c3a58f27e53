package lab_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/examples/store/lab"
)

// visitor is somebody who looks at a lab of their own.
type visitor struct {
	*testing.T
	url string
	web *http.Client
}

func visit(t *testing.T, c lab.Config) (visitor, *lab.Lab) {
	t.Helper()
	l := lab.New(c)
	server := httptest.NewServer(l.Handler())
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, l.Close(context.WithoutCancel(t.Context())))
	})
	web := server.Client()
	web.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return visitor{t, server.URL, web}, l
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (v visitor) do(method, path string, form url.Values, headers ...string) answer {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), method, v.url+path, strings.NewReader(form.Encode()))
	require.NoError(v, err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := v.web.Do(req)
	require.NoError(v, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(v, err)
	return answer{res.StatusCode, res.Header, string(body)}
}

func (v visitor) get(path string) answer { return v.do(http.MethodGet, path, nil) }

func (v visitor) post(path, query string) answer {
	v.Helper()
	form, err := url.ParseQuery(query)
	require.NoError(v, err)
	return v.do(http.MethodPost, path, form)
}

// play starts a run and returns its query, as the link has it.
func (v visitor) play(query string) string {
	v.Helper()
	a := v.post("/lab", query)
	require.Equal(v, http.StatusSeeOther, a.status, a.body)
	link, err := url.Parse(a.header.Get("Location"))
	require.NoError(v, err)
	require.Equal(v, "/lab", link.Path)
	require.Empty(v, link.Fragment, "a page with one does not load itself again")
	return link.RawQuery
}

// stream is a stream of events.
type stream struct {
	visitor
	body io.ReadCloser
	text *bufio.Reader
}

func (v visitor) stream(query string) *stream {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), http.MethodGet, v.url+"/lab/events?"+query, http.NoBody)
	require.NoError(v, err)
	res, err := v.web.Do(req)
	require.NoError(v, err)
	v.Cleanup(func() { _ = res.Body.Close() })
	require.Equal(v, http.StatusOK, res.StatusCode)
	require.Equal(v, "text/event-stream", res.Header.Get("Content-Type"))
	return &stream{v, res.Body, bufio.NewReader(res.Body)}
}

// next returns the next event; its name is "" at the end of the stream.
func (s *stream) next() (name string, pieces map[string]string) {
	s.Helper()
	for {
		line, err := s.text.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		require.NoError(s, err)
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
			return name, pieces
		case strings.HasPrefix(line, "event: "):
			name = strings.TrimPrefix(line, "event: ")
		case strings.HasPrefix(line, "data: "):
			require.NoError(s, json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &pieces))
		default:
			s.Fatalf("a line that is not of server-sent events: %q", line)
		}
	}
}

// watch follows a run to its end and returns every piece as it was then.
func (v visitor) watch(query string) map[string]string {
	v.Helper()
	s, last := v.stream(query), map[string]string{}
	for {
		name, pieces := s.next()
		if name == "end" {
			return last
		}
		require.Equal(v, "pieces", name)
		for id, html := range pieces {
			last[id] = html
		}
	}
}
