package web

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
)

// crowd is a Listener that keeps one client from taking all connections, as by
// opening many and saying nothing (slow loris). Those beyond maxPerClient are
// closed unread. This machine itself is not counted: a proxy on it speaks for
// many, and whoever is here has no need of such tricks.
type crowd struct {
	net.Listener
	log *slog.Logger

	mu   sync.Mutex
	from map[netip.Prefix]int // open connections by client
}

func newCrowd(l net.Listener, log *slog.Logger) *crowd {
	return &crowd{Listener: l, log: log, from: map[netip.Prefix]int{}}
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := clientAt(conn.RemoteAddr().String())
		if client.Addr().IsLoopback() {
			return conn, nil
		}
		if n := c.count(client, 1); n > maxPerClient {
			c.count(client, -1)
			_ = conn.Close()
			if n == maxPerClient+1 {
				c.log.Debug("a client of the page has too many connections", "from", client.Addr().String())
			}
			continue
		}
		return &guest{Conn: conn, leave: sync.OnceFunc(func() { c.count(client, -1) })}, nil
	}
}

// count adds n to the connections of the client, and returns how many it has.
func (c *crowd) count(client netip.Prefix, n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n += c.from[client]
	if n == 0 {
		delete(c.from, client)
	} else {
		c.from[client] = n
	}
	return n
}

// guest is a connection that is counted.
type guest struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}
