//go:build !(linux || darwin || freebsd)

package demo

// windowSize does not know.
func windowSize(uintptr) (width, height int) { return 0, 0 }
