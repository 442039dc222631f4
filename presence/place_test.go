package presence

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// on returns what device 1 says on an interface; an empty address is none.
func on(ifname string, k Kind, a string) Sighting {
	s := Sighting{Interface: ifname, MAC: mac(1), Kind: k}
	if a != "" {
		s.Addr = netip.MustParseAddr(a)
	}
	return s
}

// spot is where a device is and answers.
type spot struct{ ifname, addr string }

// roams returns a rig with device 1 at home, known well, and answering from one
// spot at a time.
func roams(t *testing.T, from spot) (r *rig, move func(spot)) {
	known := responsive(1)
	known.Interface, known.Addr = from.ifname, netip.Addr{}
	if a := netip.MustParseAddr(from.addr); a.Is4() {
		known.Addr = a
	} else {
		known.IPv6 = []netip.Addr{a}
	}
	r = newRig(t, Config{}, known)
	r.answers[mac(1)] = true
	at := from
	r.reached = func(p Probe) bool { return p.Interface == at.ifname && p.Addr.String() == at.addr }
	r.wait(10 * time.Minute)
	if got := r.types(); len(got) > 0 {
		t.Fatalf("before it moves: %v", got)
	}
	return r, func(s spot) { at = s }
}

// TestRoaming has a device move to another segment, as different devices do: it
// is home throughout, is asked at its new address where it is now, and its
// departure from there is known as soon as ever.
func TestRoaming(t *testing.T) {
	type step struct {
		after time.Duration
		s     Sighting
	}
	v4, v6 := [2]spot{{"eth0", "10.0.0.1"}, {"eth1", "10.0.1.7"}}, [2]spot{{"eth0", "fe80::1"}, {"eth1", "fe80::2"}}
	const soon = 500 * time.Millisecond
	changed := []EventType{AddressChanged}
	for _, test := range []struct {
		name  string
		spots [2]spot
		steps []step
		want  []EventType
	}{
		{"DHCP, and no other word", v4, []step{
			{time.Second, on("eth1", DHCPDiscover, "")}, {soon, on("eth1", DHCPRequest, "10.0.1.7")},
		}, changed},
		{"asks for its old address first", v4, []step{
			{3 * time.Second, on("eth1", DHCPRequest, "10.0.0.1")},
			{soon, on("eth1", DHCPDiscover, "10.0.0.1")},
			{soon, on("eth1", DHCPRequest, "10.0.1.7")},
			{soon, on("eth1", ARPProbe, "10.0.1.7")},
			{2 * time.Second, on("eth1", ARPAnnouncement, "10.0.1.7")},
		}, changed},
		{"the server's answer is heard too", v4, []step{
			{3 * time.Second, on("eth1", DHCPDiscover, "")}, {soon, on("eth1", DHCPAck, "10.0.1.7")},
		}, changed},
		{"its join was missed", v4, []step{
			{3 * time.Second, on("eth1", ARPRequest, "10.0.1.7")}, {10 * time.Second, on("eth1", ARPRequest, "10.0.1.7")},
		}, changed},
		{"heard once", v4, []step{{20 * time.Second, on("eth1", ARPRequest, "10.0.1.7")}}, changed},
		{"heard once, a moment after", v4, []step{{time.Millisecond, on("eth1", ARPRequest, "10.0.1.7")}}, changed},
		{"its new address is not known for a while", v4, []step{
			{3 * time.Second, on("eth1", DHCPDiscover, "10.0.0.1")}, {8 * time.Minute, on("eth1", ARPReply, "10.0.1.7")},
		}, changed},
		{"IPv6", v6, []step{
			{3 * time.Second, on("eth1", MLDReport, "")}, {soon, on("eth1", NDPDad, "fe80::2")},
		}, nil},
		{"IPv6, its join was missed", v6, []step{{20 * time.Second, on("eth1", NDPSolicitation, "fe80::2")}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, move := roams(t, test.spots[0])
			kind := ARPRequest
			if test.spots == v6 {
				kind = NDPAdvertisement
			}
			r.hear(on("eth0", kind, test.spots[0].addr))
			move(test.spots[1])
			for _, s := range test.steps {
				r.wait(s.after)
				r.hear(s.s)
			}
			r.wait(time.Hour)
			if diff := cmp.Diff(test.want, r.types(), equateEmpty); diff != "" {
				t.Error(diff)
			}
			d := r.device(1)
			if d.Interface != "eth1" || d.State != Home || d.Address().String() != test.spots[1].addr {
				t.Errorf("it is %s on %s with %v", d.State, d.Interface, d.Address())
			}
			for _, p := range r.sends() {
				if (p.Addr == netip.MustParseAddr(test.spots[1].addr)) != (p.Interface == "eth1") {
					t.Fatalf("asked for %v on %s", p.Addr, p.Interface)
				}
			}
			delete(r.answers, mac(1))
			r.wait(time.Minute)
			if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRoamingToAndFro has a device walk between two segments every few minutes.
func TestRoamingToAndFro(t *testing.T) {
	spots := []spot{{"eth0", "10.0.0.1"}, {"eth1", "10.0.1.7"}}
	r, move := roams(t, spots[0])
	for i := range 40 {
		to := spots[(i+1)%2]
		move(to)
		r.wait(4 * time.Second)
		r.hear(on(to.ifname, DHCPRequest, to.addr))
		r.wait(2 * time.Minute)
		if d := r.device(1); d.State != Home || d.Interface != to.ifname || d.Addr.String() != to.addr {
			t.Fatalf("move %d: it is %s on %s with %v", i, d.State, d.Interface, d.Addr)
		}
	}
	// That it has the address again that it had there is nothing to tell.
	if diff := cmp.Diff([]EventType{AddressChanged}, r.types()); diff != "" {
		t.Error(diff)
	}
}

// TestReturnElsewhere has a device that was away come back on another segment:
// it is there at once, with what it says there.
func TestReturnElsewhere(t *testing.T) {
	r, move := roams(t, spot{"eth0", "10.0.0.1"})
	move(spot{})
	r.wait(time.Hour)
	r.types()
	r.hear(on("eth1", ARPRequest, "10.0.1.7"))
	if d := r.device(1); d.Interface != "eth1" || d.Addr.String() != "10.0.1.7" || len(r.events) != 1 || r.events[0].Addr != d.Addr {
		t.Errorf("it is on %s with %s, events %+v", d.Interface, d.Addr, r.events)
	}
}

// TestReturnElsewhereByDHCP has it ask for the address that it had before.
func TestReturnElsewhereByDHCP(t *testing.T) {
	r, move := roams(t, spot{"eth0", "10.0.0.1"})
	move(spot{})
	r.wait(time.Hour)
	move(spot{"eth1", "10.0.1.7"})
	r.sends()
	r.hear(on("eth1", DHCPRequest, "10.0.0.1"))
	r.wait(time.Second)
	r.hear(on("eth1", DHCPRequest, "10.0.1.7"))
	r.wait(time.Hour)
	if diff := cmp.Diff([]EventType{Left, Arrived, AddressChanged}, r.types()); diff != "" {
		t.Error(diff)
	}
	for _, p := range r.sends() {
		if p.Interface == "eth1" && p.Addr.String() == "10.0.0.1" {
			t.Fatal("asked for its old address")
		}
	}
}

// TestUnknownAddressElsewhere has a device join another segment and never say
// its address: it is not away as soon as one that can be asked, but it is away.
func TestUnknownAddressElsewhere(t *testing.T) {
	r, move := roams(t, spot{"eth0", "10.0.0.1"})
	move(spot{})
	r.wait(3 * time.Second)
	r.hear(on("eth1", DHCPDiscover, ""))
	r.sends()
	r.wait(9 * time.Minute)
	if got := r.types(); len(got) > 0 {
		t.Errorf("events %v", got)
	}
	r.wait(2 * time.Minute)
	if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" {
		t.Error(diff)
	}
	sends := r.sends()
	for _, p := range sends {
		if p.Interface != "eth0" {
			t.Fatalf("asked for %v on %s", p.Addr, p.Interface)
		}
	}
	if len(sends) < needed {
		t.Errorf("asked %d times where it was", len(sends))
	}

	// What a lease file has for it helps.
	r, move = roams(t, spot{"eth0", "10.0.0.1"})
	move(spot{"eth1", "10.0.1.7"})
	r.hear(on("eth1", DHCPDiscover, ""))
	r.wait(3 * time.Second)
	r.hear(on("eth1", DHCPDiscover, ""))
	r.take(r.e.Tell(r.now, NameFromLease, []Told{{MAC: mac(1), Addr: netip.MustParseAddr("10.0.1.7")}}))
	r.wait(time.Minute)
	if d := r.device(1); d.Interface != "eth1" || d.Addr.String() != "10.0.1.7" {
		t.Errorf("it is on %s with %v", d.Interface, d.Addr)
	}
}

// TestRelayed has a DHCP relay hand what a device says in its segment on to a
// server in another, which is heard as well: the device is where it was.
func TestRelayed(t *testing.T) {
	for _, first := range []bool{true, false} {
		r, _ := roams(t, spot{"eth0", "10.0.0.1"})
		r.reached = func(p Probe) bool { return p.Interface == "eth0" && p.Addr.String() == "10.0.0.9" }
		say := func(k Kind, a string) {
			relayed := on("eth1", k, a)
			relayed.Relayed, relayed.Via, relayed.Unicast = true, mac(9), true
			both := []Sighting{on("eth0", k, a), relayed}
			if first {
				both[0], both[1] = both[1], both[0]
			}
			r.hear(both[0])
			r.now = r.now.Add(time.Millisecond)
			r.hear(both[1])
		}
		say(DHCPDiscover, "")
		r.wait(3 * time.Second)
		say(DHCPRequest, "10.0.0.9")
		r.wait(time.Hour)
		if diff := cmp.Diff([]EventType{AddressChanged}, r.types()); diff != "" {
			t.Error(diff)
		}
		if d := r.device(1); d.Interface != "eth0" || d.Addr.String() != "10.0.0.9" {
			t.Errorf("it is on %s with %v", d.Interface, d.Addr)
		}
	}
}

// watchPlace counts how often device 1 is said to be somewhere else.
func watchPlace(r *rig, was *string) (moves int) {
	if is := r.device(1).Interface; is != *was {
		*was, moves = is, 1
	}
	return moves
}

// TestHeardTwice has each broadcast of a device heard on two interfaces, in
// either order, as behind a bridge between them or with two cards in one
// network: it does not flap, and is not asked more.
func TestHeardTwice(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var probes [2]int
	for twice := range probes {
		r := newRig(t, Config{}, responsive(1))
		r.answers[mac(1)] = true
		moves, where := 0, "eth0"
		for range 4 * 60 {
			names := []string{"eth0", "eth1"}
			random.Shuffle(2, func(i, j int) { names[i], names[j] = names[j], names[i] })
			kind := ARPRequest
			if random.IntN(20) == 0 {
				kind = DHCPRequest
			}
			for _, name := range names {
				if twice == 1 || name == "eth0" {
					s := on(name, kind, "10.0.0.1")
					r.hear(s)
					r.now = r.now.Add(20 * time.Microsecond)
				}
			}
			moves += watchPlace(r, &where)
			r.wait(time.Duration(random.IntN(30_000)) * time.Millisecond)
			moves += watchPlace(r, &where)
		}
		if got := r.types(); len(got) > 0 {
			t.Errorf("events %v", got)
		}
		if moves > 12 { // with about as many joins
			t.Errorf("said to be somewhere else %d times in an hour", moves)
		}
		probes[twice] = len(r.sends())
	}
	if probes[1] > probes[0]+40 {
		t.Errorf("asked %d times, and %d times when heard once", probes[1], probes[0])
	}
}

// TestRouterOnAllSegments has a router with one MAC and an address on each of
// sixteen VLANs: it is on one of them for us, from the first run on, and after a
// restart.
func TestRouterOnAllSegments(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	at := func(i int) spot { return spot{fmt.Sprintf("eth0.%d", i), fmt.Sprintf("10.0.%d.1", i)} }
	r := newRig(t, Config{})
	r.answers[mac(1)] = true
	r.reached = func(p Probe) bool {
		for i := range 16 {
			if s := at(i); s.ifname == p.Interface && s.addr == p.Addr.String() {
				return true
			}
		}
		return false
	}
	r.hear(on("eth0.3", ARPRequest, "10.0.3.1"))
	r.types()
	play := func(what string) {
		t.Helper()
		for range 2000 {
			s := at(random.IntN(16))
			r.hear(on(s.ifname, ARPRequest, s.addr))
			r.wait(time.Duration(random.IntN(20_000)) * time.Millisecond)
		}
		if got := r.types(); len(got) > 0 {
			t.Errorf("%s: events %v", what, got)
		}
		if d := r.device(1); d.Interface != "eth0.3" || d.Addr.String() != "10.0.3.1" {
			t.Errorf("%s: it is on %s with %v", what, d.Interface, d.Addr)
		}
	}
	play("at first")
	rec, _ := r.e.Record(mac(1).ID())
	for _, p := range r.sends() {
		if !r.reached(p.Probe) {
			t.Fatalf("asked for %v on %s", p.Addr, p.Interface)
		}
	}
	r.e = New(Config{})
	r.replies = nil
	r.take(r.e.Restore(r.now, []Record{rec}))
	play("after a restart")
}

// TestBlindSegment has one of two interfaces lose its link: who is there is
// held, who is on the other one, or on both, is not.
func TestBlindSegment(t *testing.T) {
	only, moved, came := responsive(1), responsive(2), responsive(3)
	both := responsive(4)
	r := newRig(t, Config{}, only, moved, came, both)
	for i := 1; i <= 4; i++ {
		r.answers[mac(i)] = true
	}
	r.sense("eth0", false)
	r.sense("eth1", false)
	r.wait(time.Minute)
	join := func(n int, ifname string) {
		s := sighting(n, ARPAnnouncement)
		s.Interface, s.Kind = ifname, DHCPRequest
		r.hear(s)
		s.Kind = ARPAnnouncement
		r.wait(3 * time.Second)
		r.hear(s)
	}
	join(2, "eth1")
	join(3, "eth1")
	r.wait(time.Minute)
	join(3, "eth0") // and back
	for _, name := range []string{"eth1", "eth0"} {
		s := sighting(4, ARPRequest)
		s.Interface = name
		r.hear(s)
	}
	r.types()
	r.sense("eth0", true)
	r.reached = func(p Probe) bool { return p.Interface == "eth1" && (p.MAC == mac(2) || p.MAC == mac(4)) }
	r.sends()
	r.wait(time.Hour)
	if diff := cmp.Diff([]EventType{SensingLost}, r.types()); diff != "" {
		t.Fatal(diff)
	}
	for i, want := range []string{"eth0", "eth1", "eth0", "eth1"} {
		if d := r.device(i + 1); d.Interface != want || d.State != Home {
			t.Errorf("device %d is %s on %s, want on %s", i+1, d.State, d.Interface, want)
		}
	}
	for _, p := range r.sends() {
		if p.Interface != "eth1" {
			t.Fatalf("asked on a blind interface: %+v", p)
		}
	}
	clear(r.answers)
	r.wait(time.Minute)
	gone := map[ID]bool{}
	for _, e := range r.events {
		gone[e.ID] = e.Type == Left
	}
	if len(gone) != 2 || !gone[mac(2).ID()] || !gone[mac(4).ID()] {
		t.Errorf("events %+v", r.events)
	}

	// Who is heard elsewhere while its segment is blind is there at once.
	r.events = nil
	r.answers[mac(1)] = true
	r.reached = func(p Probe) bool { return p.Interface == "eth1" }
	r.hear(Sighting{Interface: "eth1", MAC: mac(1), Addr: addr(1), Kind: ARPRequest})
	if d := r.device(1); d.Interface != "eth1" {
		t.Errorf("it is on %s", d.Interface)
	}
	r.wait(time.Hour)
	if got := r.types(); len(got) > 0 {
		t.Errorf("events %v", got)
	}
	delete(r.answers, mac(1))
	r.wait(time.Minute)
	if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" {
		t.Error(diff)
	}
}

// TestPlacesAreBounded has a stranger say, with another's MAC, that it is on
// every VLAN.
func TestPlacesAreBounded(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.answers[mac(1)] = true
	for i := range 4000 {
		r.hear(on(fmt.Sprintf("eth0.%d", 1+i), ARPRequest, "10.9.9.9"))
		r.wait(100 * time.Millisecond)
	}
	if n := len(r.e.byMAC[mac(1)].places); n != maxPlaces {
		t.Errorf("%d places", n)
	}
	if d := r.device(1); d.State != Home || d.Interface != "eth0" {
		t.Errorf("it is %s on %s", d.State, d.Interface)
	}
}

// TestRoamingAtRandom has a device walk through four segments for weeks, as real
// ones do: most joins are heard in part, some are not heard at all and the device
// says something later. As long as anything is heard where it is, it is home, and
// it is only ever asked for addresses that it had on that segment.
func TestRoamingAtRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	spots := make([]spot, 4)
	for i := range spots {
		spots[i] = spot{fmt.Sprintf("eth%d", i), fmt.Sprintf("10.0.%d.7", i)}
	}
	r, move := roams(t, spots[0])
	at := 0
	for range 2000 {
		from := spots[at]
		at = (at + 1 + random.IntN(3)) % 4
		to := spots[at]
		move(to)
		r.wait(time.Duration(50+random.IntN(2500)) * time.Millisecond)
		join := []Sighting{
			on(to.ifname, DHCPRequest, from.addr), on(to.ifname, DHCPDiscover, ""), on(to.ifname, DHCPRequest, to.addr),
			on(to.ifname, ARPProbe, to.addr), on(to.ifname, ARPAnnouncement, to.addr),
		}
		if random.IntN(10) == 0 {
			join = nil // all of it was missed
			r.wait(time.Duration(random.IntN(4)) * time.Second)
		}
		heard := false
		for _, s := range append(join, on(to.ifname, ARPRequest, to.addr)) {
			last := s.Kind == ARPRequest
			if last && !heard || random.IntN(5) > 0 {
				r.hear(s)
				heard = true
			}
			r.wait(time.Duration(random.IntN(800)) * time.Millisecond)
		}
		r.wait(time.Duration(random.IntN(600)) * time.Second)
		for _, e := range r.events {
			if e.Type != AddressChanged {
				t.Fatalf("%s to %s: %+v", from.ifname, to.ifname, e)
			}
		}
		r.types()
		for _, p := range r.sends() {
			if p.Interface[len("eth"):] != p.Addr.String()[len("10.0."):len("10.0.0")] {
				t.Fatalf("asked for %s on %s", p.Addr, p.Interface)
			}
		}
	}
}

// TestMoveInAnyOrder has what a device says as it comes to another segment heard
// in either order, as by two sockets: it has its address there at once, which is
// told once, with the frame that it is from.
func TestMoveInAnyOrder(t *testing.T) {
	const from, to, other = "10.0.0.1", "10.0.1.7", "10.0.1.8"
	use, request := on("eth1", ARPAnnouncement, to), on("eth1", DHCPRequest, to)
	both := func(use, request Sighting) [][]Sighting {
		return [][]Sighting{{request, use}, {use, request}}
	}
	told := []string{"ARP announcement from 10.0.1.7; it was 10.0.0.1 before"}
	for _, test := range []struct {
		name   string
		before []Sighting // on a visit before
		orders [][]Sighting
		apart  time.Duration // of when each was sent
		want   []string
	}{
		{"at once", nil, both(use, request), 20 * time.Microsecond, told},
		{"by the time stamps heard as sent", nil, both(use, request), -20 * time.Microsecond, told},
		{"asks for none", nil, both(use, on("eth1", DHCPDiscover, "")), time.Millisecond, told},
		{"asks for the one it had", nil, both(use, on("eth1", DHCPRequest, from)), time.Millisecond, told},
		{"has the one again that it had there", []Sighting{request, use}, both(use, request), time.Millisecond, nil},
		{"had another one there", []Sighting{on("eth1", DHCPRequest, other), on("eth1", ARPAnnouncement, other)}, both(use, request), time.Millisecond, told},
		{"long before: it may have another one by now", nil, [][]Sighting{{use, request}}, 2 * time.Second, nil},
	} {
		for _, order := range test.orders {
			t.Run(fmt.Sprintf("%s, %s first", test.name, order[0].Kind), func(t *testing.T) {
				r, move := roams(t, spot{"eth0", from})
				if len(test.before) > 0 {
					move(spot{"eth1", test.before[1].Addr.String()})
					for _, s := range append(test.before, on("eth0", DHCPRequest, from), on("eth0", ARPAnnouncement, from)) {
						r.wait(time.Minute)
						r.hear(s)
					}
					move(spot{"eth0", from})
					r.wait(time.Minute)
				}
				r.types()
				r.wait(time.Second)
				for _, s := range order {
					r.hear(s)
					r.now = r.now.Add(test.apart)
				}
				var whys []string
				for _, e := range r.events {
					whys = append(whys, e.Why)
					if e.Type != AddressChanged || e.Addr != use.Addr {
						t.Errorf("told of %+v", e)
					}
				}
				if diff := cmp.Diff(test.want, whys); diff != "" {
					t.Error(diff)
				}
				want := to
				if test.apart > outOfOrder {
					want = from
				}
				if d := r.device(1); d.Interface != "eth1" || d.Addr.String() != want {
					t.Errorf("it is on %s with %v", d.Interface, d.Addr)
				}
			})
		}
	}
}
