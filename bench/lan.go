package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"porchlight/lab"
)

// lan is a lab with an observer, a population and, if wanted, a broker.
type lan struct {
	*lab.Lab
	obs     *lab.Observer
	pop     *lab.Population
	broker  *lab.Broker // nil: none
	address string      // of the broker that is watched, host:port
}

// raise raises a LAN without a DHCP server. config are lines for mosquitto.
func raise(ctx context.Context, prefix string, mosquitto bool, config ...string) (*lan, error) {
	return raiseWith(ctx, lab.Options{Prefix: netip.MustParsePrefix(prefix)}, mosquitto, config...)
}

func raiseWith(ctx context.Context, o lab.Options, mosquitto bool, config ...string) (l *lan, err error) {
	l = &lan{}
	o.NoGateway = true
	if l.Lab, err = lab.New(ctx, o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.obs, err = l.Observer("lan0", lab.WithAddr(l.Static(0))); err != nil {
		return nil, err
	}
	if l.pop, err = l.Population(); err != nil || !mosquitto {
		return l, err
	}
	// By default mosquitto drops what a subscriber to thousands of retained
	// messages cannot take at once, and the watch would miss it.
	config = append(config, "max_queued_messages 0")
	l.broker, err = lab.Mosquitto(ctx, lab.MosquittoOptions{Host: l.obs.Host, Config: strings.Join(config, "\n") + "\n"})
	if err == nil {
		l.address = l.broker.Addr()
	}
	return l, err
}

func (l *lan) close() {
	if l.broker != nil {
		_ = l.broker.Close()
	}
	_ = l.Close()
}

// resident adds a device that is always there and answers, as a router does, at
// the LAN's last address.
func (l *lan) resident() (*lab.Device, error) {
	return l.pop.Add(lab.Identity{Addr: l.nth(l.size() - 2), HostName: "router"}, lab.Behaviour{})
}

// size is the number of addresses of the LAN.
func (l *lan) size() int { return 1 << (32 - l.Prefix().Bits()) }

// nth returns the LAN's i-th address, from 0 on.
func (l *lan) nth(i int) netip.Addr {
	a := l.Prefix().Addr().As4()
	return netip.AddrFrom4([4]byte{a[0], a[1], a[2] | byte(i>>8), a[3] | byte(i)})
}

// id is the name of a device in topics.
func id(d *lab.Device) string { return fmt.Sprintf("%x", d.MAC[:]) }

// spread adds n devices at random addresses of the LAN.
func (l *lan) spread(r *rand.Rand, n int, b lab.Behaviour) error {
	for len(l.pop.Devices()) < n {
		i := 16 + r.IntN(l.size()-32)
		// An address that is taken is drawn again.
		_, _ = l.pop.Add(lab.Identity{Addr: l.nth(i), HostName: fmt.Sprintf("host-%d", i)}, b)
	}
	return nil
}

// firstIPv6 is the first address of the devices that have IPv6 only.
var firstIPv6 = netip.MustParseAddr("fe80::1:0:0")

// join is one of the frames that devices say when they come.
func join(i int, d *lab.Device) (time.Time, error) {
	if d.Addr.Is6() {
		switch i % 4 {
		case 0:
			return d.Report()
		case 1:
			return d.SolicitRouter()
		}
	}
	switch i % 4 {
	case 0:
		return d.Request()
	case 1:
		return d.Discover()
	case 2:
		return d.Announce()
	}
	return d.Probe()
}

// chat has every device that is awake send a frame by itself about once per
// period, until ctx ends.
func chat(ctx context.Context, devices []*lab.Device, target netip.Addr, period time.Duration) {
	for ctx.Err() == nil {
		_ = lab.Pace(ctx, devices, float64(len(devices))/period.Seconds(), func(d *lab.Device) error {
			_, err := d.Ask(target)
			return err
		})
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
