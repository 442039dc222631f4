package bridge

import "porchlight/presence"

// CatchUp brings stored devices up to the newest events of the log, which are
// in order of seq: the log is written first, so after a kill a device can be
// stored as it was a moment before its last event. Events of devices that are
// not stored are passed over.
func CatchUp(records []presence.Record, events []presence.Event) {
	last := map[presence.ID]*presence.Event{}
	for i, e := range events {
		if e.Type == presence.Arrived || e.Type == presence.Left {
			last[e.ID] = &events[i]
		}
	}
	for i := range records {
		r := &records[i]
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
}
