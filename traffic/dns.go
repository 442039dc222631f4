package traffic

import "encoding/binary"

// The ports that say something about messages in the shape of DNS.
const (
	portDNS     = 53
	portNetBIOS = 137 // RFC 1002: the shape of DNS, and other names
	portMDNS    = 5353
	portLLMNR   = 5355 // RFC 4795
)

const (
	dnsHeader   = 12 // bytes
	minQuestion = 5  // bytes: the root, type, class
	minRecord   = 11 // bytes: the root, type, class, TTL, length
	maxName     = 255
	maxLabel    = 63
	maxRcode    = 11 // RFC 8490

	opcodeNone     = 3 // assigned to nobody
	opcodeStateful = 6 // RFC 8490
)

// message is the header of a DNS message (RFC 1035, section 4.1.1).
type message struct {
	answer             bool
	opcode, rcode      int
	zero               bool // the bit that must be zero is
	flags              uint16
	questions, records int
}

// readMessage reads the header; false: counts that a message of that length
// cannot hold.
func readMessage(b []byte, length int) (m message, ok bool) {
	if len(b) < dnsHeader {
		return m, false
	}
	m.flags = binary.BigEndian.Uint16(b[2:])
	m.answer = m.flags&0x8000 != 0
	m.opcode, m.rcode, m.zero = int(m.flags>>11&15), int(m.flags&15), m.flags&0x40 == 0
	m.questions = int(binary.BigEndian.Uint16(b[4:]))
	for i := 6; i < dnsHeader; i += 2 {
		m.records += int(binary.BigEndian.Uint16(b[i:]))
	}
	return m, dnsHeader+m.questions*minQuestion+m.records*minRecord <= length
}

// isDNS says whether a message of that length, which begins with b, has the shape
// of DNS. On the port of DNS anything does that a server may have to do with;
// elsewhere only a usual query or its answer, with one readable question.
func isDNS(b []byte, length int, onPort bool) bool {
	m, ok := readMessage(b, length)
	if !ok || m.rcode > maxRcode {
		return false
	}
	if onPort {
		if m.opcode == opcodeNone || m.opcode > opcodeStateful || m.questions > 1 {
			return false
		}
		if m.questions == 0 {
			return m.answer || m.records > 0 || m.opcode == opcodeStateful
		}
		_, ok := readName(b, false)
		return ok
	}
	if m.opcode != 0 || !m.zero || m.questions != 1 {
		return false
	}
	// Of a query, no flags but those of RD, AD and CD; and nothing but the
	// question and what EDNS or TSIG add.
	additional := int(binary.BigEndian.Uint16(b[10:]))
	if !m.answer && (m.flags&^0x0130 != 0 || m.records != additional || additional > 2) {
		return false
	}
	end, ok := readName(b, true)
	switch {
	case !ok:
		return false
	case end+4 > len(b):
		return len(b) < length && end+4 <= length // the rest of the question was not seen
	case !m.answer && additional == 0 && end+4 != length:
		return false
	}
	kind, class := binary.BigEndian.Uint16(b[end:]), binary.BigEndian.Uint16(b[end+2:])
	return kind != 0 && (class == 1 || class == 3 || class == 4 || class == 255)
}

// isDNSOverTCP is isDNS of a segment that begins with a message and its length
// (RFC 7766, section 8), or, on the port of DNS, with one of them.
func isDNSOverTCP(b []byte, length int, onPort bool) bool {
	if len(b) < 2 {
		return false
	}
	size := int(binary.BigEndian.Uint16(b))
	if size < dnsHeader+minQuestion {
		return onPort && isDNS(b, length, true)
	}
	if onPort && length == 2 {
		return true
	}
	message := b[2:min(2+size, len(b))]
	if isDNS(message, size, onPort) {
		// A query is small, and sent as a whole.
		return onPort || size <= length-2 || len(message) > 2 && message[2]&0x80 != 0
	}
	return onPort && isDNS(b, length, true)
}

// isMDNS says whether a message has the shape of multicast DNS (RFC 6762,
// section 18): several questions are usual, answers without any too.
func isMDNS(b []byte, length int) bool {
	m, ok := readMessage(b, length)
	if !ok || m.opcode != 0 || m.questions+m.records == 0 {
		return false
	}
	_, ok = readName(b, false)
	return ok
}

// readName passes over the name behind the header, which no pointer may be part
// of, as there is nothing before it to point to. It returns where the name ends;
// when not all of it is seen, what is seen must be right. Plain: of printable
// characters.
func readName(b []byte, plain bool) (end int, ok bool) {
	at := dnsHeader
	for at < len(b) {
		size := int(b[at])
		at++
		switch {
		case size == 0:
			return at, true
		case size > maxLabel || at+size-dnsHeader > maxName:
			return 0, false
		}
		for _, c := range b[min(at, len(b)):min(at+size, len(b))] {
			if plain && (c < '!' || c > '~') {
				return 0, false
			}
		}
		at += size
	}
	return at, at > dnsHeader
}
