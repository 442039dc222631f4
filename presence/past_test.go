package presence

import (
	"net/netip"
	"testing"
	"time"
)

// An outage is told when it is over: from when the last was heard until half of
// them are back, or until it was too long for a restart.
func TestOutageIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		back           bool
		least, longest time.Duration
	}{
		"they come back": {true, 2 * time.Minute, 4 * time.Minute},
		"they are gone":  {false, 4 * time.Minute, 6 * time.Minute},
	} {
		r := house(t, Config{OutageHold: 4 * time.Minute})
		clear(r.answers)
		began := r.now
		r.wait(3 * time.Minute)
		if len(r.outages) > 0 {
			t.Errorf("%s: told early: %+v", name, r.outages)
		}
		if c.back {
			for i := 1; i <= 5; i++ {
				r.answers[mac(i)] = true
			}
		}
		r.wait(30 * time.Minute)
		if len(r.outages) != 1 {
			t.Fatalf("%s: outages %+v", name, r.outages)
		}
		o := r.outages[0]
		if length := o.To.Sub(o.From); o.Interface != "eth0" || o.From.After(began.Add(time.Minute)) || o.From.Before(began.Add(-time.Minute)) ||
			length < c.least || length > c.longest {
			t.Errorf("%s: outage %+v, it began at %s", name, o, began)
		}
	}
}

// Only what DHCP says of an address of a device that is known is a lease.
func TestLeased(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	addr := netip.MustParseAddr("192.168.7.20")
	for name, c := range map[string]struct {
		s    Sighting
		want bool
	}{
		"given":            {Sighting{MAC: mac(1), Addr: addr, Kind: DHCPAck}, true},
		"asked for":        {Sighting{MAC: mac(1), Addr: addr, Kind: DHCPRequest}, true},
		"offered":          {Sighting{MAC: mac(1), Addr: addr, Kind: DHCPOffer}, false},
		"ARP":              {Sighting{MAC: mac(1), Addr: addr, Kind: ARPReply}, false},
		"no address":       {Sighting{MAC: mac(1), Kind: DHCPAck}, false},
		"nobody's address": {Sighting{MAC: mac(1), Addr: netip.IPv4Unspecified(), Kind: DHCPAck}, false},
		"of somebody else": {Sighting{MAC: mac(9), Addr: addr, Kind: DHCPAck}, false},
	} {
		if id, ok := r.e.Leased(c.s); ok != c.want || ok && id != mac(1).ID() {
			t.Errorf("%s: %s, %t", name, id, ok)
		}
	}
}
