package presence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// says is a DHCP REQUEST of m that says these things.
func says(m MAC, a int, host, fingerprint string) Sighting {
	s := heard(m, a, DHCPRequest)
	s.DHCP = &DHCP{HostName: host, Fingerprint: fingerprint, ClientID: "01" + string(m.ID())}
	return s
}

const (
	annas = "Annas-iPhone"
	apple = "1,121,3,6,15,108"
)

func (r *rig) follow(m MAC, f Follow) {
	r.t.Helper()
	out, ok := r.e.Set(r.now, m.ID(), Change{Follow: &f})
	if !ok {
		r.t.Fatalf("%s is unknown", m)
	}
	r.take(out)
	r.verify()
}

// day has the phone with the private MAC n at home for some hours of a day, and
// out for the rest. By hello it says first of all that it is there.
func (r *rig) day(n int, hello Sighting) {
	r.t.Helper()
	m := privateMAC(n)
	if hello.Kind != 0 {
		hello.MAC = m
		r.hear(hello)
		r.wait(time.Second)
	}
	r.hear(says(m, 10+n, annas, apple))
	r.answers[m] = true
	r.wait(9 * time.Hour)
	r.answers[m] = false
	r.wait(15 * time.Hour)
	r.verify()
}

// TestDailyMAC is a phone that changes its private MAC each day for 14 days: one
// device without an alarm after the first where it follows, else one suggestion
// per change.
func TestDailyMAC(t *testing.T) {
	for name, hello := range map[string]Sighting{
		"DHCP first": {}, "IPv6 first": {Kind: NDPDad, Interface: "eth0", Addr: addr6(3)}, "a listener report first": {Kind: MLDReport, Interface: "eth0"},
	} {
		for _, follows := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, follows %v", name, follows), func(t *testing.T) {
				r := newRig(t, Config{MaxTracked: -1})
				r.hear(says(privateMAC(99), 99, "Bens-iPhone", apple)) // another of the model
				r.answers[privateMAC(99)] = true
				r.day(1, hello)
				if follows {
					r.follow(privateMAC(1), Follow{Same: true})
				}
				if got := r.types(); !slices.Equal(got, []EventType{NewDevice, Arrived, NewDevice, Arrived, Left}) {
					t.Fatal("the first day:", got)
				}
				for n := 2; n <= 14; n++ {
					r.day(n, hello)
					want := []EventType{Merged, Arrived, Left}
					if !follows {
						want = []EventType{NewDevice, Arrived, MergeSuggested, Left}
					}
					events := slices.Clone(r.events)
					if diff := cmp.Diff(want, r.types()); diff != "" {
						t.Fatalf("day %d: %s", n, diff)
					}
					for _, e := range events {
						if e.Type == MergeSuggested && (e.ID != privateMAC(n).ID() || e.Other != privateMAC(1).ID() ||
							!strings.HasPrefix(e.Why, "it calls itself Annas-iPhone and asks by DHCP for the same as Annas-iPhone (02:00:5e:00:00:01) did, which has been silent for ")) {
							t.Errorf("day %d: %+v", n, e)
						}
						if follows && (e.ID != privateMAC(1).ID() || e.MAC != privateMAC(n) && e.Type != Merged) {
							t.Errorf("day %d: %+v", n, e)
						}
					}
					if n == 7 {
						r = r.restart(Config{MaxTracked: -1})
						r.wait(time.Minute)
					}
				}
				known, d := r.e.Summary().Known, r.of(privateMAC(1))
				if follows && (known != 2 || len(d.MACs) != 14 || d.MAC != privateMAC(14) || d.Addr != addr(24)) || !follows && known != 15 {
					t.Errorf("%d known, %+v", known, d)
				}
			})
		}
	}
}

