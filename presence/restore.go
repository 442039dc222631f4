package presence

import "time"

// Restore brings devices back from the database, as they were. Who was home
// is home, gets the whole of its own timeout from now on, and is asked at once.
// What a device's own record says of its first MAC beats what others say of it.
func (e *Engine) Restore(now time.Time, records []Record) Output {
	e.begin(now)
	e.restored = e.now
	e.troubles.remember(e.cfg.Told, e.now)
	whole := wholes(records)
	restored := make([]*device, len(records))
	for i := range records {
		if whole(i) == i {
			restored[i] = e.restore(&records[i])
		}
	}
	for i := range records {
		if d := restored[i]; d != nil {
			e.restorePorts(d, &records[i])
		}
	}
	for i := range records {
		if w := whole(i); w != i && (restored[w] == nil || !e.restorePart(restored[w], records[i])) {
			restored[i] = e.restore(&records[i])
		}
	}
	for _, d := range restored {
		if d != nil {
			e.redecide(d)
		}
	}
	e.matchDeclared()
	e.retrack()
	return e.end()
}

// wholes returns what tells, for the place of each record, the place of the one
// that it is part of: its own when it is of a device of its own, as it also is
// when it is part of one that is not there, or of itself.
func wholes(records []Record) func(int) int {
	place := make(map[ID]int, len(records))
	for i := range records {
		place[records[i].ID] = i
	}
	return func(of int) int {
		i := of
		for range len(records) {
			if records[i].MergedInto == "" {
				return i
			}
			next, there := place[records[i].MergedInto]
			if !there {
				break
			}
			i = next
		}
		return of
	}
}

// restore brings one device back, with the MAC that it goes by. nil: it cannot be.
func (e *Engine) restore(r *Record) *device {
	m := r.MAC
	if first, err := ParseMAC(string(r.ID)); err == nil && len(r.Ports) > 0 {
		m = first // restorePorts has the others
	}
	if e.devices[r.ID] != nil || e.byMAC[m] != nil || !m.Station() || e.self[m] {
		return nil
	}
	d := &device{Device: r.Device, model: r.Model, own: r.Settings, heap: -1}
	d.MAC, d.MACs = m, nil
	d.Settings, d.FromFile = Settings{}, nil
	d.IPv6 = d.IPv6[:min(len(d.IPv6), maxIPv6)]
	if d.State != Home {
		d.State = NotHome
	}
	d.quiet, d.tainted, d.heard = e.now, true, e.now
	if !d.LastSeen.IsZero() {
		d.heardHere = e.now
	}
	e.add(d)
	e.restoreGuest(d)
	if !e.baseline && !d.inFile && d.FirstSeen.After(e.cfg.BaselineAt) && d.FirstSeen.After(e.newest()) {
		e.noteNew(d)
	}
	if d.State == Home {
		e.home++
		d.early = true
	}
	if r.MergedInto != "" {
		e.mark(d)
	}
	e.schedule(d, e.now)
	return d
}

// restorePart has d have the MACs of r, which is part of it. Mostly it has them
// already; not when a kill came between the two. It reports whether r is a part
// of d then.
func (e *Engine) restorePart(d *device, r Record) bool {
	m, err := ParseMAC(string(r.ID))
	if err != nil || e.devices[r.ID] != nil {
		return false
	}
	ports := r.Ports
	if len(ports) == 0 {
		ports = []Port{{MAC: m, Heard: r.LastSeen}}
	}
	for _, p := range ports {
		if e.byMAC[p.MAC] != nil || !p.MAC.Station() || e.self[p.MAC] || p.Origin == Heir || !e.hasRoom(d) {
			continue
		}
		if p.Origin == "" {
			p.Origin = ByUser
		}
		p.Heard = d.heard.Add(min(p.Heard.Sub(d.LastSeen), 0))
		e.makeRoom(d)
		e.gain(d, &port{Port: p})
	}
	if e.byMAC[m] != d {
		return false
	}
	r.Ports, r.MergedInto = nil, d.ID
	e.keep(r)
	return true
}

// restorePorts gives d its other MACs back, and has it go by the one that it went by.
func (e *Engine) restorePorts(d *device, r *Record) {
	here := Port{MAC: r.MAC, Interface: r.Interface, Addr: r.Addr, IPv6: d.IPv6}
	goes := d.MAC == r.MAC
	for _, stored := range r.Ports[:min(len(r.Ports), MaxMACs+1)] {
		if stored.MAC == r.MAC { // its addresses are the device's
			stored.Interface, stored.Addr, stored.IPv6 = here.Interface, here.Addr, here.IPv6
		}
		// How long before the last sighting this was is what counts.
		if !stored.Heard.IsZero() {
			stored.Heard = d.heard.Add(min(stored.Heard.Sub(d.LastSeen), 0))
		}
		switch {
		case stored.MAC == d.first:
			if !goes {
				d.Interface, d.Addr, d.IPv6, d.heardHere = stored.Interface, stored.Addr, stored.IPv6, stored.Heard
			}
		case e.byMAC[stored.MAC] != nil || !stored.MAC.Station() || e.self[stored.MAC]:
		case stored.Origin == Heir:
			s := Sighting{At: e.now, Interface: stored.Interface, MAC: stored.MAC}
			d.heir = &heir{first: s, last: s, addr4: addrInUse{stored.Addr, e.now}}
			if len(stored.IPv6) > 0 {
				d.heir.addr6 = addrInUse{stored.IPv6[0], e.now}
			}
			e.byMAC[stored.MAC] = d
		case len(d.AllMACs()) < MaxMACs:
			e.gain(d, &port{Port: stored})
		}
	}
	if p := d.other(r.MAC); p != nil {
		d.swap(p)
	}
	e.index(d)
}
