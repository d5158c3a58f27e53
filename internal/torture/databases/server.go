package databases

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Server is a database server of a test's own, which it may kill.
type Server struct {
	Database *Database

	dir     string
	program string
	args    []string
	as      *syscall.Credential // nil: as ourselves
	cmd     *exec.Cmd
	ended   chan struct{}
	said    *bytes.Buffer // of the last start; read when it has ended
}

// NewServer makes an empty server in a directory of its own, and starts it. The settings are the server's own, "name=value". Without the
// server's binaries the error is a *MissingError.
func NewServer(ctx context.Context, name string, settings ...string) (_ *Server, err error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Server{Database: &Database{Name: name, Table: "steadfast_calls"}}
	if s.dir, err = os.MkdirTemp("", "steadfast-"+name+"-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(s.dir)
		}
	}()
	switch name {
	case Postgres:
		err = s.preparePostgres(ctx, port)
	case MariaDB:
		err = s.prepareMariaDB(ctx, port)
	default:
		err = fmt.Errorf("databases: %s has no server", name)
	}
	if err != nil {
		return nil, err
	}
	for _, setting := range settings {
		if name == Postgres {
			s.args = append(s.args, "-c", setting)
		} else {
			s.args = append(s.args, "--"+setting)
		}
	}
	err = s.Start(ctx)
	return s, err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// notInstalled says which packages have the server that a test wants to begin.
func notInstalled(name string, err error) error {
	packages := map[string]string{Postgres: "postgresql and libpq-dev", MariaDB: "mariadb-server"}
	return &MissingError{Service: name, Remedy: "the test begins a server of its own, install " + packages[name], Err: err}
}

func (s *Server) preparePostgres(ctx context.Context, port int) error {
	out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output()
	bin := strings.TrimSpace(string(out))
	if err != nil {
		return notInstalled(Postgres, fmt.Errorf("pg_config: %w", err))
	}
	if _, err := os.Stat(filepath.Join(bin, "initdb")); err != nil {
		return notInstalled(Postgres, err)
	}
	if err := s.runAs("postgres"); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	// The kills are the test; that the machine may lose power while the cluster is made is not.
	if err := s.run(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"); err != nil {
		return err
	}
	s.program = filepath.Join(bin, "postgres")
	s.args = []string{"-D", data, "-p", strconv.Itoa(port), "-k", s.dir, "-c", "listen_addresses=127.0.0.1"}
	s.Database.Driver, s.Database.DSN = "pgx", fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
	return nil
}

func (s *Server) prepareMariaDB(ctx context.Context, port int) error {
	install, err := exec.LookPath("mariadb-install-db")
	if err != nil {
		return notInstalled(MariaDB, err)
	}
	if s.program, err = exec.LookPath("mariadbd"); err != nil {
		return notInstalled(MariaDB, err)
	}
	if err := s.runAs("mysql"); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	if err := s.run(ctx, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db"); err != nil {
		return err
	}
	s.args = []string{
		"--no-defaults", "--datadir=" + data, "--port=" + strconv.Itoa(port), "--bind-address=127.0.0.1",
		"--socket=" + filepath.Join(s.dir, "socket"), "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
	}
	s.Database.Driver, s.Database.DSN = "mysql", fmt.Sprintf("root@tcp(127.0.0.1:%d)/mysql?timeout=5s", port)
	return nil
}

// runAs lets the server run as the user that its package made, where we are root: as root it would not.
func (s *Server) runAs(name string) error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return notInstalled(s.Database.Name, err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, uid, gid)
}

func (s *Server) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("databases: %s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

// Start starts the server, and waits until it answers.
func (s *Server) Start(ctx context.Context) error {
	db, err := s.Database.Connect()
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	const patience = time.Minute
	for began := time.Now(); ; {
		s.begin()
		for {
			limited, cancel := context.WithTimeout(ctx, time.Second)
			err = db.PingContext(limited)
			cancel()
			if err == nil {
				return nil
			}
			if over := s.over(50 * time.Millisecond); over { // what was killed may not be gone yet: it is started again
				break
			}
			if ctx.Err() != nil || time.Since(began) > patience {
				s.Kill()
				return fmt.Errorf("databases: %s does not answer: %w\n%s", s.Database.Name, err, s.said)
			}
		}
		if ctx.Err() != nil || time.Since(began) > patience {
			return fmt.Errorf("databases: %s does not start: %w\n%s", s.Database.Name, err, s.said)
		}
	}
}

func (s *Server) begin() {
	// Killed by us, never by a context: a server that is stopped halfway is this package's business.
	s.cmd = exec.CommandContext(context.Background(), s.program, s.args...)
	s.cmd.Dir, s.cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.as}
	s.said, s.ended = &bytes.Buffer{}, make(chan struct{})
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	if err := s.cmd.Start(); err != nil {
		s.said.WriteString(err.Error())
		close(s.ended)
		return
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait()
	}()
}

// over waits, and reports whether the server has ended.
func (s *Server) over(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.ended:
		return true
	case <-timer.C:
		return false
	}
}

// Kill kills the server with SIGKILL: all of its processes, so that none ends what it had begun.
func (s *Server) Kill() {
	if s.cmd.Process != nil {
		children := childrenOf(s.cmd.Process.Pid)
		_ = s.cmd.Process.Kill()
		for _, pid := range children {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	<-s.ended
}

// childrenOf reads who was begun by a process. Where the system does not say, nobody was.
func childrenOf(pid int) (list []int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for _, text := range strings.Fields(string(data)) {
		if n, err := strconv.Atoi(text); err == nil {
			list = append(list, n)
		}
	}
	return list
}

// Close kills the server and removes its directory.
func (s *Server) Close() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}
