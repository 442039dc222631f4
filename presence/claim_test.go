package presence

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// at makes s be of another address.
func at(a netip.Addr, s Sighting) Sighting {
	s.Addr = a
	return s
}

// vendors names the makers of some prefixes.
func vendors(m MAC) string {
	return map[[3]byte]string{{0x3c, 0x22, 0xfb}: "Apple", {0xf0, 0x18, 0x98}: "Apple", {0x24, 0x0a, 0xc4}: "Espressif"}[[3]byte(m[:3])]
}

var (
	mac1, mac2 = MAC{0x3c, 0x22, 0xfb, 0, 0, 1}, MAC{0xf0, 0x18, 0x98, 0, 0, 2} // both of Apple
	board      = MAC{0x24, 0x0a, 0xc4, 0, 0, 3}
	unheardOf  = MAC{0x00, 0x99, 0x99, 0, 0, 4}
	private    = MAC{0x02, 0, 0, 0, 0, 5}
	shared     = netip.MustParseAddr("10.0.0.50")
)

func uses(m MAC, k Kind) Sighting {
	return Sighting{Interface: "eth0", MAC: m, Addr: shared, Kind: k}
}

// odd returns the events about troubles, and forgets all.
func (r *rig) odd() (odd []Event) {
	for _, e := range r.events {
		if _, ok := troubleOf(e); ok {
			odd = append(odd, e)
		}
	}
	r.events = nil
	return odd
}

// TestConflict says what is a conflict about an address, and what is none.
func TestConflict(t *testing.T) {
	type frame struct {
		after time.Duration
		Sighting
	}
	inTurn := func(gap time.Duration, macs ...MAC) (frames []frame) {
		for _, m := range macs {
			frames = append(frames, frame{gap, uses(m, ARPRequest)})
		}
		return frames
	}
	other := uses(board, ARPRequest)
	other.Interface = "eth0.7"
	for name, test := range map[string]struct {
		frames []frame
		want   int
	}{
		"in turn":                       {inTurn(20*time.Second, mac1, board, mac1, board), 1},
		"in turn, with private MACs":    {inTurn(20*time.Second, private, board, private, board), 1},
		"a reply and an announcement":   {[]frame{{0, uses(mac1, ARPReply)}, {1, uses(board, ARPAnnouncement)}, {1, uses(mac1, ARPReply)}, {1, uses(board, ARPAnnouncement)}}, 1},
		"goes on":                       {inTurn(20*time.Second, slices.Repeat([]MAC{mac1, board}, 1000)...), 1},
		"passed on once":                {inTurn(time.Second, mac1, mac1, board, board, board), 0},
		"a third one":                   {inTurn(time.Second, mac1, board, private, mac1, board, private), 0},
		"sleeps, and wakes":             {inTurn(20*time.Minute, slices.Repeat([]MAC{mac1, mac2}, 20)...), 0},
		"the lid shut, opened and shut": {inTurn(40*time.Second, mac1, mac2, mac1, mac2), 0},
		"VRRP":                          {inTurn(time.Second, slices.Repeat([]MAC{mac1, {0, 0, 0x5e, 0, 1, 9}}, 10)...), 0},
		"HSRP":                          {inTurn(time.Second, slices.Repeat([]MAC{{0, 0, 0x0c, 0x07, 0xac, 9}, board}, 10)...), 0},
		"another VLAN":                  {[]frame{{0, uses(mac1, ARPRequest)}, {0, other}, {0, uses(mac1, ARPRequest)}, {0, other}, {0, uses(mac1, ARPRequest)}}, 0},
		"two ask for it": {[]frame{
			{0, uses(mac1, ARPProbe)},
			{1, uses(board, ARPProbe)},
			{1, uses(mac1, DHCPRequest)},
			{1, uses(board, DHCPRequest)},
			{0, uses(mac1, ARPProbe)},
			{1, uses(board, ARPProbe)},
			{1, uses(mac1, DHCPRequest)},
			{1, uses(board, DHCPRequest)},
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{Vendor: vendors})
			r.mute = true
			for _, f := range test.frames {
				r.wait(f.after)
				r.hear(f.Sighting)
			}
			got := r.odd()
			if len(got) != test.want {
				t.Fatalf("events %+v", got)
			}
			for _, e := range got {
				if e.Type != AddressConflict || e.Addr != shared || len(e.Devices) != 2 || e.Devices[0].MAC == e.Devices[1].MAC {
					t.Errorf("%+v", e)
				}
				for _, d := range e.Devices {
					if d.ID != d.MAC.ID() || !strings.Contains(e.Why, d.MAC.String()) || !strings.Contains(e.Why, shared.String()) {
						t.Errorf("%q does not name %+v", e.Why, d)
					}
				}
			}
		})
	}
}

