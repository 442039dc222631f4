package lab

import (
	"encoding/binary"
	"net/netip"
)

const (
	etherIPv6 = 0x86dd

	icmpReport        = 143 // RFC 3810
	icmpRouterSolicit = 133 // RFC 4861
	icmpSolicit       = 135
	icmpAdvertise     = 136

	optionSourceMAC = 1
	optionTargetMAC = 2

	advertiseAnswers  = 0x40
	advertiseOverride = 0x20
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allRouters  = netip.MustParseAddr("ff02::2")
	mldRouters  = netip.MustParseAddr("ff02::16")
	unspecified = netip.IPv6Unspecified()
)

// DuplicateAddress asks whether anybody has the IPv6 address a, as the station
// does that wants it (RFC 4862, section 5.4.2).
func DuplicateAddress(mac MAC, a netip.Addr) []byte {
	return neighbour(groupMAC(a), mac, unspecified, solicitedNode(a), icmpSolicit, 0, a, 0)
}

// NeighbourSolicitation asks for the MAC of the IPv6 address target.
func NeighbourSolicitation(mac MAC, sender, target netip.Addr) []byte {
	return neighbour(groupMAC(target), mac, sender, solicitedNode(target), icmpSolicit, 0, target, optionSourceMAC)
}

// NeighbourAdvertisement tells everyone that the station has the IPv6 address a
// (RFC 4861, section 7.2.6).
func NeighbourAdvertisement(mac MAC, a netip.Addr) []byte {
	return neighbour(multicastMAC(allNodes), mac, a, allNodes, icmpAdvertise, advertiseOverride, a, optionTargetMAC)
}

// RouterSolicitation asks for routers.
func RouterSolicitation(mac MAC, a netip.Addr) []byte {
	body := append(make([]byte, 4), optionSourceMAC, 1)
	return icmpFrame(multicastMAC(allRouters), mac, a, allRouters, 255, false, icmpRouterSolicit, append(body, mac[:]...))
}

// ListenerReport says that the station listens to the solicited-node group of a,
// which it wants to have: the first word of one that joins (RFC 3810).
func ListenerReport(mac MAC, a netip.Addr) []byte {
	group := solicitedNode(a)
	body := append([]byte{0, 0, 0, 1, 4, 0, 0, 0}, group.AsSlice()...)
	return icmpFrame(multicastMAC(mldRouters), mac, unspecified, mldRouters, 1, true, icmpReport, body)
}

// neighbour is a message of neighbour discovery about target, with the
// station's MAC in an option unless that is 0.
func neighbour(dst, src MAC, from, to netip.Addr, kind, flags byte, target netip.Addr, option byte) []byte {
	body := append([]byte{flags, 0, 0, 0}, target.AsSlice()...)
	if option != 0 {
		body = append(append(body, option, 1), src[:]...)
	}
	return icmpFrame(dst, src, from, to, 255, false, kind, body)
}

// icmpFrame is an ICMPv6 message with its IPv6 and Ethernet headers; alert puts
// a router alert before it (RFC 2711).
func icmpFrame(dst, src MAC, from, to netip.Addr, hops byte, alert bool, kind byte, body []byte) []byte {
	const protocolICMP = 58
	message := append([]byte{kind, 0, 0, 0}, body...)
	pseudo := uint32(len(message)) + protocolICMP
	for _, a := range []netip.Addr{from, to} {
		b := a.As16()
		for i := 0; i < len(b); i += 2 {
			pseudo += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	binary.BigEndian.PutUint16(message[2:], checksum(pseudo, message))

	next, options := byte(protocolICMP), []byte(nil)
	if alert {
		next, options = 0, []byte{protocolICMP, 0, 5, 2, 0, 0, 1, 0}
	}
	b := append(append(make([]byte, 0, 128), dst[:]...), src[:]...)
	b = append(b, etherIPv6>>8, etherIPv6&0xff, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(options)+len(message)))
	b = append(b, next, hops)
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	return append(append(b, options...), message...)
}

func solicitedNode(a netip.Addr) netip.Addr {
	b, g := a.As16(), [16]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff}
	copy(g[13:], b[13:])
	return netip.AddrFrom16(g)
}

func multicastMAC(group netip.Addr) MAC {
	b := group.As16()
	return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// groupMAC is where who has the address a listens besides at its own MAC.
func groupMAC(a netip.Addr) MAC { return multicastMAC(solicitedNode(a)) }

// parseSolicitation reads a neighbour solicitation for an address from an
// Ethernet frame. ok is false for everything else.
func parseSolicitation(b []byte) (q question, ok bool) {
	if len(b) < 78 || binary.BigEndian.Uint16(b[12:]) != etherIPv6 || b[20] != 58 || b[54] != icmpSolicit {
		return question{}, false
	}
	return question{
		dst: MAC(b[0:6]), src: MAC(b[6:12]),
		sender: netip.AddrFrom16([16]byte(b[22:38])),
		target: netip.AddrFrom16([16]byte(b[62:78])),
	}, true
}
