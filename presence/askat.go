package presence

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// addrFresh is how long before the last evidence an address may have been
	// used and still be believed to be the device's: phones give IPv4 up where
	// IPv6 is enough (RFC 8925), and temporary IPv6 addresses go.
	addrFresh = time.Hour
	// otherFrom is the probe from which a device that has not answered is asked
	// at its other address as well.
	otherFrom = 3
	// noIPv6For is how long who has IPv4 is not asked by IPv6 as well after such
	// a probe could not be sent.
	noIPv6For = 10 * time.Minute
)

// askAt returns the address to ask d at, for the n-th time in this silence; it
// is invalid when d cannot be asked. Every second time it may be another one
// than d was last known to use.
func (e *Engine) askAt(d *device, n int) netip.Addr {
	switch {
	case d.IgnoreARPReplies:
		return netip.Addr{} // the answer would not count
	case d.Interface == "", d.Interface == Routed:
		return netip.Addr{} // it was never heard, so nobody knows on which one to ask
	}
	first, second, sure := e.addressesOf(d)
	switch {
	case n%2 == 0 && first.IsValid():
		return first
	case d.expected.IsValid():
		return d.expected
	case second.IsValid() && (!sure || n >= otherFrom):
		return second
	}
	return first
}

// addressesOf returns the address to ask d at first, and another one to try when
// it does not answer; either may be invalid. IPv4 comes before IPv6, but what d
// has used of late before what it has not. sure is set when it has used one.
func (e *Engine) addressesOf(d *device) (first, second netip.Addr, sure bool) {
	v4, v6 := d.addrIPv4(), d.addrIPv6()
	sure4, sure6 := d.usesLately(v4), d.usesLately(v6)
	switch {
	case !v4.IsValid() || sure6 && !sure4:
		return v6, v4, sure6
	case sure4 && (!sure6 || e.now.Before(e.linkOf(d).noIPv6)):
		return v4, netip.Addr{}, true
	}
	return v4, v6, sure4
}

// addrIPv4 is the IPv4 address to ask d at: the one that it goes by, or if that is
// of another segment the one that it had on this one before.
func (d *device) addrIPv4() netip.Addr {
	if !d.foreign(d.Addr) {
		return d.Addr
	}
	if a := d.place(d.Interface).addr; a.Is4() {
		return a
	}
	return netip.Addr{}
}

// addrIPv6 is the IPv6 address to ask d at: one that it has used of late, the
// link-local one rather than those that may be temporary.
func (d *device) addrIPv6() (best netip.Addr) {
	for _, a := range d.IPv6 {
		if d.foreign(a) {
			continue
		}
		better := d.usesLately(a) && !d.usesLately(best) ||
			d.usesLately(a) == d.usesLately(best) && a.IsLinkLocalUnicast() && !best.IsLinkLocalUnicast()
		if !best.IsValid() || better {
			best = a
		}
	}
	return best
}

// usesLately reports whether d has used a in the hour before it was last heard.
func (d *device) usesLately(a netip.Addr) bool {
	var at time.Time
	if i := slices.Index(d.IPv6, a); i >= 0 {
		at = d.usedIPv6[i]
	}
	for _, u := range d.used {
		if u.addr == a {
			at = u.at
		}
	}
	return a.IsValid() && !at.IsZero() && d.heard.Sub(at) < addrFresh
}
