package demo

import (
	"io"
	"os"
)

// isTerminal returns w as something to paint on, if it is. NO_COLOR is taken at its word: plain lines, then.
func isTerminal(w io.Writer) (terminal *os.File, ok bool) {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return nil, false
	}
	info, err := f.Stat()
	return f, err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Where the terminal does not say how large it is.
const (
	usualWidth  = 80
	usualHeight = 24
)

// terminalSize returns columns and lines.
func terminalSize(f *os.File) (width, height int) {
	width, height = windowSize(f.Fd())
	if width <= 0 || height <= 0 {
		return usualWidth, usualHeight
	}
	return width, height
}
