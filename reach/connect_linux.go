package reach

import (
	"context"
	"errors"
	"net/netip"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// connect connects to a TCP port and closes the connection at once. It returns
// nil when the host has accepted or refused it: either is an answer of its own.
// A firewall on the way that refuses with ICMP is none; one that forges the
// host's refusal cannot be told from it.
func connect(ctx context.Context, a netip.Addr, port uint16) error {
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(port), Addr: asFour(a)})
	if a.Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(port), Addr: a.As16()}
	}
	c, err := socket.Socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP, "tcp", nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var optErr error
	if err := raw.Control(func(fd uintptr) { optErr = setRecvErr(int(fd), a.Is6()) }); err != nil || optErr != nil {
		return errors.Join(err, optErr)
	}
	_, err = c.Connect(ctx, sa)
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	byICMP := false
	_ = raw.Control(func(fd uintptr) {
		// The message that caused the error waits in the error queue (ip(7), IP_RECVERR).
		_, _, _, _, none := unix.Recvmsg(int(fd), make([]byte, 1), make([]byte, 512), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		byICMP = none == nil
	})
	if byICMP {
		return err
	}
	return nil
}

func asFour(a netip.Addr) (b [4]byte) {
	if a.Is4() {
		b = a.As4()
	}
	return b
}
