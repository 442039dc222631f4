package notify

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// buffer is a connection that takes what is written without waiting for who
// reads it, as the kernel's do.
type buffer struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func buffered(c net.Conn) net.Conn {
	b := &buffer{Conn: c, out: make(chan []byte, 64), closed: make(chan struct{})}
	go b.pump()
	return b
}

func (b *buffer) pump() {
	defer func() { _ = b.Conn.Close() }()
	for {
		select {
		case p := <-b.out:
			if _, err := b.Conn.Write(p); err != nil {
				_ = b.Close()
				return
			}
			continue
		default:
		}
		select {
		case p := <-b.out:
			if _, err := b.Conn.Write(p); err != nil {
				_ = b.Close()
				return
			}
		case <-b.closed:
			if len(b.out) == 0 {
				return
			}
		}
	}
}

// Write implements net.Conn.
func (b *buffer) Write(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, net.ErrClosed
	case b.out <- bytes.Clone(p):
		return len(p), nil
	}
}

// SetWriteDeadline implements net.Conn: to write takes no time.
func (*buffer) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (b *buffer) SetDeadline(t time.Time) error { return b.SetReadDeadline(t) }

// Close implements net.Conn: what was written before still goes out.
func (b *buffer) Close() error {
	b.once.Do(func() {
		_ = b.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		close(b.closed)
	})
	return nil
}
