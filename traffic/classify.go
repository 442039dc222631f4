package traffic

import "net/netip"

// classifier says what a packet is. It remembers flows, so that what was
// recognised by its first packets is so later. It allocates nothing per packet.
type classifier struct {
	flows *flows
}

// classify returns the packet's protocol and the address at its other end; the
// zero address for what is no IP. h is scratch.
func (c *classifier) classify(p *Packet, h *head) (Protocol, netip.Addr) {
	if p.EtherType == etherTypeARP {
		return ARP, netip.Addr{}
	}
	*h = head{}
	if !h.network(p) {
		return Other, netip.Addr{}
	}
	other := h.src
	if p.Direction == Out {
		other = h.dst
	}
	return c.transport(p, h), netip.AddrFrom16(other).Unmap()
}

func (c *classifier) transport(p *Packet, h *head) Protocol {
	now := uint32(p.At.Unix()) //nolint:gosec // only differences count
	if h.later {
		if f := c.flows.find(c.flows.fragmentID(h), now); f != nil {
			return f.protocol
		}
		return plain(h.proto, p.EtherType)
	}
	protocol := plain(h.proto, p.EtherType)
	switch {
	case protocol == TCP && h.tcp():
		protocol = c.tcp(h, now, p.Direction)
	case protocol == UDP && h.udp():
		protocol = c.udp(h, now, p.Direction)
	}
	if h.fragment && protocol != plain(h.proto, p.EtherType) {
		c.flows.add(c.flows.fragmentID(h), now, keepFragment, protocol, p.Direction)
	}
	return protocol
}

// plain is what IP says itself.
func plain(proto uint8, etherType uint16) Protocol {
	switch {
	case proto == protoTCP:
		return TCP
	case proto == protoUDP:
		return UDP
	case proto == protoICMP && etherType == etherTypeIPv4, proto == protoICMPv6 && etherType == etherTypeIPv6:
		return ICMP
	}
	return Other
}

// tcp says what a segment is. One without data is TCP, whatever its connection
// carries; so is what was said before the connection was known to be TLS or DNS.
func (c *classifier) tcp(h *head, now uint32, d Direction) Protocol {
	if h.length == 0 && !h.syn {
		return TCP
	}
	id := c.flows.flowID(h, d)
	if h.syn {
		c.flows.forget(id) // another connection of the same ends
	}
	if h.length == 0 {
		return TCP
	}
	f := c.flows.find(id, now)
	if f != nil && !f.doubtful {
		f.hear(now, d)
		return f.protocol
	}
	if c.tls(id, f, h, now, d) {
		c.flows.add(id, now, keepTCP, TLS, d)
		return TLS
	}
	if isDNSOverTCP(h.body, h.length, h.either(portDNS)) {
		c.flows.add(id, now, keepTCP, DNS, d)
		return DNS
	}
	return TCP
}

// tls says whether the segment shows that its connection carries TLS. Of what was
// begun before there was counting, a record in the segment is a guess, f, until
// another one is found where it must be.
func (c *classifier) tls(id uint64, f *flow, h *head, now uint32, d Direction) bool {
	e, next := tlsShape(h.body, h.length)
	if e == strong {
		return true
	}
	size := next
	if f != nil && f.ways == 1<<d {
		switch f.check(h) {
		case strong:
			return true
		case weak:
			return false
		}
		c.flows.forget(id)
		f = nil
	}
	if e == none {
		var found bool
		if size, next, found = tlsWithin(h.body); !found || f != nil {
			return false
		}
	}
	f = c.flows.add(id, now, keepUDP, TLS, d)
	f.doubtful, f.next, f.size = true, h.seq+uint32(next), uint32(size) //nolint:gosec // a record is short
	return false
}

// check looks for the next record where a guess says that it is: strong when it
// is there, none when it is not, weak as long as the place is not seen. A long
// transfer is of records of one size, so the next that is seen may be a later one.
func (f *flow) check(h *head) evidence {
	if behind := h.seq - f.next; behind < 1<<31 {
		f.next += (behind + f.size - 1) / f.size * f.size
	}
	at := int64(f.next - h.seq)
	switch {
	case at+tlsHeader > int64(len(h.body)):
		return weak
	case recordSize(h.body[at:]) < 0:
		return none
	}
	return strong
}

// udp says what a datagram is.
func (c *classifier) udp(h *head, now uint32, d Direction) Protocol {
	b, length := h.body, h.length
	switch {
	case len(b) == 0:
		return UDP
	case h.either(portMDNS) && isMDNS(b, length):
		return MDNS
	case isDHCP(h):
		return DHCP
	case h.either(portMDNS) || h.either(portLLMNR) || h.either(portNetBIOS):
		// Names, in the shape of DNS, but asked of the neighbours.
	case isDNS(b, length, h.either(portDNS)):
		return DNS
	}
	return c.quic(h, now, d)
}

// quic tells QUIC from other datagrams. What follows a long header in a flow is
// QUIC; as long as it was heard in one direction only, if the bit is set that tells
// it from others (RFC 9443, section 3). And so is what else
// comes from or goes to a server that has spoken QUIC: a connection that moved
// to another address (RFC 9000, section 9) shows no long header there.
func (c *classifier) quic(h *head, now uint32, d Direction) Protocol {
	id := c.flows.flowID(h, d)
	f := c.flows.find(id, now)
	if f != nil && f.both() {
		f.hear(now, d)
		return QUIC
	}
	is, certain := quicShape(h.body, h.length, f == nil)
	fixed := h.body[0]&0x40 != 0
	switch {
	case !is && f != nil && fixed:
		f.hear(now, d)
		return QUIC
	case !is && fixed && h.body[0]&0x80 == 0 && c.ofServer(h, now):
		c.flows.add(id, now, keepUDP, QUIC, d)
		return QUIC
	case !certain:
	case f == nil:
		c.flows.add(id, now, keepUDP, QUIC, d)
	case f.ways != 1<<d:
		// The answer: who gives it is the server.
		f.hear(now, d)
		c.flows.add(c.flows.serverID(&h.src, h.sport, h.proto), now, keepUDP, QUIC, In).ways = 1<<In | 1<<Out
	}
	if is {
		return QUIC
	}
	return UDP
}

// ofServer says whether either end is a server that has spoken QUIC.
func (c *classifier) ofServer(h *head, now uint32) bool {
	for _, id := range [...]uint64{
		c.flows.serverID(&h.src, h.sport, h.proto),
		c.flows.serverID(&h.dst, h.dport, h.proto),
	} {
		if f := c.flows.find(id, now); f != nil {
			f.seen = now
			return true
		}
	}
	return false
}
