package presence

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Devices that have become part of another one are kept as they were, so that
// each can be a device of its own again, with its settings and what was learned
// of it. Their MACs are among those of the device that they are part of.

// Merge makes the devices ids part of the device into, which keeps its id. The
// error, of one line, says what cannot be, and nothing is done then.
func (e *Engine) Merge(now time.Time, into ID, ids []ID) (Output, error) {
	e.begin(now)
	d := e.devices[into]
	if d == nil {
		return e.end(), e.errUnknown(into)
	}
	var parts []*device
	for _, id := range ids {
		o := e.devices[id]
		switch {
		case o == nil:
			return e.end(), e.errUnknown(id)
		case o == d:
			return e.end(), fmt.Errorf("%s cannot be merged into itself", id)
		case o.inFile:
			return e.end(), fmt.Errorf("the device file has %s as a device of its own: list its MAC with those of the other there", id)
		case !slices.Contains(parts, o):
			parts = append(parts, o)
		}
	}
	if !e.fits(d, parts...) {
		return e.end(), fmt.Errorf("%s would have more than %d MACs", into, MaxMACs)
	}
	for _, o := range parts {
		e.absorb(d, o, ByUser, fmt.Sprintf("as you said, %s (%s) is this device", o.DisplayName(), o.MAC))
	}
	e.retrack()
	return e.end(), nil
}

// errUnknown says that there is no such device, or what has become of it.
func (e *Engine) errUnknown(id ID) error {
	if m, err := ParseMAC(string(id)); err == nil && e.byMAC[m] != nil {
		return fmt.Errorf("%s is part of the device %s", id, e.byMAC[m].ID)
	}
	return fmt.Errorf("there is no device %q", CleanText(string(id), MaxName))
}

// Split makes each of macs, which the device id has, a device of its own again.
// The error, of one line, says what cannot be, and nothing is done then.
func (e *Engine) Split(now time.Time, id ID, macs []MAC) (Output, error) {
	e.begin(now)
	d := e.devices[id]
	if d == nil {
		return e.end(), e.errUnknown(id)
	}
	if len(e.devices)+len(macs) > e.cfg.MaxDevices {
		return e.end(), fmt.Errorf("there is no room for more than %d devices", e.cfg.MaxDevices)
	}
	for _, m := range macs {
		switch {
		case m != d.MAC && d.other(m) == nil:
			return e.end(), fmt.Errorf("%s is not a MAC of the device %s", m, id)
		case m == d.first:
			return e.end(), fmt.Errorf("%s stays with the device %s, whose id it is: split the others off", m, id)
		case d.inFile && e.declared[m] == e.declaration(d):
			return e.end(), fmt.Errorf("the device file lists %s with the device %s: take it out there", m, id)
		}
	}
	for _, m := range macs {
		if e.byMAC[m] == d {
			e.splitOff(d, m, fmt.Sprintf("as you said, %s is a device of its own", m), false)
		}
	}
	e.retrack()
	return e.end(), nil
}

// absorb makes o, which there is room for, part of d.
func (e *Engine) absorb(d, o *device, origin Origin, why string) {
	whole, wasHome, macs, next := o.record(), o.State == Home, o.AllMACs(), o.heir
	parts := e.detach(o)
	for len(d.AllMACs())+len(parts) > MaxMACs && e.dropOldest(d) {
	}
	for _, m := range macs {
		p := parts[slices.IndexFunc(parts, func(p *port) bool { return p.MAC == m })]
		if p.Origin == "" {
			p.Origin = origin
			if origin == ByFile && e.declared[m] == nil {
				p.Origin = ByUser // what it is part of is in the file
			}
		}
		e.gain(d, p)
		if r, ok := e.absorbed[m.ID()]; ok {
			r.MergedInto = d.ID
			e.keep(r)
		}
	}
	if next != nil && d.heir == nil {
		e.setHeir(d, next)
	}
	seen := !whole.FirstSeen.IsZero()
	if seen {
		whole.Ports, whole.MergedInto, whole.Untold = nil, d.ID, false
		whole.State, whole.Since, whole.Why = NotHome, storedTime(e.now), why
		e.keep(whole)
		e.emitAbout(Merged, d, o.ID, why)
	} else {
		e.out.Forgotten = append(e.out.Forgotten, o.ID)
	}
	e.inherit(d, o)
	if origin == ByUser {
		d.own = d.own.filled(o.own)
	}
	if wasHome && d.State != Home {
		e.comeHome(d, why)
	}
	e.redecide(d)
	e.tune(d)
	e.mark(d)
	e.schedule(d, e.now)
}