// TestFollowingTakesTurns: of a phone that changes its MAC while it is at home
// nothing is seen; it stays home all the time, also over a restart.
func TestFollowingTakesTurns(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := newRig(t, Config{MaxTracked: -1, AwayInitial: 10 * time.Minute})
		r.hear(says(privateMAC(1), 1, annas, apple))
		r.answers[privateMAC(1)] = true
		r.follow(privateMAC(1), Follow{HostName: "ANNAS-iphone"})
		r.wait(time.Hour)
		r.types()
		r.answers[privateMAC(1)], r.answers[privateMAC(2)] = false, true
		r.hear(says(privateMAC(2), 2, annas, apple))
		r.wait(time.Minute)
		if d := r.of(privateMAC(1)); len(r.events) > 0 || d.State != Home || d.MACs != nil || d.MAC != privateMAC(1) {
			t.Fatalf("while it is asked: %v %+v", r.types(), d)
		}
		if restart {
			r = r.restart(Config{MaxTracked: -1, AwayInitial: 10 * time.Minute})
		}
		r.wait(time.Hour)
		if diff := cmp.Diff([]EventType{Merged}, r.types()); diff != "" {
			t.Error(diff)
		}
		if d := r.of(privateMAC(1)); d.State != Home || d.MAC != privateMAC(2) || d.Addr != addr(2) {
			t.Errorf("afterwards: %+v", d)
		}
		r.sends()
		r.answers[privateMAC(2)] = false
		r.wait(2 * time.Hour)
		if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" {
			t.Error(diff)
		}
		for _, p := range r.sends() {
			if p.MAC != privateMAC(2) {
				t.Error("asked at the old MAC")
			}
		}
		r.verify()
	}
}

// TestTwins: two phones of a model and a name side by side never become one.
func TestTwins(t *testing.T) {
	one, two := privateMAC(1), privateMAC(2)
	build := func(f Follow) *rig {
		r := newRig(t, Config{MaxTracked: -1, AwayInitial: 10 * time.Minute})
		r.hear(says(one, 1, annas, apple))
		r.answers[one] = true
		r.follow(one, f)
		r.wait(time.Hour)
		r.types()
		return r
	}
	t.Run("the second comes while the first is there", func(t *testing.T) {
		r := build(Follow{Same: true})
		r.answers[two] = true
		r.hear(says(two, 2, annas, apple))
		r.wait(time.Second)
		if diff := cmp.Diff([]EventType{NewDevice, Arrived}, r.types()); diff != "" || r.of(one).MACs != nil || r.of(two).State != Home {
			t.Error(diff)
		}
		// From then on nothing follows by itself, whoever of them changes its MAC.
		r.answers[two] = false
		r.wait(2 * time.Hour)
		r.answers[one] = false
		r.wait(2 * time.Hour)
		r.types()
		r.hear(says(privateMAC(3), 3, annas, apple))
		if diff := cmp.Diff([]EventType{NewDevice, Arrived, MergeSuggested}, r.types()); diff != "" {
			t.Error(diff)
		}
		r.verify()
	})
	t.Run("the first sleeps when the second comes", func(t *testing.T) {
		r := build(Follow{HostName: annas})
		r.answers[one], r.answers[two] = false, true
		r.hear(says(two, 2, annas, apple))
		r.hear(heard(two, 2, ARPRequest))
		r.wait(20 * time.Second)
		if len(r.events) > 0 || r.known2(two) {
			t.Fatal("decided before the first had its time:", r.events)
		}
		r.hear(heard(one, 1, ARPRequest))
		if diff := cmp.Diff([]EventType{NewDevice, Arrived}, r.types()); diff != "" || r.of(two).Addr != addr(2) {
			t.Error(diff)
		}
		r.verify()
	})
	t.Run("the first comes back after the second was taken for it", func(t *testing.T) {
		r := build(Follow{HostName: annas})
		r.answers[one] = false
		r.wait(2 * time.Hour)
		r.answers[two] = true
		r.hear(says(two, 2, annas, apple))
		if diff := cmp.Diff([]EventType{Left, Merged, Arrived}, r.types()); diff != "" {
			t.Fatal(diff)
		}
		r.wait(time.Hour)
		r.answers[one] = true
		r.hear(says(one, 1, annas, apple))
		r.wait(time.Second)
		if diff := cmp.Diff([]EventType{Split, NewDevice, Arrived}, r.types()); diff != "" {
			t.Error(diff)
		}
		if a, b := r.of(one), r.of(two); a.State != Home || b.State != Home || a.MACs != nil || a.MAC != one || b.Addr != addr(2) {
			t.Errorf("%+v\n%+v", a, b)
		}
		r.verify()
		r.wait(24 * time.Hour)
		if got := r.types(); len(got) > 0 {
			t.Error("later:", got)
		}
	})
	t.Run("one phone that goes to and fro between two networks is no two", func(t *testing.T) {
		r := build(Follow{HostName: annas})
		r.answers[one] = false
		r.wait(2 * time.Hour)
		r.hear(says(two, 2, annas, apple))
		r.types()
		for n := range 50 {
			m := []MAC{one, two}[n%2]
			r.answers[one], r.answers[two] = m == one, m == two
			r.hear(says(m, n%2+1, annas, apple))
			r.wait(time.Duration(20+n) * time.Second)
		}
		if got := r.types(); len(got) > 0 || len(r.of(one).MACs) != 2 || r.of(one).MAC != two {
			t.Errorf("%v, %+v", got, r.of(one))
		}
		r.verify()
	})
}

