package presence

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// offer is what the server at the address of device n, with the MAC of device m,
// says to a client; m 0: the client says it, by naming the server.
func offer(n, m int) Sighting {
	s := sighting(200, DHCPOffer)
	s.Peer = addr(n)
	if m == 0 {
		s.Kind = DHCPRequest
		return s
	}
	s.Via = mac(m)
	return s
}

// router is what the router with the link-local address of device n says.
func router(n, m int) Sighting {
	return Sighting{Interface: "eth0", MAC: mac(m), Addr: own6(n), Peer: own6(n), Kind: NDPRouterAdvertisement}
}

func TestServers(t *testing.T) {
	boot := at(netip.Addr{}, offer(2, 2))
	elsewhere := offer(2, 2)
	elsewhere.Interface = "eth0.7"
	quiet := router(2, 2)
	quiet.Peer = netip.Addr{}
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		gap  time.Duration
		say  []Sighting
		kind EventType
		want int
	}{
		"one server":                       {time.Hour, []Sighting{offer(1, 1), offer(1, 0), offer(1, 1)}, SecondDHCP, 0},
		"two servers":                      {time.Hour, []Sighting{offer(1, 1), offer(2, 2), offer(1, 1), offer(2, 2)}, SecondDHCP, 1},
		"named by clients only":            {time.Hour, []Sighting{offer(1, 0), offer(2, 0), offer(1, 0), offer(2, 0)}, SecondDHCP, 1},
		"three servers":                    {time.Hour, []Sighting{offer(1, 1), offer(2, 2), offer(3, 3)}, SecondDHCP, 2},
		"one with two addresses":           {time.Hour, []Sighting{offer(1, 1), offer(2, 1), offer(1, 0), offer(2, 0)}, SecondDHCP, 0},
		"one that is known otherwise":      {time.Hour, []Sighting{offer(1, 1), at(addr(2), sighting(1, ARPRequest)), offer(2, 0)}, SecondDHCP, 0},
		"another MAC at the same address":  {time.Hour, []Sighting{offer(1, 1), offer(1, 2), offer(1, 1)}, SecondDHCP, 0},
		"VRRP":                             {time.Hour, []Sighting{offer(1, 1), {Interface: "eth0", Kind: DHCPOffer, MAC: mac(9), Addr: addr(9), Peer: addr(2), Via: MAC{0, 0, 0x5e, 0, 1, 7}}}, SecondDHCP, 0},
		"where to boot from":               {time.Hour, []Sighting{offer(1, 1), boot}, SecondDHCP, 0},
		"beside VRRP":                      {time.Hour, []Sighting{{Interface: "eth0", Kind: DHCPOffer, MAC: mac(9), Addr: addr(9), Peer: addr(2), Via: MAC{0, 0, 0x5e, 0, 1, 7}}, offer(1, 1)}, SecondDHCP, 1},
		"in another VLAN":                  {time.Hour, []Sighting{offer(1, 1), elsewhere}, SecondDHCP, 0},
		"every week":                       {7 * day, []Sighting{offer(1, 1), offer(2, 2), offer(1, 1), offer(2, 2), offer(1, 1), offer(2, 2)}, SecondDHCP, 1},
		"back after long":                  {20 * day, []Sighting{offer(1, 1), offer(2, 2), offer(1, 1), offer(1, 1), offer(1, 1), offer(2, 2)}, SecondDHCP, 1},
		"the first has been gone for long": {40 * day, []Sighting{offer(1, 1), offer(2, 2)}, SecondDHCP, 0},
		"one router":                       {time.Minute, []Sighting{router(1, 1), router(1, 1)}, SecondRouter, 0},
		"two routers":                      {time.Minute, []Sighting{router(1, 1), router(2, 2), router(1, 1), router(2, 2)}, SecondRouter, 1},
		"not as the default one":           {time.Minute, []Sighting{router(1, 1), quiet}, SecondRouter, 0},
		"a router and a server":            {time.Minute, []Sighting{router(1, 1), offer(2, 2)}, SecondRouter, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{Passive: true})
			for _, s := range test.say {
				r.hear(s)
				r.wait(test.gap)
			}
			got := r.odd()
			if len(got) != test.want {
				t.Fatalf("events %+v", got)
			}
			for _, e := range got {
				if e.Type != test.kind || e.Interface != "eth0" || len(e.Devices) != 2 || e.Devices[1].Addr != e.Addr ||
					!strings.Contains(e.Why, e.Addr.String()) || !strings.Contains(e.Why, e.Devices[0].Addr.String()) {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

// TestServerFlood: a client that names a server anew in each frame.
func TestServerFlood(t *testing.T) {
	r := newRig(t, Config{Passive: true})
	r.hear(offer(1, 1))
	for n := range 10000 {
		s := offer(n+2, 0)
		if n%2 == 0 {
			s.Interface = "eth0." + Words(time.Duration(n)*time.Hour)
		}
		r.hear(s)
		r.wait(time.Millisecond)
	}
	if got := len(r.odd()); got > maxTroubles {
		t.Errorf("%d events", got)
	}
	if len(r.e.servers) > maxSegments || len(r.e.servers[service{"eth0", SecondDHCP}]) > maxServers {
		t.Errorf("%d segments, %d servers", len(r.e.servers), len(r.e.servers[service{"eth0", SecondDHCP}]))
	}
}

// TestTroubleTypes: each is an event type, and is told once.
func TestTroubleTypes(t *testing.T) {
	for _, kind := range TroubleTypes() {
		if _, once := troubleOf(Event{Type: kind}); !once || !slices.Contains(EventTypes(), kind) {
			t.Errorf("%s", kind)
		}
	}
	for _, kind := range EventTypes() {
		if _, once := troubleOf(Event{Type: kind}); once && !slices.Contains(TroubleTypes(), kind) {
			t.Errorf("%s is not listed", kind)
		}
	}
}
