package arpwatch

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"porchlight/capture"
	"porchlight/presence"
)

// maxVID is the highest VLAN (IEEE 802.1Q, table 9-2).
const maxVID = 4094

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
	f := ethernet.Frame{
		Destination: to,
		Source:      from[:],
		EtherType:   ethernet.EtherTypeARP,
		Payload:     payload,
	}
	if n := len(vids); n > 0 {
		f.VLAN = &ethernet.VLAN{ID: vids[n-1]}
		if n > 1 {
			f.ServiceVLAN = &ethernet.VLAN{ID: vids[0]}
		}
	}
	return f.MarshalBinary()
}

// tags returns the VLANs in name, which is ifname itself or ifname with up to
// two VLANs: "eth0", "eth0.10", "eth0.100.10".
func tags(ifname, name string) ([]uint16, error) {
	if name == ifname {
		return nil, nil
	}
	rest, ok := strings.CutPrefix(name, ifname+".")
	if !ok {
		return nil, fmt.Errorf("%q is not on interface %q", name, ifname)
	}
	var vids []uint16
	for part := range strings.SplitSeq(rest, ".") {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || n == 0 || n > maxVID || len(vids) == 2 {
			return nil, fmt.Errorf("%q does not name a VLAN on interface %q", name, ifname)
		}
		vids = append(vids, uint16(n))
	}
	return vids, nil
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
