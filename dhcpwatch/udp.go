package dhcpwatch

import (
	"encoding/binary"
	"errors"
)

// The UDP ports of DHCP (RFC 2131, section 4.1). Relays are spoken to at the
// server's port.
const (
	serverPort = 67
	clientPort = 68
)

const (
	protocolUDP    = 17
	fragmentOffset = 0x1fff // mask of the IPv4 flags and fragment offset

	ipv4HeaderLen = 20
	udpHeaderLen  = 8

	// maxMessage is the longest DHCP message that fits an Ethernet frame of
	// 1,500 bytes in one piece. Clients and servers keep far below.
	maxMessage = 1500 - ipv4HeaderLen - udpHeaderLen
)

var (
	errIPHeader  = errors.New("bad IPv4 header")
	errUDPHeader = errors.New("bad UDP header")
	errTooLong   = errors.New("DHCP message longer than an Ethernet frame holds")
)

// udpPayload returns what packet, an IPv4 packet (RFC 791), carries by UDP
// (RFC 768) to a DHCP port. ok is false when it carries something else, which
// a later fragment is too. Checksums are not checked: the kernel hands over
// frames of this machine, and of some network cards, before theirs are filled in.
func udpPayload(packet []byte) (payload []byte, ok bool, err error) {
	if len(packet) < ipv4HeaderLen || packet[0]>>4 != 4 {
		return nil, false, errIPHeader
	}
	header := int(packet[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(packet[2:]))
	if header < ipv4HeaderLen || total < header || total > len(packet) {
		return nil, false, errIPHeader
	}
	if packet[9] != protocolUDP || binary.BigEndian.Uint16(packet[6:])&fragmentOffset != 0 {
		return nil, false, nil
	}

	datagram := packet[header:total] // without the padding of short frames
	if len(datagram) < udpHeaderLen {
		return nil, false, errUDPHeader
	}
	if port := binary.BigEndian.Uint16(datagram[2:]); port != serverPort && port != clientPort {
		return nil, false, nil
	}
	length := int(binary.BigEndian.Uint16(datagram[4:]))
	switch {
	case length < udpHeaderLen || length > len(datagram):
		return nil, false, errUDPHeader
	case length-udpHeaderLen > maxMessage:
		return nil, false, errTooLong
	}
	return datagram[udpHeaderLen:length], true, nil
}
