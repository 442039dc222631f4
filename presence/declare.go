package presence

import (
	"slices"
	"time"
)

// Declare takes what the device file says now; what it said before counts no
// more. Devices that were never heard are known from then on, as away, so that
// they are not new when they come. Of two declarations of one device the last
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

func (e *Engine) setDeclared(list []Declaration) {
	e.declared = make(map[ID]*Declaration, len(list))
	for i := range list {
		e.declared[list[i].MAC.ID()] = &list[i]
	}
}

// matchDeclared adds the devices that are declared and not known, and forgets
// those that were known only because they were declared.
func (e *Engine) matchDeclared() {
	for _, id := range sortedIDs(e.declared) {
		m := e.declared[id].MAC
		if e.devices[id] != nil || e.byMAC[m] != nil || !m.Station() || e.self[m] {
			continue
		}
		d := &device{
			Device: Device{ID: id, MAC: m, State: NotHome, Since: e.now.Round(0).UTC(), Why: "in the device file, and never heard so far"},
			quiet:  e.now, heard: e.now, heap: -1, tainted: true,
		}
		e.add(d)
		e.mark(d)
		if len(d.Reach) > 0 {
			e.schedule(d, e.now)
		}
	}
	for _, id := range sortedIDs(e.devices) {
		if d := e.devices[id]; d.FirstSeen.IsZero() && !d.settled() {
			e.remove(d)
		}
	}
}

// decide settles what counts for d: the user's commands, and over them the
// device file. It reports whether that is something else than before.
func (e *Engine) decide(d *device) bool {
	s := d.own
	var from []string
	f := e.declared[d.ID]
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
	f := e.declared[id]
	if f == nil {
		return nil
	}
	decided := f.Fields()
	return slices.DeleteFunc(c.Fields(), func(name string) bool { return !slices.Contains(decided, name) })
}
