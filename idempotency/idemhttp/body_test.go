package idemhttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/steadfast-go/steadfast/idempotency/idemhttp"
)

// temporary lets temporary files go to a directory of the test's own, and lists it.
func temporary(t *testing.T) (list func() []string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		return names
	}
}

// unknownLength is a body whose length nobody has announced.
func unknownLength(body io.Reader) *http.Request {
	r := post("k", "/charges", "")
	r.Body, r.ContentLength = io.NopCloser(body), -1
	return r
}

// Bodies of all lengths, around every bound, announced or not: the handler reads what was sent, and no file is left.
func TestBodies(t *testing.T) {
	list := temporary(t)
	const above, limit = 100, 1000
	for _, size := range []int{0, 1, 99, 100, 101, 511, 512, 513, 999, 1000, 1001, 5000} {
		for _, announced := range []bool{true, false} {
			body := strings.Repeat("b", size)
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(iotest.OneByteReader(r.Body))
				assert.NoError(t, err)
				assert.Equal(t, body, string(got))
				assert.NoError(t, r.Body.Close())
				_, err = r.Body.Read(make([]byte, 1))
				assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
				w.WriteHeader(http.StatusCreated)
			}, func(c *idemhttp.Config) { c.SpoolAbove, c.MaxBody = above, limit })
			request := func() *http.Request {
				if announced {
					return post("k", "/charges", body)
				}
				return unknownLength(iotest.HalfReader(strings.NewReader(body)))
			}
			first := s.do(request())
			if size > limit {
				wantProblem(t, first, idemhttp.BodyTooLarge, 413)
				s.wantRuns(0)
				continue
			}
			require.Equal(t, 201, first.Code, "%d bytes: %s", size, first.Body)
			wantReplay(t, first, s.do(request()))
			s.wantRuns(1)
			require.Empty(t, list())
		}
	}
}

// Over the bound: 413, nothing was executed or claimed, and a body whose length is announced is not even read.
func TestBodyOverTheBound(t *testing.T) {
	s := serve(t, charge, func(c *idemhttp.Config) { c.MaxBody = 10 })
	r := post("k", "/charges", "")
	r.Body, r.ContentLength = io.NopCloser(iotest.ErrReader(errors.New("it was read"))), 11
	wantProblem(t, s.do(r), idemhttp.BodyTooLarge, 413)
	wantProblem(t, s.do(unknownLength(endless{})), idemhttp.BodyTooLarge, 413)
	r = post("k", "/charges", "0123456789")
	r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 5) // another middleware's bound
	wantProblem(t, s.do(r), idemhttp.BodyTooLarge, 413)
	s.wantRuns(0)
	require.Equal(t, 201, s.post("k", "42").Code, "the key is still new")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A body that breaks off: a problem, and nothing was executed; the key is still new.
func TestBodyBreaksOff(t *testing.T) {
	list := temporary(t)
	for _, size := range []int{0, 50, 500} {
		s := serve(t, charge, func(c *idemhttp.Config) { c.SpoolAbove = 100 })
		broken := io.MultiReader(strings.NewReader(strings.Repeat("b", size)), iotest.ErrReader(io.ErrUnexpectedEOF))
		wantProblem(t, s.do(unknownLength(broken)), idemhttp.BodyIncomplete, 400)
		slow := io.MultiReader(strings.NewReader(strings.Repeat("b", size)), iotest.ErrReader(os.ErrDeadlineExceeded))
		wantProblem(t, s.do(unknownLength(slow)), idemhttp.BodyIncomplete, 408)
		s.wantRuns(0)
		require.Equal(t, 201, s.post("k", "42").Code)
	}
	require.Empty(t, list())
}

// The same over a real connection, which ends in the middle of what was announced.
func TestConnectionBreaksOff(t *testing.T) {
	refused := make(chan int, 1)
	s := serve(t, charge, nil)
	inner := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		inner.ServeHTTP(recorder, r)
		refused <- recorder.Code
	})
	server := s.listen()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "POST /charges HTTP/1.1\r\nHost: x\r\nIdempotency-Key: \"k\"\r\nContent-Length: 100\r\n\r\nhalf")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Equal(t, 400, <-refused)
	s.wantRuns(0)
}

// A temporary directory that cannot be written to is the server's trouble.
func TestSpoolFails(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	failed := ""
	s := serve(t, charge, func(c *idemhttp.Config) {
		c.SpoolAbove = 10
		c.Hooks.StoreError = func(op string, _ error) { failed = op }
	})
	wantProblem(t, s.post("k", strings.Repeat("b", 11)), idemhttp.Unavailable, 503)
	require.Equal(t, "spool", failed)
	s.wantRuns(0)
	require.Equal(t, 201, s.post("k", "short").Code)
}

// The handler panics with a body in a file: it is removed all the same.
func TestSpoolRemovedAfterPanic(t *testing.T) {
	list := temporary(t)
	s := serve(t, func(http.ResponseWriter, *http.Request) { panic("half-way") }, func(c *idemhttp.Config) { c.SpoolAbove = 10 })
	require.Panics(t, func() { s.post("k", strings.Repeat("b", 11)) })
	require.Empty(t, list())
}

