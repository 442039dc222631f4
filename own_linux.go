package main

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"

	"porchlight/doctor"
	"porchlight/presence"
)

const (
	// ownEvery is how often this machine's own interfaces are looked at, if
	// nothing is told of them before.
	ownEvery = 30 * time.Second
	// ownSoon is how long after a change they are, as one seldom comes alone.
	ownSoon = time.Second
	// crossedFor is how long it counts that one interface has heard another.
	crossedFor = 10 * time.Minute
)

// ownEar keeps what this machine itself says from being taken for a device's:
// where two of its interfaces are on one segment, each hears the other. They come
// and go, and Wi-Fi changes its MAC, so they are followed.
type ownEar struct {
	ear
	names []string // that are listened on
	log   *slog.Logger

	macs  atomic.Pointer[map[presence.MAC]string] // the machine's own, and whose they are
	flux  atomic.Pointer[[]string]                // see problems
	again chan struct{}                           // look again: an interface heard another for the first time

	mu      sync.Mutex
	crossed map[[2]string]time.Time // when the first was last heard on the second
}

func newOwnEar(e ear, names []string, log *slog.Logger) *ownEar {
	o := &ownEar{ear: e, names: names, log: log, again: make(chan struct{}, 1), crossed: map[[2]string]time.Time{}}
	o.flux.Store(&[]string{})
	o.readMACs()
	return o
}

// Sight implements ear.
func (o *ownEar) Sight(s presence.Sighting) {
	if name, own := (*o.macs.Load())[s.MAC]; own {
		o.cross(name, s)
		return
	}
	o.ear.Sight(s)
}

// cross notes that the interface called name was heard where s was.
func (o *ownEar) cross(name string, s presence.Sighting) {
	on := ""
	for trunk := range presence.Trunks(s.Interface) {
		if on == "" && slices.Contains(o.names, trunk) {
			on = trunk
		}
	}
	if on == "" || on == name {
		return
	}
	o.mu.Lock()
	_, known := o.crossed[[2]string{name, on}]
	o.crossed[[2]string{name, on}] = s.At
	o.mu.Unlock()
	if !known {
		select {
		case o.again <- struct{}{}:
		default:
		}
	}
}

// run follows the machine's interfaces until ctx ends.
func (o *ownEar) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		links, done := make(chan netlink.LinkUpdate), make(chan struct{})
		if err := netlink.LinkSubscribe(links, done); err != nil {
			o.log.Debug("changes of interfaces are not told, so they are looked at now and then", "err", err)
			links = nil
		}
		o.follow(ctx, links, timer)
		close(done)
		if links != nil {
			for range links { // until the subscription has ended
			}
		}
	}
	return nil
}

// follow looks now and then, and soon after a change, until ctx or the
// subscription ends.
func (o *ownEar) follow(ctx context.Context, links <-chan netlink.LinkUpdate, timer *time.Timer) {
	soon := false
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-links:
			if !ok {
				return
			}
			o.readMACs() // at once: it is about to speak
			if !soon {
				soon = true
				timer.Reset(ownSoon)
			}
			continue
		case <-timer.C:
		case <-o.again:
		}
		o.look()
		soon = false
		timer.Reset(ownEvery)
	}
}

func (o *ownEar) look() {
	o.readMACs()
	o.mu.Lock()
	maps.DeleteFunc(o.crossed, func(_ [2]string, at time.Time) bool { return time.Since(at) > crossedFor })
	crossed := slices.Collect(maps.Keys(o.crossed))
	o.mu.Unlock()
	flux, err := doctor.Flux(o.names, crossed)
	if err != nil {
		o.log.Debug("looking for interfaces on one segment", "err", err)
		return
	}
	if was := o.problems(); len(flux) > 0 && !slices.Equal(was, flux) {
		o.log.Warn("two interfaces are on one segment", "why", strings.Join(flux, "; "))
	}
	o.flux.Store(&flux)
}

// readMACs notes the own MACs; of several interfaces with one MAC the first that
// is listened on has it.
func (o *ownEar) readMACs() {
	all, err := net.Interfaces()
	if err != nil {
		if o.macs.Load() == nil {
			o.macs.Store(&map[presence.MAC]string{})
		}
		return
	}
	macs := make(map[presence.MAC]string, len(all))
	for _, i := range all {
		m, ok := presence.MACFrom(i.HardwareAddr)
		if _, taken := macs[m]; ok && m.Station() && (!taken || !slices.Contains(o.names, macs[m])) {
			macs[m] = i.Name
		}
	}
	if was := o.macs.Swap(&macs); was == nil || !maps.Equal(*was, macs) {
		o.log.Debug("what this machine's own interfaces say is not taken for a device's", "interfaces", slices.Sorted(maps.Values(macs)))
	}
}

// problems says which interfaces answer for each other's addresses.
func (o *ownEar) problems() []string { return *o.flux.Load() }
