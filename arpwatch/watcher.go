package arpwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mdlayher/ethernet"

	"porchlight/capture"
	"porchlight/nudge"
	"porchlight/presence"
)

// Config is what a Watcher needs.
type Config struct {
	Interface string // its name; it may be missing for now

	// Sight gets each sighting, in order, on one goroutine. It must not block.
	Sight func(presence.Sighting)

	// Sense says whether the interface can hear: once at the start and at each
	// change. It may be nil.
	Sense func(presence.Sensing)

	Log *slog.Logger
}

// Stats counts since the Watcher was made.
type Stats struct {
	capture.Stats
	Sightings uint64
	Ignored   uint64 // ARP frames that say nothing of a station, or nonsense
	Foreign   uint64 // the ARP sender was not the Ethernet source: a repeater, a proxy or a liar
	Reflected uint64 // this machine's own frames come back
	Sent      uint64 // requests, of probes and sweeps
	Unsent    uint64 // requests that the kernel did not take
	Nudges    uint64 // datagrams to wake a device
	Heard     int    // addresses in the table of those heard
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
	cfg   Config
	log   *slog.Logger
	wire  wire
	heard heard
	sweep atomic.Pointer[sweep] // the one that runs

	sightings, ignored, foreign, reflected, sent, unsent, nudges atomic.Uint64
}

// New makes a Watcher; Run starts it.
func New(cfg Config) (*Watcher, error) {
	filter, err := capture.Match(capture.EtherTypeARP)
	if err != nil {
		return nil, err
	}
	w := newWatcher(cfg)
	w.wire = capture.NewListener(capture.Config{
		Interface: cfg.Interface,
		Filter:    filter,
		Handle:    w.hear,
		State:     cfg.Sense,
		Log:       w.log,
	})
	return w, nil
}

func newWatcher(cfg Config) *Watcher {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg, log: cfg.Log, heard: heard{last: map[netip.Addr]time.Time{}}}
}

// Run listens until ctx ends, and returns nil then. Its errors are those of
// capture.Listener.Run.
func (w *Watcher) Run(ctx context.Context) error { return w.wire.Run(ctx) }

// Stats may be called at any time.
func (w *Watcher) Stats() Stats {
	return Stats{
		Stats:     w.wire.Stats(),
		Sightings: w.sightings.Load(),
		Ignored:   w.ignored.Load(),
		Foreign:   w.foreign.Load(),
		Reflected: w.reflected.Load(),
		Sent:      w.sent.Load(),
		Unsent:    w.unsent.Load(),
		Nudges:    w.nudges.Load(),
		Heard:     w.heard.len(),
	}
}

// hear takes one frame of the packet loop.
func (w *Watcher) hear(f capture.Frame) {
	s, err := Decode(f)
	if err != nil {
		w.ignored.Add(1)
		return
	}
	link, _ := w.wire.Link()
	if s.MAC == link.MAC {
		w.reflected.Add(1)
		return
	}
	if s.Via != (presence.MAC{}) {
		w.foreign.Add(1)
	}
	// An address that is only asked for is nobody's yet, and one on another
	// VLAN is on another segment.
	if s.Kind != presence.ARPProbe && s.Interface == w.cfg.Interface {
		w.heard.note(link, s.Addr, s.At)
		if sw := w.sweep.Load(); sw != nil {
			sw.answer(s)
		}
	}
	w.sightings.Add(1)
	w.cfg.Sight(s)
}

// errOwnAddress: a request from an address for itself would be an announcement.
var errOwnAddress = errors.New("it is this machine's own address")

// Probe asks one device for its address, by unicast to its MAC or by
// broadcast. On "eth0.10" the request is tagged with VLAN 10. A nudge goes ahead
// of it, where the interface has an address to send that from. It does not wait;
// an error means that the device was not asked. The answer comes as a sighting.
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
	if !p.Addr.Is4() {
		return errors.New("not an IPv4 address")
	}
	to := ethernet.Broadcast
	if !p.Broadcast {
		if !p.MAC.Station() {
			return errors.New("not the MAC of a station")
		}
		to = net.HardwareAddr(p.MAC[:])
	}
	if p.Nudge && len(vids) == 0 {
		w.nudge(p)
	}
	return w.ask(p.Addr, to, vids)
}

// nudge wakes a device on a subnet of the interface.
func (w *Watcher) nudge(p presence.Probe) {
	link, ok := w.wire.Link()
	sender := senderFor(link, p.Addr)
	if !ok || sender.IsUnspecified() || own(link, p.Addr) {
		return
	}
	if frame, err := nudge.Frame(link.MAC, sender, p.MAC, p.Addr, nil); err == nil && w.wire.Send(frame) == nil {
		w.nudges.Add(1)
	}
}

// ask sends one request.
func (w *Watcher) ask(target netip.Addr, to net.HardwareAddr, vids []uint16) error {
	link, ok := w.wire.Link()
	if !ok {
		return fmt.Errorf("sending on %q: %w", w.cfg.Interface, capture.ErrBlind)
	}
	sender := netip.IPv4Unspecified()
	if len(vids) == 0 { // the interface's addresses are not those of a VLAN on it
		if own(link, target) {
			return errOwnAddress
		}
		sender = senderFor(link, target)
	}
	frame, err := request(link.MAC, sender, to, target, vids)
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
