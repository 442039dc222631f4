package presence

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	local6  = netip.MustParseAddr("fe80::16")
	temp6   = netip.MustParseAddr("2001:db8::aaaa")
	stable6 = netip.MustParseAddr("2001:db8::16")
)

// say6 is a frame of device 1 with an IPv6 address.
func say6(k Kind, a netip.Addr) Sighting {
	return Sighting{Interface: "eth0", MAC: mac(1), Addr: a, Kind: k}
}

// TestAskedWhere says at which addresses a device that has fallen silent is
// asked, one probe after the other.
func TestAskedWhere(t *testing.T) {
	v4 := addr(1)
	for _, test := range []struct {
		name string
		tell func(*rig)
		want []netip.Addr // of the first probes
	}{
		{"IPv4 only", func(r *rig) { r.hear(sighting(1, ARPAnnouncement)) }, []netip.Addr{v4, v4, v4, v4, v4, v4}},
		{
			"IPv6 only: the link-local address",
			func(r *rig) {
				r.hear(say6(NDPDad, local6))
				r.hear(say6(NDPSolicitation, temp6))
			},
			[]netip.Addr{local6, local6, local6, local6, local6, local6},
		},
		{
			"IPv6 only, and only a global address",
			func(r *rig) { r.hear(say6(NDPSolicitation, temp6)) },
			[]netip.Addr{temp6, temp6, temp6},
		},
		{
			"IPv6 only, the link-local address was not used for long",
			func(r *rig) {
				r.hear(say6(NDPDad, local6))
				r.wait(2 * time.Hour)
				r.hear(say6(NDPSolicitation, temp6))
			},
			[]netip.Addr{temp6, temp6, temp6},
		},
		{
			"both: IPv4, and later the other too",
			func(r *rig) {
				r.hear(say6(NDPAdvertisement, local6))
				r.hear(sighting(1, ARPReply))
			},
			[]netip.Addr{v4, v4, v4, local6, v4, local6},
		},
		{
			"both, but IPv6 was not used for long",
			func(r *rig) {
				r.hear(say6(NDPAdvertisement, local6))
				r.wait(2 * time.Hour)
				r.hear(sighting(1, ARPReply))
			},
			[]netip.Addr{v4, v4, v4, v4, v4, v4},
		},
		{
			"it has given IPv4 up",
			func(r *rig) {
				r.hear(sighting(1, ARPAnnouncement))
				r.wait(2 * time.Hour)
				r.hear(say6(NDPAdvertisement, local6))
			},
			[]netip.Addr{local6, local6, local6, v4, local6, v4},
		},
		{
			"both, but nobody can be asked by IPv6",
			func(r *rig) {
				r.hear(say6(NDPAdvertisement, local6))
				r.hear(sighting(1, ARPReply))
				r.e.Unsent(r.now.Add(20*time.Hour), Probe{Interface: "eth0", MAC: mac(2), Addr: stable6})
			},
			[]netip.Addr{v4, v4, v4, v4, v4, v4},
		},
		{
			"IPv6 only, and nobody can be asked by it: it is tried",
			func(r *rig) {
				r.hear(say6(NDPAdvertisement, local6))
				r.e.Unsent(r.now.Add(20*time.Hour), Probe{Interface: "eth0", MAC: mac(2), Addr: stable6})
			},
			[]netip.Addr{local6, local6, local6},
		},
		{
			"it has given IPv4 up, and a probe by IPv6 has failed",
			func(r *rig) {
				r.hear(sighting(1, ARPAnnouncement))
				r.wait(2 * time.Hour)
				r.hear(say6(NDPAdvertisement, local6))
				r.e.Unsent(r.now.Add(20*time.Hour), Probe{Interface: "eth0", MAC: mac(1), Addr: local6})
			},
			[]netip.Addr{local6, local6, local6, v4, local6, v4},
		},
		{
			"an IPv4 address is offered to one that has only IPv6",
			func(r *rig) {
				r.hear(say6(NDPAdvertisement, local6))
				r.hear(sighting(1, DHCPAck))
			},
			[]netip.Addr{local6, v4, local6, v4},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, Config{AwayAfter: 12 * time.Hour})
			r.mute = true
			test.tell(r)
			r.sends()
			r.wait(11*time.Hour + 59*time.Minute)
			var got []netip.Addr
			for _, p := range r.sends() {
				if len(got) < len(test.want) {
					got = append(got, p.Addr)
				}
				if p.MAC != mac(1) || p.Interface != "eth0" {
					t.Errorf("asked %+v", p)
				}
			}
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRestoredAddresses: after a restart it is not known which address is still
// good, so both are tried, until one answers.
func TestRestoredAddresses(t *testing.T) {
	rec := record(1, taught(3, 30*time.Second))
	rec.IPv6 = []netip.Addr{temp6, local6}
	r := newRig(t, Config{AwayAfter: time.Hour}, rec)
	r.wait(50 * time.Minute)
	var got []netip.Addr
	for _, p := range r.sends()[:4] {
		got = append(got, p.Addr)
	}
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff([]netip.Addr{addr(1), local6, addr(1), local6}, got, same); diff != "" {
		t.Error(diff)
	}
	r.hear(say6(NDPAdvertisement, local6))
	r.wait(50 * time.Minute)
	if p := r.sends()[0]; p.Addr != local6 {
		t.Errorf("asked at %v though it answers at %v", p.Addr, local6)
	}
}

// TestIPv6OnlyLeaves: who has IPv6 only is asked and declared away like others,
// the last time by multicast.
func TestIPv6OnlyLeaves(t *testing.T) {
	r := newRig(t, Config{AwayAfter: time.Minute})
	r.hear(say6(NDPDad, local6))
	r.hear(say6(NDPRouterSolicitation, local6))
	r.hear(say6(NDPDad, stable6))
	if diff := cmp.Diff([]EventType{NewDevice, Arrived}, r.types()); diff != "" {
		t.Error(diff)
	}
	r.answers[mac(1)] = true
	r.wait(10 * time.Minute)
	r.answers[mac(1)] = false
	if got := r.types(); len(got) > 0 {
		t.Errorf("events %v", got)
	}
	for _, p := range r.sends() {
		if p.Addr != local6 || p.Broadcast {
			t.Errorf("asked %+v", p)
		}
	}
	r.wait(65 * time.Second)
	if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" {
		t.Error(diff)
	}
	toAll := 0
	for _, p := range r.sends() {
		if p.Broadcast {
			toAll++
		}
	}
	if toAll != 1 {
		t.Errorf("asked everyone %d times", toAll)
	}
	d := r.device(1)
	if d.Addr.IsValid() || d.Address() != local6 || len(d.IPv6) != 2 {
		t.Errorf("%+v", d)
	}
}

// TestTemporaryAddresses: a device that makes up an address each day has no
// events for that, keeps its link-local address, and is asked at that.
func TestTemporaryAddresses(t *testing.T) {
	r := newRig(t, Config{AwayAfter: 72 * time.Hour})
	r.mute = true
	r.hear(say6(NDPDad, local6))
	r.types()
	for day := range 30 {
		r.wait(24 * time.Hour)
		a := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(day + 1)})
		r.hear(say6(NDPDad, a))
		r.hear(say6(NDPSolicitation, a))
	}
	if got := r.types(); len(got) > 0 {
		t.Errorf("events %v", got)
	}
	d := r.device(1)
	if len(d.IPv6) != maxIPv6 || d.Address() != local6 {
		t.Errorf("addresses %v", d.IPv6)
	}
}

