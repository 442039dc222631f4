package capture

import (
	"net/netip"
	"os"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// hearGroups has the interface pass up the frames to all multicast groups, for
// as long as the socket is open (packet(7), PACKET_MR_ALLMULTI). Frames to
// other stations it leaves out, unlike in promiscuous mode.
func hearGroups(sock *socket.Conn, index int) error {
	return sock.SetsockoptPacketMreq(unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{
		Ifindex: int32(index), Type: unix.PACKET_MR_ALLMULTI,
	})
}

// join joins IPv6 groups on an interface for as long as the returned socket is
// open, which does nothing else. It is nil when there is no IPv6 here. A group
// that cannot be joined is left out: without it less may be heard.
func join(index int, groups []netip.Addr) *os.File {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	for _, g := range groups {
		_ = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{
			Multiaddr: g.As16(), Interface: uint32(index),
		})
	}
	return os.NewFile(uintptr(fd), "groups")
}
