package presence

import (
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
