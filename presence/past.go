package presence

import "time"

// OutageOver is a time in which those who are always there were silent
// together, as when the access point restarts: nobody was declared away.
type OutageOver struct {
	Interface string
	From, To  time.Time // since the last of them was heard, until half of them were back or it was too long for a restart
}

// endOutage reports an outage that is over, if there was one.
func (e *Engine) endOutage(l *link) {
	if len(l.missing) > 0 {
		e.out.Outages = append(e.out.Outages, OutageOver{l.name, l.silentSince.Round(0).UTC(), e.now.Round(0).UTC()})
	}
	l.missing, l.holdUntil = nil, time.Time{}
}

// lastHeard returns when the last of devices was heard.
func lastHeard(devices []*device) (t time.Time) {
	for _, d := range devices {
		if d.heard.After(t) {
			t = d.heard
		}
	}
	return t
}

// Leased returns the device that a DHCP message says an address of, if that is
// known.
func (e *Engine) Leased(s Sighting) (id ID, ok bool) {
	if s.Kind != DHCPAck && s.Kind != DHCPRequest || !hostAddr(s.Addr) {
		return "", false
	}
	d := e.byMAC[s.MAC]
	if d == nil {
		return "", false
	}
	return d.ID, true
}
