package presence

import (
	"net/netip"
	"testing"
	"time"
)

// only6 is a device that is known well and has IPv6 only: it always answers.
func only6(n int) Record {
	rec := responsive(n)
	rec.Addr = netip.Addr{}
	rec.IPv6 = []netip.Addr{own6(n)}
	return rec
}

func own6(n int) netip.Addr { return netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(n)}) }

// TestMuted: this machine loses its IPv6 address. Who has IPv6 only stays home,
// who has IPv4 leaves as ever; with the address back, the one that is gone is
// asked again, and leaves.
func TestMuted(t *testing.T) {
	r := newRig(t, Config{}, only6(1), only6(2), responsive(3))
	for n := 1; n <= 3; n++ {
		r.answers[mac(n)] = true
	}
	r.wait(5 * time.Minute)
	if got := r.types(); len(got) > 0 {
		t.Fatalf("events %v", got)
	}
	r.mute6 = true
	r.answers[mac(2)], r.answers[mac(3)] = false, false
	r.wait(10 * time.Minute)
	if len(r.events) != 1 || r.events[0].ID != mac(3).ID() {
		t.Fatalf("events %+v, want that 3 left", r.events)
	}
	r.types()
	r.wait(40 * time.Minute)
	if got := r.types(); len(got) > 0 {
		t.Fatalf("left because it was not asked: %v", got)
	}

	r.mute6 = false
	r.sends()
	back := r.now
	r.wait(2*time.Minute + r.device(2).AwayAfter)
	if len(r.events) != 1 || r.events[0].ID != mac(2).ID() || r.events[0].Type != Left {
		t.Fatalf("events %+v, want that 2 left", r.events)
	}
	left := r.events[0].Time
	if least := back.Add(r.device(2).AwayAfter); left.Before(least) {
		t.Errorf("left at %s, its new timeout ends after %s", left, least)
	}
	asked := 0
	for _, p := range r.sends() {
		if p.MAC == mac(2) && !p.at.After(left) {
			asked++
		}
	}
	if asked < asks {
		t.Errorf("asked %d times before it left", asked)
	}
}

// TestMutedForLong: a silence of AwayMax is an absence also without a question.
func TestMutedForLong(t *testing.T) {
	r := newRig(t, Config{}, only6(1))
	r.mute6 = true
	r.wait(time.Hour - time.Second)
	if got := r.types(); len(got) > 0 {
		t.Fatalf("events %v", got)
	}
	r.wait(time.Minute)
	if len(r.events) != 1 || r.events[0].Type != Left {
		t.Errorf("events %+v", r.events)
	}
}

// TestMutedAnchors: those who cannot be asked are no sign of an outage, so that
// who has IPv4 leaves in its time.
func TestMutedAnchors(t *testing.T) {
	known := []Record{responsive(1)}
	for n := 2; n <= 5; n++ {
		rec := only6(n)
		rec.Model.leaves = 0
		known = append(known, rec)
	}
	r := newRig(t, Config{}, known...)
	for _, rec := range known {
		r.answers[rec.MAC] = true
	}
	r.wait(5 * time.Minute)
	r.mute6 = true
	r.answers[mac(1)] = false
	r.wait(90 * time.Second)
	if len(r.events) != 1 || r.events[0].ID != mac(1).ID() || r.events[0].Type != Left {
		t.Errorf("events %+v, want that 1 left", r.events)
	}
}

// TestOneProbeUnsent: one failure does not keep a departure back.
func TestOneProbeUnsent(t *testing.T) {
	r := newRig(t, Config{}, only6(1))
	r.answers[mac(1)] = true
	r.wait(5 * time.Minute)
	r.answers[mac(1)] = false
	r.mute6 = true
	for r.sends(); len(r.probes) == 0; {
		r.wait(time.Second)
	}
	r.mute6 = false
	r.wait(r.device(1).AwayAfter + 5*time.Second)
	if got := r.types(); len(got) != 1 || got[0] != Left {
		t.Errorf("events %v", got)
	}
}
