package presence

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAddresses says, step by step, by which address a device goes.
func TestAddresses(t *testing.T) {
	type step struct {
		after time.Duration
		kind  Kind
		addr  string
		want  string // the address that it goes by then
		event bool
	}
	const long = 5 * time.Minute
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"another address", []step{
			{0, ARPRequest, "10.0.0.9", "10.0.0.1", false}, // the first is still fresh
			{long, ARPRequest, "10.0.0.9", "10.0.0.9", true},
		}},
		{"a router with two does not flap", []step{
			{time.Minute, ARPRequest, "10.0.0.9", "10.0.0.1", false},
			{time.Minute, ARPRequest, "10.0.0.1", "10.0.0.1", false},
			{time.Minute, ARPRequest, "10.0.0.9", "10.0.0.1", false},
			{time.Minute, ARPRequest, "10.0.0.1", "10.0.0.1", false},
		}},
		{"promised by a server", []step{
			{time.Second, DHCPAck, "10.0.0.9", "10.0.0.1", false},
			{time.Second, ARPAnnouncement, "10.0.0.9", "10.0.0.9", true},
			{time.Second, ARPAnnouncement, "10.0.0.9", "10.0.0.9", false},
		}},
		{"asked for, and used", []step{
			{time.Second, DHCPRequest, "10.0.0.9", "10.0.0.1", false},
			{time.Second, ARPProbe, "10.0.0.9", "10.0.0.1", false},
			{time.Second, ARPAnnouncement, "10.0.0.9", "10.0.0.9", true},
		}},
		{"asked for, and not got", []step{
			{time.Second, DHCPRequest, "10.0.0.9", "10.0.0.1", false},
			{time.Second, ARPAnnouncement, "10.0.0.1", "10.0.0.1", false},
		}},
		{"link-local is the last resort", []step{
			{long, ARPAnnouncement, "169.254.3.3", "10.0.0.1", false},
			{long, ARPAnnouncement, "169.254.3.3", "10.0.0.1", false},
			{time.Hour, ARPAnnouncement, "169.254.3.3", "169.254.3.3", true},
			{time.Hour, ARPAnnouncement, "10.0.0.1", "10.0.0.1", true},
		}},
		{"no address of a station", []step{
			{long, ARPReply, "0.0.0.0", "10.0.0.1", false},
			{long, ARPReply, "255.255.255.255", "10.0.0.1", false},
			{long, ARPReply, "224.0.0.251", "10.0.0.1", false},
			{long, ARPReply, "127.0.0.1", "10.0.0.1", false},
			{long, DHCPAck, "255.255.255.255", "10.0.0.1", false},
		}},
		{"many, one after the other", []step{
			{long, ARPReply, "10.0.0.2", "10.0.0.2", true},
			{long, ARPReply, "10.0.0.3", "10.0.0.3", true},
			{long, ARPReply, "10.0.0.4", "10.0.0.4", true},
			{long, ARPReply, "10.0.0.5", "10.0.0.5", true},
			{long, ARPReply, "10.0.0.6", "10.0.0.6", true},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, Config{AwayAfter: 3 * time.Hour})
			r.mute = true
			r.hear(sighting(1, ARPAnnouncement))
			for i, s := range test.steps {
				r.wait(s.after)
				r.types()
				r.changed = nil
				was := r.device(1).Addr
				r.hear(Sighting{Interface: "eth0", MAC: mac(1), Addr: netip.MustParseAddr(s.addr), Kind: s.kind})
				if got := r.device(1).Addr.String(); got != s.want {
					t.Fatalf("step %d: address %s, want %s", i, got, s.want)
				}
				if got := len(r.events) == 1 && r.events[0].Type == AddressChanged; got != s.event || got != (len(r.changed) == 1) {
					t.Fatalf("step %d: events %+v, changed %+v", i, r.events, r.changed)
				}
				if s.event {
					if want := s.kind.String() + " from " + s.want + "; it was " + was.String() + " before"; r.events[0].Why != want {
						t.Errorf("step %d: why %q, want %q", i, r.events[0].Why, want)
					}
				}
			}
		})
	}
}

// TestAddressOfReturning has no event for a device that comes home with
// another address than it left with: it has just arrived anyway.
func TestAddressOfReturning(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.wait(time.Hour)
	r.types()
	s := sighting(1, DHCPRequest)
	s.Addr = addr(9)
	r.hear(s)
	if diff := cmp.Diff([]EventType{Arrived}, r.types()); diff != "" {
		t.Error(diff)
	}
	if got := r.device(1).Addr; got != addr(9) {
		t.Errorf("address %s", got)
	}
}

