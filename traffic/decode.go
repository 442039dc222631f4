package traffic

import "encoding/binary"

// The EtherTypes that are told apart.
const (
	etherTypeIPv4 = 0x0800
	etherTypeARP  = 0x0806
	etherTypeIPv6 = 0x86dd
)

// The numbers of IP's next protocols, and of IPv6's extension headers, that are
// told apart (IANA, Protocol Numbers).
const (
	protoHopByHop    = 0
	protoICMP        = 1
	protoTCP         = 6
	protoUDP         = 17
	protoRouting     = 43
	protoFragment    = 44
	protoAH          = 51
	protoICMPv6      = 58
	protoDestination = 60
	protoMobility    = 135
)

// maxExtensions is how many extension headers of IPv6 are passed over: more than
// anyone needs, and a bound for those who are no good.
const maxExtensions = 8

// head is what the headers of an IP packet say.
type head struct {
	src, dst     [16]byte // IPv4 as IPv4-mapped
	proto        uint8    // what is behind IP's headers
	sport, dport uint16   // of TCP and UDP, when they are seen
	seq          uint32   // of TCP, of the body's first byte
	syn          bool
	fragment     bool // it is one
	later        bool // it is one without the next protocol's header
	fragmentID   uint32
	body         []byte // what is seen of what is behind the headers so far
	length       int    // of the body on the wire
}

// network reads IP's headers; false: it is no IP.
func (h *head) network(p *Packet) bool {
	switch p.EtherType {
	case etherTypeIPv4:
		return h.ipv4(p.Data, p.Length)
	case etherTypeIPv6:
		return h.ipv6(p.Data, p.Length)
	}
	return false
}

// ipv4 reads RFC 791, section 3.1.
func (h *head) ipv4(b []byte, wire int) bool {
	if len(b) < 20 || b[0]>>4 != 4 {
		return false
	}
	start, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = wire // too long for the field: not cut into segments yet
	}
	if start < 20 || total < start {
		return false
	}
	h.src, h.dst = mapped(b[12:16]), mapped(b[16:20])
	h.proto = b[9]
	place := binary.BigEndian.Uint16(b[6:])
	h.fragment, h.later = place&0x3fff != 0, place&0x1fff != 0
	h.fragmentID = uint32(binary.BigEndian.Uint16(b[4:]))
	h.setBody(b, start, total)
	return true
}

func mapped(b []byte) (a [16]byte) {
	a[10], a[11] = 0xff, 0xff
	copy(a[12:], b)
	return a
}

// ipv6 reads RFC 8200, sections 3 and 4.
func (h *head) ipv6(b []byte, wire int) bool {
	if len(b) < 40 || b[0]>>4 != 6 {
		return false
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total == 40 {
		total = max(wire, 40) // a jumbogram: not cut into segments yet
	}
	h.src, h.dst = [16]byte(b[8:24]), [16]byte(b[24:40])
	h.proto = b[6]
	at := 40
	for range maxExtensions {
		if h.later || at+8 > len(b) {
			break
		}
		size := int(b[at+1])*8 + 8
		switch h.proto {
		case protoHopByHop, protoRouting, protoDestination, protoMobility:
		case protoAH:
			size = int(b[at+1])*4 + 8 // RFC 4302, section 2.2
		case protoFragment:
			size = 8
			place := binary.BigEndian.Uint16(b[at+2:])
			h.fragment, h.later = place&^6 != 0, place&^7 != 0
			h.fragmentID = binary.BigEndian.Uint32(b[at+4:])
		default:
			h.setBody(b, at, total)
			return true
		}
		h.proto = b[at]
		at += size
	}
	h.setBody(b, at, total)
	return true
}

// setBody cuts off the headers, and the padding of short frames.
func (h *head) setBody(b []byte, start, total int) {
	h.length = max(total-start, 0)
	end := min(total, len(b))
	h.body = b[min(start, end):end]
}

// tcp passes over TCP's header (RFC 9293, section 3.1); false: not all of it is
// seen.
func (h *head) tcp() bool {
	if len(h.body) < 20 {
		return false
	}
	h.ports()
	h.seq, h.syn = binary.BigEndian.Uint32(h.body[4:]), h.body[13]&2 != 0
	if h.syn {
		h.seq++ // it counts as a byte
	}
	size := int(h.body[12]>>4) * 4
	if size < 20 || size > h.length {
		return false
	}
	h.body, h.length = h.body[min(size, len(h.body)):], h.length-size
	return true
}

// udp passes over UDP's header (RFC 768); false: not all of it is seen.
func (h *head) udp() bool {
	if len(h.body) < 8 {
		return false
	}
	h.ports()
	length := int(binary.BigEndian.Uint16(h.body[4:])) - 8
	if !h.fragment {
		length = min(length, h.length-8)
	}
	if length < 0 {
		return false
	}
	h.body, h.length = h.body[8:min(8+length, len(h.body))], length
	return true
}

func (h *head) ports() {
	h.sport, h.dport = binary.BigEndian.Uint16(h.body), binary.BigEndian.Uint16(h.body[2:])
}

// either says whether the packet comes from or goes to the port.
func (h *head) either(port uint16) bool { return h.sport == port || h.dport == port }
