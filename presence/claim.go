package presence

import (
	"fmt"
	"net/netip"
	"time"
)

// This file knows who uses which address: two devices that use one in turn have
// a conflict, and one that takes over from another make is odd.

const (
	// In a conflict an address changes hands conflictTurns times and more within
	// conflictWithin, between the same two: each has used it twice. Those who are
	// asked answer every 30 s. A sleep proxy takes over and gives back, but not so
	// often; an address that DHCP gives to another passes once.
	conflictTurns  = 3
	conflictWithin = time.Minute
	// How long the new one must have had the address alone before it is said to be of
	// another make: longer while the one before may still be there.
	takenAway, takenHome = 10 * time.Second, time.Minute
	// maxClaims bounds the addresses that are watched; twice as many are kept.
	maxClaims = 8192
)

// segmentAddr is an address in one segment: VLANs may have the same ones.
type segmentAddr struct {
	ifname string
	addr   netip.Addr
}

// claim says who uses an address.
type claim struct {
	holder MAC
	since  time.Time // nobody else has used it
	turns  *turns    // nil: it has not changed hands
}

// turns is how an address changed hands lately, between two.
type turns struct {
	other   MAC // than the holder
	at      [conflictTurns]time.Time
	n       int
	settled bool // who has it now was looked at
}

// claims are the addresses in use. When young is full it becomes old, and what
// was old is forgotten unless it was used meanwhile.
type claims struct{ young, old map[segmentAddr]*claim }

func (cs *claims) get(k segmentAddr) *claim {
	if c := cs.young[k]; c != nil {
		return c
	}
	c := cs.old[k]
	if c != nil {
		cs.put(k, c)
	}
	return c
}

func (cs *claims) put(k segmentAddr, c *claim) {
	if cs.young == nil || len(cs.young) >= maxClaims {
		cs.old, cs.young = cs.young, map[segmentAddr]*claim{}
	}
	cs.young[k] = c
}

func (cs *claims) drop(k segmentAddr) {
	delete(cs.young, k)
	delete(cs.old, k)
}

// virtualMAC reports whether m belongs to routers that stand in for each other:
// VRRP and CARP (RFC 9568, section 7.3), HSRP and GLBP.
func virtualMAC(m MAC) bool {
	switch [4]byte(m[:4]) {
	case [4]byte{0x00, 0x00, 0x5e, 0x00}:
		return m[4] == 0x01 || m[4] == 0x02
	case [4]byte{0x00, 0x00, 0x0c, 0x07}:
		return m[4] == 0xac
	case [4]byte{0x00, 0x00, 0x0c, 0x9f}:
		return m[4]&0xf0 == 0xf0
	case [4]byte{0x00, 0x05, 0x73, 0xa0}, [4]byte{0x00, 0x07, 0xb4, 0x00}:
		return true
	}
	return false
}

// claim notes that d uses the address of s.
func (e *Engine) claim(d *device, s Sighting) {
	if !s.uses() || s.Kind != ARPRequest && d.isProxy(s.At) {
		return
	}
	k := segmentAddr{s.Interface, s.Addr}
	c := e.claims.get(k)
	switch {
	case c == nil:
		e.claims.put(k, &claim{holder: s.MAC, since: s.At})
	case c.holder == s.MAC:
		if t := c.turns; t != nil && !t.settled {
			e.settleClaim(c, d, s)
		}
	case e.byMAC[c.holder] == d, virtualMAC(c.holder), virtualMAC(s.MAC): // still the same
		*c = claim{holder: s.MAC, since: s.At}
	default:
		e.passOn(c, d, s)
	}
}

// passOn notes that d uses an address that another used before.
func (e *Engine) passOn(c *claim, d *device, s Sighting) {
	t := c.turns
	switch {
	case t == nil:
		t = &turns{}
		c.turns = t
	case t.other != s.MAC:
		*t = turns{} // a third one
	}
	t.other, c.holder, c.since = c.holder, s.MAC, s.At
	copy(t.at[:], t.at[1:])
	t.at[conflictTurns-1] = s.At
	t.n, t.settled = t.n+1, false
	took := s.At.Sub(t.at[0])
	if t.n < conflictTurns || took > conflictWithin {
		return
	}
	first, second := e.side(t.other, s.Addr), e.side(s.MAC, s.Addr)
	e.tellTrouble(trouble{kind: AddressConflict, addr: s.Addr}, e.byMAC[t.other], s.Interface, func() string {
		return fmt.Sprintf("%s is used by two devices, %s and %s: each used it twice and more within %s",
			s.Addr, e.words(first), e.words(second), Words(took))
	}, first, second)
}

// settleClaim looks at who took an address over, once nobody else uses it: when
// it is of another make, and did not get the address by DHCP, the hardware was
// exchanged, or someone pretends to be it. A private MAC says nothing of the make.
func (e *Engine) settleClaim(c *claim, d *device, s Sighting) {
	t := c.turns
	before := e.byMAC[t.other]
	if before == nil || before.Addr != s.Addr {
		t.settled = true // it has another address now, or is forgotten
		return
	}
	wait := takenAway
	if before.State == Home {
		wait = takenHome
	}
	if s.At.Sub(c.since) < wait {
		return
	}
	t.settled = true
	if !s.Addr.Is4() || d.Addr != s.Addr || d.given == s.Addr || e.leased(d, s.Addr) || e.sameMake(s.MAC, t.other) {
		return
	}
	was, is := e.side(t.other, s.Addr), e.side(s.MAC, s.Addr)
	e.tellTrouble(trouble{kind: VendorChanged, mac: s.MAC, addr: s.Addr}, d, s.Interface, func() string {
		return fmt.Sprintf("%s was the address of %s, last heard %s ago, and is used by %s now, which did not get it by DHCP: the hardware was exchanged, or someone pretends to be it",
			s.Addr, e.words(was), Words(s.At.Sub(before.heard)), e.words(is))
	}, was, is)
}

// noteGiven notes the address that DHCP gives to d, or that d asks it for.
func (d *device) noteGiven(s Sighting) {
	switch s.Kind {
	case DHCPRequest, DHCPOffer, DHCPAck:
		if s.Addr.IsValid() {
			d.given = s.Addr
		}
	}
}

// leased reports whether a lease file says that d has a.
func (e *Engine) leased(d *device, a netip.Addr) bool {
	t, ok := e.told[NameFromLease].byMAC[d.MAC]
	return ok && t.Addr == a
}

// sameMake reports whether two MACs are of one vendor, as far as can be said.
func (e *Engine) sameMake(a, b MAC) bool {
	if a.Private() || b.Private() || [3]byte(a[:3]) == [3]byte(b[:3]) {
		return true
	}
	vendor := e.cfg.Vendor(a)
	return vendor != "" && vendor == e.cfg.Vendor(b)
}

// disclaim takes back what d claimed before it was known to be a proxy.
func (e *Engine) disclaim(d *device, ifname string) {
	for _, a := range d.crowd.addrs.what {
		k := segmentAddr{ifname, a}
		c := e.claims.get(k)
		switch {
		case c == nil:
		case e.byMAC[c.holder] == d:
			e.claims.drop(k)
		case c.turns != nil && e.byMAC[c.turns.other] == d:
			c.turns = nil
		}
	}
}
