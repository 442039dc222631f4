package bridge

import (
	"net/netip"
	"slices"
	"time"

	"porchlight/presence"
)

// unsaved is how long before the end of the log a device can have been new and
// not be stored.
const unsaved = 5 * time.Second

// CatchUp brings stored devices up to the newest events of the log, which are
// in order of seq, and returns them: the log is written first, so after a kill
// a device can be stored as it was a moment before its last event, or not yet.
// Older events of devices that are not stored are passed over: those were
// forgotten.
func CatchUp(records []presence.Record, events []presence.Event) []presence.Record {
	known := map[presence.ID]bool{}
	for i := range records {
		known[records[i].ID] = true
	}
	last := map[presence.ID]*presence.Event{}
	told := map[presence.ID]bool{}
	for i, e := range events {
		lately := events[len(events)-1].Time.Sub(e.Time).Abs() < unsaved
		switch e.Type {
		case presence.Arrived, presence.Left:
			last[e.ID] = &events[i]
		case presence.Merged:
			last[e.Other] = &events[i] // it comes and goes with the other from then on
			if lately {
				merge(records, e)
			}
		case presence.Split:
			last[e.Other] = &events[i] // who is home is told to have arrived next
			if lately {
				records = split(records, e)
				known[e.Other] = true
			}
		case presence.NewGuests:
			for _, found := range e.Devices {
				told[found.ID] = true
			}
		}
		isNew := e.Type == presence.NewDevice || e.Type == presence.Arrived && e.PrivateMAC // of a guest there may be no more
		if isNew && !known[e.ID] && lately {
			known[e.ID] = true
			records = append(records, newRecord(e))
		}
	}
	for i := range records {
		r := &records[i]
		r.Untold = r.Untold && !told[r.ID]
		e := last[r.ID]
		if e == nil {
			continue
		}
		state := presence.NotHome
		if e.Type == presence.Arrived {
			state = presence.Home
		}
		if r.State != state {
			r.State, r.Since, r.Why = state, e.Time, e.Why
		}
	}
	return records
}

// newRecord is the device of an event that it is new, or, of a guest, that it
// has arrived.
func newRecord(e presence.Event) presence.Record {
	r := presence.Record{Device: presence.Device{
		ID: e.ID, MAC: e.MAC, Addr: e.Addr, HostName: e.HostName, Vendor: e.Vendor,
		State: presence.NotHome, Since: e.Time, Why: e.Why, FirstSeen: e.Time, LastSeen: e.Time,
		Untold: e.Type == presence.Arrived && e.PrivateMAC,
	}}
	if e.Addr.Is6() {
		r.Addr, r.IPv6 = netip.Addr{}, []netip.Addr{e.Addr}
	}
	return r
}

// recordOf returns the record of a device; nil: there is none.
func recordOf(records []presence.Record, id presence.ID) *presence.Record {
	i := slices.IndexFunc(records, func(r presence.Record) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return &records[i]
}

// merge makes what the event tells of part of its device: another device, or a
// MAC that was none so far.
func merge(records []presence.Record, e presence.Event) {
	if part := recordOf(records, e.Other); part != nil {
		part.MergedInto = e.ID
		return
	}
	m, err := presence.ParseMAC(string(e.Other))
	r := recordOf(records, e.ID)
	if err != nil || r == nil || slices.ContainsFunc(r.Ports, func(p presence.Port) bool { return p.MAC == m && p.Origin != presence.Heir }) {
		return
	}
	if len(r.Ports) == 0 {
		r.Ports = []presence.Port{{MAC: r.MAC}}
	}
	r.Ports = slices.DeleteFunc(r.Ports, func(p presence.Port) bool { return p.MAC == m })
	r.Ports = append(r.Ports, presence.Port{MAC: m, Origin: presence.ByFollow, Heard: e.Time})
}

// split makes what the event tells of a device of its own.
func split(records []presence.Record, e presence.Event) []presence.Record {
	m, err := presence.ParseMAC(string(e.Other))
	if err != nil {
		return records
	}
	if r := recordOf(records, e.ID); r != nil {
		r.Ports = slices.DeleteFunc(r.Ports, func(p presence.Port) bool { return p.MAC == m })
		if r.MAC == m { // its first MAC is left
			r.MAC, r.Addr, r.IPv6 = firstMAC(r.ID, m), netip.Addr{}, nil
		}
	}
	if part := recordOf(records, e.Other); part != nil {
		part.MergedInto = ""
		return records
	}
	return append(records, newRecord(presence.Event{ID: e.Other, MAC: m, HostName: e.HostName, Time: e.Time, Why: e.Why}))
}

// firstMAC is the MAC that an id comes from.
func firstMAC(id presence.ID, otherwise presence.MAC) presence.MAC {
	if m, err := presence.ParseMAC(string(id)); err == nil {
		return m
	}
	return otherwise
}
