package presence

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"time"
)

const (
	// maxAddrs bounds what one device can make us remember.
	maxAddrs = 4
	maxIPv6  = 8
	// addrHold is how long an address that is still being used stays the
	// device's first one, so that a router with two addresses does not flap.
	addrHold = 2 * time.Minute
	ipv6Hold = time.Hour // the same for each of the IPv6 addresses that are kept
	// joinLag is how long after the first frame of a returning device its join may come.
	joinLag = 10 * time.Second
)

// device is a Device with what only the Engine needs.
type device struct {
	Device
	model  Model
	own    Settings // by the user's commands
	inFile bool     // the device file has it, if only its MAC
	groups []*group // that it is counted in

	first     MAC       // its id's; it never loses that one
	origin    Origin    // of MAC
	heardHere time.Time // the last evidence by MAC
	others    []*port   // its other MACs; nil for most
	heir      *heir     // a MAC that may become its own
	askFirst  MAC       // the next question goes there; zero: by turns
	lastBy    MAC       // the last evidence was by this one, if it has others
	hops      int       // how many times in a row lastBy was soon another one
	hopAt     time.Time // when it last was
	indexed   known

	heard   time.Time // the last evidence
	quiet   time.Time // since when its silence counts: heard, or the end of a blindness
	tainted bool      // this silence had blindness, an outage or a restart in it: nothing is learned from it

	ended   time.Duration // a silence that ended at endedAt, kept back in case a join follows
	endedAt time.Time

	asked    int // probes that went out in this silence
	tried    int // probes that were to go out
	firstAsk time.Time
	lastAsk  time.Time
	step     int       // probes that were scheduled in this silence
	early    bool      // ask ahead of the plan
	again    time.Time // when to ask again after a nudge; zero: not
	woken    MAC       // whom that nudge went to
	cutAt    time.Time // when the way to where it is reached was last found cut in this silence
	waiting  time.Time // since when the decision waits for probes to go out
	muted    bool      // it can be asked by IPv6 only, and the last such probe could not be sent
	parted   parting

	namedAt  time.Time           // when a name was last learned
	expected netip.Addr          // the address that it may have by now; asked as well
	used     [maxAddrs]addrInUse // IPv4, in no order
	usedIPv6 [maxIPv6]time.Time  // when each of IPv6 was last used, in its order

	places []place    // that it was heard on, once there is more than one
	moved  time.Time  // when it came to the segment that it is on; zero: it was never on another
	via    MAC        // the station that sends for it, as a repeater does, or itself; zero: not known
	given  netip.Addr // by DHCP
	crowd  *crowd     // nil: it has one address
	asking *asking    // nil: it has asked for nobody

	due  time.Time
	heap int // place in the queue; -1: not in it
}

type addrInUse struct {
	addr netip.Addr
	at   time.Time
}

// unask forgets what was asked in this silence.
func (d *device) unask() {
	d.asked, d.step, d.tried = 0, 0, 0
	d.waiting, d.again, d.cutAt, d.muted = time.Time{}, time.Time{}, time.Time{}, false
}

func (d *device) record() Record {
	r := Record{Device: d.Device, Model: d.model, Ports: d.ports()}
	r.Settings, r.FromFile = d.own, nil
	r.Model.slept = slices.Clone(d.model.slept)
	r.Model.joined = slices.Clone(d.model.joined)
	return r
}

// expect notes an address that d may have soon, or not.
func (d *device) expect(a netip.Addr) {
	if a.Is4() && hostAddr(a) && a != d.Addr && !d.foreign(a) {
		d.expected = a
	}
}

// use notes that d has used the IPv4 address a at t. It reports whether that
// made a the address that d goes by.
func (d *device) use(a netip.Addr, t time.Time) bool {
	slot, oldest, current := -1, -1, -1 // current: of the address that it goes by, on this segment
	for i, u := range d.used {
		switch {
		case u.addr == a:
			slot = i
		case u.addr == d.Addr && d.Addr.IsValid():
			if d.here(u.at) {
				current = i
			}
			continue // never makes room for another: one MAC may answer for a whole network
		}
		if oldest < 0 || u.at.Before(d.used[oldest].at) {
			oldest = i
		}
	}
	if slot < 0 {
		slot = oldest
	}
	d.used[slot] = addrInUse{a, t}
	promised := a == d.expected
	if promised {
		d.expected = netip.Addr{}
	}
	if a == d.Addr {
		return false
	}
	if !promised && current >= 0 && t.Sub(d.used[current].at) < addrHold {
		return false // it has both, or is just changing
	}
	if a.IsLinkLocalUnicast() && current >= 0 && d.Addr.IsValid() && t.Sub(d.used[current].at) < time.Hour {
		return false // RFC 3927: the last resort of a device without a DHCP server
	}
	d.Addr = a
	return true
}

// useIPv6 notes that d has used the IPv6 address a at t, and reports whether
// that is news. A new address takes the place of the one that was not used for
// longest, but not of one in use: a router that speaks for many does not flap.
// A link-local address is the last to go, since it stays when others change.
func (d *device) useIPv6(a netip.Addr, t time.Time) bool {
	if i := slices.Index(d.IPv6, a); i >= 0 {
		d.usedIPv6[i] = t
		return false
	}
	out := len(d.IPv6)
	if out >= maxIPv6 {
		out = 0
		for i, at := range d.usedIPv6 {
			was, is := d.IPv6[out].IsLinkLocalUnicast(), d.IPv6[i].IsLinkLocalUnicast()
			if was && !is || was == is && !at.After(d.usedIPv6[out]) {
				out = i
			}
		}
		if t.Sub(d.usedIPv6[out]) < ipv6Hold {
			return false
		}
	}
	list := append(make([]netip.Addr, 0, maxIPv6), a)
	list = append(list, d.IPv6[:out]...)
	if out < len(d.IPv6) {
		list = append(list, d.IPv6[out+1:]...)
	}
	copy(d.usedIPv6[1:out+1], d.usedIPv6[:out])
	d.IPv6, d.usedIPv6[0] = list, t
	return true
}

// hostAddr reports whether a can be the address of one station.
func hostAddr(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != limitedBroadcast
}

// limitedBroadcast is everyone on the link (RFC 919, section 7).
var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func sortedIDs[V any](m map[ID]V) []ID { return slices.Sorted(maps.Keys(m)) }

func compareMACs(a, b MAC) int { return bytes.Compare(a[:], b[:]) }