func (r *rig) known2(m MAC) bool { _, ok := r.e.Device(m.ID()); return ok }

// TestFollow: who is followed by what, and who is not.
func TestFollow(t *testing.T) {
	phone, next := privateMAC(1), privateMAC(2)
	said := func(host, fingerprint, client string) Sighting {
		s := says(next, 2, host, fingerprint)
		s.DHCP.ClientID = client
		return s
	}
	with := func(s Sighting, change func(*Sighting)) Sighting { change(&s); return s }
	for name, test := range map[string]struct {
		follow Follow
		s      Sighting
		before func(*rig)
		want   bool
	}{
		"the same host name and fingerprint":   {follow: Follow{Same: true}, s: said(annas, apple, ""), want: true},
		"another fingerprint":                  {follow: Follow{Same: true}, s: said(annas, "1,3", "")},
		"another host name":                    {follow: Follow{Same: true}, s: said("Bens", apple, "")},
		"by host name alone":                   {follow: Follow{HostName: "annas-IPHONE"}, s: said(annas, "1,3", ""), want: true},
		"by client id, as people write it":     {follow: Follow{ClientID: "FF:00-aa bb"}, s: said("x", "1", "ff00aabb"), want: true},
		"by fingerprint":                       {follow: Follow{Fingerprint: "1, 3, 6"}, s: said("x", "1,3,6", ""), want: true},
		"by all of them":                       {follow: Follow{HostName: annas, ClientID: "aa", Fingerprint: apple}, s: said(annas, apple, "ab")},
		"nothing":                              {s: said(annas, apple, "")},
		"a MAC that is not private":            {follow: Follow{Same: true}, s: with(said(annas, apple, ""), func(s *Sighting) { s.MAC = mac(2) })},
		"the server's word":                    {follow: Follow{Same: true}, s: with(said(annas, apple, ""), func(s *Sighting) { s.Kind = DHCPAck })},
		"nothing said":                         {follow: Follow{Same: true}, s: with(said("", "", ""), func(s *Sighting) { s.DHCP = &DHCP{} })},
		"two that follow the same":             {follow: Follow{HostName: annas}, s: said(annas, apple, ""), before: func(r *rig) { r.follow(privateMAC(7), Follow{HostName: annas}) }},
		"another that says the same":           {follow: Follow{HostName: annas}, s: said(annas, apple, ""), before: func(r *rig) { r.hear(says(privateMAC(7), 7, annas, "9")) }},
		"another that the lease file calls so": {follow: Follow{HostName: annas}, s: said(annas, apple, ""), want: true, before: func(r *rig) { r.take(r.e.Tell(r.now, NameFromLease, []Told{{MAC: privateMAC(7), Name: annas}})) }},
		"of a name that only the lease file has": {follow: Follow{Same: true}, s: said("leased", apple, ""), before: func(r *rig) {
			r.e.devices[phone.ID()].HostNameSource = NameFromLease
			r.e.mark(r.e.devices[phone.ID()])
		}},
		"where it has as many MACs as it can": {follow: Follow{HostName: annas}, s: said(annas, apple, ""), before: func(r *rig) { r.fill(phone, mac) }},
		"where it has as many private MACs":   {follow: Follow{HostName: annas}, s: said(annas, apple, ""), before: func(r *rig) { r.fill(phone, func(n int) MAC { return privateMAC(n + 100) }) }, want: true},
		"one that was only ever in the file": {follow: Follow{HostName: annas}, s: said(annas, apple, ""), before: func(r *rig) {
			r.take(r.e.Declare(r.now, []Declaration{{MAC: privateMAC(8), Change: Change{Follow: &Follow{HostName: "x"}}}}))
		}, want: true},
		"a flood of those that say the same name": {follow: Follow{HostName: annas}, s: said(annas, apple, ""), before: func(r *rig) {
			for n := range 80 {
				r.hear(says(mac(n+500), 7, annas, apple))
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{MaxTracked: -1})
			r.hear(heard(privateMAC(7), 7, DHCPRequest))
			r.hear(says(phone, 1, annas, apple))
			if test.follow != (Follow{}) {
				r.follow(phone, test.follow)
			}
			r.wait(2 * time.Hour)
			if test.before != nil {
				test.before(r)
			}
			r.hear(test.s)
			r.verify()
			d := r.of(phone)
			if got := slices.Contains(d.MACs, test.s.MAC); got != test.want || len(d.MACs) > MaxMACs {
				t.Errorf("followed %v: %v", got, d.MACs)
			}
		})
	}
}

