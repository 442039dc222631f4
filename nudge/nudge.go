// Package nudge builds the datagram that wakes a phone that sleeps.
//
// A phone that sleeps deeply answers ARP late or not at all, but its radio lets
// through what is for the port of multicast DNS, since others on the network may
// look for it there; that wakes it for some seconds. Those who track iPhones by
// it send any datagram to port 5353 and look into the ARP table afterwards. What
// is sent here is a DNS message without a question (RFC 1035, section 4.1.1), to
// which there is nothing to answer.
package nudge

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"porchlight/capture"
	"porchlight/presence"
)

const (
	// Port is where multicast DNS is spoken (RFC 6762).
	Port = 5353
	// sourcePort is the first of those that no service has (RFC 6335, section 6).
	// From another port than 5353 no answer is for all (RFC 6762, section 6.7).
	sourcePort = 49152

	protocolUDP = 17
	hops        = 1 // it stays on the link, whatever address a device claims

	headerLen   = 12 // of a DNS message; all zero: a query (RFC 6762, section 18), no records
	datagramLen = 8 + headerLen
)

// Frame returns the Ethernet frame that nudges the station to at its address
// target, from the station from with the address sender, which is of the same
// family. It is tagged with vids, outermost first. The station's MAC is known, so
// nobody is asked for it, and no neighbour table changes.
func Frame(from presence.MAC, sender netip.Addr, to presence.MAC, target netip.Addr, vids []uint16) ([]byte, error) {
	sender, target = sender.WithZone(""), target.WithZone("")
	switch {
	case !to.Station():
		return nil, errors.New("not the MAC of a station")
	case sender.Is4() && target.Is4():
		return capture.Build(to, from, capture.EtherTypeIPv4, packet4(sender, target), vids)
	case sender.Is6() && target.Is6():
		return capture.Build(to, from, capture.EtherTypeIPv6, packet6(sender, target), vids)
	}
	return nil, errors.New("two addresses of different families")
}

// packet4 is the datagram with its IPv4 header (RFC 791).
func packet4(sender, target netip.Addr) []byte {
	const ihl = 20
	b := make([]byte, ihl, ihl+datagramLen)
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], ihl+datagramLen)
	binary.BigEndian.PutUint16(b[6:], 0x4000) // do not fragment; the identification may be anything then (RFC 6864)
	b[8], b[9] = hops, protocolUDP
	copy(b[12:], sender.AsSlice())
	copy(b[16:], target.AsSlice())
	binary.BigEndian.PutUint16(b[10:], fold(sum(0, b)))
	return append(b, datagram(sender, target)...)
}

// packet6 is the datagram with its IPv6 header (RFC 8200).
func packet6(sender, target netip.Addr) []byte {
	b := make([]byte, 0, 40+datagramLen)
	b = append(b, 0x60, 0, 0, 0, 0, datagramLen, protocolUDP, hops)
	b = append(append(b, sender.AsSlice()...), target.AsSlice()...)
	return append(b, datagram(sender, target)...)
}

// datagram is the UDP datagram (RFC 768; RFC 8200, section 8.1).
func datagram(sender, target netip.Addr) []byte {
	b := make([]byte, datagramLen)
	binary.BigEndian.PutUint16(b[0:], sourcePort)
	binary.BigEndian.PutUint16(b[2:], Port)
	binary.BigEndian.PutUint16(b[4:], datagramLen)
	pseudo := sum(sum(protocolUDP+datagramLen, sender.AsSlice()), target.AsSlice())
	check := fold(sum(pseudo, b))
	if check == 0 {
		check = 0xffff // 0 means that there is none
	}
	binary.BigEndian.PutUint16(b[6:], check)
	return b
}

// sum adds the 16-bit words of b, of which there is a whole number.
func sum(s uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	return s
}

// fold makes an Internet checksum of a sum (RFC 1071).
func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}
