package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gopacket/gopacket/macs"
	"golang.org/x/sync/errgroup"

	"porchlight/arpwatch"
	"porchlight/config"
	"porchlight/dhcpwatch"
	"porchlight/doctor"
	"porchlight/ndpwatch"
	"porchlight/presence"
	"porchlight/reach"
)

// lan is the interfaces that are listened to and asked on.
type lan struct {
	arp   []*arpwatch.Watcher
	dhcp  []*dhcpwatch.Watcher
	ndp   []*ndpwatch.Watcher
	reach *reach.Prober // nil: nobody is asked beyond the segments
	names []string
	sweep arpwatch.SweepOptions
	own   *ownEar
	told  *tally
}

// ear is who is told of what the LAN says.
type ear interface {
	Sight(presence.Sighting)
	Sense(presence.Sensing)
}

// openLAN makes the watchers of the interfaces; run starts them.
func openLAN(names []string, cfg config.Config, e ear, log *slog.Logger) (*lan, error) {
	l := &lan{names: names, sweep: arpwatch.SweepOptions{
		Prefixes: cfg.SweepPrefixes, Rate: int(cfg.SweepRate), SkipHeard: cfg.SweepInterval,
	}}
	l.told = newTally(names)
	l.own = newOwnEar(e, names, log)
	e = l.told.ear(l.own)
	for _, name := range names {
		arp, err := arpwatch.New(arpwatch.Config{Interface: name, Sight: e.Sight, Sense: e.Sense, Log: log})
		if err != nil {
			return nil, err
		}
		dhcp, err := dhcpwatch.New(dhcpwatch.Config{Interface: name, Sight: e.Sight, Log: log})
		if err != nil {
			return nil, err
		}
		ndp, err := ndpwatch.New(ndpwatch.Config{Interface: name, Sight: e.Sight, Log: log})
		if err != nil {
			return nil, err
		}
		l.arp, l.dhcp, l.ndp = append(l.arp, arp), append(l.dhcp, dhcp), append(l.ndp, ndp)
	}
	return l, nil
}

// run listens until ctx ends.
func (l *lan) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.own.run(ctx) })
	for _, w := range l.arp {
		g.Go(func() error { return w.Run(ctx) })
	}
	for _, w := range l.dhcp {
		g.Go(func() error { return w.Run(ctx) })
	}
	for _, w := range l.ndp {
		g.Go(func() error { return w.Run(ctx) })
	}
	if l.reach != nil {
		g.Go(func() error { return l.reach.Run(ctx) })
	}
	return g.Wait()
}

// problems says where nothing is heard by IPv6, and where ARP is ambiguous; what
// is not heard at all the ear is told.
func (l *lan) problems() (all []string) {
	for _, w := range l.ndp {
		if p := w.Problem(); p != "" {
			all = append(all, p)
		}
	}
	return append(all, l.own.problems()...)
}

// Probe sends p on its interface, or on the one that its VLAN comes through.
func (l *lan) Probe(p presence.Probe) error {
	if p.Reach != (presence.Reach{}) && l.reach != nil {
		return l.reach.Probe(p)
	}
	for name := range presence.Trunks(p.Interface) {
		if i := slices.Index(l.names, name); i >= 0 {
			if p.Addr.Is6() {
				return l.ndp[i].Probe(p)
			}
			return l.arp[i].Probe(p)
		}
	}
	return fmt.Errorf("interface %q is not listened to", p.Interface)
}

// Sweep asks on all interfaces at once, each at the set rate. Just after the start
// it waits for each to say whether it hears, so that none is left out.
func (l *lan) Sweep(ctx context.Context) error {
	l.told.wait(ctx)
	errs := make([]error, len(l.arp))
	var g errgroup.Group
	for i, w := range l.arp {
		g.Go(func() error {
			opt := l.sweep
			opt.Prefixes = prefixesOn(l.names[i], opt.Prefixes)
			_, errs[i] = w.Sweep(ctx, opt)
			return nil
		})
	}
	_ = g.Wait()
	if slices.Contains(errs, nil) {
		return nil // one that worked is a sweep; who cannot hear says so itself
	}
	return errors.Join(errs...)
}

