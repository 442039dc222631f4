package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"

	"porchlight/presence"
)

// Config is what a Listener needs.
type Config struct {
	Interface string               // its name; it may be missing for now
	Filter    []bpf.RawInstruction // see Match; empty passes everything

	// Groups are IPv6 multicast groups to join, so that switches that forward
	// groups only to their members forward them here. With any, frames to all
	// groups are heard, as far as they reach the interface; without, only those
	// to groups that this machine is in.
	Groups []netip.Addr

	// Handle gets each frame, in order, on one goroutine. It must not block.
	Handle func(Frame)

	// State says whether the interface can hear: once at the start and at each
	// change. It is called on the goroutine of Run. It may be nil.
	State func(presence.Sensing)

	Log *slog.Logger
}

// Listener hears the frames that pass the filter on one interface, and dials
// again when the link goes.
type Listener struct {
	cfg  Config
	log  *slog.Logger
	conn atomic.Pointer[conn]
	link atomic.Pointer[Link]
	deaf atomic.Bool

	broken atomic.Pointer[string] // see Fault

	frames, malformed, dropped, redials atomic.Uint64
}

// Stats counts since the Listener was made.
type Stats struct {
	Frames    uint64 // handed to the handler
	Malformed uint64 // not Ethernet II, or cut short
	Dropped   uint64 // the kernel had no room in the receive buffer
	Redials   uint64 // sockets opened after the first
}

// ErrBlind is the error of Send while the interface cannot hear or send.
var ErrBlind = errors.New("interface is not ready")

// ErrNotEthernet is the error of Run on an interface without Ethernet frames.
var ErrNotEthernet = errors.New("not an Ethernet interface")

// NewListener makes a Listener; Run starts it.
func NewListener(cfg Config) *Listener {
	l := &Listener{cfg: cfg, log: cfg.Log}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.deaf.Store(true)
	return l
}

// Link returns the interface as the kernel last described it; ok is false
// while it does not exist or Run has not begun.
func (l *Listener) Link() (_ Link, ok bool) {
	if p := l.link.Load(); p != nil {
		return *p, true
	}
	return Link{}, false
}

// Fault says why the socket does not work although the link is well; it is
// empty when it works, or when the link is the reason. It may be called at any
// time.
func (l *Listener) Fault() string {
	if why := l.broken.Load(); why != nil {
		return *why
	}
	return ""
}

// Stats may be called at any time.
func (l *Listener) Stats() Stats {
	if c := l.conn.Load(); c != nil {
		l.dropped.Add(c.drops())
	}
	return Stats{
		Frames:    l.frames.Load(),
		Malformed: l.malformed.Load(),
		Dropped:   l.dropped.Load(),
		Redials:   l.redials.Load(),
	}
}

// Send puts one Ethernet frame, destination address first, on the wire. It
// never waits: it fails with ErrBlind while the link is gone, and with the
// kernel's error when the queue is full. It may be called at any time.
func (l *Listener) Send(frame []byte) error {
	c := l.conn.Load()
	if c == nil || l.deaf.Load() {
		return fmt.Errorf("sending on %q: %w", l.cfg.Interface, ErrBlind)
	}
	if err := c.send(frame); err != nil {
		return fmt.Errorf("sending on %q: %w", l.cfg.Interface, err)
	}
	return nil
}

// Run listens until ctx ends, and returns nil then. It returns an error only
// when trying again cannot help: the right to open a packet socket is missing
// (errors.Is os.ErrPermission), or the interface has no Ethernet frames
// (ErrNotEthernet). Run a Listener once.
//
// Every socket is opened on the goroutine that calls Run. With its thread
// locked in another network namespace, the Listener hears that namespace.
func (l *Listener) Run(ctx context.Context) error {
	if err := Permission(); err != nil { // also when the interface is missing for now
		return fmt.Errorf("listening on %q: %w", l.cfg.Interface, err)
	}
	for {
		err := l.listen(ctx)
		if err == nil || permanent(err) {
			return err
		}
		// The kernel did not answer about the interface: nothing is known of it.
		fault := err.Error()
		l.broken.Store(&fault)
		if l.cfg.State != nil {
			l.cfg.State(presence.Sensing{At: time.Now(), Interface: l.cfg.Interface, Blind: true, Why: fault})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(maxRetry):
		}
	}
}

// listen listens until ctx ends, or netlink fails.
func (l *Listener) listen(ctx context.Context) error {
	w, link, err := watchLink(l.cfg.Interface)
	if err != nil {
		return err
	}
	s := &session{Listener: l, watch: w, link: link}
	defer s.end()
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		if err := s.follow(); err != nil {
			return fmt.Errorf("listening on %q: %w", l.cfg.Interface, err)
		}
		if s.reader == nil && s.link.up {
			retry.Reset(time.Until(s.retryAt))
		}
		select {
		case <-ctx.Done():
			return nil
		case u, ok := <-s.watch.links:
			if err := s.linkChanged(u, ok); err != nil {
				return err
			}
		case u, ok := <-s.watch.addrs:
			if err := s.addrChanged(u.LinkIndex, ok); err != nil {
				return err
			}
		case err := <-s.readerEnd():
			s.failed(err)
		case <-retry.C:
		}
	}
}

// permanent reports whether dialling again cannot help.
func permanent(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, ErrNotEthernet)
}
