package presence

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// asks is a question of device n for the address a.
func asksFor(n int, a netip.Addr) Sighting {
	s := sighting(n, ARPRequest)
	s.Peer = a
	return s
}

func TestScan(t *testing.T) {
	for name, test := range map[string]struct {
		gap       time.Duration
		addresses int
		rounds    int
		pause     time.Duration // between rounds
		want      int
	}{
		"a /24, quickly":               {time.Millisecond, 254, 1, 0, 1},
		"a /26":                        {20 * time.Millisecond, 62, 1, 0, 1},
		"a /24, one a second":          {time.Second, 254, 1, 0, 1},
		"every hour for a week":        {time.Millisecond, 254, 7 * 24, time.Hour, 1},
		"every evening":                {time.Millisecond, 254, 20, 24 * time.Hour, 1},
		"every Sunday":                 {time.Millisecond, 254, 4, 7 * 24 * time.Hour, 4},
		"everyone in a home":           {time.Millisecond, scanMany, 100, time.Minute, 0},
		"a /24, one every two seconds": {2 * time.Second, 254, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{Passive: true}, anchor(1))
			for range test.rounds {
				for n := range test.addresses {
					r.hear(asksFor(1, addr(n)))
					r.wait(test.gap)
				}
				r.wait(test.pause)
			}
			got := r.odd()
			if len(got) != test.want {
				t.Fatalf("%d events", len(got))
			}
			for _, e := range got {
				if e.Type != NetworkScan || e.ID != mac(1).ID() || !strings.Contains(e.Why, "more than 50 different addresses") {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

// TestScanFromNowhere: a scanner that has no address, and asks as if it wanted
// to have each.
func TestScanFromNowhere(t *testing.T) {
	r := newRig(t, Config{})
	for n := range 254 {
		r.hear(at(addr(n), sighting(1, ARPProbe)))
		r.wait(time.Millisecond)
	}
	if got, want := r.types(), []EventType{NewDevice, Arrived, NetworkScan}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}