// fill gives the device all the MACs that it can have.
func (r *rig) fill(m MAC, n func(int) MAC) {
	for i := range MaxMACs - 1 {
		r.hear(heard(n(i+200), 50, ARPReply))
		if err := r.merge(m, n(i+200)); err != nil {
			r.t.Fatal(err)
		}
	}
	r.wait(3 * time.Hour)
}

// TestAlsoFollows: who follows the same as another is found, whoever says it.
func TestAlsoFollows(t *testing.T) {
	for name, test := range map[string]struct {
		one, two Follow
		want     bool
	}{
		"one name":             {Follow{HostName: annas}, Follow{HostName: "ANNAS-iphone"}, true},
		"the name that it has": {Follow{Same: true}, Follow{HostName: annas}, true},
		"a name, and more":     {Follow{HostName: annas}, Follow{HostName: annas, Fingerprint: apple}, true},
		"told apart":           {Follow{HostName: annas, Fingerprint: "1"}, Follow{HostName: annas, Fingerprint: "2"}, false},
		"another name":         {Follow{HostName: annas}, Follow{HostName: "Bens-iPhone"}, false},
		"nothing":              {Follow{HostName: annas}, Follow{}, false},
	} {
		r := newRig(t, Config{})
		r.hear(says(privateMAC(1), 1, annas, apple))
		r.hear(heard(privateMAC(2), 2, DHCPRequest))
		r.follow(privateMAC(1), test.one)
		r.follow(privateMAC(2), test.two)
		for a, b := range map[MAC]MAC{privateMAC(1): privateMAC(2), privateMAC(2): privateMAC(1)} {
			other, found := r.e.AlsoFollows(a.ID())
			if found != test.want || found && other != b.ID() {
				t.Errorf("%s: %q, %v", name, other, found)
			}
		}
		if _, found := r.e.AlsoFollows("none"); found {
			t.Error("nobody follows something")
		}
	}
}