// keep remembers r as part of the device r.MergedInto.
func (e *Engine) keep(r Record) {
	e.absorbed[r.ID] = r
	e.out.Merged = append(e.out.Merged, r.ID)
}

// detach takes d out of everything, and returns its MACs.
func (e *Engine) detach(d *device) []*port {
	e.unschedule(d)
	e.part(d)
	for _, l := range e.links {
		is := func(o *device) bool { return o == d }
		l.checking = slices.DeleteFunc(l.checking, is)
		l.missing = slices.DeleteFunc(l.missing, is)
	}
	e.dropHeir(d)
	for _, m := range d.AllMACs() {
		delete(e.byMAC, m)
	}
	delete(e.devices, d.ID)
	delete(e.touched, d.ID)
	delete(e.changed, d.ID)
	e.unindex(d)
	if d.State == Home {
		e.home--
	}
	if d.Tracked {
		e.tracked--
	}
	here := new(port)
	d.swap(here)
	return append([]*port{here}, d.others...)
}

// inherit gives d what was known of o, which is part of it now.
func (e *Engine) inherit(d, o *device) {
	if d.FirstSeen.IsZero() {
		d.Since, d.Why = o.Since, o.Why
	}
	if d.FirstSeen.IsZero() || !o.FirstSeen.IsZero() && o.FirstSeen.Before(d.FirstSeen) {
		d.FirstSeen = o.FirstSeen
	}
	d.Untold = d.Untold && (o.Untold || o.FirstSeen.IsZero()) // who was told of is no new guest
	newer := o.LastSeen.After(d.LastSeen)
	if newer {
		d.LastSeen = o.LastSeen
		if p := d.lastHeard(); p.Heard.After(d.heardHere) {
			e.goBy(d, p)
		}
	}
	take := func(to *string, from string) {
		if from != "" && (newer || *to == "") {
			*to = from
		}
	}
	if o.HostName != "" && (newer || d.HostName == "") && o.HostNameSource.Replaces(d.HostNameSource) {
		d.HostName, d.HostNameSource = o.HostName, o.HostNameSource
	}
	take(&d.VendorClass, o.VendorClass)
	take(&d.ClientID, o.ClientID)
	take(&d.Fingerprint, o.Fingerprint)
	if o.model.weeks() > d.model.weeks() && o.model.asked == d.model.asked {
		d.model, d.ended = o.model, 0
	}
	if o.State == Home || o.heard.After(d.heard) {
		d.heard, d.quiet = later(d.heard, o.heard), later(d.quiet, o.quiet)
		d.unask()
	}
	switch {
	case o.State != Home:
	case !o.gone():
		d.parted = parting{}
	case d.State != Home:
		d.parted = o.parted
	}
	d.tainted = true
}

// filled returns s with what o has decided in the place of what s has not.
func (s Settings) filled(o Settings) Settings {
	s.Name, s.Kind, s.Icon, s.Notes = cmp.Or(s.Name, o.Name), cmp.Or(s.Kind, o.Kind), cmp.Or(s.Icon, o.Icon), cmp.Or(s.Notes, o.Notes)
	if len(s.Groups) == 0 {
		s.Groups = o.Groups
	}
	s.Track, s.Nudge, s.Follow = cmp.Or(s.Track, o.Track), cmp.Or(s.Nudge, o.Nudge), cmp.Or(s.Follow, o.Follow)
	s.Known, s.Important = s.Known || o.Known, s.Important || o.Important
	s.AwayAfter = cmp.Or(s.AwayAfter, o.AwayAfter)
	return s
}

