package ndpwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"porchlight/capture"
	"porchlight/nudge"
	"porchlight/presence"
)

// Config is what a Watcher needs.
type Config struct {
	Interface string // its name; it may be missing for now

	// Sight gets each sighting, in order, on one goroutine. It must not block.
	Sight func(presence.Sighting)

	Log *slog.Logger // nil: no log
}

// Stats counts since the Watcher was made.
type Stats struct {
	Sightings uint64 // handed to Sight
	Ignored   uint64 // passed the filter, but say nothing of a device
	Malformed uint64 // claim to be what is listened for, and cannot be
	Foreign   uint64 // speak for another MAC than the one that sent them: proxies and repeaters
	Reflected uint64 // this machine's own frames come back
	Sent      uint64 // solicitations
	Unsent    uint64 // solicitations that the kernel did not take
	Nudges    uint64 // datagrams to wake a device
	Capture   capture.Stats
}

// wire is what a Watcher needs of a capture.Listener.
type wire interface {
	Run(context.Context) error
	Send(frame []byte) error
	Link() (capture.Link, bool)
	Stats() capture.Stats
}

// Watcher hears and asks on one interface. Its methods may be called from any
// goroutine.
type Watcher struct {
	cfg  Config
	log  *slog.Logger
	wire wire
	// fault says why nothing is heard although the link is well.
	fault func() string

	mu      sync.Mutex
	lacking time.Time // since when there is no address to ask from; zero: there is one
	said    bool      // that was logged

	sightings, ignored, malformed, foreign, reflected, sent, unsent, nudges atomic.Uint64

	// What strangers send must not fill the log.
	sometimes rate.Sometimes
}

// groups are what joining devices speak to: switches that look into multicast
// forward that to members only. All routers (RFC 4291, section 2.7.1) and all
// DHCPv6 servers (RFC 8415, section 7.1).
var groups = []netip.Addr{netip.MustParseAddr("ff02::2"), netip.MustParseAddr("ff02::1:2")}

// New makes a Watcher; Run starts it.
func New(cfg Config) (*Watcher, error) {
	filter, err := assembleFilter()
	if err != nil {
		return nil, err
	}
	w := newWatcher(cfg)
	l := capture.NewListener(capture.Config{
		Interface: cfg.Interface,
		Filter:    filter,
		Groups:    groups,
		Handle:    w.hear,
		Log:       w.log.With("protocol", "IPv6"),
	})
	w.wire, w.fault = l, l.Fault
	return w, nil
}

func newWatcher(cfg Config) *Watcher {
	w := &Watcher{cfg: cfg, log: cfg.Log, sometimes: rate.Sometimes{First: 3, Interval: time.Minute}}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	return w
}

// Run listens until ctx ends, and returns nil then. Its errors are those of
// capture.Listener.Run.
func (w *Watcher) Run(ctx context.Context) error { return w.wire.Run(ctx) }

// Problem says in words why nobody is heard or asked by IPv6 although the
// interface is well; it is empty otherwise.
func (w *Watcher) Problem() string {
	if why := w.fault(); why != "" {
		return "no IPv6 on " + w.cfg.Interface + ": devices that have nothing else are neither heard nor asked: " + why
	}
	return ""
}

// Stats may be called at any time.
func (w *Watcher) Stats() Stats {
	return Stats{
		Sightings: w.sightings.Load(),
		Ignored:   w.ignored.Load(),
		Malformed: w.malformed.Load(),
		Foreign:   w.foreign.Load(),
		Reflected: w.reflected.Load(),
		Sent:      w.sent.Load(),
		Unsent:    w.unsent.Load(),
		Nudges:    w.nudges.Load(),
		Capture:   w.wire.Stats(),
	}
}

// hear takes one frame of the packet loop.
func (w *Watcher) hear(f capture.Frame) {
	m, ok, err := decode(f)
	switch {
	case err != nil:
		w.malformed.Add(1)
		w.sometimes.Do(func() {
			w.log.Debug("malformed IPv6 frame", "from", f.Src, "interface", f.Interface, "error", err)
		})
		return
	case !ok:
		w.ignored.Add(1)
		return
	}
	if link, _ := w.wire.Link(); m.MAC == link.MAC {
		w.reflected.Add(1)
		return
	}
	if m.foreign {
		w.foreign.Add(1)
	}
	w.sightings.Add(1)
	w.cfg.Sight(m.Sighting)
}

// ErrNoAddress is the error of Probe while the interface has no address to ask
// from.
var ErrNoAddress = errors.New("no IPv6 link-local address to ask from")

// Probe asks one device for its IPv6 address, by unicast to its MAC or by
// multicast to those who may have the address. On "eth0.10" the question is
// tagged with VLAN 10. A nudge goes ahead of it. It does not wait; an error means
// that the device was not asked. The answer comes as a sighting.
func (w *Watcher) Probe(p presence.Probe) error {
	if err := w.probe(p); err != nil {
		return fmt.Errorf("probing %s at %s: %w", p.MAC, p.Addr, err)
	}
	return nil
}

func (w *Watcher) probe(p presence.Probe) error {
	vids, err := capture.VLANs(w.cfg.Interface, p.Interface)
	if err != nil {
		return err
	}
	if !p.Addr.Is6() || !host(p.Addr) {
		return errors.New("not the IPv6 address of a host")
	}
	to := presence.MAC{}
	if !p.Broadcast {
		if to = p.MAC; !to.Station() {
			return errors.New("not the MAC of a station")
		}
	}
	link, ok := w.wire.Link()
	if !ok {
		return fmt.Errorf("sending on %q: %w", w.cfg.Interface, capture.ErrBlind)
	}
	if !w.canAsk(link) {
		return ErrNoAddress
	}
	if p.Nudge {
		w.nudge(link, p, vids)
	}
	frame, err := solicitation(link.MAC, link.LinkLocal, to, p.Addr.WithZone(""), vids)
	if err != nil {
		return err
	}
	if err := w.wire.Send(frame); err != nil {
		w.unsent.Add(1)
		return err
	}
	w.sent.Add(1)
	return nil
}

// nudge wakes a device.
func (w *Watcher) nudge(link capture.Link, p presence.Probe, vids []uint16) {
	if frame, err := nudge.Frame(link.MAC, link.LinkLocal, p.MAC, p.Addr, vids); err == nil && w.wire.Send(frame) == nil {
		w.nudges.Add(1)
	}
}

// lackFor is how long there must have been no address to ask from before that
// is worth a line in the log: a link that has just come up checks its address
// for a second or two (RFC 4862, section 5.4).
const lackFor = 10 * time.Second

// canAsk reports whether there is an address to ask from, and says once when
// there is none.
func (w *Watcher) canAsk(link capture.Link) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if link.LinkLocal.IsValid() {
		w.lacking, w.said = time.Time{}, false
		return true
	}
	now := time.Now()
	if w.lacking.IsZero() {
		w.lacking = now
	}
	if !w.said && now.Sub(w.lacking) >= lackFor {
		w.said = true
		w.log.Warn("devices that have IPv6 only are heard, but cannot be asked: this machine has no IPv6 link-local address there",
			"interface", w.cfg.Interface, "remedy", "if IPv6 is switched off there: sysctl -w net/ipv6/conf/"+w.cfg.Interface+"/disable_ipv6=0")
	}
	return false
}
