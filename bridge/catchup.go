package bridge

import (
	"net/netip"
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
		switch e.Type {
		case presence.Arrived, presence.Left:
			last[e.ID] = &events[i]
		case presence.NewGuests:
			for _, found := range e.Devices {
				told[found.ID] = true
			}
		}
		isNew := e.Type == presence.NewDevice || e.Type == presence.Arrived && e.PrivateMAC // of a guest there may be no more
		if isNew && !known[e.ID] && events[len(events)-1].Time.Sub(e.Time).Abs() < unsaved {
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
