package household

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"porchlight/presence"
)

// lively is a Decider to whom the household is as lively as real ones are: the
// devices ask for each other, and beside them are a router with three addresses
// that looks after everyone when it boots, a pair of routers that stand in for
// each other, a sleep proxy, a repeater, guests who get the addresses of others,
// a docked laptop, border routers, and a server for booting.
type lively struct {
	*presence.Engine
	r    *rand.Rand
	out  presence.Output // of what was put in between
	next time.Time
	n    int
}

// machine is one of those beside the sixteen.
func machine(n int) presence.MAC { return presence.MAC{0x3c, 0x22, 0xfb, 0, 1, byte(n)} }

func host(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, byte(n)}) }

const (
	routerMAC = iota
	standbyMAC
	proxyMAC
	repeaterMAC
	dockMAC
	borderMAC
	bootMAC
	desktopMAC
	guestMAC // and those after it
)

// Sight lets what happens beside come first.
func (l *lively) Sight(s presence.Sighting) presence.Output {
	if s.Kind == presence.ARPRequest {
		s.Peer = host(1 + l.r.IntN(20))
	}
	l.beside(s.At)
	return join(l.out, l.Engine.Sight(s))
}

func (l *lively) Tick(now time.Time) presence.Output {
	l.beside(now)
	out := join(l.out, l.Engine.Tick(now))
	var probes []presence.Probe
	for _, p := range out.Probes {
		if p.MAC[1] == MAC(0)[1] {
			probes = append(probes, p)
		} else {
			l.Asked(now, p) // those beside the sixteen do not answer, but speak often
		}
	}
	out.Probes = probes
	return out
}

// join makes one output of two; of the first only the events are kept.
func join(first, second presence.Output) presence.Output {
	second.Events = append(first.Events, second.Events...)
	return second
}

func (l *lively) beside(now time.Time) {
	l.out = presence.Output{}
	for ; !l.next.After(now); l.next = l.next.Add(time.Minute) {
		l.n++
		l.minute(l.next)
	}
}

// minute is what happens in one.
func (l *lively) minute(at time.Time) {
	say := func(s presence.Sighting) {
		at = at.Add(20 * time.Millisecond)
		s.At = at
		if s.Interface == "" {
			s.Interface = "lan0"
		}
		out := l.Engine.Sight(s)
		l.out.Events = append(l.out.Events, out.Events...)
	}
	arp := func(m presence.MAC, k presence.Kind, a, peer netip.Addr) {
		say(presence.Sighting{MAC: m, Kind: k, Addr: a, Peer: peer})
	}
	guest := machine(guestMAC + l.n/240%40) // another one every four hours
	switch l.n % 10 {
	case 0: // the router asks, from each of its addresses
		for _, a := range []netip.Addr{host(1), netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("192.168.178.1")} {
			arp(machine(routerMAC), presence.ARPRequest, a, host(2+l.r.IntN(30)))
		}
	case 1: // routers that stand in for each other
		for _, m := range []presence.MAC{machine(standbyMAC), {0, 0, 0x5e, 0, 1, 7}, machine(routerMAC)} {
			arp(m, presence.ARPAnnouncement, host(254), netip.Addr{})
		}
	case 2, 7: // a desktop that sleeps and wakes, and who stands in for it
		m := machine(desktopMAC)
		if l.n%10 == 7 {
			m = machine(proxyMAC)
			arp(m, presence.ARPRequest, host(40), host(1))
		}
		arp(m, presence.ARPAnnouncement, host(41), netip.Addr{})
		arp(m, presence.ARPReply, host(41), netip.Addr{})
	case 3: // behind a repeater
		say(presence.Sighting{MAC: guest, Kind: presence.ARPRequest, Addr: host(50), Peer: host(1), Via: machine(repeaterMAC)})
		say(presence.Sighting{MAC: guest, Kind: presence.ARPReply, Addr: host(50), Unicast: true, Via: machine(repeaterMAC)})
	case 4: // guests come and get the address that others had, of other vendors
		m := guest
		m[0], m[1], m[2] = 0x24, 0x0a, byte(l.n/240%40)
		say(presence.Sighting{MAC: m, Kind: presence.DHCPRequest, Addr: host(50 + l.n/240%7), Peer: host(1), DHCP: &presence.DHCP{}})
		say(presence.Sighting{MAC: m, Kind: presence.DHCPAck, Addr: host(50 + l.n/240%7), Peer: host(1), Via: machine(routerMAC), DHCP: &presence.DHCP{}})
		arp(m, presence.ARPAnnouncement, host(50+l.n/240%7), netip.Addr{})
		arp(m, presence.ARPRequest, host(50+l.n/240%7), host(1))
	case 5: // a docked laptop has two
		arp(machine(dockMAC), presence.ARPRequest, host(60), host(1))
		arp(MAC(9), presence.ARPReply, host(60), netip.Addr{})
	case 6: // the router says what it gives, also for its other network; and a server for booting
		for _, a := range []netip.Addr{host(1), netip.MustParseAddr("192.168.1.1")} {
			say(presence.Sighting{MAC: guest, Kind: presence.DHCPOffer, Addr: host(50), Peer: a, Via: machine(routerMAC), DHCP: &presence.DHCP{}})
		}
		say(presence.Sighting{MAC: guest, Kind: presence.DHCPOffer, Peer: host(70), Via: machine(bootMAC), DHCP: &presence.DHCP{}})
	case 8: // a router, and a border router of a network of lamps
		ll := netip.MustParseAddr("fe80::1")
		say(presence.Sighting{MAC: machine(routerMAC), Kind: presence.NDPRouterAdvertisement, Addr: ll, Peer: ll})
		say(presence.Sighting{MAC: machine(borderMAC), Kind: presence.NDPRouterAdvertisement, Addr: ll.Next()})
	case 9: // once a day it looks after everyone that it knows
		if l.n%1440 < 10 {
			for n := range 45 {
				arp(machine(routerMAC), presence.ARPRequest, host(1), host(2+n))
			}
		}
	}
}

// TestCalm plays a lively home for weeks. There is no trouble in it.
func TestCalm(t *testing.T) {
	t.Parallel()
	for i := range min(seeds, 2) {
		seed := uint64(i)
		l := &lively{Engine: presence.New(presence.Config{Vendor: vendor}), r: rand.New(rand.NewPCG(seed, 7)), next: Start}
		odd := map[presence.EventType]string{}
		arrivals := 0
		watch := &listener{Decider: l, hear: func(e presence.Event) {
			switch {
			case e.Type == presence.Arrived:
				arrivals++
			case slices.Contains(presence.TroubleTypes(), e.Type):
				odd[e.Type] = e.Why
			}
		}}
		p := home(seed)
		p.Days = min(p.Days, 14)
		Run(p, watch)
		if len(odd) > 0 {
			t.Errorf("seed %d: %v", seed, odd)
		}
		if arrivals < 100 {
			t.Errorf("seed %d: only %d arrivals: nothing has happened", seed, arrivals)
		}
	}
}

// vendor says that all of one prefix are of one make.
func vendor(m presence.MAC) string { return m.String()[:8] }

// listener hears every event that a Decider gives out.
type listener struct {
	Decider
	hear func(presence.Event)
}

func (l *listener) take(out presence.Output) presence.Output {
	for _, e := range out.Events {
		l.hear(e)
	}
	return out
}

func (l *listener) Sight(s presence.Sighting) presence.Output { return l.take(l.Decider.Sight(s)) }
func (l *listener) Tick(now time.Time) presence.Output        { return l.take(l.Decider.Tick(now)) }