// comeHome makes d home by what is known of it, without it having been heard just now.
func (e *Engine) comeHome(d *device, why string) {
	e.part(d)
	d.State = Home
	e.join(d)
	d.Since, d.Why = storedTime(e.now), why
	e.home++
	e.mark(d)
	e.emit(Arrived, d, why)
}

// splitOff makes m, which is not the first MAC of d, a device of its own, as it
// was before it became part of d as far as that is known. Both stay home if d is
// and m was heard not long ago, or is associated; who is not there any more will be asked. isNew
// is set when nobody knew that there are two.
func (e *Engine) splitOff(d *device, m MAC, why string, isNew bool) *device {
	p := e.lose(d, m)
	x := &device{Device: Device{
		ID: m.ID(), HostName: d.HostName, HostNameSource: d.HostNameSource, VendorClass: d.VendorClass,
		ClientID: d.ClientID, Fingerprint: d.Fingerprint, FirstSeen: storedTime(e.now),
	}}
	if r, was := e.absorbed[m.ID()]; was {
		x.Device, x.model, x.own = r.Device, r.Model, r.Settings
		x.Settings, x.Tracked = Settings{}, false
		delete(e.absorbed, m.ID())
	}
	x.State, x.Since, x.Why, x.MACs = NotHome, storedTime(e.now), why, nil
	x.LastSeen = later(x.LastSeen, storedTime(p.Heard))
	x.heard, x.quiet, x.tainted, x.heap = later(p.Heard, x.LastSeen), e.now, true, -1
	x.swap(p)
	x.origin = ""
	e.add(x)
	e.trackNew(x)
	e.mark(x)
	e.emitAbout(Split, d, x.ID, why)
	if isNew {
		e.announce(x)
	}
	heard := !x.heardHere.IsZero() && e.now.Sub(x.heard) < x.Device.AwayAfter
	if d.State == Home && (heard || e.associated(x)) {
		e.comeHome(x, why)
	}
	e.redecide(d)
	e.restart(d)
	e.schedule(x, e.now)
	return x
}

// spare reports whether d can do without p: a private MAC that nobody listed.
func (e *Engine) spare(d *device, p *port) bool {
	return p.MAC != d.first && p.MAC.Private() && e.declared[p.MAC] == nil
}

// fits reports whether d can have the MACs of others as well.
func (e *Engine) fits(d *device, others ...*device) bool {
	n := len(d.AllMACs())
	for _, o := range others {
		n += len(o.AllMACs())
	}
	for _, p := range d.others {
		if e.spare(d, p) {
			n--
		}
	}
	return n <= MaxMACs
}

// dropOldest takes away the private MAC that d was not heard by for longest.
func (e *Engine) dropOldest(d *device) bool {
	var oldest *port
	for _, p := range d.others {
		if e.spare(d, p) && (oldest == nil || p.Heard.Before(oldest.Heard)) {
			oldest = p
		}
	}
	if oldest == nil {
		return false
	}
	e.drop(d, oldest.MAC)
	return true
}

// drop forgets a MAC of d.
func (e *Engine) drop(d *device, m MAC) {
	e.lose(d, m)
	e.forgetPart(m)
}

// forgetPart forgets the device that had m before it became part of another.
func (e *Engine) forgetPart(m MAC) {
	if _, was := e.absorbed[m.ID()]; was {
		delete(e.absorbed, m.ID())
		e.out.Forgotten = append(e.out.Forgotten, m.ID())
	}
}

// dropUnheard forgets the private MACs of d that it was not heard by for as long
// as it takes to forget a device.
func (e *Engine) dropUnheard(d *device) {
	for _, p := range slices.Clone(d.others) {
		if e.spare(d, p) && e.now.Sub(p.Heard) > e.cfg.ForgetAfter {
			e.drop(d, p.MAC)
		}
	}
}
