package presence

import (
	"fmt"
	"slices"
	"time"
)

const (
	// doorWait is how long a private MAC that has not said by DHCP who it is waits
	// to do so, where a device is known by what it says there: it may be that one.
	// Who joins asks by DHCP within a second or two.
	doorWait = 5 * time.Second
	maxDoor  = 64
	// A device that is heard by one of its MACs, then another and so on, each within
	// together of the one before, tooMany times, has both at once.
	together = 10 * time.Second
	tooMany  = 4
)

// waiting is who waits at the door.
type waiting struct {
	s     Sighting // the first
	until time.Time
}

// heir is a MAC that says what a device is known by while that has not been
// silent for long enough. When it has, the MAC becomes its own; when it is heard
// by another of its MACs before, they are two devices.
type heir struct {
	first, last  Sighting
	addr4, addr6 addrInUse // the last that it used
}

// enter decides who s is of, whose MAC nobody has: of the device that follows
// what it says, of a new one, or of nobody, since it is refused or may yet say
// who it is.
func (e *Engine) enter(s Sighting) *device {
	at := slices.IndexFunc(e.door, func(w waiting) bool { return w.s.MAC == s.MAC })
	switch {
	case at >= 0 && s.DHCP == nil:
		return nil
	case at >= 0:
		e.door = slices.Delete(e.door, at, at+1)
	case !e.letThrough(s):
		return nil
	case e.followers > 0 && s.DHCP == nil && s.MAC.Private() && !s.answers() && len(e.door) < maxDoor:
		e.door = append(e.door, waiting{s, e.now.Add(doorWait)})
		return nil
	}
	if d := e.follower(s); d != nil {
		return e.follow(d, s)
	}
	if !e.room() {
		return nil
	}
	return e.newDevice(s)
}

// openDoor lets those in who have waited long enough, or all.
func (e *Engine) openDoor(all bool) {
	for len(e.door) > 0 && (all || !e.door[0].until.After(e.now)) {
		s := e.door[0].s
		e.door = e.door[1:]
		e.greet(s)
	}
}

// greet makes s that of a new device, if there is room, unless the user has said
// meanwhile whose it is.
func (e *Engine) greet(s Sighting) {
	if s.Kind.wifi() && len(e.stations[s.MAC]) == 0 {
		return // it has left again
	}
	d := e.byMAC[s.MAC]
	if d == nil && e.room() {
		d = e.newDevice(s)
	}
	if d != nil {
		e.meet(d, s, s.Evidence())
	}
}

// follower returns the device that is known by what s says, nil when there is
// none, or when it could be another one: one that follows the same, or one that
// says the same and was there when this one was.
func (e *Engine) follower(s Sighting) (found *device) {
	if e.followers == 0 || s.DHCP == nil || !s.MAC.Private() {
		return nil
	}
	said := s.DHCP.identity()
	all := e.candidates(said)
	for _, d := range all {
		if said.alike(d.follows()) {
			if found != nil {
				return nil
			}
			found = d
		}
	}
	if found == nil || !e.hasRoom(found) {
		return nil
	}
	for _, d := range all {
		if d != found && d.identity().alike(found.follows()) && !d.LastSeen.Before(found.FirstSeen) {
			return nil
		}
	}
	return found
}

// AlsoFollows returns another device that follows the same as the device id, so
// that neither of them can be followed.
func (e *Engine) AlsoFollows(id ID) (other ID, found bool) {
	d := e.devices[id]
	if d == nil {
		return "", false
	}
	want := d.follows()
	for _, o := range e.candidates(want) {
		if o != d && (o.follows().alike(want) || want.alike(o.follows())) {
			return o.ID, true
		}
	}
	return "", false
}

// hasRoom reports whether d can have one MAC more.
func (e *Engine) hasRoom(d *device) bool {
	return len(d.AllMACs()) < MaxMACs || slices.ContainsFunc(d.others, func(p *port) bool { return e.spare(d, p) })
}

// makeRoom has d forget a private MAC if it has as many as it can have.
func (e *Engine) makeRoom(d *device) {
	if len(d.AllMACs()) >= MaxMACs {
		e.dropOldest(d)
	}
}

