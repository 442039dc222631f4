package presence

import (
	"testing"
	"time"
)

// nudges are the probes among p that wake, by the silence that they came after.
func nudges(p []sent, since time.Time) (after []time.Duration) {
	for _, s := range p {
		if s.Nudge {
			after = append(after, s.at.Sub(since))
		}
	}
	return after
}

// TestNudge: who is silent for two minutes is nudged, and asked again a moment
// later; not sooner, and not once it is away.
func TestNudge(t *testing.T) {
	asleep := sleeper(1)
	asleep.Settings.Nudge = ptr(true)
	r := newRig(t, Config{}, asleep)
	r.hear(sighting(1, ARPRequest))
	r.sends()
	since := r.now
	r.wait(11 * time.Minute)
	probes := r.sends()
	woken := nudges(probes, since)
	if len(woken) == 0 || woken[0] < nudgeAfter || woken[0] > nudgeAfter+time.Second {
		t.Errorf("nudged after %v", woken)
	}
	if got := r.types(); len(got) != 1 || got[0] != Left {
		t.Errorf("events %v", got)
	}
	left := r.device(1).Since
	for i, p := range probes {
		switch {
		case p.Nudge && (p.MAC != mac(1) || !p.Addr.IsValid() || p.at.After(left)):
			t.Errorf("nudge %+v", p)
		case p.Nudge:
			again := probes[i+1]
			if late := again.at.Sub(p.at); again.MAC != p.MAC || again.Nudge || late < nudgeAgain || late > nudgeAgain+100*time.Millisecond {
				t.Errorf("after a nudge at %s: %+v", p.at, again)
			}
		}
	}
	r.wait(time.Hour)
	if later := nudges(r.sends(), since); len(later) > 0 {
		t.Errorf("nudged while away, after %v", later)
	}
}

// TestNudgeEndsWithTheAnswer: who has answered is not asked a second time.
func TestNudgeEndsWithTheAnswer(t *testing.T) {
	asleep := sleeper(1)
	asleep.Settings.Nudge = ptr(true)
	r := newRig(t, Config{}, asleep)
	r.hear(sighting(1, ARPRequest))
	r.wait(nudgeAfter - time.Second)
	r.sends()
	r.answers[mac(1)] = true
	r.wait(10 * time.Second)
	if p := r.sends(); len(p) != 1 || !p[0].Nudge {
		t.Errorf("probes %+v", p)
	}
}

// TestWhoIsNudged: the device's own switch, else its kind; not who is not asked.
func TestWhoIsNudged(t *testing.T) {
	for _, c := range []struct {
		name  string
		kinds []DeviceKind
		set   Change
		want  bool
	}{
		{"nobody", nil, Change{Kind: ptr(Phone)}, false},
		{"its kind", []DeviceKind{Watch, Phone}, Change{Kind: ptr(Phone)}, true},
		{"another kind", []DeviceKind{Watch}, Change{Kind: ptr(Phone)}, false},
		{"no kind", []DeviceKind{Phone}, Change{}, false},
		{"its switch", nil, Change{Nudge: ptr(true)}, true},
		{"its switch before its kind", []DeviceKind{Phone}, Change{Kind: ptr(Phone), Nudge: ptr(false)}, false},
		{"answers do not count", nil, Change{Nudge: ptr(true), IgnoreARPReplies: ptr(true)}, false},
	} {
		r := newRig(t, Config{Nudge: c.kinds}, sleeper(1))
		r.set(1, c.set)
		r.hear(sighting(1, ARPRequest))
		r.wait(5 * time.Minute)
		if got := len(nudges(r.sends(), r.now)) > 0; got != c.want {
			t.Errorf("%s: nudged %t", c.name, got)
		}
	}
}

// TestNudgeTakenBack: the switch follows the setting again.
func TestNudgeTakenBack(t *testing.T) {
	r := newRig(t, Config{Nudge: []DeviceKind{Phone}}, sleeper(1))
	r.set(1, Change{Kind: ptr(Phone), Nudge: ptr(false)})
	if d := r.device(1); d.Nudge == nil || *d.Nudge {
		t.Fatalf("%+v", d.Settings)
	}
	r.set(1, Change{NudgeByKind: true})
	if d := r.device(1); d.Nudge != nil {
		t.Fatalf("%+v", d.Settings)
	}
}

// TestNudgeWithFixedTimeout: a timeout that is set may end before two minutes.
func TestNudgeWithFixedTimeout(t *testing.T) {
	r := newRig(t, Config{AwayAfter: 45 * time.Second}, sleeper(1))
	r.set(1, Change{Nudge: ptr(true)})
	r.hear(sighting(1, ARPRequest))
	r.sends()
	since := r.now
	r.wait(time.Minute)
	if woken := nudges(r.sends(), since); len(woken) == 0 || woken[0] < 30*time.Second {
		t.Errorf("nudged after %v", woken)
	}
}

// TestNudgeIsAnotherWayToAsk: the silences of who is woken are others, so they
// are learned anew, and forgotten when that ends.
func TestNudgeIsAnotherWayToAsk(t *testing.T) {
	r := newRig(t, Config{}, sleeper(1))
	long := r.device(1).AwayAfter
	r.set(1, Change{Nudge: ptr(true)})
	if d := r.device(1); long < 30*time.Minute || d.AwayAfter != 10*time.Minute {
		t.Errorf("away after %s, and %s before", d.AwayAfter, long)
	}
	rec, _ := r.e.Record(mac(1).ID())
	rec.Model.home = 2
	again := newRig(t, Config{}, rec)
	if got := again.e.devices[mac(1).ID()].model.home; got != 2 {
		t.Errorf("after a restart, %v weeks are known", got)
	}
}

// TestNudgedAndGone: who is declared away a moment after a nudge, as it may be when
// it has left the Wi-Fi, is not asked without end from then on, and others have
// their turn.
func TestNudgedAndGone(t *testing.T) {
	r := associated(t, Config{WiFiAwayAfter: time.Second}, responsive(1), responsive(2))
	r.set(1, Change{Nudge: ptr(true)})
	r.answers[mac(1)], r.answers[mac(2)] = false, false
	r.wait(time.Minute)
	r.hear(wifi(1, WiFiDisassociation, "ap0"))
	r.wait(10 * time.Second)
	if got := r.types(); len(got) != 1 || got[0] != Left {
		t.Fatalf("events %v", got)
	}
	r.sends()
	r.hear(wifi(2, WiFiDisassociation, "ap0"))
	at := r.now
	r.wait(10 * time.Minute)
	if after, _ := r.left(2, at); after > 2*time.Second {
		t.Errorf("the other one left after %s", after)
	}
	if n := len(r.sends()); n > 60 {
		t.Errorf("asked %d times", n)
	}
}
