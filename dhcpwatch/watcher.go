package dhcpwatch

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"porchlight/capture"
	"porchlight/presence"
)

// Config is what a Watcher needs.
type Config struct {
	Interface string // its name, such as "eth0"; it may be missing for now

	// Sight gets each sighting, in order, on one goroutine. It must not block.
	Sight func(presence.Sighting)

	Log *slog.Logger // nil: no log
}

// Watcher hears DHCP on one interface. While the link is gone it waits quietly
// and listens again when the link is back.
type Watcher struct {
	cfg      Config
	log      *slog.Logger
	listener *capture.Listener

	sightings, ignored, malformed, otherSource, relayed atomic.Uint64

	// What strangers send must not fill the log.
	sometimes rate.Sometimes
}

// Stats counts since the Watcher was made.
type Stats struct {
	Sightings   uint64 // handed to Sight
	Ignored     uint64 // passed the filter, but say nothing of a client: a NAK, plain BOOTP
	Malformed   uint64 // claim to be DHCP and cannot be
	OtherSource uint64 // of a client, but sent by another station: a relay or a repeater
	Relayed     uint64 // handed on by a DHCP relay (giaddr)
	Capture     capture.Stats
}

// New makes a Watcher; Run starts it.
func New(cfg Config) (*Watcher, error) {
	filter, err := assembleFilter()
	if err != nil {
		return nil, err
	}
	w := &Watcher{cfg: cfg, log: cfg.Log, sometimes: rate.Sometimes{First: 3, Interval: time.Minute}}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.listener = capture.NewListener(capture.Config{
		Interface: cfg.Interface,
		Filter:    filter,
		Handle:    w.handle,
		Log:       w.log.With("protocol", "DHCP"),
	})
	return w, nil
}

// Run watches until ctx ends, and returns nil then. It returns an error only
// when trying again cannot help, as capture.Listener.Run does.
func (w *Watcher) Run(ctx context.Context) error { return w.listener.Run(ctx) }

// Stats may be called at any time.
func (w *Watcher) Stats() Stats {
	return Stats{
		Sightings:   w.sightings.Load(),
		Ignored:     w.ignored.Load(),
		Malformed:   w.malformed.Load(),
		OtherSource: w.otherSource.Load(),
		Relayed:     w.relayed.Load(),
		Capture:     w.listener.Stats(),
	}
}

func (w *Watcher) handle(f capture.Frame) {
	m, ok, err := decode(f)
	switch {
	case err != nil:
		w.malformed.Add(1)
		w.debug("malformed DHCP message", "from", f.Src, "interface", f.Interface, "error", err)
		return
	case !ok:
		w.ignored.Add(1)
		return
	}
	if m.relay.IsValid() {
		w.relayed.Add(1)
		w.debug("DHCP message came by a relay", "relay", m.relay, "from", f.Src, "client", m.MAC)
	}
	if m.fromClient() && f.Src != m.MAC {
		w.otherSource.Add(1)
		w.debug("DHCP client is not the sender of its frame", "from", f.Src, "client", m.MAC)
	}
	w.sightings.Add(1)
	w.cfg.Sight(m.Sighting)
}

func (w *Watcher) debug(msg string, args ...any) {
	w.sometimes.Do(func() { w.log.Debug(msg, args...) })
}
