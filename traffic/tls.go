package traffic

import (
	"bytes"
	"encoding/binary"
)

// The types of TLS records (RFC 8446, section 5.1, and RFC 6520).
const (
	tlsChangeCipher = 20
	tlsHandshake    = 22
	tlsData         = 23
	tlsLastType     = 24
)

const (
	tlsHeader    = 5            // bytes of a record
	maxTLSRecord = 1<<14 + 2048 // bytes behind it: RFC 5246, section 6.2.3
	maxTLSHello  = 1 << 17      // bytes: more than anyone's
)

// evidence is how sure it is that a segment is TLS.
type evidence uint8

const (
	none evidence = iota
	weak          // could be by chance, once in some million segments
	strong
)

// tlsShape looks for records at the begin of a segment of that length, which
// begins with b. When there is but one, which does not end where the segment
// ends, the evidence is weak, and next is where another one must begin.
func tlsShape(b []byte, length int) (e evidence, next int) {
	if isHello(b) {
		return strong, 0
	}
	for n := 0; n < 2; n++ {
		if n > 0 && next == length {
			return strong, 0 // one record, and nothing else
		}
		if next+tlsHeader > len(b) {
			if n == 0 {
				return none, 0
			}
			return weak, next // the next header is not seen
		}
		size := recordSize(b[next:])
		if size < 0 {
			return none, 0
		}
		next += tlsHeader + size
	}
	return strong, 0
}

// tlsWithin looks for the header of a record of data behind the segment's begin,
// as a long transfer shows it now and then. The evidence is weak, if any; size is
// the record's with its header, next where another one must begin.
func tlsWithin(b []byte) (size, next int, found bool) {
	for at := 1; ; at++ {
		i := bytes.IndexByte(b[min(at, len(b)):], tlsData)
		if at += i; i < 0 || at+tlsHeader > len(b) {
			return 0, 0, false
		}
		if b[at+1] == 3 && b[at+2] == 3 && recordSize(b[at:]) >= 0 {
			size = tlsHeader + recordSize(b[at:])
			return size, at + size, true
		}
	}
}

// recordSize returns the length that a record's header tells; -1: it is none.
func recordSize(b []byte) int {
	if !isRecordType(b[0]) || b[1] != 3 || b[2] > 3 || b[2] == 0 {
		return -1
	}
	size := int(binary.BigEndian.Uint16(b[3:]))
	if size == 0 || size > maxTLSRecord || b[0] == tlsChangeCipher && size != 1 {
		return -1
	}
	return size
}

func isRecordType(t byte) bool { return t >= tlsChangeCipher && t <= tlsLastType }

// isHello says whether a segment begins with a client's or a server's hello (RFC
// 8446, section 4.1): the record, the message, and its version.
func isHello(b []byte) bool {
	if len(b) < tlsHeader+6 || b[0] != tlsHandshake || b[1] != 3 || b[2] > 3 {
		return false
	}
	record := int(binary.BigEndian.Uint16(b[3:]))
	message := b[tlsHeader:]
	size := int(message[1])<<16 | int(message[2])<<8 | int(message[3])
	return record > 0 && record <= maxTLSRecord && size >= 38 && size <= maxTLSHello &&
		(message[0] == 1 || message[0] == 2) && message[4] == 3 && message[5] <= 3
}
