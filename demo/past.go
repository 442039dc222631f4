package demo

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"porchlight/presence"
)

// pastDays is how long Porchlight has known the household when the demo begins.
const pastDays = 7

// past returns what Porchlight would have stored after a week with the
// household, at the pace of the demo: it is heard by the same engine. Strangers
// are not in it.
func past(things []thing, addrs map[string]netip.Addr, now time.Time) []presence.Record {
	var records []presence.Record
	r := rand.New(rand.NewPCG(7, 7)) // one past for all stories
	for _, t := range things {
		if t.habit != stranger {
			records = append(records, week(t, addrs[t.key], now, r))
		}
	}
	return records
}

// week lets an engine hear one thing for a week, and returns what it learned.
func week(t thing, addr netip.Addr, now time.Time, r *rand.Rand) presence.Record {
	e := presence.New(presence.Config{
		AwayInitial: awayInitial, AwayMin: awayMin, AwayMax: awayMax, ProbeInterval: probeInterval,
		Passive: true, MaxTracked: -1,
	})
	hear := func(at time.Time, k presence.Kind) {
		s := presence.Sighting{At: at, Interface: observerInterface, MAC: t.mac, Addr: addr, Kind: k}
		if t.host != "" {
			s.DHCP = &presence.DHCP{HostName: t.host}
		}
		e.Sight(s)
	}
	leaves := func(at time.Time) { // heard last at at
		for n := range 6 {
			e.Asked(at.Add(time.Duration(4+n)*time.Second), presence.Probe{MAC: t.mac, Addr: addr})
		}
		d, _ := e.Device(t.mac.ID())
		e.Tick(at.Add(d.AwayAfter))
	}
	// Only what never leaves the house tells an outage from a departure
	// (presence: outages); so all phones were out daily, the sleepers too.
	for hour := pastDays * 24; hour > 0; hour-- {
		at := now.Add(-time.Duration(hour) * time.Hour)
		abroad := t.habit != stays && hour > 24 && hour%24 >= 8 && hour%24 < 16
		switch {
		case t.away && hour == 4, abroad && hour%24 == 15:
			hear(at, presence.ARPReply)
			leaves(at)
			continue
		case t.away && hour < 4, abroad:
			continue
		case t.habit != stays && hour%24 == 7:
			hear(at, presence.DHCPRequest)
		}
		hear(at, presence.ARPReply)
		silences(t.habit, at, r, hear)
	}
	if !t.away {
		hear(now, presence.ARPReply)
	}
	name := t.name
	e.Set(now, t.mac.ID(), presence.Change{Name: &name})
	record, _ := e.Record(t.mac.ID())
	return record
}

// silences are those of one hour, which begins at at.
func silences(h habit, at time.Time, r *rand.Rand, hear func(time.Time, presence.Kind)) {
	low, high, ends := 10*time.Second, napMax+2*time.Second, presence.ARPRequest
	switch h {
	case sleeps:
	case drops:
		low, high, ends = 9*time.Second, dropMax+2*time.Second, presence.DHCPRequest
	default:
		return
	}
	for _, minute := range []int{10, 30, 50} {
		begins := at.Add(time.Duration(minute) * time.Minute)
		hear(begins, presence.ARPReply)
		hear(begins.Add(between(r, low, high)), ends)
	}
}
