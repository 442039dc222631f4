package ndpwatch

import (
	"encoding/binary"
	"net/netip"

	"porchlight/capture"
	"porchlight/presence"
)

// Asked returns the address that a neighbour solicitation asks for. ok is false
// when f is none. A replay uses it to see the probes in a capture.
func Asked(f capture.Frame) (addr netip.Addr, ok bool) {
	if f.EtherType != capture.EtherTypeIPv6 {
		return netip.Addr{}, false
	}
	p, err := parsePacket(f.Payload)
	if err != nil || p.protocol != protocolICMPv6 || len(p.payload) < 24 || p.payload[0] != typeSolicit || p.src.IsUnspecified() {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16([16]byte(p.payload[8:24])), true
}

// solicitation builds the frame that asks for target: a neighbour solicitation
// (RFC 4861, section 4.3) from the address sender of the station from, to one
// station, or to everyone who may have the address if to is the zero MAC. It is
// tagged with vids, outermost first.
func solicitation(from presence.MAC, sender netip.Addr, to presence.MAC, target netip.Addr, vids []uint16) ([]byte, error) {
	dst := target
	if to == (presence.MAC{}) {
		dst = solicitedNode(target)
		to = groupMAC(dst)
	}
	const length = 32
	b := make([]byte, 0, ipv6HeaderLen+length)
	b = append(b, 0x60, 0, 0, 0, 0, length, protocolICMPv6, hopLimitDiscovery)
	b = append(b, sender.AsSlice()...)
	b = append(b, dst.AsSlice()...)
	b = append(b, typeSolicit, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, target.AsSlice()...)
	b = append(append(b, optionSourceMAC, 1), from[:]...)
	sum := checksum(sender, dst, protocolICMPv6, b[ipv6HeaderLen:])
	binary.BigEndian.PutUint16(b[ipv6HeaderLen+2:], sum)

	return capture.Build(to, from, capture.EtherTypeIPv6, b, vids)
}

// solicitedNode is the group that whoever has the address a listens to
// (RFC 4291, section 2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// groupMAC is where a group listens on Ethernet (RFC 2464, section 7).
func groupMAC(group netip.Addr) presence.MAC {
	b := group.As16()
	return presence.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}