// TestAtTheDoor: where a device follows what it says, a private MAC that has not
// said anything of itself yet is let in a few seconds later, and others at once.
func TestAtTheDoor(t *testing.T) {
	r := newRig(t, Config{MaxTracked: -1, Baseline: true})
	r.hear(says(privateMAC(1), 1, annas, apple))
	r.follow(privateMAC(1), Follow{Same: true})
	r.hear(heard(privateMAC(2), 2, ARPRequest)) // on the first run as well
	r.take(r.e.EndBaseline(r.now))
	if len(r.events) != 1 || len(r.events[0].Devices) != 2 {
		t.Errorf("the list: %+v", r.events)
	}
	r.types()
	r.hear(heard(mac(3), 3, ARPRequest))        // not private
	r.hear(heard(privateMAC(4), 4, ARPReply))   // it is not joining
	r.hear(heard(privateMAC(5), 5, ARPRequest)) // waits
	r.hear(heard(privateMAC(5), 5, ARPRequest))
	r.hear(says(privateMAC(6), 6, "guest", "1"))
	if got := r.e.Summary().Known; got != 5 || r.known2(privateMAC(5)) {
		t.Errorf("%d known at once", got)
	}
	r.wait(4 * time.Second)
	if r.known2(privateMAC(5)) {
		t.Error("let in too soon")
	}
	r.wait(time.Second)
	if d := r.of(privateMAC(5)); d.State != Home || !d.FirstSeen.Equal(r.now.Add(-5*time.Second)) {
		t.Errorf("%+v", d)
	}
	for n := range 2 * maxDoor {
		r.hear(heard(privateMAC(100+n), 7, ARPRequest))
	}
	if len(r.e.door) != maxDoor || r.e.Summary().Known != 6+maxDoor {
		t.Errorf("%d wait, %d are known", len(r.e.door), r.e.Summary().Known)
	}
	r.wait(time.Minute)
	r.verify()
}

// TestHeirs: a newer heir takes the place of an older one, whose MAC is a new
// device when it is heard again; the user and the file can settle it.
func TestHeirs(t *testing.T) {
	r := newRig(t, Config{MaxTracked: -1})
	r.hear(says(privateMAC(1), 1, annas, apple))
	r.follow(privateMAC(1), Follow{Same: true})
	r.types()
	r.hear(says(privateMAC(2), 2, annas, apple))
	r.hear(says(privateMAC(3), 3, annas, apple))
	r.verify()
	if len(r.events) > 0 {
		t.Error(r.types())
	}
	r.hear(heard(privateMAC(2), 2, ARPReply))
	if diff := cmp.Diff([]EventType{NewDevice, Arrived}, r.types()); diff != "" || r.e.devices[privateMAC(1).ID()].heir == nil {
		t.Error(diff)
	}
	r.hear(says(privateMAC(2), 2, annas, apple))
	r.take(r.e.Declare(r.now, []Declaration{{MAC: privateMAC(3)}}))
	r.verify()
	if r.e.devices[privateMAC(1).ID()].heir != nil || !r.known2(privateMAC(3)) {
		t.Error("the file's device is another's heir")
	}
	r.hear(says(privateMAC(4), 4, annas, apple)) // not with that many of the name
	if r.e.devices[privateMAC(1).ID()].heir != nil {
		t.Error("taken for an heir in spite of another of the name")
	}
	r.take(first(r.e.Forget(r.now, privateMAC(1).ID())))
	r.verify()
}

