package flows

import (
	"net/netip"
	"time"

	"porchlight/presence"
)

// Count is an amount of traffic.
type Count struct {
	Packets uint64
	Bytes   uint64 // on the wire, with the link's header
}

// Flow is what passed between two ends, in both directions.
type Flow struct {
	Protocol    string         // tcp, udp, icmp, icmpv6, ndp, mld, igmp, arp, …, "ip 99", "ethertype 0x88cc"
	From, To    netip.AddrPort // From sent the first packet; port 0: none; zero: no address either
	First, Last time.Time      // packets, UTC
	Sent, Back  Count          // by From and by To
	Interface   string         // that the first packet was captured on, as the dump names it

	protocol protocol
	opener   opener       // of TCP
	closing  time.Time    // of TCP: the first packet that ends it; zero: none
	reset    [2]bool      // of TCP: From and To were told that it is over
	acked    [2]bool      // of TCP: From and To went on after the first packets
	replies  uint8        // the bits of TCP that each packet of To has
	dhcp     bool         // it has DHCP's form
	mac      presence.MAC // that From's first packet has; zero: none
	toAll    bool         // of UDP: the first packet was sent to all stations of the link
}

// opener is who opened a TCP connection.
type opener uint8

const (
	unknown opener = iota
	byFrom
	byTo
)

// Bytes are of both directions.
func (f *Flow) Bytes() uint64 { return f.Sent.Bytes + f.Back.Bytes }

// Packets are of both directions.
func (f *Flow) Packets() uint64 { return f.Sent.Packets + f.Back.Packets }

// add counts a packet.
func (f *Flow) add(p *packet, at time.Time, length int) {
	if at.Before(f.First) {
		f.First = at
	}
	if at.After(f.Last) {
		f.Last = at
	}
	count, forth := &f.Back, p.from == f.From
	if forth {
		count = &f.Sent
	} else if f.replies &= p.flags; f.Back.Packets == 0 {
		f.replies = p.flags
	}
	count.Packets++
	count.Bytes += uint64(length)
	if p.protocol == tcp {
		f.tcp(p.flags, forth, at)
	}
}

// tcp notes what a packet says of the connection.
func (f *Flow) tcp(flags uint8, forth bool, at time.Time) {
	from, to := 0, 1
	if !forth {
		from, to = to, from
	}
	switch {
	case flags&(fin|rst) != 0:
		f.reset[to] = f.reset[to] || flags&rst != 0
		if f.closing.IsZero() {
			f.closing = at
		}
	case flags&syn == 0 && f.reset[from] && at.Sub(f.closing) > onTheWay:
		f.closing = time.Time{} // it goes on
	}
	if flags&syn != 0 && f.opener == unknown {
		f.opener = byTo
		if forth == (flags&ack == 0) {
			f.opener = byFrom
		}
	}
	if flags&(syn|rst|ack) == ack {
		f.acked[from] = true
	}
}

// onTheWay is for how long an end may send that has not heard yet that the other
// one reset the connection. Who goes on for longer took the reset for a forged one
// (RFC 9293, section 3.10.7.4), or has no socket that it could end.
const onTheWay = time.Second

// end is when the socket of a flow may have gone: of TCP when an end began to close
// it.
func (f *Flow) end() time.Time {
	if f.closing.IsZero() {
		return f.Last
	}
	return f.closing
}

// anew reports whether a packet opens another connection between the two ends: the
// one that there was is over.
func (f *Flow) anew(p *packet) bool {
	return p.protocol == tcp && p.flags&(syn|ack|rst) == syn && !f.closing.IsZero() && !f.halfOpen() && !f.refused()
}

// halfOpen reports whether a TCP connection was begun and never completed (RFC
// 9293, section 3.5), so that no program ever got it.
func (f *Flow) halfOpen() bool {
	return f.opener == byFrom && !f.acked[0] || f.opener == byTo && !f.acked[1]
}

// refused reports whether all that came back from where a TCP connection was to go
// were resets.
func (f *Flow) refused() bool {
	return f.opener == byFrom && f.Back.Packets > 0 && f.replies&rst != 0
}

// dhcpForm reports whether a datagram looks like DHCP's: between its ports, and
// with the fixed first bytes (RFC 2131, section 2; RFC 8415, section 8). Its
// clients use packet sockets.
func dhcpForm(p *packet) bool {
	from, to := p.from.Port(), p.to.Port()
	switch {
	case from == 68 && to == 67, from == 67 && to == 68, from == 67 && to == 67:
		return p.from.Addr().Is4() && len(p.payload) >= 3 && (p.payload[0] == 1 || p.payload[0] == 2) && p.payload[1] == 1 && p.payload[2] == 6
	case from == 546 && to == 547, from == 547 && to == 546:
		return p.from.Addr().IsLinkLocalUnicast() && len(p.payload) >= 4 && p.payload[0] >= 1 && p.payload[0] <= 13
	}
	return false
}
