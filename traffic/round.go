package traffic

import (
	"net/netip"
	"time"
)

// Protocol is what a packet is counted as: the first of these that it is.
type Protocol uint8

// The protocols. Each packet is counted as one: TCP and UDP are what is left when
// the more telling ones are taken out.
const (
	Other Protocol = iota
	ARP
	ICMP // and ICMPv6
	DHCP // and DHCPv6
	MDNS
	DNS // over UDP and TCP
	QUIC
	TLS // over TCP
	TCP
	UDP
	protocols // how many there are
)

// String returns the name in lower case.
func (p Protocol) String() string {
	if int(p) >= len(protocolNames) {
		return protocolNames[Other]
	}
	return protocolNames[p]
}

var protocolNames = [protocols]string{"other", "arp", "icmp", "dhcp", "mdns", "dns", "quic", "tls", "tcp", "udp"}

// Protocols lists them all, in a fixed order.
func Protocols() []Protocol {
	return []Protocol{TCP, TLS, UDP, QUIC, DNS, MDNS, DHCP, ARP, ICMP, Other}
}

// Direction is a packet's, as this machine sees it.
type Direction uint8

// The directions.
const (
	In Direction = iota
	Out
	directions
)

// String returns "in" or "out".
func (d Direction) String() string { return [directions]string{"in", "out"}[d] }

// Count is an amount of traffic.
type Count struct {
	Packets uint64
	Bytes   uint64 // on the wire, with the link's header
}

// Add adds o.
func (c *Count) Add(o Count) {
	c.Packets += o.Packets
	c.Bytes += o.Bytes
}

// Key is what packets are counted by.
type Key struct {
	Interface string
	Protocol  Protocol
	Direction Direction
}

// Talker is who is at the other end.
type Talker struct {
	Addr    netip.Addr // zero for a device, which may have several
	Device  string     // what the device of the LAN is called; empty: none that is known
	In, Out Count
}

// Port is one that was listened on.
type Port struct {
	Protocol string // tcp or udp
	Port     uint16
	Program  string        // empty: not known
	Held     time.Duration // for how much of the round
}

// Round is what passed in a span of time.
type Round struct {
	Start   time.Time     // UTC
	Length  time.Duration // until the next one
	Counted time.Duration // for how much of it there was counting; less: it was paused, or Porchlight did not run
	Counts  map[Key]Count
	Hosts   []Talker // the busiest that are no devices of the LAN, most bytes first
	Devices []Talker // the busiest devices of the LAN, most bytes first
	Ports   []Port   // by protocol, port and program
	Dropped uint64   // packets that there was no time to count
}
