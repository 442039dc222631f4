package presence

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestGoneByAnotherMAC: who has left the Wi-Fi by one MAC and was heard by
// another since has its whole timeout, however it got the other.
func TestGoneByAnotherMAC(t *testing.T) {
	a, b := privateMAC(1), privateMAC(2)
	cfg := Config{MaxTracked: -1, AwayInitial: 10 * time.Minute, WiFiAwayAfter: 20 * time.Second}
	atAP := func(m MAC, k Kind) Sighting { return Sighting{Interface: "eth0", MAC: m, Kind: k, AP: "ap0"} }
	begin := func() *rig {
		r := newRig(t, cfg)
		r.hear(atAP(a, WiFiAssociation))
		r.hear(says(a, 1, annas, apple))
		r.follow(a, Follow{Same: true})
		r.wait(time.Minute)
		return r
	}
	for name, change := range map[string]func(*rig){
		"followed while it was asked": func(r *rig) {
			r.hear(atAP(a, WiFiDisassociation))
			r.wait(5 * time.Second)
			r.hear(says(b, 2, annas, apple))
		},
		"merged with who is home": func(r *rig) {
			r.hear(heard(b, 2, ARPRequest))
			r.wait(15 * time.Second)
			r.hear(atAP(a, WiFiDisassociation))
			r.wait(time.Second)
			r.hear(heard(b, 2, ARPRequest))
			if err := r.merge(a, b); err != nil {
				t.Fatal(err)
			}
		},
		"merged when it was away": func(r *rig) {
			r.hear(atAP(a, WiFiDisassociation))
			r.wait(time.Minute)
			if r.of(a).State == Home {
				t.Fatal("still home")
			}
			r.hear(heard(b, 2, ARPRequest))
			r.wait(10 * time.Second)
			if err := r.merge(a, b); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := begin()
			change(r)
			at := r.now
			r.wait(9 * time.Minute)
			if d := r.of(a); d.State != Home || len(d.MACs) != 2 {
				t.Fatalf("%+v", d)
			}
			r.wait(10 * time.Minute)
			if d := r.of(a); d.State == Home || d.Since.Sub(at) > 12*time.Minute {
				t.Errorf("home for longer than its timeout: %+v", d)
			}
		})
	}
}

// TestLeftTheDoor: a station that was let go before it was let in did not come.
func TestLeftTheDoor(t *testing.T) {
	r := newRig(t, Config{MaxTracked: -1})
	r.hear(says(privateMAC(1), 1, annas, apple))
	r.follow(privateMAC(1), Follow{Same: true})
	stay, pass := privateMAC(2), privateMAC(3)
	for _, m := range []MAC{stay, pass} {
		r.hear(Sighting{Interface: "eth0", MAC: m, Kind: WiFiAssociation, AP: "ap0"})
	}
	r.wait(2 * time.Second)
	r.hear(Sighting{Interface: "eth0", MAC: pass, Kind: WiFiDisassociation, AP: "ap0"})
	r.wait(10 * time.Second)
	if d := r.of(stay); d.State != Home {
		t.Errorf("%+v", d)
	}
	if d, known := r.e.Device(pass.ID()); known {
		t.Errorf("%+v", d)
	}
}

// TestEvictedLast: in a full table a laptop that goes by its private MAC, and has
// another one, is not taken for one of the many made-up ones.
func TestEvictedLast(t *testing.T) {
	private, real, visitor := privateMAC(1), mac(2), privateMAC(3)
	r := newRig(t, Config{MaxDevices: 2, AwayAfter: time.Minute})
	r.hear(heard(real, 2, ARPRequest))
	r.hear(heard(private, 1, ARPRequest))
	if err := r.merge(real, private); err != nil {
		t.Fatal(err)
	}
	r.hear(heard(private, 1, DHCPDiscover))
	r.wait(time.Hour)
	r.hear(heard(visitor, 3, ARPRequest))
	r.wait(time.Hour)
	if d := r.of(real); d.State == Home || d.MAC != private || r.of(visitor).State == Home {
		t.Fatalf("%+v", d)
	}
	r.hear(heard(mac(4), 4, ARPRequest))
	if _, known := r.e.Device(visitor.ID()); known || r.of(real).MACs == nil {
		t.Errorf("%v is known, not the laptop", r.e.Devices())
	}
}

