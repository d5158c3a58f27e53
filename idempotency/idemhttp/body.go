package idemhttp

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"runtime"
	"sync"
)

// errTooLarge says that a body is above Config.MaxBody.
var errTooLarge = errors.New("idemhttp: the body is too large")

// body is a request's body that was read once: the fingerprint is taken from it, and the handler reads it. It is in memory, or in a
// temporary file that nobody else can open.
type body struct {
	mu     sync.Mutex // a handler may leave goroutines behind that still read
	memory bytes.Reader
	file   *os.File // nil: it is in memory
	name   string   // of the file, where it could not be removed at once
	size   int64
	closed bool
}

// spool reads all of r's body. It must be released, also after an error.
func (b *body) spool(r *http.Request, limit int64, above int) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if r.ContentLength > limit {
		return errTooLarge
	}
	from := io.LimitReader(r.Body, limit+1)
	memory, err := readSome(from, r.ContentLength, above)
	switch {
	case err != nil:
		return err
	case memory.full:
		if err := b.spill(memory.data, from); err != nil {
			return err
		}
	default:
		b.memory.Reset(memory.data)
		b.size = int64(len(memory.data))
	}
	if b.size > limit {
		return errTooLarge
	}
	return nil
}

type some struct {
	data []byte
	full bool // there may be more
}

// readSome reads what is kept in memory. A body of known length is read into a buffer of just that length.
func readSome(from io.Reader, length int64, above int) (some, error) {
	room := min(512, above)
	if length >= 0 {
		room = int(min(length, int64(above)))
	}
	data := make([]byte, 0, room+1) // one more, to see the end
	for {
		n, err := from.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF:
			return some{data: data}, nil
		case err != nil:
			return some{}, err
		case len(data) > above:
			return some{data: data, full: true}, nil
		case len(data) == cap(data):
			grown := make([]byte, len(data), min(2*len(data), above)+1)
			copy(grown, data)
			data = grown
		}
	}
}

// spill writes what was read, and all that follows, into a temporary file.
func (b *body) spill(data []byte, from io.Reader) error {
	file, err := os.CreateTemp("", "idemhttp-*")
	if err != nil {
		return &spoolError{err}
	}
	b.file, b.name = file, file.Name()
	if runtime.GOOS != "windows" && os.Remove(b.name) == nil { // a crash leaves nothing behind
		b.name = ""
	}
	n, err := file.Write(data)
	if err != nil {
		return &spoolError{err}
	}
	written := &fileWriter{file: file}
	m, err := io.Copy(written, from)
	if err == nil {
		err = b.rewind()
	}
	if written.err != nil {
		err = &spoolError{written.err}
	}
	b.size = int64(n) + m
	return err
}

// spoolError is this machine's failure, not the client's.
type spoolError struct{ err error }

func (e *spoolError) Error() string { return "idemhttp: the body cannot be kept: " + e.err.Error() }
func (e *spoolError) Unwrap() error { return e.err }

// fileWriter remembers whose error it was.
type fileWriter struct {
	file *os.File
	err  error
}

func (w *fileWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.err = err
	return n, err
}

// rewind goes back to the beginning.
func (b *body) rewind() error {
	if b.file != nil {
		if _, err := b.file.Seek(0, io.SeekStart); err != nil {
			return &spoolError{err}
		}
		return nil
	}
	_, err := b.memory.Seek(0, io.SeekStart)
	return err
}

// Read reads on.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, http.ErrBodyReadAfterClose
	case b.file != nil:
		return b.file.Read(p)
	}
	return b.memory.Read(p)
}

// Close ends the handler's reading.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// release removes the file. Whoever still reads gets an error.
func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.file == nil {
		return
	}
	_ = b.file.Close()
	if b.name != "" {
		if err := os.Remove(b.name); errors.Is(err, fs.ErrNotExist) {
			b.name = ""
		}
	}
	b.file = nil
}