// TestSuggest: who is told to be perhaps somebody known, and as whom.
func TestSuggest(t *testing.T) {
	old, x := privateMAC(1), privateMAC(2)
	for name, test := range map[string]struct {
		do   func(*rig)
		want ID
	}{
		"the old one has left":     {func(r *rig) { r.wait(2 * time.Hour); r.hear(says(x, 2, annas, apple)) }, old.ID()},
		"the old one leaves later": {func(r *rig) { r.hear(says(x, 2, annas, apple)); r.answers[x] = true; r.wait(2 * time.Hour) }, old.ID()},
		"the old one was heard after the new one": {func(r *rig) {
			r.hear(says(x, 2, annas, apple))
			r.answers[x] = true
			r.wait(time.Second)
			r.hear(heard(old, 1, ARPRequest))
			r.wait(2 * time.Hour)
		}, ""},
		"not private":         {func(r *rig) { r.wait(2 * time.Hour); r.hear(says(mac(2), 2, annas, apple)) }, ""},
		"another fingerprint": {func(r *rig) { r.wait(2 * time.Hour); r.hear(says(x, 2, annas, "1")) }, ""},
		"no fingerprint":      {func(r *rig) { r.wait(2 * time.Hour); r.hear(says(x, 2, annas, "")) }, ""},
		"no host name":        {func(r *rig) { r.wait(2 * time.Hour); r.hear(says(x, 2, "", apple)) }, ""},
		"one that the user knows": {func(r *rig) {
			r.hear(heard(x, 2, ARPRequest))
			r.take(first(r.e.Set(r.now, x.ID(), Change{Name: ptr("Ben's")})))
			r.wait(2 * time.Hour)
			r.hear(says(x, 2, annas, apple))
		}, ""},
		"the named one of several": {func(r *rig) {
			r.wait(2 * time.Hour)
			r.hear(says(privateMAC(5), 5, annas, apple))
			r.take(first(r.e.Set(r.now, privateMAC(5).ID(), Change{Name: ptr("Anna")})))
			r.wait(2 * time.Hour)
			r.events = nil
			r.hear(says(x, 2, annas, apple))
		}, privateMAC(5).ID()},
		"the oldest of several": {func(r *rig) {
			r.wait(2 * time.Hour)
			r.hear(says(privateMAC(5), 5, annas, apple))
			r.wait(2 * time.Hour)
			r.events = nil
			r.hear(says(x, 2, annas, apple))
		}, old.ID()},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{MaxTracked: -1})
			r.hear(says(old, 1, annas, apple))
			r.wait(time.Second)
			test.do(r)
			got := []ID{}
			for _, e := range r.events {
				if e.Type == MergeSuggested {
					got = append(got, e.Other)
				}
			}
			want := []ID{test.want}
			if test.want == "" {
				want = want[:0]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if test.want == "" {
				return
			}
			if d := r.of(x); d.Resembles != test.want {
				t.Errorf("it resembles %q", d.Resembles)
			}
			// Told once, also after a restart; merged, it is done.
			r = r.restart(Config{MaxTracked: -1})
			r.wait(2 * time.Hour)
			r.hear(says(x, 2, annas, apple))
			if slices.Contains(r.types(), MergeSuggested) {
				t.Error("told twice")
			}
			into, _ := ParseMAC(string(test.want))
			if err := r.merge(into, x); err != nil || r.of(into).State != Home {
				t.Error(err)
			}
		})
	}
}

// station is what an access point says of m.
func station(m MAC, k Kind) Sighting { return Sighting{MAC: m, Kind: k, AP: "ap"} }