// TestConflictFound by the probes alone: both go by the address, and answer.
func TestConflictFound(t *testing.T) {
	r := newRig(t, Config{}, responsive(1), responsive(2))
	r.answers[mac(1)], r.answers[mac(2)] = true, true
	for n := 1; n <= 2; n++ {
		r.hear(at(shared, sighting(n, DHCPAck)))
		r.hear(at(shared, sighting(n, ARPRequest)))
		r.wait(13 * time.Second)
	}
	r.wait(2 * time.Minute)
	if got := r.odd(); len(got) != 1 || got[0].Type != AddressConflict || got[0].ID != mac(1).ID() {
		t.Errorf("events %+v", got)
	}
	r.wait(48 * time.Hour)
	if got := r.odd(); len(got) > 0 {
		t.Errorf("told again: %+v", got)
	}
	r.answers[mac(2)] = false
	r.wait(48 * time.Hour)
	r.hear(at(shared, sighting(2, ARPRequest)))
	r.answers[mac(2)] = true
	r.wait(2 * time.Minute)
	if got := r.odd(); len(got) != 1 || got[0].Type != AddressConflict {
		t.Errorf("not told when it is back: %+v", got)
	}
}

// TestVendorChanged says when another make at an address is odd.
func TestVendorChanged(t *testing.T) {
	lease := []Told{{MAC: board, Addr: shared}}
	for name, test := range map[string]struct {
		was, is MAC
		gone    bool // the one before has left meanwhile
		before  func(*rig)
		want    bool
	}{
		"the hardware was exchanged":     {mac1, board, true, nil, true},
		"at once":                        {mac1, board, false, nil, true},
		"a maker that is not known":      {mac1, unheardOf, true, nil, true},
		"the same maker":                 {mac1, mac2, true, nil, false},
		"a private MAC":                  {mac1, private, true, nil, false},
		"a private MAC before":           {private, board, true, nil, false},
		"by DHCP":                        {mac1, board, true, func(r *rig) { r.hear(uses(board, DHCPRequest)) }, false},
		"the server says so":             {mac1, board, true, func(r *rig) { r.hear(at(addr(9), uses(board, DHCPDiscover))); r.hear(uses(board, DHCPAck)) }, false},
		"a lease says so":                {mac1, board, true, func(r *rig) { r.take(r.e.Tell(r.now, NameFromLease, lease)) }, false},
		"it has an address of its own":   {mac1, board, true, func(r *rig) { r.hear(at(addr(9), uses(board, ARPRequest))) }, false},
		"the other has another now":      {mac1, board, false, func(r *rig) { r.wait(5 * time.Minute); r.hear(at(addr(9), uses(mac1, ARPRequest))) }, false},
		"while nothing could be heard":   {mac1, board, true, func(r *rig) { r.sense("eth0", true); r.sense("eth0", false) }, false},
		"known before, under no address": {mac1, board, true, func(r *rig) { r.hear(at(netip.Addr{}, uses(board, DHCPDiscover))) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{Vendor: vendors})
			r.mute = true
			for range 3 {
				r.hear(uses(test.was, ARPRequest))
				r.wait(time.Minute)
			}
			if test.gone {
				r.wait(time.Hour)
			}
			if test.before != nil {
				test.before(r)
			}
			r.events = nil
			for range 10 {
				r.hear(uses(test.is, ARPRequest))
				r.wait(30 * time.Second)
			}
			got := r.odd()
			if (len(got) == 1) != test.want || len(got) > 1 {
				t.Fatalf("events %+v", got)
			}
			if !test.want {
				return
			}
			e := got[0]
			if e.Type != VendorChanged || e.MAC != test.is || e.Addr != shared || e.Devices[0].MAC != test.was || e.Devices[1].MAC != test.is ||
				!strings.Contains(e.Why, test.was.String()+", Apple") || !strings.Contains(e.Why, test.is.String()) {
				t.Errorf("%+v", e)
			}
		})
	}
}

// TestClaimFlood: thousands of made-up MACs claim one address, and one MAC
// claims thousands. There is no flood of events, and nothing grows.
func TestClaimFlood(t *testing.T) {
	r := newRig(t, Config{Vendor: vendors}, anchor(1))
	r.answers[mac(1)] = true
	home := func(n int) Sighting {
		return Sighting{Interface: "eth0", MAC: madeUp(n), Addr: addr(1), Kind: ARPReply}
	}
	for n := range 20000 {
		r.hear(home(n))
		if n%10 == 0 {
			r.hear(sighting(1, ARPReply))
		}
		r.wait(20 * time.Millisecond)
	}
	if got := r.odd(); len(got) > 0 {
		t.Errorf("%d events, the first %+v", len(got), got[0])
	}
	for n := range 40000 {
		s := Sighting{Interface: fmt.Sprintf("eth0.%d", n%4000), MAC: madeUp(n % 2000), Kind: ARPRequest}
		s.Addr, s.Peer = netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), addr(n)
		r.hear(s)
		r.hear(at(s.Addr, sighting(1, ARPReply)))
	}
	if n := len(r.e.claims.young) + len(r.e.claims.old); n > 2*maxClaims {
		t.Errorf("%d addresses are watched", n)
	}
	if got := len(r.odd()); got > 3*maxTroubles {
		t.Errorf("%d events", got)
	}
	if d := r.device(1); d.State != Home || d.Addr != addr(1) {
		t.Errorf("the one who is really there is %s at %s", d.State, d.Addr)
	}
}
