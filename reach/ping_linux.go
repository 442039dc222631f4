package reach

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	protocolICMP   = 1
	protocolICMPv6 = 58
	tokenLen       = 16 // makes an answer ours; nobody else can guess it
	maxReply       = 1500
)

// echo is a question, by what its answer is known.
type echo struct {
	v6    bool
	id    uint16
	token [tokenLen]byte
}

// ping asks a for an echo. It returns nil once that has come.
func ping(ctx context.Context, a netip.Addr) error {
	network := "ip4:icmp"
	if a.Is6() {
		network = "ip6:ipv6-icmp"
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, a.String()) // connected: the kernel takes a's own packets only
	if err != nil {
		return fmt.Errorf("opening a socket for a ping: %w", err)
	}
	defer func() { _ = c.Close() }()
	conn := c.(*net.IPConn)
	if err := wantErrors(conn, a.Is6()); err != nil {
		return err
	}
	if t, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(t)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	q := newEcho(a.Is6())
	question, err := q.marshal()
	if err != nil {
		return err
	}
	if _, err := conn.Write(question); err != nil {
		return err
	}
	buf := make([]byte, maxReply)
	for {
		n, _, err := conn.ReadFromIP(buf)
		if err != nil {
			return err
		}
		if q.answeredBy(buf[:n]) {
			return nil
		}
	}
}

// wantErrors has what routers say of our packets come as errors of the socket.
func wantErrors(conn *net.IPConn, v6 bool) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(fd uintptr) { err = setRecvErr(int(fd), v6) })
	if controlErr != nil {
		return controlErr
	}
	return err
}

func setRecvErr(fd int, v6 bool) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
	}
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1)
}

func newEcho(v6 bool) *echo {
	q := &echo{v6: v6}
	_, _ = rand.Read(q.token[:]) // never fails
	q.id = binary.BigEndian.Uint16(q.token[:])
	return q
}

// marshal returns the request. The kernel fills in the checksum of ICMPv6
// (RFC 3542, section 3.1).
func (q *echo) marshal() ([]byte, error) {
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(q.id), Seq: 1, Data: q.token[:]}}
	if q.v6 {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	return m.Marshal(nil)
}

// answeredBy reports whether an ICMP message is the answer.
func (q *echo) answeredBy(b []byte) bool {
	protocol, reply := protocolICMP, icmp.Type(ipv4.ICMPTypeEchoReply)
	if q.v6 {
		protocol, reply = protocolICMPv6, ipv6.ICMPTypeEchoReply
	}
	m, err := icmp.ParseMessage(protocol, b)
	if err != nil || m.Type != reply {
		return false
	}
	body, ok := m.Body.(*icmp.Echo)
	return ok && body.ID == int(q.id) && bytes.Equal(body.Data, q.token[:])
}
