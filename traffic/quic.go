package traffic

import "encoding/binary"

// The versions of QUIC that have been in use.
const (
	quicNegotiation = 0          // RFC 9000, section 17.2.1
	quicV1          = 1          // RFC 9000
	quicV2          = 0x6b3343cf // RFC 9369
	lastQUICDraft   = 0xff000022
)

const (
	maxConnectionID = 20   // bytes, RFC 9000, section 17.2
	minServerID     = 8    // bytes, of the ID that a client makes up for its server: section 7.2
	minInitial      = 1200 // bytes, section 14.1
	minProtected    = 20   // bytes behind the length: number and tag, section 5.4.2 of RFC 9001
)

// The types of packets with a long header, as version 1 numbers them.
const (
	quicInitial = iota
	quicZeroRTT
	quicHandshake
	quicRetry
)

// isQUICVersion says whether packets of this version look as those of version 1.
func isQUICVersion(v uint32) bool {
	switch {
	case v == quicV1, v == quicV2:
		return true
	case v > 0xff000000 && v <= lastQUICDraft:
		return true
	}
	return v&0xfffffff0 == 0xfaceb000 // Meta's
}

// isGreased says whether the version is one that nobody has, for practice in
// refusing it (RFC 9000, section 15).
func isGreased(v uint32) bool { return v&0x0f0f0f0f == 0x0a0a0a0a }

// quicShape says whether a datagram of that length, which begins with b, begins
// with a long header of QUIC; certain: its version is known, so that what follows
// in the flow is QUIC too. An Initial that
// is the first of a flow is long.
func quicShape(b []byte, length int, first bool) (is, certain bool) {
	if len(b) < 7 || b[0]&0x80 == 0 {
		return false, false
	}
	version := binary.BigEndian.Uint32(b[1:])
	known, greased := isQUICVersion(version), isGreased(version)
	if !known && !greased && version != quicNegotiation {
		return false, false
	}
	at, toServer, toClient := 5, 0, 0
	for _, id := range []*int{&toServer, &toClient} {
		if at >= len(b) || b[at] > maxConnectionID {
			return false, false
		}
		*id = int(b[at])
		at += 1 + *id
	}
	if at >= length || at >= len(b) {
		return false, false
	}
	if version == quicNegotiation {
		is = isNegotiation(b[at:], length-at) && toClient >= minServerID
		return is, is
	}
	if b[0]&0x40 == 0 {
		return false, false
	}
	kind := int(b[0] >> 4 & 3)
	if version == quicV2 {
		kind = (kind + 3) % 4 // RFC 9369, section 3.2
	}
	if greased && (kind != quicInitial || toServer < minServerID) {
		return false, false
	}
	if first && kind == quicInitial && length < minInitial {
		return false, false
	}
	return isProtected(b[at:], length-at, kind), known
}

// isNegotiation says whether the list of versions, length bytes of it, is one.
func isNegotiation(b []byte, length int) bool {
	if length == 0 || length%4 != 0 {
		return false
	}
	for ; len(b) >= 4; b = b[4:] {
		if v := binary.BigEndian.Uint32(b); isQUICVersion(v) {
			return true
		}
	}
	return false
}

// isProtected checks what is behind the IDs: rest bytes of a datagram.
func isProtected(b []byte, rest, kind int) bool {
	switch kind {
	case quicRetry:
		return rest > 16 // a token, and its tag
	case quicInitial:
		token, n := readVarint(b)
		if n == 0 || token > uint64(rest-n) {
			return false
		}
		skip := n + int(token) //nolint:gosec // no more than a datagram is long
		rest -= skip
		b = b[min(skip, len(b)):]
	}
	if len(b) == 0 {
		return kind == quicInitial && rest > minProtected // behind a long token
	}
	size, n := readVarint(b)
	return n > 0 && size >= minProtected && size <= uint64(max(rest-n, 0))
}

// readVarint reads an integer of RFC 9000, section 16; n is its length, 0 when
// not all of it is seen.
func readVarint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	n = 1 << (b[0] >> 6)
	if n > len(b) {
		return 0, 0
	}
	v = uint64(b[0] & 0x3f)
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	return v, n
}