// prefixesOn returns those of the set prefixes that are to be asked on an
// interface: the ones that its own subnets are part of, if there are any.
func prefixesOn(name string, set []netip.Prefix) (on []netip.Prefix) {
	i, err := net.InterfaceByName(name)
	if err != nil || len(set) == 0 {
		return set
	}
	addrs, _ := i.Addrs()
	for _, p := range set {
		if slices.ContainsFunc(addrs, func(a net.Addr) bool {
			own, err := netip.ParsePrefix(a.String())
			return err == nil && own.Overlaps(p)
		}) {
			on = append(on, p)
		}
	}
	if len(on) == 0 {
		return set
	}
	return on
}

// interfaces returns the names of the interfaces to listen on: those that are
// set, else the default route's. One that is set may be missing for now, if not
// all are.
func interfaces(cfg config.Config) ([]string, error) {
	names, err := doctor.Interfaces(cfg.Interfaces)
	if err != nil {
		return nil, fmt.Errorf("looking for the default route: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("this machine has no default route to tell its LAN by: set PORCHLIGHT_INTERFACES to one or more of %s", existing())
	}
	there := 0
	for _, name := range names {
		i, err := net.InterfaceByName(name)
		if err != nil {
			continue
		}
		there++
		if i.Flags&net.FlagLoopback != 0 || len(i.HardwareAddr) != 6 {
			return nil, fmt.Errorf("interface %q is not Ethernet, so nobody can be heard on it: set PORCHLIGHT_INTERFACES to one or more of %s", name, existing())
		}
	}
	if there == 0 {
		return nil, fmt.Errorf("there is no interface %s: set PORCHLIGHT_INTERFACES to one or more of %s", quoted(names), existing())
	}
	return names, nil
}

func quoted(names []string) string {
	var q []string
	for _, name := range names {
		q = append(q, strconv.Quote(name))
	}
	return strings.Join(q, " or ")
}

// existing lists the interfaces that could be set.
func existing() string {
	all, _ := net.Interfaces()
	var names []string
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && len(i.HardwareAddr) == 6 {
			names = append(names, i.Name)
		}
	}
	if len(names) == 0 {
		return "(this machine has no Ethernet-like interface)"
	}
	return strings.Join(names, ", ")
}

// ownMACs are the addresses of this machine, which is no device.
func ownMACs() (own []presence.MAC) {
	all, _ := net.Interfaces()
	for _, i := range all {
		if m, ok := presence.MACFrom(i.HardwareAddr); ok {
			own = append(own, m)
		}
	}
	return own
}

// vendor names the holder of a MAC's prefix (IEEE MA-L).
func vendor(m presence.MAC) string {
	return presence.CleanText(macs.ValidMACPrefixMap[[3]byte(m[:3])], 64)
}

// engineConfig is the part of the settings that the engine decides by.
func engineConfig(cfg config.Config) presence.Config {
	var nudge []presence.DeviceKind
	for _, kind := range cfg.Nudge {
		nudge = append(nudge, presence.DeviceKind(kind))
	}
	return presence.Config{
		Nudge:         nudge,
		FalseAways:    cfg.FalseAways,
		AwayInitial:   cfg.AwayInitial,
		AwayMin:       cfg.AwayMin,
		AwayMax:       cfg.AwayMax,
		AwayAfter:     cfg.AwayAfter,
		WiFiAwayAfter: cfg.HostapdAwayAfter,
		ProbeInterval: cfg.ProbeInterval,
		OutageHold:    cmp.Or(cfg.OutageHold, -1),
		ForgetAfter:   cfg.ForgetAfter,
		Track:         presence.TrackPolicy(cfg.Track),
		NewGuests:     presence.GuestPolicy(cfg.NewGuests),
		MaxTracked:    cfg.MaxTracked,
		MaxDevices:    max(16384, 2*cfg.MaxTracked),
		Vendor:        vendor,
	}
}
