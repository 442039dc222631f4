package presence

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// MaxMACs bounds the MACs of one device.
	MaxMACs = 32
	// portHold is how long a device that is heard by another of its MACs still
	// goes by the one that it went by, unless it joins by the other: a laptop with
	// Ethernet and Wi-Fi does not flap.
	portHold = 10 * time.Minute
	// portFresh is how long before the last evidence a device may have been heard
	// by another of its MACs and still be asked there too.
	portFresh = time.Hour
	// maxTurns is at how many of its MACs a device is asked, by turns.
	maxTurns = 3
)

// Origin says why a MAC belongs to a device; empty: its id comes from it.
type Origin string

// The origins.
const (
	ByUser   Origin = "user"   // merged by a command
	ByFile   Origin = "file"   // the device file lists it
	ByFollow Origin = "follow" // the device follows what it calls itself
	// Heir is a MAC that may become the device's: it calls itself as the device
	// does whose own MACs have not been silent for long enough yet.
	Heir Origin = "heir"
)

// Port is one MAC of a device that has several, as it is stored.
type Port struct {
	MAC       MAC          `json:"mac"`
	Origin    Origin       `json:"origin,omitempty"`
	Interface string       `json:"interface,omitempty"`
	Addr      netip.Addr   `json:"ip,omitzero"`
	IPv6      []netip.Addr `json:"ipv6,omitempty"`
	Heard     time.Time    `json:"heard,omitzero"` // when it was last heard by this MAC
}

// port is a MAC that a device has and does not go by now. What stands for the
// one that it goes by is in the device itself.
type port struct {
	Port
	expected netip.Addr
	used     [maxAddrs]addrInUse
	usedIPv6 [maxIPv6]time.Time
	places   []place
	moved    time.Time
	via      MAC
	given    netip.Addr
	crowd    *crowd
	silent   bool // another MAC has taken its place: it is not asked
}

// swap makes d go by p, and p what d went by.
func (d *device) swap(p *port) {
	was := port{
		Port: d.portOf(d.MAC), expected: d.expected, used: d.used, usedIPv6: d.usedIPv6,
		places: d.places, moved: d.moved, via: d.via, given: d.given, crowd: d.crowd,
	}
	d.MAC, d.origin, d.Interface, d.Addr, d.IPv6, d.heardHere = p.MAC, p.Origin, p.Interface, p.Addr, p.IPv6, p.Heard
	d.expected, d.used, d.usedIPv6 = p.expected, p.used, p.usedIPv6
	d.places, d.moved, d.via, d.given, d.crowd = p.places, p.moved, p.via, p.given, p.crowd
	*p = was
}

// other returns the port of m, which d does not go by now; nil: it is not one.
func (d *device) other(m MAC) *port {
	for _, p := range d.others {
		if p.MAC == m {
			return p
		}
	}
	return nil
}

// portOf returns what is known of m, which is one of d's.
func (d *device) portOf(m MAC) Port {
	if p := d.other(m); p != nil {
		return p.Port
	}
	return Port{MAC: d.MAC, Origin: d.origin, Interface: d.Interface, Addr: d.Addr, IPv6: d.IPv6, Heard: d.heardHere}
}

// lastHeard returns the one of d's other MACs that it was last heard by.
func (d *device) lastHeard() *port {
	return slices.MaxFunc(d.others, func(a, b *port) int { return a.Heard.Compare(b.Heard) })
}

// ports returns what is to be stored of d's MACs; nil when it has only one.
func (d *device) ports() (all []Port) {
	if len(d.others) == 0 && d.heir == nil {
		return nil
	}
	all = append(all, Port{MAC: d.MAC, Origin: d.origin, Heard: storedTime(d.heardHere)})
	for _, p := range d.others {
		stored := p.Port
		stored.Heard = storedTime(p.Heard)
		all = append(all, stored)
	}
	if c := d.heir; c != nil {
		stored := Port{MAC: c.first.MAC, Origin: Heir, Interface: c.last.Interface, Addr: c.addr4.addr, Heard: storedTime(c.last.At)}
		if c.addr6.addr.IsValid() {
			stored.IPv6 = []netip.Addr{c.addr6.addr}
		}
		all = append(all, stored)
	}
	return all
}

// storedTime is t as others see it: without the monotonic clock, in UTC.
func storedTime(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Round(0).UTC()
}

// gain gives d the MAC of p, which nobody has.
func (e *Engine) gain(d *device, p *port) {
	d.MACs = append(slices.Clone(d.AllMACs()), p.MAC)
	d.others = append(d.others, p)
	e.byMAC[p.MAC] = d
	e.setVendor(d)
	e.mark(d)
}

// madeUp reports whether all MACs of d are private.
func (d *device) madeUp() bool {
	return d.MAC.Private() && !slices.ContainsFunc(d.MACs, func(m MAC) bool { return !m.Private() })
}

