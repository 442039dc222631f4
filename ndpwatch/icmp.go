package ndpwatch

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"porchlight/capture"
	"porchlight/presence"
)

// ICMPv6 types (IANA).
const (
	typeListenerReport1 = 131 // RFC 2710
	typeListenerDone    = 132
	typeRouterSolicit   = 133 // RFC 4861, section 4.1
	typeRouterAdvert    = 134
	typeSolicit         = 135
	typeAdvert          = 136
	typeListenerReport2 = 143 // RFC 3810
)

const (
	icmpHeaderLen = 4 // type, code, checksum

	// Neighbour discovery is never routed: whoever sends it is on the link
	// (RFC 4861, section 11.2). Reports of listeners cannot be routed either.
	hopLimitDiscovery = 255
	hopLimitListener  = 1

	// For how long a router is a default router; 0: not at all (RFC 4861, section
	// 4.2). Those that only know ways to other networks say so (RFC 4191).
	routerLifetimeAt = 6

	flagSolicited = 0x40 // of an advertisement: it answers a question

	optionSourceMAC = 1 // RFC 4861, section 4.6.1
	optionTargetMAC = 2
)

var (
	errICMP     = errors.New("ICMPv6 message cut short")
	errChecksum = errors.New("ICMPv6 checksum is wrong")
	errHopLimit = errors.New("ICMPv6 message that may have been routed")
	errCode     = errors.New("ICMPv6 code must be 0")
	errOption   = errors.New("bad option of neighbour discovery")
	errTarget   = errors.New("target cannot be a host's address")
	errDAD      = errors.New("bad question for duplicate addresses")
	errFlags    = errors.New("solicited advertisement to a group")
	errRouter   = errors.New("router advertisement without a link-local source")
	errListener = errors.New("bad report of a multicast listener")
)

// discovery is what the messages of neighbour discovery differ in, by type.
var discovery = [...]struct {
	kind   presence.Kind
	fixed  int  // bytes before the options
	option byte // where the sender says its MAC
}{
	typeRouterSolicit: {presence.NDPRouterSolicitation, 8, optionSourceMAC},
	typeRouterAdvert:  {presence.NDPRouterAdvertisement, 16, optionSourceMAC},
	typeSolicit:       {presence.NDPSolicitation, 24, optionSourceMAC},
	typeAdvert:        {presence.NDPAdvertisement, 24, optionTargetMAC},
}

// readICMP makes a sighting of an ICMPv6 message. ok is false for types that it
// makes nothing of.
func readICMP(f capture.Frame, p packet) (m message, ok bool, err error) {
	b := p.payload
	if len(b) < icmpHeaderLen {
		return m, false, errICMP
	}
	listener := false
	switch b[0] {
	case typeRouterSolicit, typeRouterAdvert, typeSolicit, typeAdvert:
	case typeListenerReport1, typeListenerReport2, typeListenerDone:
		listener = true
	default:
		return m, false, nil
	}
	switch {
	case checksum(p.src, p.dst, protocolICMPv6, b) != 0:
		return m, false, errChecksum
	case b[1] != 0 && b[0] != typeListenerReport2: // there it is reserved
		return m, false, errCode
	case listener:
		return readListener(f, p)
	case p.hopLimit != hopLimitDiscovery:
		return m, false, errHopLimit
	}
	return readDiscovery(f, p)
}

// readListener takes a report of a multicast listener (RFC 2710, RFC 3810,
// section 5.2): what it listens to does not matter, only who says so.
func readListener(f capture.Frame, p packet) (m message, ok bool, err error) {
	if p.hopLimit != hopLimitListener {
		return m, false, errHopLimit
	}
	link := p.src.IsUnspecified() || p.src.IsLinkLocalUnicast()
	if !link || !p.hopByHop || !p.dst.IsMulticast() || len(p.payload) < 8 {
		return m, false, errListener
	}
	m = newMessage(f, presence.MLDReport)
	m.own(p.src)
	return m, true, nil
}

// readDiscovery takes a message of neighbour discovery, checked as RFC 4861
// says in sections 6.1.1, 6.1.2, 7.1.1 and 7.1.2.
func readDiscovery(f capture.Frame, p packet) (m message, ok bool, err error) {
	b := p.payload
	d := discovery[b[0]]
	if len(b) < d.fixed {
		return m, false, errICMP
	}
	mac, said, err := macOption(b[d.fixed:], d.option)
	if err != nil {
		return m, false, err
	}
	m = newMessage(f, d.kind)
	addr := p.src
	switch b[0] {
	case typeRouterSolicit:
		if addr.IsUnspecified() && said {
			return m, false, errOption
		}
	case typeRouterAdvert:
		if !addr.IsLinkLocalUnicast() {
			return m, false, errRouter
		}
	case typeSolicit:
		target := netip.AddrFrom16([16]byte(b[8:24]))
		switch {
		case !host(target):
			return m, false, errTarget
		case !addr.IsUnspecified():
		case said, p.dst != solicitedNode(target):
			return m, false, errDAD
		default:
			m.Kind, addr = presence.NDPDad, target
		}
	case typeAdvert:
		addr = netip.AddrFrom16([16]byte(b[8:24]))
		switch {
		case p.src.IsUnspecified():
			return m, false, errSource
		case !host(addr):
			return m, false, errTarget
		case p.dst.IsMulticast() && b[4]&flagSolicited != 0:
			return m, false, errFlags
		}
	}
	if m.foreign = said && mac != f.Src; !m.foreign {
		m.own(addr)
	}
	if b[0] == typeRouterAdvert && binary.BigEndian.Uint16(b[routerLifetimeAt:]) > 0 {
		m.Peer = addr
	}
	return m, true, nil
}

// macOption returns the MAC in the first option of this type. said is false
// when there is none. An option of length 0 spoils the whole message (RFC 4861,
// section 4.6).
func macOption(b []byte, option byte) (mac presence.MAC, said bool, err error) {
	for len(b) > 0 {
		if len(b) < 2 {
			return mac, false, errOption
		}
		n := int(b[1]) * 8
		if n == 0 || n > len(b) {
			return mac, false, errOption
		}
		if b[0] == option && !said {
			if n != 8 {
				return mac, false, errOption // not of Ethernet
			}
			mac, said = presence.MAC(b[2:8]), true
		}
		b = b[n:]
	}
	return mac, said, nil
}
