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

	maxPiece = 16 // by 256 bytes: the length of a message that is sent in pieces

	maxQueryRecords = 3 // of IXFR, EDNS and TSIG

	opcodeNone     = 3 // assigned to nobody
	opcodeStateful = 6 // RFC 8490
)

// message is the header of a DNS message (RFC 1035, section 4.1.1).
type message struct {
	answer             bool
	opcode, rcode      int
	questions, records int
}

// readMessage reads the header; false: counts that a message of that length
// cannot hold.
func readMessage(b []byte, length int) (m message, ok bool) {
	if len(b) < dnsHeader {
		return m, false
	}
	flags := binary.BigEndian.Uint16(b[2:])
	m.answer, m.opcode, m.rcode = flags&0x8000 != 0, int(flags>>11&15), int(flags&15)
	m.questions = int(binary.BigEndian.Uint16(b[4:]))
	for i := 6; i < dnsHeader; i += 2 {
		m.records += int(binary.BigEndian.Uint16(b[i:]))
	}
	return m, dnsHeader+m.questions*minQuestion+m.records*minRecord <= length
}

// isDNS says whether a message of that length, which begins with b, has the shape
// of DNS. On the port of DNS anything does that a server may have to do with;
// elsewhere it has one readable question, or is the refusal of one.
func isDNS(b []byte, length int, onPort bool) bool {
	m, ok := readMessage(b, length)
	switch {
	case !ok || m.rcode > maxRcode || m.opcode == opcodeNone || m.opcode > opcodeStateful:
		return false
	case m.questions == 0 && onPort:
		return m.answer || m.records > 0 || m.opcode == opcodeStateful
	case m.questions == 0:
		return m.answer && m.rcode != 0 && isBare(b, length)
	case onPort:
		_, ok := readName(b, false)
		return ok
	case m.questions > 1:
		return false
	case !m.answer && m.opcode == 0 && m.records > maxQueryRecords:
		return false
	}
	return isQuestion(b, length, m.answer || m.records > 0)
}

// isBare says whether nothing is behind the header, but what EDNS adds (RFC 6891,
// section 6.1.2).
func isBare(b []byte, length int) bool {
	return length == dnsHeader || len(b) >= dnsHeader+3 && b[11] == 1 && b[12] == 0 && b[13] == 0 && b[14] == 41
}

// isQuestion says whether a readable question is behind the header, with an end
// within the message; or, when there is nothing more, at its end.
func isQuestion(b []byte, length int, more bool) bool {
	end, ok := readName(b, true)
	switch {
	case !ok || end+4 > length:
		return false
	case end+4 > len(b):
		return true // the rest was not seen
	case !more && end+4 != length:
		return false
	}
	kind, class := binary.BigEndian.Uint16(b[end:]), binary.BigEndian.Uint16(b[end+2:])
	return kind != 0 && (class == 1 || class == 3 || class == 4 || class == 255)
}

// isDNSOverTCP is isDNS of a segment that begins with a message and its length
// (RFC 7766, section 8), or, on the port of DNS, with one of them.
func isDNSOverTCP(b []byte, length int, onPort bool) bool {
	if onPort && length < 2+dnsHeader && length != 2 {
		return len(b) > 0 && b[0] < maxPiece // the first of it: nobody's words begin so
	}
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
