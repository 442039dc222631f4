package presence

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// maxPlaces bounds on how many segments one device is remembered: a router
	// may have the same MAC on each.
	maxPlaces = 16
	// echoFor is how far apart the copies of one frame may be heard that comes
	// through two interfaces.
	echoFor = 250 * time.Millisecond
	// doubtAgain is how long a device must have been silent where it is believed
	// to be before it is asked there again because it was heard elsewhere.
	doubtAgain = time.Minute
	// outOfOrder is how far from each other two frames may have been sent that are
	// heard in any order: ARP and DHCP come through two sockets.
	outOfOrder = time.Second
)

// place is a segment that a device was heard on.
type place struct {
	ifname string
	heard  time.Time  // the last evidence there
	addr   netip.Addr // that it last used there; may be invalid
	kind   Kind       // of the sighting that addr is from
	used   time.Time  // when that was
	doubt  time.Time  // since when it may have moved there; zero: that was not asked yet
	been   bool       // it was there before, or was so all the time
	had    netip.Addr // addr when it was there before
}

// locate takes where d was heard: it is in one place at a time, where it is
// asked. It has moved when it joins elsewhere. When it is merely heard elsewhere
// it is asked where it was, and has moved if it is heard elsewhere once more and
// not there: a router is on all segments at once, and a bridge between two
// segments lets all its devices be heard on both. locate reports whether d must
// be asked for that.
func (e *Engine) locate(d *device, s Sighting, ev Evidence) (doubt bool) {
	if routed := s.Kind.reached() || s.Relayed; routed && (d.Interface != "" || len(d.Reach) > 0) {
		if d.Interface == "" {
			d.Interface = Routed
		}
		return false // neither says on which segment it is
	}
	if d.places == nil {
		switch d.Interface {
		case s.Interface:
			return false
		case "", Routed:
			d.Interface = s.Interface
			return false
		}
		d.places = []place{{ifname: d.Interface, heard: d.heard, addr: d.Address()}}
	}
	there := d.place(s.Interface)
	there.heard = s.At
	if s.Interface == d.Interface {
		return false
	}
	here := d.place(d.Interface)
	there = d.place(s.Interface) // the other may have moved it
	silent := s.At.Sub(here.heard)
	switch {
	case e.blind(d): // it may have been on both
		there.been, there.had = true, there.addr
	case silent < echoFor:
		return false
	case ev == Join, d.State != Home: // who does not answer is not there
	case there.doubt.IsZero(), here.heard.After(there.doubt.Add(-echoFor)) && silent > doubtAgain:
		there.doubt = s.At
		return true
	case here.heard.After(there.doubt.Add(-echoFor)), s.At.Sub(there.doubt) < answerTime:
		return false
	}
	here.doubt, there.doubt = time.Time{}, time.Time{}
	here.been, here.had = true, here.addr
	d.Interface, d.moved = s.Interface, s.At
	d.expected = netip.Addr{}
	return false
}

// place returns what is remembered of d on an interface, which may be nothing so
// far. It is good until the next call.
func (d *device) place(ifname string) *place {
	oldest := -1
	for i := range d.places {
		switch p := &d.places[i]; {
		case p.ifname == ifname:
			return p
		case p.ifname != d.Interface && (oldest < 0 || p.heard.Before(d.places[oldest].heard)):
			oldest = i
		}
	}
	if len(d.places) < maxPlaces {
		d.places = append(d.places, place{ifname: ifname})
		return &d.places[len(d.places)-1]
	}
	d.places[oldest] = place{ifname: ifname}
	return &d.places[oldest]
}

// here reports whether an address that d last used at that time is one of the
// segment that it is on.
func (d *device) here(used time.Time) bool { return !used.Before(d.moved) }

// foreign reports whether a is known as d's address on another segment, and not
// on the one that it is on.
func (d *device) foreign(a netip.Addr) bool {
	if d.moved.IsZero() || a == d.place(d.Interface).addr {
		return false
	}
	if i := slices.Index(d.IPv6, a); i >= 0 {
		return !d.here(d.usedIPv6[i])
	}
	for _, u := range d.used {
		if u.addr == a {
			return !d.here(u.at)
		}
	}
	return a == d.Addr || slices.ContainsFunc(d.places, func(p place) bool { return p.addr == a && p.ifname != d.Interface })
}

// noteAddr notes the address that d has used where s was heard.
func (d *device) noteAddr(s Sighting) {
	if d.places != nil && hostAddr(s.Addr) && !s.asksForAddr() && !s.Relayed && !s.Kind.reached() {
		p := d.place(s.Interface)
		p.addr, p.kind, p.used = s.Addr, s.Kind, s.At
	}
}

// overtaken returns what was heard of d before s where s has it move to, if that
// has overtaken s: s does not say which address d uses there, it did.
func (d *device) overtaken(s Sighting) (before Sighting, ok bool) {
	if d.moved.IsZero() || !d.moved.Equal(s.At) || hostAddr(s.Addr) && !s.asksForAddr() {
		return before, false
	}
	p := d.place(d.Interface)
	if p.used.IsZero() || s.At.Sub(p.used).Abs() > outOfOrder {
		return before, false
	}
	return Sighting{At: s.At, Interface: s.Interface, MAC: s.MAC, Addr: p.addr, Kind: p.kind}, true
}

// returned reports whether a, which d uses in place of one of another segment, is
// what it had on this one before.
func (d *device) returned(was, a netip.Addr) bool {
	if !d.foreign(was) {
		return false
	}
	p := d.place(d.Interface)
	return p.been && (p.had == a || !p.had.IsValid())
}

// asksForAddr reports whether Addr is only asked for: it may be that of the
// segment before.
func (s Sighting) asksForAddr() bool {
	return s.Kind == ARPProbe || s.Kind == DHCPDiscover || s.Kind == DHCPRequest
}

// elsewhere returns where else d is to be asked for the n-th time in a silence,
// with its address there; nil: nowhere. It is every second time where it was heard
// last, if that is not where it is believed to be, and always where it was before
// if it cannot be asked where it is.
func (e *Engine) elsewhere(d *device, n int) (best *place) {
	if len(d.places) < 2 || d.IgnoreARPReplies {
		return nil
	}
	lost := e.blind(d) || !e.askAt(d, n).IsValid()
	if !lost && n%2 == 0 {
		return nil
	}
	last := d.place(d.Interface).heard
	for i := range d.places {
		p := &d.places[i]
		if p.ifname == d.Interface || !p.addr.IsValid() || e.linkNamed(p.ifname).blind || !lost && !p.heard.After(last) {
			continue
		}
		if best == nil || p.heard.After(best.heard) {
			best = p
		}
	}
	return best
}

// astray reports whether d has moved to where its address is not known so far:
// who cannot be asked is not away for a silence that is usual where one can.
func (e *Engine) astray(d *device) bool {
	return !d.moved.IsZero() && !d.IgnoreARPReplies && !e.askAt(d, 0).IsValid() && e.now.Sub(d.quiet) < e.cfg.AwayInitial
}