func TestAddress(t *testing.T) {
	for _, test := range []struct {
		name string
		d    Device
		want netip.Addr
	}{
		{"none", Device{}, netip.Addr{}},
		{"both", Device{Addr: addr(1), IPv6: []netip.Addr{local6}}, addr(1)},
		{"link-local among others", Device{IPv6: []netip.Addr{temp6, local6, stable6}}, local6},
		{"the newest", Device{IPv6: []netip.Addr{temp6, stable6}}, temp6},
	} {
		if got := test.d.Address(); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestEvidenceOfIPv6 says what is learned of a silence that ends with a frame.
func TestEvidenceOfIPv6(t *testing.T) {
	for _, test := range []struct {
		name     string
		away     bool // it was declared away before
		s        Sighting
		evidence Evidence
		joined   bool // the silence counts as ended by a join
	}{
		{"DAD of the link-local address", false, say6(NDPDad, local6), Join, true},
		{"DAD of a temporary address", false, say6(NDPDad, temp6), Alive, false},
		{"router solicitation of one that was away", true, say6(NDPRouterSolicitation, local6), Join, true},
		{"router solicitation of one that is there", false, say6(NDPRouterSolicitation, local6), Join, false},
		{"DHCPv6 SOLICIT of one that is there", false, say6(DHCPv6Solicit, local6), Join, false},
		{"DHCPv6 SOLICIT of one that was away", true, say6(DHCPv6Solicit, local6), Join, true},
		{"DHCPv6 CONFIRM", false, say6(DHCPv6Confirm, local6), Join, true},
		{"DHCPv6 RENEW", false, say6(DHCPv6Renew, local6), Alive, false},
		{"listener report", false, say6(MLDReport, local6), Alive, false},
		{"listener report of one that has no address, and is there", false, say6(MLDReport, netip.Addr{}), Join, false},
		{"listener report of one that has no address, and was away", true, say6(MLDReport, netip.Addr{}), Join, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.s.Evidence(); got != test.evidence {
				t.Errorf("evidence %d, want %d", got, test.evidence)
			}
			r := newRig(t, Config{AwayAfter: 10 * time.Minute})
			r.hear(say6(NDPSolicitation, local6))
			silence := 5 * time.Minute
			if test.away {
				silence = time.Hour - time.Second // AWAY_MAX bounds what is learned
			}
			r.wait(silence)
			r.hear(test.s)
			r.wait(time.Minute) // a join may follow
			rec, _ := r.e.Record(mac(1).ID())
			if got := len(rec.Model.joined) > 0; got != test.joined {
				t.Errorf("ended by a join: %t, want %t", got, test.joined)
			}
			if got := len(rec.Model.slept) > 0; got == test.joined {
				t.Errorf("slept: %t", got)
			}
		})
	}
}

// TestJoinComesLater: what a joining device says before the frame that proves
// the join is part of the same return.
func TestJoinComesLater(t *testing.T) {
	r := newRig(t, Config{AwayAfter: 10 * time.Minute})
	r.hear(say6(NDPSolicitation, local6))
	r.wait(5 * time.Minute)
	r.hear(say6(MLDReport, local6))
	r.wait(300 * time.Millisecond)
	r.hear(say6(NDPSolicitation, local6))
	r.wait(300 * time.Millisecond)
	r.hear(say6(NDPDad, local6))
	r.wait(time.Minute)
	rec, _ := r.e.Record(mac(1).ID())
	if m := rec.Model; len(m.joined) == 0 || len(m.slept) > 0 {
		t.Errorf("joined %v, slept %v", m.joined, m.slept)
	}
}

// TestNamesOfDHCPv6: what a device says by DHCPv6 counts where it does not use
// DHCPv4 as well.
func TestNamesOfDHCPv6(t *testing.T) {
	r := newRig(t, Config{})
	say := func(k Kind, a netip.Addr, h DHCP) Device {
		s := say6(k, a)
		s.DHCP = &h
		r.wait(2 * nameHold)
		r.hear(s)
		return r.device(1)
	}
	if d := say(DHCPv6Solicit, local6, DHCP{HostName: "phone", ClientID: "00030001"}); d.HostName != "phone" || d.ClientID != "00030001" {
		t.Errorf("%+v", d)
	}
	if d := say(DHCPv6Solicit, local6, DHCP{HostName: "new-phone"}); d.HostName != "new-phone" || d.ClientID != "00030001" {
		t.Errorf("a new name: %+v", d)
	}
	r.hear(sighting(1, ARPAnnouncement))
	if d := say(DHCPRequest, addr(1), DHCP{HostName: "Anna's phone", ClientID: "01aa"}); d.HostName != "Anna's phone" || d.ClientID != "01aa" {
		t.Errorf("DHCPv4: %+v", d)
	}
	if d := say(DHCPv6Solicit, local6, DHCP{HostName: "phone", ClientID: "00030001", VendorClass: "MSFT 5.0"}); d.HostName != "Anna's phone" || d.ClientID != "01aa" || d.VendorClass != "MSFT 5.0" {
		t.Errorf("both: %+v", d)
	}
}

func TestAskedAddrIPv6(t *testing.T) {
	r := newRig(t, Config{Passive: true, AwayAfter: time.Minute})
	r.mute = true
	r.hear(say6(NDPDad, local6))
	r.types()
	r.wait(50 * time.Second)
	r.e.AskedAddr(r.now, local6)
	r.e.AskedAddr(r.now, stable6)
	r.wait(time.Minute)
	if len(r.events) != 1 || r.events[0].Type != Left || r.events[0].Why[:len("no answer to a probe")] != "no answer to a probe" {
		t.Errorf("events %+v", r.events)
	}
}