func TestIPv6(t *testing.T) {
	at := func(n int) netip.Addr { a := [16]byte{0xfd, 15: byte(n)}; return netip.AddrFrom16(a) }
	r := newRig(t, Config{AwayAfter: 24 * time.Hour})
	r.mute = true
	hear := func(n int) {
		r.hear(Sighting{Interface: "eth0", MAC: mac(1), Addr: at(n), Kind: NDPAdvertisement})
	}
	list := func(ns ...int) (l []netip.Addr) {
		for _, n := range ns {
			l = append(l, at(n))
		}
		return l
	}
	check := func(what string, want []netip.Addr) {
		t.Helper()
		if diff := cmp.Diff(want, r.device(1).IPv6, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Error(what, diff)
		}
	}
	for n := 1; n <= maxIPv6; n++ {
		hear(n)
		r.wait(time.Second)
	}
	full := list(8, 7, 6, 5, 4, 3, 2, 1)
	check("full", full)
	before := r.device(1)
	r.changed = nil
	for n := 1; n <= 20; n++ {
		hear(n)
	}
	check("no room while all are in use", full)
	if len(r.changed) > 0 {
		t.Errorf("changed: %+v", r.changed)
	}
	r.wait(ipv6Hold)
	for _, n := range []int{1, 2, 3, 5, 6, 7, 8} {
		hear(n)
	}
	hear(99)
	check("the unused one goes", list(99, 8, 7, 6, 5, 3, 2, 1))
	hear(98)
	check("and no other", list(99, 8, 7, 6, 5, 3, 2, 1))
	if diff := cmp.Diff(full, before.IPv6, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error("a copy of the device has changed", diff)
	}
	hear2 := Sighting{Interface: "eth0", MAC: mac(1), Addr: netip.MustParseAddr("ff02::1"), Kind: NDPAdvertisement}
	r.wait(2 * ipv6Hold)
	r.hear(hear2)
	check("a group is nobody's address", list(99, 8, 7, 6, 5, 3, 2, 1))

	// After a restart the list is kept, and takes in what is new.
	rec, _ := r.e.Record(mac(1).ID())
	r = newRig(t, Config{}, rec)
	hear(1)
	hear(50)
	check("restored", list(50, 99, 8, 7, 6, 5, 3, 1))
}

func TestNames(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	say := func(k Kind, h DHCP) {
		r.changed = nil
		s := sighting(1, k)
		s.DHCP = &h
		r.hear(s)
	}
	say(DHCPAck, DHCP{HostName: "kettle"}) // the server knows its name
	if d := r.device(1); d.HostName != "kettle" || len(r.changed) != 1 {
		t.Errorf("device %+v, changed %d", d, len(r.changed))
	}
	say(DHCPRequest, DHCP{HostName: "kettle"})
	if len(r.changed) != 0 {
		t.Errorf("changed by nothing new: %+v", r.changed)
	}
	say(DHCPRequest, DHCP{VendorClass: "tea"})
	if d := r.device(1); d.HostName != "kettle" || d.VendorClass != "tea" || len(r.changed) != 1 {
		t.Errorf("device %+v, changed %d", d, len(r.changed))
	}
}

// TestAddressOfIPv6Only: every event says where a device is, also when that is
// by IPv6 alone.
func TestAddressOfIPv6Only(t *testing.T) {
	r := newRig(t, Config{Baseline: true})
	r.hear(say6(NDPDad, local6))
	r.take(r.e.EndBaseline(r.now))
	if got := r.events[0].Devices; len(got) != 1 || got[0].Addr != local6 {
		t.Errorf("found %+v", got)
	}

	r = newRig(t, Config{})
	r.hear(say6(NDPDad, local6))
	r.wait(time.Hour)
	if got := r.e.Summary().LastNew; got == nil || got.Addr != local6 {
		t.Errorf("the last new one: %+v", got)
	}
	for _, e := range r.events {
		if e.Addr != local6 {
			t.Errorf("%s: %s", e.Type, e.Addr)
		}
	}
	rec, _ := r.e.Record(mac(1).ID())
	if diff := cmp.Diff([]EventType{NewDevice, Arrived, Left}, r.types()); diff != "" {
		t.Error(diff)
	}
	if got := newRig(t, Config{}, rec).e.Summary().LastNew; got == nil || got.Addr != local6 {
		t.Errorf("the last new one after a restart: %+v", got)
	}
	r.hear(sighting(1, ARPAnnouncement))
	if got := r.events[0]; got.Addr != addr(1) {
		t.Errorf("with both: %s", got.Addr)
	}
}
