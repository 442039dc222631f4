package web

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"porchlight/connections"
	"porchlight/presence"
)

// Connections is where the pages get what this machine is connected to. Its
// methods are called from any goroutine.
type Connections interface {
	// Look returns the connections as they are now, with these names of devices.
	Look(names connections.DeviceNames) (*connections.Snapshot, error)
	// Newest returns up to limit stored snapshots with numbers below before (0:
	// any), the newest first.
	Newest(ctx context.Context, before int64, limit int) ([]connections.Entry, error)
	// Before returns the number of the newest one that was taken before t, or of
	// the oldest one if none was; 0: there is none.
	Before(ctx context.Context, t time.Time) (number int64, err error)
	// Load returns a stored snapshot.
	Load(ctx context.Context, number int64) (*connections.Snapshot, error)
}

const (
	// lookEvery is how often the pages look at the connections at most.
	lookEvery = 2 * time.Second
	// lookShare bounds how much of the time is spent on that, where one look takes
	// long: a tenth.
	lookShare = 10
	// storedKept is for how long the last stored snapshots are kept that were read,
	// and keptConnections how many connections one has at most that is.
	storedKept      = 10 * time.Second
	keptConnections = 20_000
)

// looks keeps the last look at the connections: many who ask cost one.
type looks struct {
	source Connections

	mu   sync.Mutex
	at   time.Time // when it ended; zero: there was none
	took time.Duration
	last *connections.Snapshot // nobody changes it
	err  error

	reading sync.Mutex
	stored  [2]storedLook // the last one first
}

// storedLook is a stored snapshot as it was read.
type storedLook struct {
	*connections.Snapshot // nobody changes it; nil: none
	at                    time.Time
}

// now returns the connections as they are, or were a moment ago.
func (l *looks) now(who *people) (*connections.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	begin := time.Now()
	if !l.at.IsZero() && begin.Sub(l.at) < max(lookEvery, lookShare*l.took) {
		return l.last, l.err
	}
	l.last, l.err = l.source.Look(who.names())
	l.at = time.Now()
	l.took = l.at.Sub(begin)
	return l.last, l.err
}

// load returns a stored snapshot. It reads one at a time, for a large one takes
// memory, and keeps the last two, which a page is fetched again and again with.
func (l *looks) load(ctx context.Context, number int64) (*connections.Snapshot, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	for _, have := range l.stored {
		if have.Snapshot != nil && have.Number == number && time.Since(have.at) < storedKept {
			return have.Snapshot, nil
		}
	}
	s, err := l.source.Load(ctx, number)
	if err == nil && len(s.Connections) <= keptConnections {
		l.stored = [2]storedLook{{s, time.Now()}, l.stored[0]}
	}
	return s, err
}

// people are the devices of the LAN by what connections know of them.
type people struct {
	byAddr map[netip.Addr]*presence.Device
	byName map[string]presence.ID // of several with one name any
}

// newPeople finds devices by addresses: of two with one address it is the one
// that is home, or was heard last.
func newPeople(devices []presence.Device) *people {
	p := &people{map[netip.Addr]*presence.Device{}, make(map[string]presence.ID, len(devices))}
	for i := range devices {
		d := &devices[i]
		p.byName[d.DisplayName()] = d.ID
		p.put(d.Addr, d)
		for _, a := range d.IPv6 {
			p.put(a, d)
		}
	}
	return p
}

func (p *people) put(a netip.Addr, d *presence.Device) {
	a = a.WithZone("")
	other := p.byAddr[a]
	if a.IsValid() && (other == nil || d.State != other.State && d.State == presence.Home || d.State == other.State && d.LastSeen.After(other.LastSeen)) {
		p.byAddr[a] = d
	}
}

func (p *people) names() connections.DeviceNames {
	names := make(connections.DeviceNames, len(p.byAddr))
	for a, d := range p.byAddr {
		names[a] = d.DisplayName()
	}
	return names
}

// id returns the device that is called name, or was when it had addr; empty: it
// is not known any more.
func (p *people) id(addr netip.Addr, name string) presence.ID {
	if d := p.byAddr[addr.WithZone("")]; d != nil && d.DisplayName() == name {
		return d.ID
	}
	return p.byName[name]
}

// addresses are those of the devices with a name.
func (p *people) addresses(name string) (all []netip.Addr) {
	for a, d := range p.byAddr {
		if d.DisplayName() == name {
			all = append(all, a)
		}
	}
	return all
}
