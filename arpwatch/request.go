package arpwatch

import (
	"net"
	"net/netip"

	"github.com/mdlayher/arp"

	"porchlight/capture"
	"porchlight/presence"
)

// request builds the frame that asks for target: an ARP request from sender,
// to one station or to ethernet.Broadcast, tagged with vids, outermost first.
func request(from presence.MAC, sender netip.Addr, to net.HardwareAddr, target netip.Addr, vids []uint16) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationRequest, from[:], sender, make(net.HardwareAddr, len(from)), target)
	if err != nil {
		return nil, err
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return capture.Build(presence.MAC(to), from, capture.EtherTypeARP, payload, vids)
}

// senderFor is the interface's own address that a request for target comes
// from: the one on the smallest subnet that holds target. Without one it is
// 0.0.0.0, which makes the request an ARP probe (RFC 5227, section 2.1.1) that
// no neighbour table learns from.
func senderFor(link capture.Link, target netip.Addr) netip.Addr {
	sender, bits := netip.IPv4Unspecified(), -1
	for _, p := range link.Prefixes {
		if p.Contains(target) && p.Bits() > bits {
			sender, bits = p.Addr(), p.Bits()
		}
	}
	return sender
}