// follow gives the MAC of s to d, which is returned, when d is away. Who is home
// is asked first: two of a kind are not one.
func (e *Engine) follow(d *device, s Sighting) *device {
	if d.State == Home || d.heard.After(s.At) {
		e.dropHeir(d)
		e.setHeir(d, &heir{first: s, last: s})
		e.hearHeir(d, s)
		e.askSoon(d)
		return nil
	}
	e.adopt(d, s)
	return d
}

func (d *device) heirIs(m MAC) bool { return d.heir != nil && d.heir.first.MAC == m }

func (e *Engine) setHeir(d *device, c *heir) {
	d.heir = c
	e.byMAC[c.first.MAC] = d
	e.mark(d)
}

func (e *Engine) dropHeir(d *device) {
	if d.heir != nil {
		delete(e.byMAC, d.heir.first.MAC)
		d.heir = nil
		e.mark(d)
	}
}

// hearHeir notes a sighting of the MAC that may become d's; it keeps nobody home.
func (e *Engine) hearHeir(d *device, s Sighting) {
	c := d.heir
	c.last = s
	if !hostAddr(s.Addr) || s.Kind == ARPProbe || s.Kind == DHCPDiscover {
		return
	}
	u := &c.addr4
	if s.Addr.Is6() {
		u = &c.addr6
	}
	if u.addr != s.Addr {
		e.mark(d)
	}
	*u = addrInUse{s.Addr, s.At}
}

// refute lets the MAC that may have become d's in as a new device, since d was
// heard by its own meanwhile.
func (e *Engine) refute(d *device) {
	c := d.heir
	e.dropHeir(d)
	e.greet(c.first)
	if x := e.byMAC[c.first.MAC]; x != nil && c.last.At.After(c.first.At) {
		e.meet(x, c.last, c.last.Evidence())
	}
}

// takeOver has d, which is to be declared away, go by the MAC that says what it
// is known by, if there is one: it is still home then. It is asked there.
func (e *Engine) takeOver(d *device) bool {
	c := d.heir
	if c == nil {
		return false
	}
	e.dropHeir(d)
	if !e.hasRoom(d) {
		e.greet(c.first)
		return false
	}
	e.adopt(d, c.first)
	d.Interface, d.heardHere = c.last.Interface, c.last.At
	for _, u := range []addrInUse{c.addr4, c.addr6} {
		switch {
		case u.addr.Is4():
			d.use(u.addr, u.at)
		case u.addr.Is6():
			d.useIPv6(u.addr, u.at)
		}
	}
	d.parted = parting{} // the other MAC did
	d.heard = later(d.heard, c.last.At)
	d.LastSeen = storedTime(d.heard)
	e.learnNames(d, c.first)
	e.restart(d)
	d.quiet = d.heard
	return true
}

// adopt makes the MAC of s, which says what d is known by, one of d's, and the one
// that it goes by: the others have been silent.
func (e *Engine) adopt(d *device, s Sighting) {
	e.makeRoom(d)
	why := fmt.Sprintf("%s says by DHCP what %s is known by", s.MAC, d.DisplayName())
	if !d.LastSeen.IsZero() {
		why += ", whose own MAC has been silent for " + Words(e.now.Sub(d.LastSeen))
	}
	e.gain(d, &port{Port: Port{MAC: s.MAC, Origin: ByFollow}})
	e.emitAbout(Merged, d, s.MAC.ID(), why)
	e.goBy(d, d.other(s.MAC))
	for _, p := range d.others {
		p.silent = true
	}
}

// contest returns the device that s, of a MAC of d, is of. It is another one
// when d has got one of its MACs by following, and is heard by both in turns
// that no single device takes: whichever is heard, the other is asked.
func (e *Engine) contest(d *device, s Sighting) *device {
	if s.MAC == d.lastBy {
		return d
	}
	was := d.lastBy
	d.lastBy = s.MAC
	if d.hops++; s.At.Sub(d.hopAt) > together {
		d.hops = 1
	}
	d.hopAt = s.At
	if was != d.MAC && d.other(was) == nil {
		return d
	}
	apart := was
	if d.portOf(was).Origin != ByFollow {
		apart = s.MAC
	}
	if d.portOf(apart).Origin != ByFollow {
		return d
	}
	if d.hops < tooMany {
		d.askFirst = was
		return d
	}
	if !e.room() {
		return d
	}
	x := e.splitOff(d, apart, fmt.Sprintf("%s and %s are both there at once, so they are two devices", s.MAC, was), true)
	if apart == s.MAC {
		return x
	}
	return d
}
