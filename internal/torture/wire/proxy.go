package wire

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Weather is what connections meet. The zero value is fair.
type Weather struct {
	// Latency is at most so long for each piece of data, drawn anew.
	Latency time.Duration
	// CutWithin resets a connection after at most so many bytes, in whichever direction: in the middle of a statement, or of a
	// reply to one that was carried out. Zero: never.
	CutWithin int64
	// HalfOpen lets connections stand, and nothing through.
	HalfOpen bool
}

// Proxy stands between a pool and its server, and is the weather there.
type Proxy struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex
	target  string
	weather Weather
	changed chan struct{} // closed when the weather changes
	conns   map[net.Conn]*budget
	closed  bool
}

// NewProxy listens on a free port, for a server at an address.
func NewProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, changed: make(chan struct{}), conns: map[net.Conn]*budget{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set changes the weather.
func (p *Proxy) Set(w Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
	close(p.changed)
	p.changed = make(chan struct{})
}

// Strand lets the connections that there are stand, and carry nothing any more. New ones are not affected.
func (p *Proxy) Strand() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.conns {
		b.strand()
	}
}

// Fail leads all connections to another server from now on. Those that there are, are reset.
func (p *Proxy) Fail(over string) {
	p.mu.Lock()
	p.target = over
	p.mu.Unlock()
	p.Reset()
}

// Reset resets all connections.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
}

// Close resets all connections, and returns when no goroutine is left.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Set(Weather{})
	p.Reset()
	p.wg.Wait()
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.wg.Go(func() { p.carry(client) })
		}
	}
}

// keep remembers a connection, unless all is over.
func (p *Proxy) keep(c net.Conn, b *budget) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		reset(c)
		return false
	}
	p.conns[c] = b
	return true
}

func (p *Proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	reset(c)
}

func (p *Proxy) carry(client net.Conn) {
	p.mu.Lock()
	target, weather := p.target, p.weather
	p.mu.Unlock()
	budget := &budget{left: weather.cut()}
	if !p.keep(client, budget) {
		return
	}
	defer p.forget(client)
	server, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", target)
	if err != nil || !p.keep(server, budget) {
		return
	}
	defer p.forget(server)
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		wg.Go(func() {
			p.pump(way[0], way[1], budget)
			reset(client)
			reset(server)
		})
	}
	wg.Wait()
}

func (w Weather) cut() int64 {
	if w.CutWithin == 0 {
		return -1
	}
	return 1 + rand.Int64N(w.CutWithin)
}

// budget is how many bytes a connection still carries; negative: any number.
type budget struct {
	mu       sync.Mutex
	left     int64
	stranded bool
}

func (b *budget) strand() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stranded = true
}

// take takes as many of n bytes as there are left, and reports whether that was all.
func (b *budget) take(n int64, w Weather) (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stranded {
		return 0, true
	}
	if b.left < 0 {
		b.left = w.cut() // it was opened in better weather
	}
	if b.left < 0 || w.CutWithin == 0 {
		return n, true
	}
	n = min(n, b.left)
	b.left -= n
	return n, b.left > 0
}

func (p *Proxy) pump(from, to net.Conn, b *budget) {
	data := make([]byte, 32<<10)
	for {
		n, err := from.Read(data)
		if err != nil {
			return
		}
		w := p.wait()
		if w.Latency > 0 {
			time.Sleep(rand.N(w.Latency)) //nolint:forbidigo // it is the latency
		}
		some, goesOn := b.take(int64(n), w)
		if _, err := to.Write(data[:some]); err != nil || !goesOn {
			return
		}
	}
}

// wait waits while nothing goes through.
func (p *Proxy) wait() Weather {
	for {
		p.mu.Lock()
		w, changed := p.weather, p.changed
		p.mu.Unlock()
		if !w.HalfOpen {
			return w
		}
		<-changed
	}
}
