package mqtt

import (
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	helloTimeout = 10 * time.Second // from a connection to its CONNECT
	stuckTimeout = 5 * time.Second  // for a client to take a message
	readRate     = 4 << 20          // bytes per second from one client
)

// guarded is a listener whose connections cannot take the memory: there are few
// of them, each sends at a bounded rate, and one that does not read is closed.
type guarded struct {
	net.Listener
	mu    sync.Mutex
	conns map[*guardedConn]struct{} // nil: shut
	free  int                       // connections that may still come in
}

func newGuarded(l net.Listener) *guarded {
	return &guarded{Listener: l, conns: make(map[*guardedConn]struct{}), free: brokerConnections}
}

// Accept waits for the next connection that there is room for.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if guard := g.guard(c, true); guard != nil {
			c.SetReadDeadline(time.Now().Add(helloTimeout))
			return guard, nil
		}
	}
}

// guard wraps c. It closes c and returns nil when there is no room or the
// listener is shut. Connections that are not counted have no limits but the
// one on writing.
func (g *guarded) guard(c net.Conn, counted bool) *guardedConn {
	guard := &guardedConn{Conn: c, of: g, counted: counted}
	if counted {
		guard.limit = rate.NewLimiter(readRate, readRate)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns == nil || counted && g.free == 0 {
		c.Close()
		return nil
	}
	if counted {
		g.free--
	}
	g.conns[guard] = struct{}{}
	return guard
}

// shut closes all connections, those included that have not said anything yet,
// for which the server would wait.
func (g *guarded) shut() {
	g.mu.Lock()
	conns := g.conns
	g.conns = nil
	g.mu.Unlock()
	g.Listener.Close()
	for c := range conns {
		c.Conn.Close()
	}
}

func (g *guarded) forget(c *guardedConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.conns[c]; ok {
		delete(g.conns, c)
		if c.counted {
			g.free++
		}
	}
}

type guardedConn struct {
	net.Conn
	of      *guarded
	counted bool
	limit   *rate.Limiter // nil: none
}

// Read reads at a bounded rate.
func (c *guardedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.limit != nil && n > 0 {
		if wait := c.limit.ReserveN(time.Now(), n).Delay(); wait > 0 {
			time.Sleep(wait)
		}
	}
	return n, err
}

// Write closes the connection when the client does not take what it has asked
// for: half a message is of no use.
func (c *guardedConn) Write(p []byte) (int, error) {
	c.Conn.SetWriteDeadline(time.Now().Add(stuckTimeout))
	n, err := c.Conn.Write(p)
	if err != nil {
		c.Conn.Close()
	}
	return n, err
}

// SetDeadline is the server's keep-alive, which is about reading. A client that
// sends but does not read must not push the limit of Write.
func (c *guardedConn) SetDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }

func (c *guardedConn) Close() error {
	c.of.forget(c)
	return c.Conn.Close()
}