// Files are closed, not left to the garbage collector.
func TestSpoolClosesFiles(t *testing.T) {
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("nobody says which files are open")
		}
		return len(files)
	}
	s := serve(t, charge, func(c *idemhttp.Config) { c.SpoolAbove = 1 })
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := open()
	for range 100 {
		s.post("k", "42")
	}
	require.Less(t, open(), before+50)
	s.wantRuns(1)
}

// form is a multipart request, with a boundary of its own.
func form(t *testing.T, amount, file string) *http.Request {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	require.NoError(t, w.WriteField("amount", amount))
	part, err := w.CreateFormFile("receipt", "receipt.pdf")
	require.NoError(t, err)
	_, err = io.WriteString(part, file)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	r := post("k", "/charges", "")
	r.Body, r.ContentLength = io.NopCloser(&body), int64(body.Len())
	r.Header.Set("Content-Type", w.FormDataContentType())
	return r
}

// A client that makes a form anew for its retry makes another boundary: the parts are compared. Files that the handler's parsing makes are
// removed.
func TestMultipart(t *testing.T) {
	list := temporary(t)
	big := strings.Repeat("pdf", 1000)
	for _, above := range []int{100, 1 << 20} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			assert.NoError(t, r.ParseMultipartForm(10))
			assert.Equal(t, "42", r.FormValue("amount"))
			file, _, err := r.FormFile("receipt")
			assert.NoError(t, err)
			content, err := io.ReadAll(file)
			assert.NoError(t, err)
			assert.Equal(t, big, string(content))
			assert.NoError(t, file.Close())
			assert.NotEmpty(t, list())
			w.WriteHeader(http.StatusCreated)
		}, func(c *idemhttp.Config) { c.SpoolAbove = above })
		first := s.do(form(t, "42", big))
		require.Equal(t, 201, first.Code)
		require.Empty(t, list())
		wantReplay(t, first, s.do(form(t, "42", big)))
		wantProblem(t, s.do(form(t, "43", big)), idemhttp.KeyReused, 422)
		wantProblem(t, s.do(form(t, "42", big+"x")), idemhttp.KeyReused, 422)
		renamed := form(t, "42", big)
		renamed.Header.Set("Content-Type", strings.Replace(renamed.Header.Get("Content-Type"), "form-data", "mixed", 1))
		wantProblem(t, s.do(renamed), idemhttp.KeyReused, 422)
		s.wantRuns(1)
	}
}

// What claims to be multipart and is not readable as that is compared byte by byte.
func TestMultipartUnreadable(t *testing.T) {
	s := serve(t, charge, nil)
	broken := func(contentType, body string) *http.Request {
		r := post("k", "/charges", body)
		r.Header.Set("Content-Type", contentType)
		return r
	}
	const kind = "multipart/form-data; boundary=b"
	first := s.do(broken(kind, "--b\r\nno header\r\n"))
	require.Equal(t, 201, first.Code)
	wantReplay(t, first, s.do(broken(kind, "--b\r\nno header\r\n")))
	wantProblem(t, s.do(broken(kind, "--b\r\nno header")), idemhttp.KeyReused, 422)
	wantProblem(t, s.do(broken("multipart/form-data", "--b\r\nno header\r\n")), idemhttp.KeyReused, 422)
	wantProblem(t, s.do(broken("multipart/form-data; boundary=c", "--b\r\nno header\r\n")), idemhttp.KeyReused, 422)
	s.wantRuns(1)
}

// A fingerprint of the service's own that fails, or panics, executes nothing.
func TestFingerprintFails(t *testing.T) {
	for _, c := range []struct {
		fail   func() error
		kind   idemhttp.Kind
		status int
	}{
		{func() error { return errors.New("no amount") }, idemhttp.BodyIncomplete, 400},
		{func() error { return &idemhttp.Problem{Type: "#InProgress", Title: "No amount", Status: 418} }, idemhttp.InProgress, 418},
		{func() error { panic("no amount") }, idemhttp.Unavailable, 503},
	} {
		s := serve(t, charge, func(config *idemhttp.Config) {
			config.Fingerprint = func(io.Writer, *http.Request, io.Reader) error { return c.fail() }
		})
		wantProblem(t, s.post("k", "42"), c.kind, c.status)
		s.wantRuns(0)
	}
}

// A body of which nobody knows the end is read no longer than its client is there.
func TestClientLeavesWhileSending(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := serve(t, charge, nil)
		client, server := net.Pipe()
		defer func() { _ = client.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := unknownLength(server)
		context.AfterFunc(ctx, func() { _ = server.Close() }) // as net/http does
		wantProblem(t, s.do(r.WithContext(ctx)), idemhttp.BodyIncomplete, 400)
		s.wantRuns(0)
	})
}
