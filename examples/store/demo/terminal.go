package demo

import "os"

// isTerminal says whether f is something to paint on. NO_COLOR is taken at its word: plain lines, then.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
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
