package demo

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"porchlight/presence"
)

// TestAnchors has only what never leaves the house vouch for the access point:
// a sleeper and one that drops its link would feign an outage, and hold back
// the departures of others.
func TestAnchors(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	r := rand.New(rand.NewPCG(1, 1))
	for _, th := range household(presence.MAC{0xb8, 0x27, 0xeb, 1, 2, 3}) {
		rec := week(th, netip.Addr{}, now, r)
		if left := rec.Since.After(rec.FirstSeen.Add(time.Hour)); left == (th.habit == stays) && th.habit != stranger {
			t.Errorf("%s: left in the past week: %v", th.key, left)
		}
	}
}

// TestPast has everyone known as they are at home, with timeouts that fit the story.
func TestPast(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	things := household(presence.MAC{0xb8, 0x27, 0xeb, 1, 2, 3})
	addrs := map[string]netip.Addr{"ann": netip.MustParseAddr("10.77.0.200")}
	byID := map[presence.ID]presence.Record{}
	e := presence.New(presence.Config{
		AwayInitial: awayInitial, AwayMin: awayMin, AwayMax: awayMax, ProbeInterval: probeInterval, MaxTracked: -1,
	})
	if out := e.Restore(now, past(things, addrs, now)); len(out.Events) > 0 {
		t.Errorf("events at the start: %+v", out.Events)
	}
	for _, d := range e.Devices() {
		byID[d.ID], _ = e.Record(d.ID)
	}
	for _, th := range things {
		r, known := byID[th.mac.ID()]
		if known != (th.habit != stranger) {
			t.Errorf("%s: known %v", th.key, known)
		}
		if !known {
			continue
		}
		if home := r.State == presence.Home; home == th.away || r.DisplayName() != th.name || r.HostName != th.host || !r.Tracked {
			t.Errorf("%s: %+v", th.key, r.Device)
		}
		low, high := awayMin, awayMin
		switch th.habit {
		case sleeps: // and is asked two seconds late
			low, high = napMax+probeInterval, 30*time.Second
		case drops:
			low, high = dropMax+probeInterval+time.Second, 20*time.Second
		}
		if r.AwayAfter < low || r.AwayAfter > high {
			t.Errorf("%s is away after %v, want %v to %v", th.key, r.AwayAfter, low, high)
		}
		if th.mac.Private() == (th.habit == stays || th.key == "laptop") {
			t.Errorf("%s has the MAC %s", th.key, th.mac)
		}
	}
	if got := byID[things[0].mac.ID()].Addr; got != addrs["ann"] {
		t.Errorf("Ann's phone had %s", got)
	}
}
