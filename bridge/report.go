package bridge

import (
	"cmp"
	"time"

	"porchlight/presence"
)

// maxWhy bounds, in bytes, the reason of an event that is reported.
const maxWhy = 250

// Report puts an event about this machine (presence.MachineTypes) into the log,
// like those of the engine. Programs and users are named by others, so its texts
// are made fit to be shown; what such events do not have is left out. It never
// waits; an event that there is no room for is told of and lost.
func (b *Bridge) Report(e presence.Event) {
	e = presence.Event{
		Type: e.Type, Time: cmp.Or(e.Time, time.Now()).Round(0).UTC(), Addr: e.Addr.WithZone(""),
		Interface: presence.CleanText(e.Interface, presence.MaxName),
		Why:       presence.CleanText(e.Why, maxWhy),
		Socket:    presence.CleanSocket(e.Socket),
	}
	if !b.inbox.call(func() { b.turn.events = append(b.turn.events, e) }) {
		b.log.Warn("too many commands are waiting: an event is lost", "type", string(e.Type), "about", e.Subject())
	}
}
