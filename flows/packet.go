package flows

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"porchlight/capture"
)

// protocol is what a packet is: the number of an IP protocol, or one of these.
type protocol uint32

const (
	icmp   protocol = 1
	igmp   protocol = 2
	tcp    protocol = 6
	udp    protocol = 17
	icmpv6 protocol = 58

	arp protocol = 1 << 16
	ndp protocol = 2 << 16 // of ICMPv6: RFC 4861
	mld protocol = 3 << 16 // of ICMPv6: RFC 2710 and 3810

	// parts are later fragments whose first one, which has the ports, is not in
	// the dump; the IP protocol is added.
	parts protocol = 1 << 24
	// frames are neither IP nor ARP; the EtherType is added.
	frames protocol = 1 << 25
)

// protocolNames are by the number (IANA, Protocol Numbers).
var protocolNames = map[protocol]string{
	icmp: "icmp", igmp: "igmp", tcp: "tcp", udp: "udp", icmpv6: "icmpv6", arp: "arp", ndp: "ndp", mld: "mld",
	4: "ipip", 41: "6in4", 47: "gre", 50: "esp", 51: "ah", 89: "ospf", 103: "pim", 112: "vrrp", 115: "l2tp", 132: "sctp", 136: "udplite",
}

func (p protocol) String() string {
	name, is := protocolNames[p]
	switch {
	case is:
		return name
	case p >= frames:
		return "ethertype 0x" + strconv.FormatUint(uint64(p-frames)|1<<16, 16)[1:]
	case p >= parts:
		return (p - parts).String() + " fragments"
	}
	return "ip " + strconv.Itoa(int(p))
}

// packet is what is of interest of a packet.
type packet struct {
	protocol protocol
	from, to netip.AddrPort // ports are 0 where there are none
	flags    uint8          // of TCP
	payload  []byte         // of UDP, as far as it was captured

	// A fragment's: the first one has the ports that belong to the later ones.
	fragment fragment
	later    bool
}

// fragment is what the fragments of a packet have in common (RFC 791, section
// 3.2; RFC 8200, section 4.5).
type fragment struct {
	from, to netip.Addr
	protocol protocol
	id       uint32
}

// The bits of TCP (RFC 9293, section 3.1).
const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
)

// What can be wrong with a packet. The values are fixed so that a flood of
// nonsense allocates nothing.
var (
	errShort   = errors.New("packet shorter than its header")
	errVersion = errors.New("packet with the version of another protocol")
	errHeaders = errors.New("packet with too many headers")
)

const (
	etherTypePPPoE = 0x8864 // a session's (RFC 2516, section 4)
	pppIPv4        = 0x0021
	pppIPv6        = 0x0057
	pppoeLen       = 8 // with the protocol of PPP
)

// decode reads a frame.
func decode(f capture.Frame) (packet, error) {
	b := f.Payload
	kind := f.EtherType
	if kind == etherTypePPPoE {
		if len(b) < pppoeLen {
			return packet{}, errShort
		}
		switch binary.BigEndian.Uint16(b[6:]) {
		case pppIPv4:
			kind, b = capture.EtherTypeIPv4, b[pppoeLen:]
		case pppIPv6:
			kind, b = capture.EtherTypeIPv6, b[pppoeLen:]
		}
	}
	switch kind {
	case capture.EtherTypeIPv4:
		return decodeIPv4(b)
	case capture.EtherTypeIPv6:
		return decodeIPv6(b)
	case capture.EtherTypeARP:
		return decodeARP(b)
	}
	return packet{protocol: frames + protocol(kind)}, nil
}

// decodeARP reads who asks for whom (RFC 826); of other than Ethernet and IPv4
// nothing.
func decodeARP(b []byte) (packet, error) {
	const head = "\x00\x01\x08\x00\x06\x04"
	if len(b) < 28 || string(b[:len(head)]) != head {
		return packet{protocol: arp}, nil
	}
	return packet{protocol: arp, from: netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[14:18])), 0), to: netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[24:28])), 0)}, nil
}

