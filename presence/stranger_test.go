package presence

import (
	"slices"
	"testing"
	"time"
)

// TestOneMACManyAddresses: a router that answers for a whole network keeps its
// own address, says nothing about the others, and is told of once.
func TestOneMACManyAddresses(t *testing.T) {
	r := newRig(t, Config{})
	r.hear(sighting(1, ARPAnnouncement))
	r.events = nil
	want := []EventType{ProxyFound}
	for round := range 3 {
		for n := 2; n < 255; n++ {
			s := sighting(1, ARPReply)
			s.Addr = addr(n)
			r.hear(s)
			r.wait(time.Millisecond)
		}
		r.hear(sighting(1, ARPReply))
		if got := r.types(); r.device(1).Addr != addr(1) || !slices.Equal(got, want) {
			t.Fatalf("round %d: address %s, events %v", round, r.device(1).Addr, got)
		}
		want = nil
	}
}

// TestNamesAreHeld: a stranger who gives a device a name with each frame changes
// it once a minute at most, and a server cannot change what the device has said.
func TestNamesAreHeld(t *testing.T) {
	r := newRig(t, Config{})
	named := func(k Kind, name string) {
		s := sighting(1, k)
		s.DHCP = &DHCP{HostName: name}
		r.hear(s)
	}
	named(DHCPRequest, "phone")
	r.changed = nil
	for range 100 {
		named(DHCPRequest, "liar")
		named(DHCPAck, "server")
		named(DHCPRequest, "phone")
		r.wait(100 * time.Millisecond)
	}
	if d := r.device(1); d.HostName != "phone" || len(r.changed) != 0 {
		t.Errorf("name %q, changed %d times", d.HostName, len(r.changed))
	}
	r.wait(2 * time.Minute)
	named(DHCPAck, "server")
	if d := r.device(1); d.HostName != "phone" {
		t.Errorf("a server changed the name to %q", d.HostName)
	}
	named(DHCPRequest, "new name")
	if d := r.device(1); d.HostName != "new name" {
		t.Errorf("name %q", d.HostName)
	}
}

// TestNewestAfterRestart: the devices of the first list are not new, also after
// a restart, and the newest since then still is.
func TestNewestAfterRestart(t *testing.T) {
	r := newRig(t, Config{Baseline: true})
	r.hear(sighting(1, DHCPRequest))
	r.wait(time.Minute)
	done := r.now
	r.take(r.e.EndBaseline(done))
	restart := func() *NewFound {
		var all []Record
		for _, d := range r.e.Devices() {
			rec, _ := r.e.Record(d.ID)
			all = append(all, rec)
		}
		e := New(Config{BaselineAt: done})
		e.Restore(r.now, all)
		return e.Summary().LastNew
	}
	if got := restart(); got != nil {
		t.Errorf("newest after a restart: %+v", got)
	}
	r.wait(time.Minute)
	r.hear(sighting(2, DHCPRequest))
	if got := restart(); got == nil || got.ID != mac(2).ID() {
		t.Errorf("newest after a restart: %+v", got)
	}
}

// TestNoOutageHold: a negative hold holds nobody.
func TestNoOutageHold(t *testing.T) {
	r := newRig(t, Config{OutageHold: -1}, responsive(1), responsive(2), responsive(3), responsive(4))
	r.wait(5 * time.Minute)
	if got := len(r.types()); got != 4 {
		t.Errorf("%d events when all fell silent: %v", got, r.types())
	}
}
