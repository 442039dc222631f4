package presence

import (
	"fmt"
	"iter"
	"slices"
	"time"
)

// Declare takes what the device file says now; what it said before counts no
// more. Devices that were never heard are known from then on, as away, so that
// they are not new when they come. Of two declarations of one MAC the last
// counts.
func (e *Engine) Declare(now time.Time, list []Declaration) Output {
	e.begin(now)
	e.setDeclared(list)
	for _, id := range sortedIDs(e.devices) {
		e.redecide(e.devices[id])
	}
	e.matchDeclared()
	e.retrack()
	return e.end()
}

// macs yields each MAC that f lists.
func (f *Declaration) macs() iter.Seq[MAC] {
	return func(yield func(MAC) bool) {
		if !yield(f.MAC) {
			return
		}
		for _, m := range f.MACs {
			if !yield(m) {
				return
			}
		}
	}
}

func (e *Engine) setDeclared(list []Declaration) {
	e.declared = make(map[MAC]*Declaration, len(list))
	e.inOrder = list
	for i := range list {
		for m := range list[i].macs() {
			e.declared[m] = &list[i]
		}
	}
}

// declaration returns what the device file says of d: of the MAC that its id
// comes from, else of the others in their order; nil: nothing.
func (e *Engine) declaration(d *device) *Declaration {
	if f := e.declared[d.first]; f != nil || len(d.MACs) == 0 {
		return f
	}
	for _, m := range d.MACs {
		if f := e.declared[m]; f != nil {
			return f
		}
	}
	return nil
}

// matchDeclared brings the devices in line with the device file: those whose
// MACs it no longer lists together are several again, those that are declared and
// not known are added, those whose MACs it lists together are one, and those that
// were known only because they were declared are forgotten.
func (e *Engine) matchDeclared() {
	for _, id := range sortedIDs(e.devices) {
		d := e.devices[id]
		for _, m := range slices.Clone(d.MACs) {
			if p := d.portOf(m); p.Origin == ByFile && !e.listsTogether(d, m) {
				e.release(d, p)
			}
		}
	}
	for i := range e.inOrder {
		e.gather(&e.inOrder[i])
	}
	for _, id := range sortedIDs(e.devices) {
		if d := e.devices[id]; d.FirstSeen.IsZero() && !d.settled() {
			e.remove(d)
		}
	}
}

// listsTogether reports whether the device file lists m with another MAC of d.
func (e *Engine) listsTogether(d *device, m MAC) bool {
	f := e.declared[m]
	return f != nil && slices.ContainsFunc(d.MACs, func(o MAC) bool { return o != m && e.declared[o] == f })
}

// gather makes what f lists one device.
func (e *Engine) gather(f *Declaration) {
	for m := range f.macs() {
		switch o := e.byMAC[m]; {
		case o == nil || e.declared[m] != f:
		case o.heir != nil && o.heir.first.MAC == m:
			e.dropHeir(o)
		case o.first != m && e.declaration(o) != f:
			e.release(o, o.portOf(m))
		}
	}
	d := e.declaredDevice(f)
	for m := range f.macs() {
		if e.declared[m] != f || !m.Station() || e.self[m] {
			continue
		}
		if d == nil {
			d = &device{
				Device: Device{ID: m.ID(), MAC: m, State: NotHome, Since: storedTime(e.now), Why: "in the device file, and never heard so far"},
				quiet:  e.now, heard: e.now, heap: -1, tainted: true,
			}
			e.add(d)
			e.mark(d)
			if len(d.Reach) > 0 {
				e.schedule(d, e.now)
			}
		}
		e.give(d, m)
	}
}

// declaredDevice returns the device that f is of: the first of its MACs that
// was ever heard decides, else the first that is known. nil: none is.
func (e *Engine) declaredDevice(f *Declaration) (found *device) {
	for m := range f.macs() {
		d := e.byMAC[m]
		switch {
		case d == nil || e.declared[m] != f || e.declared[d.first] != nil && e.declared[d.first] != f:
		case !d.FirstSeen.IsZero():
			return d
		case found == nil:
			found = d
		}
	}
	return found
}

// give makes m, which the device file lists with d, one of d's MACs, as far as
// there is room for it.
func (e *Engine) give(d *device, m MAC) {
	switch o := e.byMAC[m]; {
	case o == d:
	case o != nil:
		if e.fits(d, o) {
			e.absorb(d, o, ByFile, fmt.Sprintf("the device file lists %s with %s", m, d.first))
		}
	case e.hasRoom(d):
		e.makeRoom(d)
		e.gain(d, &port{Port: Port{MAC: m, Origin: ByFile}})
	}
}

// release takes away a MAC that by the device file is not d's.
func (e *Engine) release(d *device, p Port) {
	if _, was := e.absorbed[p.MAC.ID()]; was || !p.Heard.IsZero() {
		e.splitOff(d, p.MAC, fmt.Sprintf("by the device file %s and %s are two devices", p.MAC, d.first), false)
	} else {
		e.lose(d, p.MAC)
	}
	e.redecide(d)
}

// decide settles what counts for d: the user's commands, and over them the
// device file. It reports whether that is something else than before.
func (e *Engine) decide(d *device) bool {
	s := d.own
	var from []string
	f := e.declaration(d)
	d.inFile = f != nil
	if d.inFile {
		s = f.apply(s)
		from = f.Fields()
	}
	d.guestGroups(&s)
	if s.Equal(&d.Settings) && slices.Equal(from, d.FromFile) {
		return false
	}
	e.part(d)
	d.Settings, d.FromFile = s, from
	e.join(d)
	return true
}

// redecide is decide for a device that is known already, with what follows.
func (e *Engine) redecide(d *device) {
	if !e.decide(d) {
		return
	}
	e.tune(d)
	if d.State == Home || len(d.Reach) > 0 {
		e.schedule(d, e.now)
	}
	e.mark(d)
}

// Overruled returns the names of the settings that c would change and that the
// device file decides.
func (e *Engine) Overruled(id ID, c Change) []string {
	d := e.devices[id]
	if d == nil || !d.inFile {
		return nil
	}
	decided := e.declaration(d).Fields()
	return slices.DeleteFunc(c.Fields(), func(name string) bool { return !slices.Contains(decided, name) })
}
