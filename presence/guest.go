package presence

import (
	"fmt"
	"time"
)

// GuestPolicy decides how it is told that a guest is new.
type GuestPolicy string

// The policies.
const (
	GuestsEach  GuestPolicy = "each"  // a NewDevice event for each, at once
	GuestsDaily GuestPolicy = "daily" // one NewGuests event for all of a day
)

// guestDay is how long the first new guest waits for the digest, and so the
// least time between two of them.
const guestDay = 24 * time.Hour

// guestbook is what the Engine knows of the guests that wait for the digest;
// who they are is noted with each device (Untold).
type guestbook struct {
	at    time.Time // when the digest is due; zero: nobody waits
	since time.Time // when the first one came
	gone  int       // how many were forgotten meanwhile
}

// visitor reports whether d, for which s counts, is a guest of itself: it has a
// private MAC, and the user has not said who or what it is.
func (d *device) visitor(s *Settings) bool {
	return d.madeUp() && !d.inFile && !s.Known && s.Follow == nil && s.Name == "" && s.Kind == "" && len(s.Groups) == 0
}

// guestGroups puts d into GuestGroup if it is a guest without other groups. Who
// is a guest by the user's word, or none, is no news any more.
func (d *device) guestGroups(s *Settings) {
	visitor := d.visitor(s)
	d.Untold = d.Untold && visitor
	if visitor || s.Kind == Guest && len(s.Groups) == 0 {
		s.Groups = []string{GuestGroup}
	}
}

// announce tells that d, which has just come home, was never heard before.
func (e *Engine) announce(d *device) {
	e.noteNew(d)
	if e.cfg.NewGuests == GuestsDaily && d.visitor(&d.own) {
		d.Untold = true
		if e.guests.at.IsZero() {
			e.guests.at, e.guests.since = e.now.Add(guestDay), d.FirstSeen
		}
		return
	}
	e.emit(NewDevice, d, d.Why)
}

// restoreGuest makes the digest due for a restored device that waits for it:
// no later than planned, however the clock was set, and at once where each guest
// is to be told.
func (e *Engine) restoreGuest(d *device) {
	if !d.Untold {
		return
	}
	at := e.now
	if e.cfg.NewGuests == GuestsDaily {
		at = earlier(d.FirstSeen.Add(guestDay), e.now.Add(guestDay))
	}
	if e.guests.at.IsZero() {
		e.guests.at, e.guests.since = at, d.FirstSeen
	}
	e.guests.at, e.guests.since = earlier(e.guests.at, at), earlier(e.guests.since, d.FirstSeen)
}

// tellGuests tells all that wait, when it is time.
func (e *Engine) tellGuests() {
	if e.guests.at.IsZero() || e.now.Before(e.guests.at) {
		return
	}
	var list foundList
	for _, id := range sortedIDs(e.devices) {
		d := e.devices[id]
		if d.Untold {
			d.Untold = false
			e.mark(d)
			list.add(d)
		}
	}
	count, within := list.count+e.guests.gone, e.now.Sub(e.guests.since)
	e.guests = guestbook{}
	if count == 0 {
		return // all have got a name by now
	}
	why := fmt.Sprintf("%d new guests in %s, with private MACs and without names from you", count, Words(within))
	if count == 1 {
		why = fmt.Sprintf("one new guest in %s, with a private MAC and without a name from you", Words(within))
	}
	e.out.Events = append(e.out.Events, Event{
		Type: NewGuests, Time: e.now.Round(0).UTC(), Why: why, Devices: list.devices,
	})
}
