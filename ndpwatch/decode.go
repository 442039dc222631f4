package ndpwatch

import (
	"errors"
	"net/netip"

	"porchlight/capture"
	"porchlight/presence"
)

var errStation = errors.New("source of the frame cannot be a station")

// message is a sighting with what only this package needs to know of it.
type message struct {
	presence.Sighting
	foreign bool // it speaks for another MAC than the one that sent it
}

func newMessage(f capture.Frame, kind presence.Kind) message {
	return message{Sighting: presence.Sighting{
		At:        f.At,
		Interface: f.Interface,
		MAC:       f.Src,
		Kind:      kind,
		Unicast:   f.Dst[0]&1 == 0,
	}}
}

// own takes a as the sender's own address, if it can be one.
func (m *message) own(a netip.Addr) {
	if host(a) {
		m.Addr = a
	}
}

// Decode makes a sighting of a frame of neighbour discovery, of a report of a
// multicast listener, or of a DHCPv6 client's message. The device is the
// Ethernet source. Its address is the source of the packet, or the one that it
// advertises or wants to have; it is invalid when the message speaks for
// another MAC, as that of a proxy does, or for none. Peer is a router that offers
// itself as the default one. ok is false for frames that carry anything else. The
// error says what is wrong with a frame that claims to be one of these and cannot
// be.
func Decode(f capture.Frame) (s presence.Sighting, ok bool, err error) {
	m, ok, err := decode(f)
	return m.Sighting, ok, err
}

func decode(f capture.Frame) (m message, ok bool, err error) {
	if f.EtherType != capture.EtherTypeIPv6 {
		return message{}, false, nil
	}
	p, err := parsePacket(f.Payload)
	if err != nil {
		return message{}, false, err
	}
	if !f.Src.Station() {
		return message{}, false, errStation
	}
	switch p.protocol {
	case protocolICMPv6:
		m, ok, err = readICMP(f, p)
	case protocolUDP:
		m, ok, err = readDHCP(f, p)
	}
	if !ok || err != nil {
		return message{}, false, err
	}
	return m, true, nil
}
