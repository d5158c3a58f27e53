package idemhttp_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// faultProxy stands between a client and a provider, on loopback, and breaks connections as its fault says.
type faultProxy struct {
	t       testing.TB
	backend string
	fault   func(c *faultyConn) // has one connection of a client; it is closed after it
	ln      net.Listener
	wg      sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	count int
}

// faultyConn is one connection of a client.
type faultyConn struct {
	*net.TCPConn
	proxy *faultProxy
	n     int // counted from 1
	in    *bufio.Reader
}

// patience bounds everything that waits for the other side: on a busy machine, long.
const patience = 2 * time.Minute

func newFaultProxy(t testing.TB, backend string, fault func(c *faultyConn)) *faultProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &faultProxy{t: t, backend: backend, fault: fault, ln: ln, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		p.mu.Lock()
		for c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *faultProxy) addr() string { return p.ln.Addr().String() }

func (p *faultProxy) accept() {
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		p.mu.Lock()
		p.count++
		c := &faultyConn{TCPConn: conn.(*net.TCPConn), proxy: p, n: p.count, in: bufio.NewReader(conn)}
		p.conns[conn] = true
		p.mu.Unlock()
		p.wg.Go(func() {
			p.fault(c)
			_ = conn.Close()
			p.mu.Lock()
			delete(p.conns, conn)
			p.mu.Unlock()
		})
	}
}

// header reads a request's head, and not its body. It returns nil if there is none.
func (c *faultyConn) header() *http.Request {
	req, err := http.ReadRequest(c.in)
	if err != nil {
		return nil
	}
	return req
}

// request reads a whole request, nil if there is none.
func (c *faultyConn) request() *http.Request {
	req := c.header()
	if req == nil {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil
	}
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return req
}

// forward hands a request to the provider, and returns the answer as it came; nothing if there is no request.
func (c *faultyConn) forward(req *http.Request) []byte {
	if req == nil {
		return nil
	}
	backend, err := net.Dial("tcp", c.proxy.backend)
	if err != nil {
		c.proxy.t.Errorf("the fault proxy cannot reach the provider: %v", err)
		return nil
	}
	defer func() { _ = backend.Close() }()
	_ = backend.SetDeadline(time.Now().Add(patience))
	if err := req.Write(backend); err != nil {
		c.proxy.t.Errorf("the fault proxy cannot write to the provider: %v", err)
		return nil
	}
	var raw bytes.Buffer
	res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(backend, &raw)), req)
	if err != nil {
		c.proxy.t.Errorf("the fault proxy cannot read the provider's answer: %v", err)
		return nil
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return raw.Bytes()
}

// pass serves one request as it should be. It reports false when the client has gone.
func (c *faultyConn) pass() bool {
	answer := c.forward(c.request())
	_, err := c.Write(answer)
	return err == nil && answer != nil
}

// reset ends the connection with an RST.
func (c *faultyConn) reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// waitForClient returns when the client has closed the connection.
func (c *faultyConn) waitForClient() { _, _ = io.Copy(io.Discard, c.in) }
