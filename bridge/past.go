package bridge

import "porchlight/presence"

// Past keeps what is asked of the past and is no event; history.Store is one.
// Its methods may not wait.
type Past interface {
	// SaveLease notes the address of a DHCP message.
	SaveLease(presence.ID, presence.Sighting)
	SaveOutage(presence.OutageOver)
}

// lease is an address that DHCP gave, or that a device asked for.
type lease struct {
	id presence.ID
	presence.Sighting
}

// noteLease keeps what s says of an address for the end of the turn: people
// wait for the state first.
func (b *Bridge) noteLease(s presence.Sighting) {
	if b.cfg.Past == nil {
		return
	}
	if id, ok := b.cfg.Engine.Leased(s); ok {
		b.turn.leases = append(b.turn.leases, lease{id, s})
	}
}

// keepPast hands over what the turn brought for the past.
func (b *Bridge) keepPast() {
	t := &b.turn
	if b.cfg.Past != nil {
		for _, l := range t.leases {
			b.cfg.Past.SaveLease(l.id, l.Sighting)
		}
		for _, o := range t.outages {
			b.cfg.Past.SaveOutage(o)
		}
	}
	t.leases, t.outages = emptied(t.leases), emptied(t.outages)
}
