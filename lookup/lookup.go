package lookup

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"porchlight/presence"
)

const (
	// gap is the time between two questions.
	gap = 2 * time.Second
	// scanEvery is how often it is looked up who has no name.
	scanEvery = 5 * time.Second

	// How long it is not asked again.
	afterName   = 12 * time.Hour // a name may change
	afterNone   = 6 * time.Hour  // there is none
	afterSilent = time.Hour      // nobody answered
)

// Source is one way to ask for the name of a device.
type Source interface {
	// Name says what its names are called by.
	Name() presence.NameSource
	// Ask returns the host name of who has the address a, on the link of an
	// interface: cleaned, empty when there is none. It bounds its own time.
	Ask(ctx context.Context, a netip.Addr, ifname string) (string, error)
}

// Config is what a Namer needs.
type Config struct {
	Sources []Source // in the order in which they are asked
	// Devices returns all devices.
	Devices func(context.Context) ([]presence.Device, error)
	// Tell gets each name that was found. It must not wait.
	Tell func(from presence.NameSource, told []presence.Told)
	Log  *slog.Logger // nil: no log
}

// Namer asks for names.
type Namer struct {
	cfg  Config
	log  *slog.Logger
	wait map[question]time.Time // until when it is not asked again
}

// question is about one device at one address.
type question struct {
	mac  presence.MAC
	addr netip.Addr
	from presence.NameSource
}

// New makes a Namer; Run starts it.
func New(cfg Config) *Namer {
	n := &Namer{cfg: cfg, log: cfg.Log, wait: map[question]time.Time{}}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	return n
}

// Run asks until ctx ends, and returns nil then.
func (n *Namer) Run(ctx context.Context) error {
	if len(n.cfg.Sources) == 0 {
		<-ctx.Done()
		return nil
	}
	for pause(ctx, scanEvery) {
		devices, err := n.cfg.Devices(ctx)
		if err != nil {
			continue // it is stopping, or very busy
		}
		n.forget(devices)
		for _, d := range nameless(devices) {
			if !n.name(ctx, d) {
				return nil
			}
		}
	}
	return nil
}

// nameless returns the devices at home that neither the user nor anybody
// trusted more has given a name, the newest first.
func nameless(devices []presence.Device) (found []presence.Device) {
	for _, d := range devices {
		if d.State == presence.Home && d.Name == "" && mayName(presence.NameFromMDNS, &d) {
			found = append(found, d)
		}
	}
	slices.SortStableFunc(found, func(a, b presence.Device) int { return b.FirstSeen.Compare(a.FirstSeen) })
	return found
}

// about returns the address by which a source is asked about d; invalid when it
// has none of the kind. Only private ones are asked about: the device itself at
// one on the link, others about one that they can know.
func about(d *presence.Device, from presence.NameSource) netip.Addr {
	if d.Addr.IsPrivate() || d.Addr.IsLinkLocalUnicast() {
		return d.Addr
	}
	for _, a := range d.IPv6 {
		if from == presence.NameFromMDNS && a.IsLinkLocalUnicast() || from == presence.NameFromDNS && a.IsPrivate() {
			return a
		}
	}
	return netip.Addr{}
}

// mayName reports whether d would take a name from this source.
func mayName(from presence.NameSource, d *presence.Device) bool {
	asked := d.HostNameSource == presence.NameFromMDNS || d.HostNameSource == presence.NameFromDNS
	return d.HostName == "" || asked && from.Replaces(d.HostNameSource)
}

// name asks the sources for d's name until one knows it. It returns false when
// ctx has ended.
func (n *Namer) name(ctx context.Context, d presence.Device) bool {
	for _, source := range n.cfg.Sources {
		q := question{d.MAC, about(&d, source.Name()), source.Name()}
		if !q.addr.IsValid() || !mayName(q.from, &d) || time.Now().Before(n.wait[q]) {
			continue
		}
		name, err := source.Ask(ctx, q.addr, d.Interface)
		if ctx.Err() != nil {
			return false
		}
		n.wait[q] = time.Now().Add(next(name, err))
		n.log.Debug("asked for a name", "of", q.addr, "by", string(q.from), "name", name, "err", err)
		if name != "" {
			n.cfg.Tell(q.from, []presence.Told{{MAC: d.MAC, Addr: q.addr, Name: name}})
		}
		if !pause(ctx, gap) {
			return false
		}
		if name != "" {
			return true
		}
	}
	return true
}

// next returns how long not to ask again.
func next(name string, err error) time.Duration {
	switch {
	case err != nil:
		return afterSilent
	case name == "":
		return afterNone
	}
	return afterName
}

// forget drops what is known of questions about who is not there any more, or
// not at that address.
func (n *Namer) forget(devices []presence.Device) {
	now := make(map[question]bool, len(devices))
	for _, d := range devices {
		for _, source := range n.cfg.Sources {
			now[question{d.MAC, about(&d, source.Name()), source.Name()}] = true
		}
	}
	maps.DeleteFunc(n.wait, func(q question, _ time.Time) bool { return !now[q] })
}

// pause returns false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