// TestMergedWithWhoHasLeft: who is home was heard when the one that it is now was,
// even if that one has left since.
func TestMergedWithWhoHasLeft(t *testing.T) {
	r := newRig(t, Config{MaxTracked: -1})
	r.hear(sighting(1, ARPRequest))
	r.hear(sighting(2, ARPRequest))
	r.set(1, Change{AwayAfter: ptr(10 * time.Minute)})
	r.set(2, Change{AwayAfter: ptr(2 * time.Minute)})
	r.wait(5 * time.Minute)
	r.hear(sighting(2, ARPRequest))
	heard := r.now
	r.wait(4 * time.Minute)
	if r.device(1).State != Home || r.device(2).State == Home {
		t.Fatalf("%+v", r.e.Devices())
	}
	if err := r.merge(mac(1), mac(2)); err != nil {
		t.Fatal(err)
	}
	r.wait(20 * time.Minute)
	if d := r.device(1); d.State == Home || d.Since.Sub(heard) < 10*time.Minute {
		t.Errorf("away after %s: %s", d.Since.Sub(heard), d.Why)
	}
}

// TestSplitWhileAssociated: who is associated is home, however silent, as a device
// of its own too.
func TestSplitWhileAssociated(t *testing.T) {
	r := newRig(t, Config{MaxTracked: -1})
	r.answers[mac(1)] = true
	r.hear(sighting(1, ARPRequest))
	r.hear(wifi(2, WiFiAssociation, "ap0"))
	r.hear(sighting(2, ARPRequest))
	if err := r.merge(mac(1), mac(2)); err != nil {
		t.Fatal(err)
	}
	r.wait(2 * time.Hour)
	if err := r.split(mac(1), mac(2)); err != nil {
		t.Fatal(err)
	}
	if d := r.device(2); d.State != Home {
		t.Errorf("%+v", d)
	}
	r.wait(2 * time.Hour)
	if d := r.device(2); d.State != Home {
		t.Errorf("later: %+v", d)
	}
}

// TestKnownGuest: a guest that turns out to be one who was told of is no new one.
func TestKnownGuest(t *testing.T) {
	for _, known := range []bool{true, false} {
		r := newRig(t, Config{MaxTracked: -1, NewGuests: GuestsDaily})
		if known {
			r.hear(privately(1, ARPRequest))
			r.wait(time.Hour)
			r.hear(privately(1, ARPRequest)) // nobody has made it up
			r.wait(25 * time.Hour)
		}
		r.types()
		r.hear(privately(2, ARPRequest))
		r.wait(time.Hour)
		r.hear(privately(1, ARPRequest))
		if err := r.merge(privateMAC(2), privateMAC(1)); err != nil {
			t.Fatal(err)
		}
		r.wait(25 * time.Hour)
		told := slices.Contains(r.types(), NewGuests)
		if told == known {
			t.Errorf("known %v, told %v", known, told)
		}
	}
}

// TestNudgeOfTheSameMAC: a device of two MACs is asked the second time by the one
// that was nudged.
func TestNudgeOfTheSameMAC(t *testing.T) {
	r := newRig(t, Config{MaxTracked: -1}, sleeper(1), sleeper(2))
	r.set(1, Change{Nudge: ptr(true)})
	if err := r.merge(mac(1), mac(2)); err != nil {
		t.Fatal(err)
	}
	r.hear(sighting(1, ARPRequest))
	r.hear(sighting(2, ARPRequest))
	r.wait(30 * time.Minute)
	probes, nudged := r.sends(), map[MAC]int{}
	for i, p := range probes[:len(probes)-1] {
		if !p.Nudge {
			continue
		}
		nudged[p.MAC]++
		if again := probes[i+1]; again.MAC != p.MAC || again.at.Sub(p.at) > 2*nudgeAgain {
			t.Errorf("after %+v: %+v", p, again)
		}
	}
	if len(nudged) != 2 {
		t.Errorf("nudged %v", nudged)
	}
}

