package ndpwatch

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"porchlight/capture"
	"porchlight/presence"
)

// serverPort is where clients speak to servers (RFC 8415, section 7.2).
const serverPort = 547

const (
	udpHeaderLen  = 8
	dhcpHeaderLen = 4 // type and transaction id (RFC 8415, section 8)
)

// Options of DHCPv6 (RFC 8415, section 21, and RFC 4704).
const (
	optionClientID    = 1
	optionRequest     = 6
	optionVendorClass = 16
	optionFQDN        = 39
)

// Limits of what a client may tell. Real ones stay well below.
const (
	maxVendorClass = 64 // bytes
	maxClientID    = 32 // bytes, twice as many hex digits
	maxRequested   = 64 // option codes in a fingerprint
)

var (
	errUDP  = errors.New("bad UDP header")
	errDHCP = errors.New("bad DHCPv6 message")
	errFar  = errors.New("DHCPv6 message without a link-local source: it may have been routed")
)

// clientKinds are the messages that clients send, by type (RFC 8415, section
// 7.3).
var clientKinds = [...]presence.Kind{
	1:  presence.DHCPv6Solicit,
	3:  presence.DHCPv6Request,
	4:  presence.DHCPv6Confirm,
	5:  presence.DHCPv6Renew,
	6:  presence.DHCPv6Rebind,
	8:  presence.DHCPv6Release,
	9:  presence.DHCPv6Decline,
	11: presence.DHCPv6Information,
}

// readDHCP makes a sighting of a DHCPv6 client's message. ok is false for other
// datagrams, those of servers and relays among them. Clients send from their
// link-local address (RFC 8415, section 17): a message from another one may
// come from behind a router, and the MAC is the router's then. The UDP checksum
// is not checked: of some network cards the kernel hands it over before it is
// filled in.
func readDHCP(f capture.Frame, p packet) (m message, ok bool, err error) {
	b := p.payload
	if len(b) < udpHeaderLen {
		return m, false, errUDP
	}
	if binary.BigEndian.Uint16(b[2:]) != serverPort {
		return m, false, nil
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < udpHeaderLen || length > len(b) {
		return m, false, errUDP
	}
	b = b[udpHeaderLen:length]
	if len(b) < dhcpHeaderLen {
		return m, false, errDHCP
	}
	if int(b[0]) >= len(clientKinds) || clientKinds[b[0]] == 0 {
		return m, false, nil
	}
	if !host(p.src) {
		return m, false, errSource
	}
	if !p.src.IsLinkLocalUnicast() {
		return m, false, errFar
	}
	m = newMessage(f, clientKinds[b[0]])
	m.own(p.src)
	m.DHCP, err = readOptions(b[dhcpHeaderLen:])
	return m, err == nil, err
}

// readOptions reads what a client says of itself. Of an option that comes again
// the first counts, so that each byte is looked at once.
func readOptions(b []byte) (*presence.DHCP, error) {
	var d presence.DHCP
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, errDHCP
		}
		code, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if n > len(b) {
			return nil, errDHCP
		}
		value := b[:n]
		b = b[n:]
		switch {
		case code == optionClientID && d.ClientID == "":
			d.ClientID = hex.EncodeToString(value[:min(n, maxClientID)])
		case code == optionRequest && d.Fingerprint == "":
			d.Fingerprint = fingerprint(value)
		case code == optionVendorClass && d.VendorClass == "":
			d.VendorClass = vendorClass(value)
		case code == optionFQDN && d.HostName == "":
			d.HostName = fqdnHost(value)
		}
	}
	return &d, nil
}

// fqdnHost returns the host of the Client FQDN option (RFC 4704, section 4):
// flags, and a domain name in the wire format of RFC 1035. Its first label is
// the host; the rest is the domain, if there is one. A name must not be
// compressed here, so a length above 63, which a pointer has, is a mistake.
func fqdnHost(option []byte) string {
	const nameAt, longest = 1, 63
	if len(option) <= nameAt {
		return ""
	}
	n, name := int(option[nameAt]), option[nameAt+1:]
	if n > longest || n > len(name) {
		return ""
	}
	return presence.CleanText(string(name[:n]), presence.MaxName)
}

// vendorClass returns the first string of the Vendor Class option (RFC 8415,
// section 21.16): an enterprise number, and strings with their lengths.
func vendorClass(option []byte) string {
	const stringsAt = 4
	if len(option) < stringsAt+2 {
		return ""
	}
	n, text := int(binary.BigEndian.Uint16(option[stringsAt:])), option[stringsAt+2:]
	if n > len(text) {
		return ""
	}
	return presence.CleanText(string(text[:min(n, 4*maxVendorClass)]), maxVendorClass)
}

// fingerprint renders the option request in the client's own order, which tells
// operating systems apart: "23,24,39".
func fingerprint(codes []byte) string {
	var b strings.Builder
	for i := 0; i+1 < min(len(codes), 2*maxRequested); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(binary.BigEndian.Uint16(codes[i:]))))
	}
	return b.String()
}
