package presence

import (
	"net/netip"
	"slices"
	"time"
)

// NameSource says who gave a device its host name.
type NameSource string

// The sources, the best first: a name is replaced by another one of the same
// source or of a better one. A name of a source that is not known counts as
// heard by DHCP.
const (
	NameFromDHCP  NameSource = "dhcp"       // it says so itself, or a server does in its answer
	NameFromLease NameSource = "lease_file" // a DHCP server's lease file
	NameFromHosts NameSource = "hosts_file" // a hosts file, by its address
	NameFromMDNS  NameSource = "mdns"       // it was asked
	NameFromDNS   NameSource = "dns"        // reverse DNS, by its address
)

var nameSources = []NameSource{NameFromDHCP, NameFromLease, NameFromHosts, NameFromMDNS, NameFromDNS}

func (s NameSource) rank() int { return max(slices.Index(nameSources, s), 0) }

// Replaces reports whether a name of s takes the place of one of t.
func (s NameSource) Replaces(t NameSource) bool { return s.rank() <= t.rank() }

// ofAddress reports whether names of s belong to an address, and not to the
// device that has it at the time.
func (s NameSource) ofAddress() bool { return s == NameFromHosts || s == NameFromDNS }

// Told is what a third party says of a device: what it is called, and where it
// may be. It never proves that the device is there, nor that there is one.
type Told struct {
	MAC  MAC        // zero: whoever uses Addr
	Addr netip.Addr // may be invalid when there is a MAC
	Name string     // cleaned (CleanText); may be empty
}

// directory is all that one source has told.
type directory struct {
	byMAC  map[MAC]Told
	byAddr map[netip.Addr]string
}

// newDirectory indexes what was told; what comes later wins, but no empty name
// over one that says something.
func newDirectory(told []Told) directory {
	dir := directory{map[MAC]Told{}, map[netip.Addr]string{}}
	for _, t := range told {
		switch {
		case t.MAC == MAC{} && t.Name != "":
			dir.byAddr[t.Addr] = t.Name
		case t.MAC.Station():
			was := dir.byMAC[t.MAC]
			if t.Name == "" {
				t.Name = was.Name
			}
			if !t.Addr.Is4() { // nobody expects an IPv6 address
				t.Addr = was.Addr
			}
			dir.byMAC[t.MAC] = t
		}
	}
	return dir
}

// Tell takes what a source tells. Of lease files and hosts files it is all that
// they say now: it is remembered for devices that are heard later, in place of
// what they said before. A name that is in them no longer stays with the device
// that has it, since a lease that has run out says nothing about who the device
// is. Of the other sources it is the answer to a question about one device.
//
// Who was never heard does not become a device by this.
func (e *Engine) Tell(now time.Time, from NameSource, told []Told) Output {
	e.begin(now)
	switch from {
	case NameFromLease, NameFromHosts:
		e.told[from] = newDirectory(told)
		for _, id := range sortedIDs(e.devices) {
			e.consult(e.devices[id])
		}
	default:
		for _, t := range told {
			if d := e.byMAC[t.MAC]; d != nil && (d.Addr == t.Addr || slices.Contains(d.IPv6, t.Addr)) {
				e.name(d, t.Name, from)
			}
		}
	}
	return e.end()
}

// consult looks up what was told of d before. It is for a device that is new,
// or has a new address.
func (e *Engine) consult(d *device) {
	for _, from := range []NameSource{NameFromLease, NameFromHosts} {
		dir := e.told[from]
		t, ok := dir.byMAC[d.MAC]
		if ok {
			e.name(d, t.Name, from)
		}
		if first, _, _ := e.addressesOf(d); ok && t.Addr.IsValid() && !first.IsValid() {
			d.expect(t.Addr)
			if d.heap < 0 && d.expected.IsValid() {
				e.schedule(d, e.now)
			}
		}
		for _, p := range d.others {
			if name := dir.byMAC[p.MAC].Name; name != "" && t.Name == "" {
				t.Name = name
				e.name(d, name, from)
			}
		}
		if t.Name != "" || len(dir.byAddr) == 0 {
			continue
		}
		if name := dir.byAddr[d.Addr]; name != "" {
			e.name(d, name, from)
			continue
		}
		for _, a := range d.IPv6 {
			if name := dir.byAddr[a]; name != "" {
				e.name(d, name, from)
				break
			}
		}
	}
}

// readdressed is called when d goes by another address: the names of the old
// one are no longer its own.
func (e *Engine) readdressed(d *device) {
	if d.HostNameSource.ofAddress() {
		d.HostName, d.HostNameSource = "", ""
		e.mark(d)
	}
	e.consult(d)
}

// name gives d a host name, unless it has one of a better source.
func (e *Engine) name(d *device, name string, from NameSource) {
	switch {
	case name == "" || d.HostName == name && d.HostNameSource == from:
		return
	case d.HostName != "" && !from.Replaces(d.HostNameSource):
		return
	}
	d.HostName, d.HostNameSource = name, from
	e.mark(d)
}
