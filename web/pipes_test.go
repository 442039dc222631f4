package web

import (
	"bufio"
	"net"
	"net/http"
	"testing"
	"time"
)

// pipes is a Listener of connections in memory, for servers in a bubble of
// testing/synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

// Accept implements net.Listener.
func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipes) Close() error { close(l.closed); return nil }

// Addr implements net.Listener.
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects as a client at an address.
func (l *pipes) dial(from string) net.Conn {
	client, server := net.Pipe()
	l.conns <- remote{server, from}
	return client
}

// remote is a connection from an address.
type remote struct {
	net.Conn
	from string
}

// RemoteAddr implements net.Conn.
func (c remote) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(mustAddrPort(c.from))
}

// serve runs the server of cfg, with all its limits, until the test ends.
func serve(t *testing.T, cfg Config) *pipes {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = discard
	}
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	ending := make(stopper)
	h, err := newHandler(cfg, newGuard(cfg), ending)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(cfg, newCrowd(l, cfg.Log), h, ending)
	served := make(chan struct{})
	go func() { defer close(served); _ = s.server.Serve(s.listener) }()
	t.Cleanup(func() {
		s.server.Close()
		<-served
		time.Sleep(time.Second) // net/http gives a client it has refused time to read why
	})
	return l
}

// exchange sends raw bytes from an address and returns the status of the first
// answer, 0 when there is none, and its header.
func (l *pipes) exchange(from, raw string) (status int, header http.Header) {
	c := l.dial(from)
	defer c.Close()
	go func() { _, _ = c.Write([]byte(raw)) }()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, nil
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header
}