// setVendor has d have the vendor of the first of its MACs that has one.
func (e *Engine) setVendor(d *device) {
	for _, m := range d.AllMACs() {
		if !m.Private() {
			d.Vendor = e.cfg.Vendor(m)
			return
		}
	}
}

// lose takes m, which is not what its id comes from, away from d.
func (e *Engine) lose(d *device, m MAC) *port {
	if m == d.MAC {
		e.goBy(d, d.lastHeard())
	}
	p := d.other(m)
	d.others = slices.DeleteFunc(d.others, func(o *port) bool { return o == p })
	d.MACs = slices.DeleteFunc(slices.Clone(d.MACs), func(o MAC) bool { return o == m })
	if len(d.MACs) == 1 {
		d.MACs, d.others = nil, nil
	}
	delete(e.byMAC, m)
	d.Vendor = ""
	e.setVendor(d)
	e.mark(d)
	if d.State == Home && d.heap < 0 {
		e.schedule(d, e.now) // it may have waited for where this MAC was heard
	}
	return p
}

// goBy makes d go by another of its MACs, with the addresses that it has there.
func (e *Engine) goBy(d *device, p *port) {
	was := d.Addr
	p.silent = false
	d.swap(p)
	e.mark(d)
	if d.Addr != was {
		e.readdressed(d)
	}
}

// turn decides by which of its MACs d goes, now that s was heard of another one.
func (e *Engine) turn(d *device, s Sighting, ev Evidence) {
	p := d.other(s.MAC)
	if p == nil {
		return
	}
	p.silent = false
	unheard := s.At.Sub(d.heardHere)
	joins := ev == Join && !s.Kind.again()
	if d.State != Home || joins || unheard >= portHold || e.linkOf(d).blind {
		e.goBy(d, p)
		return
	}
	if unheard >= portHold/2 && s.At.Sub(d.lastAsk) >= portHold/4 {
		d.askFirst = d.MAC // is it still there?
	}
}

// as makes d go by m for a moment, and returns what swap takes to undo that; nil:
// d goes by m already, or does not have it.
func (d *device) as(m MAC) *port {
	p := d.other(m)
	if p != nil {
		d.swap(p)
	}
	return p
}

// asBefore undoes as.
func (d *device) asBefore(p *port) {
	if p != nil {
		d.swap(p)
	}
}

// hearAt takes by which of its MACs d was heard, and where, and what address it
// used there. It reports whether d must be asked where it is.
func (e *Engine) hearAt(d *device, s Sighting, ev Evidence) (doubt bool) {
	p := d.as(s.MAC) // what is learned is learned of that MAC
	defer d.asBefore(p)
	d.heardHere = later(d.heardHere, s.At)
	d.heardVia(s)
	doubt = s.Interface != "" && e.locate(d, s, ev)
	if before, ok := d.overtaken(s); ok {
		e.hearAddress(d, before, p)
	}
	e.hearAddress(d, s, p)
	d.noteAddr(s)
	return doubt && p == nil
}

// hearAddress takes the address of s, if it is of where d is. p is what d goes by;
// nil: the MAC of s.
func (e *Engine) hearAddress(d *device, s Sighting, p *port) {
	switch {
	case s.Interface != d.Interface && !s.Relayed:
	case p == nil:
		e.learnAddress(d, s)
	case !hostAddr(s.Addr) || s.asksForAddr() || e.spokenFor(d, s): // nobody is told of an address that d does not go by
	case s.Addr.Is6():
		d.useIPv6(s.Addr, s.At)
	default:
		d.use(s.Addr, s.At)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// fresh reports whether d is asked at p too: it was heard there not long before
// it was last heard.
func (d *device) fresh(p *port) bool {
	return !p.silent && !p.Heard.IsZero() && d.heard.Sub(p.Heard) < portFresh && (p.Addr.IsValid() || len(p.IPv6) > 0)
}

// alsoAt reports whether d was heard by another MAC than m not long ago.
func (d *device) alsoAt(m MAC) bool {
	return m != d.MAC && len(d.others) > 0 || slices.ContainsFunc(d.others, func(p *port) bool { return p.MAC != m && d.fresh(p) })
}

// turn returns which of its other MACs the next question goes to, nil for the one
// that d goes by, and which of the questions there it is. inTurn is not set for
// one that comes beside those that go to each MAC by turns.
func (d *device) turn() (there *port, n int, inTurn bool) {
	first, n := d.askFirst, d.tried
	d.askFirst = MAC{}
	switch {
	case len(d.others) == 0:
		return nil, n, true
	case first != MAC{}:
		return d.other(first), 0, false
	}
	turns := make([]*port, 1, maxTurns)
	for _, p := range d.others {
		if len(turns) < maxTurns && d.fresh(p) {
			turns = append(turns, p)
		}
	}
	return turns[n%len(turns)], n / len(turns), true
}
