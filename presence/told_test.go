package presence

import (
	"net/netip"
	"testing"
	"time"
)

// tell has a source tell r's engine.
func (r *rig) tell(from NameSource, told ...Told) {
	r.changed = nil
	r.take(r.e.Tell(r.now, from, told))
}

func (r *rig) named(n int, name string, from NameSource) {
	r.t.Helper()
	if d := r.device(n); d.HostName != name || d.HostNameSource != from {
		r.t.Errorf("device %d is called %q by %q, want %q by %q", n, d.HostName, d.HostNameSource, name, from)
	}
}

// A lease never makes a device, nor brings one home.
func TestLeaseIsNoPresence(t *testing.T) {
	r := newRig(t, Config{}, Record{Device: Device{ID: mac(2).ID(), MAC: mac(2), State: NotHome, FirstSeen: t0, LastSeen: t0}})
	r.tell(NameFromLease, Told{mac(1), addr(1), "kettle"}, Told{mac(2), addr(2), "toaster"})
	if n := len(r.e.Devices()); n != 1 || len(r.events) > 0 {
		t.Fatalf("%d devices, events %+v", n, r.events)
	}
	r.named(2, "toaster", NameFromLease)
	if d := r.device(2); d.State != NotHome || len(r.changed) != 1 || d.Addr.IsValid() {
		t.Errorf("device %+v, changed %+v", d, r.changed)
	}
	r.tell(NameFromLease, Told{mac(1), addr(1), "kettle"}, Told{mac(2), addr(2), "toaster"})
	if len(r.changed) > 0 {
		t.Errorf("changed by nothing new: %+v", r.changed)
	}

	// Who was heard without a name has it from the first event on.
	r.hear(sighting(1, ARPRequest))
	r.named(1, "kettle", NameFromLease)
	if len(r.events) != 2 || r.events[0].Type != NewDevice || r.events[0].Name != "kettle" {
		t.Errorf("events %+v", r.events)
	}
}

// An address in a lease is where to ask a device that was never heard with one.
func TestLeaseTellsWhereToAsk(t *testing.T) {
	r := newRig(t, Config{}, Record{Device: Device{ID: mac(1).ID(), MAC: mac(1), Interface: "eth0", State: NotHome, Since: t0.Add(-time.Hour), FirstSeen: t0, LastSeen: t0}})
	r.answers[mac(1)] = true
	r.wait(time.Minute)
	if len(r.probes) > 0 {
		t.Fatalf("asked nowhere: %+v", r.probes)
	}
	r.tell(NameFromLease, Told{MAC: mac(1), Addr: addr(1)})
	r.wait(time.Minute)
	if d := r.device(1); d.State != Home || d.Addr != addr(1) {
		t.Errorf("asked %+v, device %+v", r.probes, d)
	}

	// Who has an address is not asked at another.
	r.tell(NameFromLease, Told{MAC: mac(1), Addr: addr(9)})
	r.probes = nil
	r.wait(time.Hour)
	for _, p := range r.probes {
		if p.Addr != addr(1) {
			t.Fatalf("asked at %v", p.Addr)
		}
	}
}

// Who was never heard is not asked, whatever a lease says: nobody knows on which
// interface.
func TestLeaseOfUnheard(t *testing.T) {
	r := newRig(t, Config{Declared: []Declaration{declare(1, Change{Name: ptr("Anna")})}})
	r.tell(NameFromLease, Told{MAC: mac(1), Addr: addr(1)})
	r.wait(25 * time.Hour)
	if len(r.probes) > 0 {
		t.Errorf("asked %d times, first %+v", len(r.probes), r.probes[0])
	}
	s := sighting(1, DHCPRequest)
	s.Addr = netip.Addr{}
	r.hear(s)
	r.wait(time.Minute)
	if len(r.probes) == 0 || r.probes[0].Interface != "eth0" || r.probes[0].Addr != addr(1) {
		t.Errorf("asked %d times once it was heard", len(r.probes))
	}
}

// A lease says nothing new about where to ask a device that goes by IPv6: it is
// asked where it answers, and not every second time where it never did.
func TestLeaseOfIPv6Only(t *testing.T) {
	lease := Told{MAC: mac(1), Addr: addr(1)}
	for name, tell := range map[string]func(*rig){
		"lease first": func(r *rig) {
			r.tell(NameFromLease, lease)
			r.hear(say6(NDPDad, local6))
		},
		"lease after it": func(r *rig) {
			r.hear(say6(NDPDad, local6))
			r.tell(NameFromLease, lease)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			tell(r)
			r.wait(80 * time.Second) // the first probes are lost
			answer := say6(NDPAdvertisement, local6)
			answer.Unicast = true
			r.hear(answer)
			r.tell(NameFromLease, lease, Told{MAC: mac(2), Addr: addr(2)})
			r.sends()
			r.wait(9 * time.Minute)
			probes := r.sends()
			for _, p := range probes {
				if p.Addr != local6 {
					t.Fatalf("asked at %s", p.Addr)
				}
			}
			if len(probes) < 4 {
				t.Errorf("asked %d times", len(probes))
			}
		})
	}
}

