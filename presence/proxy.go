package presence

import (
	"fmt"
	"net/netip"
	"time"
)

// This file recognises one MAC that answers for many addresses: the proxy of a
// router or an access point, or a sleep proxy. Its answers are its own, so they
// keep nobody else home; here they are kept from being taken for its addresses.

// crowd is the IPv4 addresses that a device uses, where there are several.
type crowd struct {
	addrs recent[netip.Addr]
	until time.Time // it is a proxy
	own   bool      // the address that it goes by is not just one that it answered for
}

func (d *device) isProxy(now time.Time) bool { return d.crowd != nil && d.crowd.until.After(now) }

// uses reports whether the device of s uses its address, rather than wishes to.
func (s Sighting) uses() bool {
	switch s.Kind {
	case ARPAnnouncement, ARPRequest, ARPReply, NDPSolicitation, NDPAdvertisement, NDPRouterAdvertisement:
		return hostAddr(s.Addr)
	}
	return false
}

// spokenFor reports whether the address of s need not be d's own, since d is a
// proxy. What a proxy asks, it asks from its own address.
func (e *Engine) spokenFor(d *device, s Sighting) bool {
	c := d.crowd
	switch {
	case !s.Addr.Is4() || !s.uses(), c == nil && (s.Addr == d.Addr || !d.Addr.IsValid()):
		return false // nearly always
	case c == nil:
		c = &crowd{}
		c.addrs.note(d.Addr, d.heard)
		c.own = d.given == d.Addr || s.At.Sub(d.FirstSeen) > manyWithin
		if _, told := e.troubles[trouble{kind: ProxyFound, mac: s.MAC}]; told { // before a restart
			c.until = s.At.Add(manyWithin)
		}
		d.crowd = c
	}
	if c.addrs.note(s.Addr, s.At) {
		if !d.isProxy(s.At) {
			e.disclaim(d, s.Interface)
		}
		c.until = s.At.Add(manyWithin)
		e.tellTrouble(trouble{kind: ProxyFound, mac: s.MAC}, d, s.Interface, func() string { return whyProxy(c) })
	}
	asks := s.Kind == ARPRequest
	if asks && s.Addr == d.Addr {
		c.own = true
	}
	if !d.isProxy(s.At) || s.Addr == d.Addr && c.own {
		return false
	}
	if asks && !c.own {
		e.settleAt(d, s)
	}
	return !asks
}

// settleAt makes the address of s the one that d goes by. It went by one that
// it had only answered for, so that this is no change of address.
func (e *Engine) settleAt(d *device, s Sighting) {
	d.crowd.own = true
	d.Addr, d.used = s.Addr, [maxAddrs]addrInUse{}
	e.mark(d)
	e.readdressed(d)
}

func whyProxy(c *crowd) string {
	return fmt.Sprintf("it answers for %d addresses and more, such as %s and %s: it is a proxy, and nobody but itself is home by its answers",
		ManyAddresses, c.addrs.what[0], c.addrs.what[1])
}