// TestStationsOfSeveralMACs: what access points say of one MAC of a device, or of
// one that may become its own.
func TestStationsOfSeveralMACs(t *testing.T) {
	t.Run("a laptop that leaves the Wi-Fi is home by its cable", func(t *testing.T) {
		for _, air := range []int{1, 2} { // it goes by the cable, or by the Wi-Fi
			wire := 3 - air
			r := newRig(t, Config{})
			r.hear(sighting(1, DHCPRequest))
			r.hear(sighting(2, DHCPRequest))
			r.hear(station(mac(air), WiFiAssociation))
			if err := r.merge(mac(1), mac(2)); err != nil {
				t.Fatal(err)
			}
			r.hear(sighting(2, DHCPRequest)) // it goes by the second
			r.answers[mac(wire)] = true
			r.types()
			r.hear(station(mac(air), WiFiDisassociation))
			r.wait(time.Hour)
			if got := r.types(); len(got) > 0 {
				t.Errorf("%v: %s", got, r.device(1).Why)
			}
			r.answers[mac(wire)] = false
			r.wait(time.Hour)
			if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" {
				t.Error(diff)
			}
		}
	})
	t.Run("who is associated by another MAC is home", func(t *testing.T) {
		r := newRig(t, Config{})
		r.hear(sighting(1, DHCPRequest))
		r.hear(sighting(2, DHCPRequest))
		if err := r.merge(mac(1), mac(2)); err != nil {
			t.Fatal(err)
		}
		r.hear(station(mac(2), WiFiAssociation))
		r.types()
		r.wait(3 * time.Hour)
		if got := r.types(); len(got) > 0 || r.device(1).State != Home {
			t.Error(got)
		}
		r.verify()
	})
	t.Run("a phone that joins with another MAC says so after its association", func(t *testing.T) {
		r := newRig(t, Config{})
		r.hear(says(privateMAC(1), 1, annas, apple))
		r.follow(privateMAC(1), Follow{Same: true})
		r.wait(2 * time.Hour)
		r.types()
		r.hear(station(privateMAC(2), WiFiAssociation))
		r.wait(3 * time.Second)
		r.hear(says(privateMAC(2), 2, annas, apple))
		if diff := cmp.Diff([]EventType{Merged, Arrived}, r.types()); diff != "" {
			t.Error(diff)
		}
		r.hear(station(privateMAC(3), WiFiAssociation)) // and one that says nothing
		r.wait(10 * time.Second)
		if diff := cmp.Diff([]EventType{NewDevice, Arrived}, r.types()); diff != "" {
			t.Error(diff)
		}
		r.verify()
	})
	t.Run("an heir's association keeps nobody home", func(t *testing.T) {
		r := newRig(t, Config{AwayInitial: 10 * time.Minute})
		r.hear(says(privateMAC(1), 1, annas, apple))
		r.follow(privateMAC(1), Follow{Same: true})
		r.wait(time.Minute)
		r.hear(says(privateMAC(2), 2, annas, apple))
		r.hear(station(privateMAC(2), WiFiAssociation))
		r.hear(station(privateMAC(2), WiFiDisassociation))
		six := heard(privateMAC(2), 0, NDPSolicitation)
		six.Addr = addr6(3)
		r.hear(six)
		r.types()
		r.answers[privateMAC(2)] = true
		r.wait(15 * time.Minute)
		if diff := cmp.Diff([]EventType{Merged}, r.types()); diff != "" || !slices.Contains(r.of(privateMAC(1)).IPv6, addr6(3)) {
			t.Errorf("%s %+v", diff, r.of(privateMAC(1)))
		}
		r.verify()
	})
}

// TestAddressesOfAnotherMAC: what is learned of the addresses of a MAC that the
// device does not go by is used when it does, also after a restart.
func TestAddressesOfAnotherMAC(t *testing.T) {
	r := newRig(t, Config{AwayInitial: 10 * time.Minute})
	r.hear(sighting(1, DHCPRequest))
	r.hear(sighting(2, DHCPRequest))
	if err := r.merge(mac(1), mac(2)); err != nil {
		t.Fatal(err)
	}
	r.hear(sighting(1, DHCPRequest))
	r.wait(time.Second)
	six := sighting(2, NDPSolicitation)
	six.Addr = addr6(3)
	r.hear(six)
	r.hear(heard(mac(2), 7, ARPProbe)) // asks for it only; and that is a join
	if d := r.device(1); d.MAC != mac(2) || !slices.Contains(d.IPv6, addr6(3)) || d.Addr != addr(2) {
		t.Errorf("%+v", d)
	}
	r.hear(sighting(1, DHCPDiscover))
	if d := r.device(1); d.MAC != mac(1) || len(d.IPv6) > 0 {
		t.Errorf("%+v", d)
	}
	again := r.restart(Config{AwayInitial: 10 * time.Minute})
	again.hear(sighting(2, DHCPDiscover))
	if d := again.device(1); d.MAC != mac(2) || !slices.Contains(d.IPv6, addr6(3)) || d.Addr != addr(2) {
		t.Errorf("after a restart: %+v", d)
	}
	again.verify()
}