func decodeIPv4(b []byte) (packet, error) {
	if len(b) < 20 {
		return packet{}, errShort
	}
	if b[0]>>4 != 4 {
		return packet{}, errVersion
	}
	head := int(b[0]&15) * 4
	if head < 20 || len(b) < head {
		return packet{}, errShort
	}
	// A length of 0 is of a packet that the card divides after it was captured.
	if n := int(binary.BigEndian.Uint16(b[2:])); n >= head && n < len(b) {
		b = b[:n] // the rest is padding
	}
	p := packet{protocol: protocol(b[9])}
	from, to := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	p.from, p.to = netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0)
	const more, offset = 0x2000, 0x1fff
	if place := binary.BigEndian.Uint16(b[6:]); place&(more|offset) != 0 {
		p.fragment = fragment{from, to, p.protocol, uint32(binary.BigEndian.Uint16(b[4:]))}
		p.later = place&offset != 0
	}
	return p, p.transport(b[head:])
}

// The headers that may be between IPv6 and what it carries (IANA, IPv6
// Extension Header Types); a fragment's has a form of its own, and AH another
// unit.
const (
	hopByHop     = 0
	routing      = 43
	fragmentHead = 44
	authHead     = 51
	noNext       = 59
	destination  = 60
	mobility     = 135
	hip          = 139
	shim6        = 140

	maxHeaders = 8
)

func decodeIPv6(b []byte) (packet, error) {
	if len(b) < 40 {
		return packet{}, errShort
	}
	if b[0]>>4 != 6 {
		return packet{}, errVersion
	}
	from, to := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p := packet{from: netip.AddrPortFrom(from, 0), to: netip.AddrPortFrom(to, 0)}
	if n := 40 + int(binary.BigEndian.Uint16(b[4:])); n > 40 && n < len(b) {
		b = b[:n]
	}
	next := b[6]
	b = b[40:]
	for range maxHeaders {
		n := 0
		switch next {
		case hopByHop, routing, destination, mobility, hip, shim6:
			if len(b) < 8 {
				return packet{}, errShort
			}
			n = 8 + int(b[1])*8
		case authHead:
			if len(b) < 8 {
				return packet{}, errShort
			}
			n = 8 + int(b[1])*4
		case fragmentHead:
			if len(b) < 8 {
				return packet{}, errShort
			}
			n = 8
			p.fragment = fragment{from, to, protocol(b[0]), binary.BigEndian.Uint32(b[4:])}
			p.later = binary.BigEndian.Uint16(b[2:])&^7 != 0
		default:
			p.protocol = protocol(next)
			return p, p.transport(b)
		}
		if len(b) < n {
			return packet{}, errShort
		}
		next = b[0]
		b = b[n:]
		if p.later {
			p.protocol = protocol(next)
			return p, nil
		}
	}
	return packet{}, errHeaders
}

// transport reads what IP carries.
func (p *packet) transport(b []byte) error {
	if p.later {
		return nil
	}
	switch p.protocol {
	case tcp, udp:
		if len(b) < 4 {
			return errShort
		}
		p.from = netip.AddrPortFrom(p.from.Addr(), binary.BigEndian.Uint16(b))
		p.to = netip.AddrPortFrom(p.to.Addr(), binary.BigEndian.Uint16(b[2:]))
		if p.protocol == tcp && len(b) > 13 {
			p.flags = b[13]
		}
		if p.protocol == udp && len(b) > 8 {
			p.payload = b[8:]
		}
	case icmpv6:
		if len(b) > 0 {
			p.protocol = kindOfICMPv6(b[0])
		}
	}
	return nil
}

// kindOfICMPv6 is by the message's type (IANA, ICMPv6 Parameters).
func kindOfICMPv6(t byte) protocol {
	switch {
	case t >= 133 && t <= 137:
		return ndp
	case t >= 130 && t <= 132, t == 143:
		return mld
	}
	return icmpv6
}