// The better source wins; the device itself is the best, the user better still.
func TestNameSources(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	answer := func(from NameSource, name string) { r.tell(from, Told{mac(1), r.device(1).Addr, name}) }
	answer(NameFromDNS, "dns")
	r.named(1, "dns", NameFromDNS)
	answer(NameFromMDNS, "mdns")
	answer(NameFromDNS, "dns again")
	r.named(1, "mdns", NameFromMDNS)
	r.tell(NameFromHosts, Told{Addr: r.device(1).Addr, Name: "hosts"})
	answer(NameFromMDNS, "mdns again")
	r.named(1, "hosts", NameFromHosts)
	r.tell(NameFromLease, Told{MAC: mac(1), Name: "lease"})
	r.tell(NameFromHosts, Told{Addr: r.device(1).Addr, Name: "hosts again"})
	r.named(1, "lease", NameFromLease)
	r.tell(NameFromLease, Told{MAC: mac(1), Name: "renamed"})
	r.named(1, "renamed", NameFromLease)
	r.tell(NameFromLease) // the lease has run out
	r.named(1, "renamed", NameFromLease)

	s := sighting(1, DHCPRequest)
	s.DHCP = &DHCP{HostName: "itself"}
	r.hear(s)
	r.named(1, "itself", NameFromDHCP)
	r.tell(NameFromLease, Told{MAC: mac(1), Name: "lease"})
	r.named(1, "itself", NameFromDHCP)

	name := "Ann's"
	out, _ := r.e.Set(r.now, mac(1).ID(), Change{Name: &name})
	r.take(out)
	if d := r.device(1); d.DisplayName() != name {
		t.Errorf("it is shown as %q", d.DisplayName())
	}
}

// A name from before this was known counts as the device's own.
func TestNameOfUnknownSource(t *testing.T) {
	rec := responsive(1)
	rec.HostName = "old"
	r := newRig(t, Config{}, rec)
	r.tell(NameFromLease, Told{MAC: mac(1), Name: "lease"})
	r.named(1, "old", "")
}

// The names of an address stay with it when the device goes.
func TestNamesOfAddresses(t *testing.T) {
	six := netip.MustParseAddr("fd00::3")
	hosts := []Told{{Addr: addr(1), Name: "one"}, {Addr: addr(2), Name: "two"}, {Addr: six, Name: "six"}}
	for name, tc := range map[string]struct {
		from NameSource
		told Told
		want string // after the move to another address
		by   NameSource
	}{
		"hosts file": {NameFromHosts, Told{}, "two", NameFromHosts},
		"DNS":        {NameFromDNS, Told{mac(1), addr(1), "dns"}, "two", NameFromHosts},
		"mDNS":       {NameFromMDNS, Told{mac(1), addr(1), "mdns"}, "two", NameFromHosts},
		"lease":      {NameFromLease, Told{mac(1), addr(1), "lease"}, "lease", NameFromLease},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.hear(sighting(1, ARPRequest))
			if tc.from != NameFromHosts {
				r.tell(tc.from, tc.told)
				r.named(1, tc.told.Name, tc.from)
			}
			r.tell(NameFromHosts, hosts...)
			r.wait(2 * addrHold)
			s := sighting(1, ARPRequest)
			s.Addr = addr(2)
			r.hear(s)
			r.named(1, tc.want, tc.by)
		})
	}

	r := newRig(t, Config{})
	r.tell(NameFromHosts, hosts[0], hosts[2])
	r.hear(sighting(1, ARPRequest))
	r.named(1, "one", NameFromHosts)
	r.wait(2 * addrHold)
	s := sighting(1, ARPRequest)
	s.Addr = addr(7)
	r.hear(s)
	r.named(1, "", "")
	s.Addr, s.Kind = six, NDPAdvertisement
	r.hear(s)
	r.named(1, "six", NameFromHosts)

	// An answer that comes late is about who had the address then.
	r.tell(NameFromMDNS, Told{mac(1), addr(1), "late"})
	r.named(1, "six", NameFromHosts)
}

func TestDirectory(t *testing.T) {
	dir := newDirectory([]Told{
		{mac(1), addr(1), "first"},
		{mac(1), addr(2), ""},
		{mac(1), netip.MustParseAddr("fd00::1"), "second"},
		{MAC{1, 1, 1, 1, 1, 1}, addr(3), "group"},
		{Addr: addr(4), Name: "hosts"},
		{Addr: addr(5)},
	})
	if want := (Told{mac(1), addr(2), "second"}); dir.byMAC[mac(1)] != want || len(dir.byMAC) != 1 {
		t.Errorf("by MAC: %+v", dir.byMAC)
	}
	if dir.byAddr[addr(4)] != "hosts" || len(dir.byAddr) != 1 {
		t.Errorf("by address: %+v", dir.byAddr)
	}
}
