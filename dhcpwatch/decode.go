package dhcpwatch

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"porchlight/capture"
	"porchlight/presence"
)

// headerLen is the length of a DHCP message up to its options (RFC 2131,
// section 2), magic cookie included.
const headerLen = 240

var (
	errTooShort = errors.New("DHCP message too short")
	errHardware = errors.New("DHCP message without an Ethernet client address")
	errMessage  = errors.New("DHCP message of an impossible type")
)

// message is a sighting with what only this package needs to know of it.
type message struct {
	presence.Sighting
	relay netip.Addr // giaddr: the relay that handed it on; invalid when none did
}

// fromClient reports whether the client itself said it.
func (m message) fromClient() bool { return m.Evidence() != presence.None }

// Decode makes a sighting of a frame that carries a DHCPv4 message of a client
// (DISCOVER, REQUEST, INFORM, DECLINE, RELEASE) or of a server (OFFER, ACK).
// The device is chaddr, whoever sent the frame: relays and repeaters send for
// others, and Via says which station did. Peer is the server that the message
// names. ok is false for frames that carry anything else, a server's NAK
// among it. The error says what is wrong with a frame that claims to be DHCP
// and cannot be.
func Decode(f capture.Frame) (s presence.Sighting, ok bool, err error) {
	m, ok, err := decode(f)
	return m.Sighting, ok, err
}

func decode(f capture.Frame) (m message, ok bool, err error) {
	if f.EtherType != capture.EtherTypeIPv4 {
		return message{}, false, nil
	}
	payload, ok, err := udpPayload(f.Payload)
	if !ok || err != nil {
		return message{}, false, err
	}
	if len(payload) < headerLen {
		return message{}, false, errTooShort
	}
	// Some small clients leave out the End option, which the parser insists on.
	packet, err := dhcpv4.FromBytes(append(payload[:len(payload):len(payload)], dhcpv4.OptionEnd.Code()))
	if err != nil {
		return message{}, false, fmt.Errorf("decoding DHCP message: %w", err)
	}
	return interpret(f, packet)
}

// interpret reads the message p, which came in the frame f.
func interpret(f capture.Frame, p *dhcpv4.DHCPv4) (m message, ok bool, err error) {
	kind, ok, err := kindOf(p)
	if !ok || err != nil {
		return message{}, false, err
	}
	mac, ok := presence.MACFrom(p.ClientHWAddr)
	if !ok || p.HWType != iana.HWTypeEthernet || !mac.Station() {
		return message{}, false, errHardware
	}
	m = message{
		Sighting: presence.Sighting{
			At:        f.At,
			Interface: f.Interface,
			MAC:       mac,
			Kind:      kind,
			Unicast:   f.Dst != broadcast,
		},
		relay: addrOf(p.GatewayIPAddr),
	}
	m.Relayed = m.relay.IsValid()
	if f.Src != mac {
		m.Via = f.Src
	}
	m.Peer = addrOf(p.Options.Get(dhcpv4.OptionServerIdentifier))
	if p.OpCode == dhcpv4.OpcodeBootReply {
		m.Addr = addrOf(p.YourIPAddr)
		// Only the name is about the client; the rest would be the server's own.
		m.DHCP = &presence.DHCP{HostName: hostName(p.Options)}
		return m, true, nil
	}
	m.Addr = addrOf(p.Options.Get(dhcpv4.OptionRequestedIPAddress))
	if !m.Addr.IsValid() {
		m.Addr = addrOf(p.ClientIPAddr) // renewing, releasing or informing
	}
	m.DHCP = clientOptions(p.Options)
	return m, true, nil
}

var broadcast = presence.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// kindOf tells what p is. ok is false for messages that say nothing of a
// client: a NAK, plain BOOTP without a type, and types of later RFCs
// (FORCERENEW, LEASEQUERY and so on).
func kindOf(p *dhcpv4.DHCPv4) (kind presence.Kind, ok bool, err error) {
	var fromClient bool
	switch p.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		kind, fromClient = presence.DHCPDiscover, true
	case dhcpv4.MessageTypeRequest:
		kind, fromClient = presence.DHCPRequest, true
	case dhcpv4.MessageTypeInform:
		kind, fromClient = presence.DHCPInform, true
	case dhcpv4.MessageTypeDecline:
		kind, fromClient = presence.DHCPDecline, true
	case dhcpv4.MessageTypeRelease:
		kind, fromClient = presence.DHCPRelease, true
	case dhcpv4.MessageTypeOffer:
		kind = presence.DHCPOffer
	case dhcpv4.MessageTypeAck:
		kind = presence.DHCPAck
	default:
		return 0, false, nil
	}
	want := dhcpv4.OpcodeBootReply
	if fromClient {
		want = dhcpv4.OpcodeBootRequest
	}
	if p.OpCode != want {
		return 0, false, errMessage
	}
	return kind, true, nil
}

// addrOf returns ip when one station can have it as its address.
func addrOf(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if !ok || !a.Is4() || (!a.IsGlobalUnicast() && !a.IsLinkLocalUnicast()) {
		return netip.Addr{}
	}
	return a
}
