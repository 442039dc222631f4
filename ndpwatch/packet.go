package ndpwatch

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Protocol numbers (IANA).
const (
	protocolHopByHop = 0
	protocolUDP      = 17
	protocolICMPv6   = 58
)

const (
	ipv6HeaderLen = 40
	hopByHopLen   = 8 // the shortest; it is counted in such units
)

// What can be wrong with a packet. The values are fixed so that a flood of
// nonsense allocates nothing.
var (
	errHeader = errors.New("bad IPv6 header")
	errSource = errors.New("IPv6 source cannot be a host's")
)

// packet is an IPv6 packet (RFC 8200) without its headers.
type packet struct {
	src, dst netip.Addr
	hopLimit byte
	hopByHop bool // it has hop-by-hop options
	protocol byte // of payload
	payload  []byte
}

// parsePacket cuts the IPv6 packet b, which may be followed by the padding of
// its frame. Of the extension headers it takes the hop-by-hop options only:
// reports of multicast listeners have them, and neither neighbour discovery
// nor DHCPv6 on a link has any other. A fragment is another protocol: neighbour
// discovery must not be fragmented (RFC 6980).
func parsePacket(b []byte) (packet, error) {
	if len(b) < ipv6HeaderLen || b[0]>>4 != 6 {
		return packet{}, errHeader
	}
	p := packet{
		src:      netip.AddrFrom16([16]byte(b[8:24])),
		dst:      netip.AddrFrom16([16]byte(b[24:40])),
		hopLimit: b[7],
		protocol: b[6],
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	b = b[ipv6HeaderLen:]
	if length > len(b) {
		return packet{}, errHeader
	}
	p.payload = b[:length]
	if p.protocol == protocolHopByHop {
		if len(p.payload) < hopByHopLen {
			return packet{}, errHeader
		}
		n := (int(p.payload[1]) + 1) * hopByHopLen
		if n > len(p.payload) {
			return packet{}, errHeader
		}
		p.hopByHop = true
		p.protocol, p.payload = p.payload[0], p.payload[n:]
	}
	if !p.src.IsUnspecified() && !host(p.src) {
		return packet{}, errSource
	}
	return p, nil
}

// host reports whether a can be the address of one host.
func host(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.Is4In6()
}

// checksum is the Internet checksum (RFC 1071) of payload and the pseudo-header
// of IPv6 (RFC 8200, section 8.1). Over a payload that has the right checksum
// in it, it is 0.
func checksum(src, dst netip.Addr, protocol byte, payload []byte) uint16 {
	sum := uint64(len(payload)) + uint64(protocol)
	add := func(b []byte) {
		for ; len(b) > 1; b = b[2:] {
			sum += uint64(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint64(b[0]) << 8
		}
	}
	from, to := src.As16(), dst.As16()
	add(from[:])
	add(to[:])
	add(payload)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
