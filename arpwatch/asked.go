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
	if f.EtherType != capture.EtherTypeARP || !ipv4OnEthernet(b) || binary.BigEndian.Uint16(b[6:]) != 1 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b[24:28])), true
}
