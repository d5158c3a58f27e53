package crash

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// process is a child that was started.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser // while it is open, the child lives
	out   *bufio.Reader
}

// start starts this program in another role.
func start(ctx context.Context, log io.Writer, args ...string) (*process, error) {
	path, err := self()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for this program: it ends its children
	p := &process{cmd: cmd}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return p, cmd.Start()
}

// line reads a line that the child prints.
func (p *process) line() (string, error) {
	text, err := p.out.ReadString('\n')
	return strings.TrimSpace(text), err
}

// kill ends it as a power failure does.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // unless it has ended
	_ = p.stdin.Close()
	_ = p.cmd.Wait() // it says that it was killed
}

// town are those whom the shop calls: they are not killed.
type town struct {
	bank, warehouse, post string // URLs
	smtp                  string
	all                   []*process
}

func openTown(ctx context.Context, seed uint64, log io.Writer) (t *town, err error) {
	t = &town{}
	for _, role := range []struct {
		name, arg string
		lines     []*string
	}{
		{"bank", strconv.FormatUint(seed, 10), []*string{&t.bank}},
		{"warehouse", "", []*string{&t.warehouse}},
		{"post", "", []*string{&t.smtp, &t.post}},
	} {
		p, err := start(ctx, log, Role, role.name, role.arg)
		if err != nil {
			return t, err
		}
		t.all = append(t.all, p)
		for _, into := range role.lines {
			if *into, err = p.line(); err != nil {
				return t, fmt.Errorf("crash: the %s did not start: %w", role.name, err)
			}
		}
	}
	return t, nil
}

func (t *town) close() {
	for _, p := range t.all {
		p.kill()
	}
}

// house is the shop: its process is killed and started again, always at the same address, on the same database.
type house struct {
	addr string
	args []string
	log  io.Writer

	mu  sync.Mutex
	now *process
}

// newHouse returns one whose program is started by these arguments, among others.
func newHouse(t *town, dir string, log io.Writer, args ...string) (*house, error) {
	listener, err := net.Listen("tcp", free)
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	return &house{addr: addr, log: log, args: append(args,
		"-addr", addr, "-db", filepath.Join(dir, "shop.db"), "-bank", t.bank, "-warehouse", t.warehouse, "-smtp", t.smtp,
	)}, nil
}

// open starts the shop. It is open when it says so.
func (h *house) open(ctx context.Context) error {
	p, err := start(ctx, h.log, h.args...)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.now = p
	h.mu.Unlock()
	if _, err := p.line(); err != nil {
		return fmt.Errorf("crash: the shop did not open: %w", err)
	}
	return nil
}

func (h *house) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now != nil {
		h.now.kill()
		h.now = nil
	}
}

// killAndOpen kills the shop and opens it again.
func (h *house) killAndOpen(ctx context.Context) error {
	h.kill()
	return h.open(ctx)
}
