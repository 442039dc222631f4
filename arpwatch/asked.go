package arpwatch

import (
	"encoding/binary"
	"net/netip"

	"porchlight/capture"
)

// Asked returns the address that an ARP request asks for. ok is false when f is
// not an ARP request for IPv4 on Ethernet. A replay uses it to see the probes
// in a capture.
func Asked(f capture.Frame) (addr netip.Addr, ok bool) {
	b := f.Payload
	if f.EtherType != capture.EtherTypeARP || len(b) < packetLen ||
		binary.BigEndian.Uint16(b[2:]) != capture.EtherTypeIPv4 || b[4] != 6 || b[5] != 4 ||
		binary.BigEndian.Uint16(b[6:]) != 1 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b[24:28])), true
}
