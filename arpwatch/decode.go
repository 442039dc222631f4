package arpwatch

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/mdlayher/arp"

	"porchlight/capture"
	"porchlight/presence"
)

// What can be wrong with an ARP frame. The values are fixed so that a flood of
// nonsense allocates nothing.
var (
	errNotARP    = errors.New("frame is not ARP")
	errHardware  = errors.New("ARP packet is not about IPv4 on Ethernet")
	errOperation = errors.New("ARP packet is neither request nor reply")
	errSender    = errors.New("ARP sender cannot be a station")
	errAddress   = errors.New("ARP address cannot be a host's")
)

// packetLen is the length of an ARP packet for IPv4 on Ethernet (RFC 826).
const packetLen = 28

// Decode makes a sighting of an ARP frame. The device is the ARP sender; Via is
// the Ethernet source where that differs, as it does behind a repeater or when a
// proxy answers. The address of a probe is the one that the device asks for
// (RFC 5227, section 2.1.1).
func Decode(f capture.Frame) (presence.Sighting, error) {
	if f.EtherType != capture.EtherTypeARP {
		return presence.Sighting{}, errNotARP
	}
	if !ipv4OnEthernet(f.Payload) {
		return presence.Sighting{}, errHardware
	}
	var p arp.Packet
	if err := p.UnmarshalBinary(f.Payload[:packetLen]); err != nil {
		return presence.Sighting{}, err
	}
	mac, ok := presence.MACFrom(p.SenderHardwareAddr)
	if !ok || !mac.Station() {
		return presence.Sighting{}, errSender
	}
	s := presence.Sighting{
		At:        f.At,
		Interface: f.Interface,
		MAC:       mac,
		Addr:      p.SenderIP,
		Unicast:   f.Dst[0]&1 == 0,
	}
	if f.Src != mac {
		s.Via = f.Src
	}
	switch {
	case p.Operation != arp.OperationRequest && p.Operation != arp.OperationReply:
		return presence.Sighting{}, errOperation
	case p.Operation == arp.OperationRequest && p.SenderIP.IsUnspecified():
		s.Kind, s.Addr = presence.ARPProbe, p.TargetIP
	case p.SenderIP == p.TargetIP:
		s.Kind = presence.ARPAnnouncement
	case p.Operation == arp.OperationRequest:
		s.Kind, s.Peer = presence.ARPRequest, p.TargetIP
	default:
		s.Kind = presence.ARPReply
	}
	if !host(s.Addr) {
		return presence.Sighting{}, errAddress
	}
	return s, nil
}

// ipv4OnEthernet checks the length and the fixed fields of an ARP packet. It
// comes before the library, which would allocate what a stranger asks for.
func ipv4OnEthernet(b []byte) bool {
	return len(b) >= packetLen &&
		binary.BigEndian.Uint16(b) == 1 && binary.BigEndian.Uint16(b[2:]) == capture.EtherTypeIPv4 &&
		b[4] == 6 && b[5] == 4
}

// host reports whether a can be the address of one host: not in 0.0.0.0/8 or
// 127.0.0.0/8, not multicast, not the limited broadcast (RFC 1122, 3.2.1.3).
func host(a netip.Addr) bool {
	b := a.As4()
	return b[0] != 0 && b[0] != 127 && b[0]&0xf0 != 0xe0 && b != [4]byte{255, 255, 255, 255}
}
