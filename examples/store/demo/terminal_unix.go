//go:build linux || darwin || freebsd

package demo

import (
	"syscall"
	"unsafe"
)

// windowSize asks the terminal. It returns zeros if that does not know.
func windowSize(fd uintptr) (width, height int) {
	var size struct{ rows, columns, _, _ uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0, 0
	}
	return int(size.columns), int(size.rows)
}
