package presence

import (
	"fmt"
	"net/netip"
	"time"
)

// maxServers bounds the servers of one kind that are remembered in a segment,
// and maxSegments the segments: VLAN tags can be made up.
const (
	maxServers  = 8
	maxSegments = 256
)

// service is what there should be one of in a segment.
type service struct {
	ifname string
	kind   EventType // that tells of a second one
}

// server is one that was heard, or that a client named.
type server struct {
	addr netip.Addr
	mac  MAC // zero: not known
	last time.Time
}

// serves reports which service s speaks of, and by which MAC, which is zero when
// a client says so.
func (s Sighting) serves() (kind EventType, mac MAC) {
	switch s.Kind {
	case DHCPOffer, DHCPAck:
		if s.Addr.IsValid() { // else it is about where to boot from, or other options
			return SecondDHCP, s.Via
		}
	case DHCPRequest:
		return SecondDHCP, MAC{}
	case NDPRouterAdvertisement:
		return SecondRouter, s.MAC
	}
	return "", MAC{}
}

// noteServer takes the server that s speaks of, and tells of it when there was
// another one already. One machine may have several addresses, a server that is
// moved may have several MACs, and who stands in for another belongs there.
func (e *Engine) noteServer(s Sighting) {
	kind, mac := s.serves()
	if kind == "" || !hostAddr(s.Peer) {
		return
	}
	if c := e.claims.get(segmentAddr{s.Interface, s.Peer}); c != nil && mac == (MAC{}) {
		mac = c.holder
	}
	k := service{s.Interface, kind}
	list := e.servers[k]
	oldest, latest, same := 0, server{}, virtualMAC(mac)
	for i := range list {
		o := &list[i]
		if o.addr == s.Peer {
			o.last = s.At
			if mac != (MAC{}) {
				o.mac = mac
			}
			return
		}
		same = same || mac != (MAC{}) && o.mac == mac
		if o.last.Before(list[oldest].last) {
			oldest = i
		}
		if !o.last.Before(latest.last) {
			latest = *o
		}
	}
	is := server{s.Peer, mac, s.At}
	switch {
	case len(list) >= maxServers:
		list[oldest] = is
	case len(list) > 0 || len(e.servers) < maxSegments:
		e.servers[k] = append(list, is)
	}
	if !same && latest.addr.IsValid() && s.At.Sub(latest.last) < overSeldom {
		e.tellServer(kind, s, is, latest)
	}
}

func (e *Engine) tellServer(kind EventType, s Sighting, is, other server) {
	before, now := e.side(other.mac, other.addr), e.side(is.mac, is.addr)
	e.tellTrouble(trouble{kind: kind, addr: is.addr}, e.byMAC[is.mac], s.Interface, func() string {
		does, what := "gives out addresses by DHCP", "DHCP server"
		if kind == SecondRouter {
			does, what = "offers itself as the IPv6 router", "router"
		}
		return fmt.Sprintf("%s, %s, %s on %s; %s, %s, did so %s ago: find out whether a second %s belongs there",
			is.addr, e.words(now), does, s.Interface, other.addr, e.words(before), Words(s.At.Sub(other.last)), what)
	}, before, now)
}