// TestRouterOfManySegments: a router that uses another address on each of many
// segments is no proxy, has no conflict, and does not move.
func TestRouterOfManySegments(t *testing.T) {
	r := newRig(t, Config{MaxTracked: -1})
	for range 500 {
		for n := range 16 {
			s := at(addr(256*n), sighting(1, ARPRequest))
			s.Interface, s.Peer = fmt.Sprintf("eth0.%d", n), addr(256*n+5)
			r.hear(s)
			s.Kind = ARPReply
			r.hear(s)
			r.wait(time.Second)
		}
	}
	events := r.types()
	if !slices.Equal(events, []EventType{NewDevice, Arrived}) {
		t.Errorf("%v", events[:min(len(events), 20)])
	}
}

// TestSplitBeforeItIsAsked: that a MAC was to be asked first is forgotten with it,
// rather than that each answer brings another question.
func TestSplitBeforeItIsAsked(t *testing.T) {
	a, b := privateMAC(1), privateMAC(2)
	r := newRig(t, Config{MaxTracked: -1})
	r.hear(says(a, 1, annas, apple))
	r.follow(a, Follow{Same: true})
	r.wait(time.Hour)
	r.hear(says(b, 2, annas, apple))
	for range tooMany {
		r.hear(heard(a, 1, ARPRequest))
		r.hear(heard(b, 2, ARPRequest))
	}
	if len(r.of(a).MACs) > 0 || !slices.Contains(r.types(), Split) {
		t.Fatalf("%+v", r.of(a))
	}
	r.answers[a], r.answers[b] = true, true
	r.sends()
	r.wait(10 * time.Minute)
	if n := len(r.sends()); n > 60 {
		t.Errorf("asked %d times in 10 min", n)
	}
}

// TestReturnedWithAnotherMAC: a phone that came back with another MAC soon after
// it had left is asked by that one, and by that one it leaves the Wi-Fi.
func TestReturnedWithAnotherMAC(t *testing.T) {
	a, b := privateMAC(1), privateMAC(2)
	r := newRig(t, Config{MaxTracked: -1, WiFiAwayAfter: 20 * time.Second})
	visit := func(m MAC, n int) {
		r.hear(Sighting{Interface: "eth0", MAC: m, Kind: WiFiAssociation, AP: "ap0"})
		r.hear(says(m, n, annas, apple))
		r.answers[m] = true
		r.wait(30 * time.Minute)
		r.answers[m] = false
		r.hear(Sighting{Interface: "eth0", MAC: m, Kind: WiFiDisassociation, AP: "ap0"})
	}
	visit(a, 1)
	r.follow(a, Follow{Same: true})
	r.wait(10 * time.Minute)
	r.types()
	visit(b, 2)
	at := r.now
	r.sends()
	r.wait(10 * time.Minute)
	d := r.of(a)
	if after := d.Since.Sub(at); d.State == Home || d.MAC != b || after > 21*time.Second {
		t.Errorf("after %s: %+v", after, d)
	}
	for _, p := range r.sends() {
		if p.MAC != b {
			t.Errorf("asked at the old MAC: %+v", p)
		}
	}
}

// TestTwoAtOnceInAFullTable: of a device that should be two, and for which there is
// no room, the answer of one does not bring a question to the other without end.
func TestTwoAtOnceInAFullTable(t *testing.T) {
	a, b := privateMAC(1), privateMAC(2)
	r := newRig(t, Config{MaxTracked: -1, MaxDevices: 1})
	r.hear(says(a, 1, annas, apple))
	r.follow(a, Follow{Same: true})
	r.wait(time.Hour)
	r.hear(says(b, 2, annas, apple))
	r.answers[a], r.answers[b] = true, true
	r.sends()
	for range 10 {
		r.hear(heard(a, 1, ARPRequest))
		r.hear(heard(b, 2, ARPRequest))
		r.wait(time.Minute)
	}
	if n := len(r.sends()); n > 200 || r.e.Summary().Known != 1 {
		t.Errorf("asked %d times in 10 min; %+v", n, r.e.Devices())
	}
}
