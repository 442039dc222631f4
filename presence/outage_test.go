package presence

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBlind has away timers stand still while an interface cannot hear.
func TestBlind(t *testing.T) {
	vlan, wifi := responsive(2), responsive(3)
	vlan.Interface, wifi.Interface = "eth0.10", "wlan0"
	r := newRig(t, Config{}, responsive(1), vlan, wifi)
	for i := 1; i <= 3; i++ {
		r.answers[mac(i)] = true
	}
	r.sense("eth0", false)
	r.sense("wlan0", false)
	r.wait(20 * time.Second)
	if got := r.types(); len(got) > 0 {
		t.Fatalf("events %v", got)
	}
	r.sense("eth0", true)
	r.sense("eth0", true) // said twice
	clear(r.answers)
	r.sends()
	r.wait(time.Hour)
	if diff := cmp.Diff([]EventType{SensingLost, Left}, r.types()); diff != "" {
		t.Fatal(diff) // only wlan0's device has left
	}
	if d := r.device(3); d.State != NotHome {
		t.Errorf("wlan0's is %s", d.State)
	}
	for _, p := range r.sends() {
		if p.Interface != "wlan0" {
			t.Fatalf("asked on a blind interface: %+v", p)
		}
	}
	want := []Sensing{
		{At: t0.Add(20 * time.Second), Interface: "eth0", Blind: true, Why: "no carrier on eth0"},
		{At: t0, Interface: "wlan0", Why: "carrier on wlan0"},
	}
	if diff := cmp.Diff(want, r.e.Summary().Sensing); diff != "" {
		t.Error(diff)
	}

	r.sense("eth0", false)
	r.wait(time.Second)
	asked := map[MAC]bool{}
	for _, p := range r.sends() {
		asked[p.MAC] = true
	}
	if !asked[mac(1)] || !asked[mac(2)] {
		t.Error("not asked at once")
	}
	back := r.now
	r.wait(r.device(1).AwayAfter - 2*time.Second)
	if len(r.events) != 1 || r.events[0].Type != SensingBack || r.events[0].Interface != "eth0" ||
		r.events[0].Why != "eth0 hears again after 1 h 00 min; every device gets its whole timeout anew" {
		t.Fatalf("events %+v", r.events)
	}
	r.wait(10 * time.Second)
	if got := r.types(); len(got) != 3 {
		t.Fatalf("events %v", got)
	}
	if since := r.device(1).Since; since.Sub(back) < r.device(1).AwayAfter-time.Second {
		t.Errorf("left %s after the interface was back", since.Sub(back))
	}
	rec, _ := r.e.Record(mac(1).ID())
	if rec.Model.slept[len(rec.Model.slept)-1] < 50 {
		t.Errorf("a silence with blindness in it was learned: %v", rec.Model.slept)
	}
}

// TestBlindFromTheStart is told so before anything was heard.
func TestBlindFromTheStart(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.sense("eth0", true)
	r.wait(time.Hour)
	if diff := cmp.Diff([]EventType{SensingLost}, r.types()); diff != "" {
		t.Error(diff)
	}
	// What is heard all the same is heard.
	r.hear(sighting(2, ARPRequest))
	if diff := cmp.Diff([]EventType{NewDevice, Arrived}, r.types()); diff != "" {
		t.Error(diff)
	}
}

// TestGap has the machine sleep for a night.
func TestGap(t *testing.T) {
	r := newRig(t, Config{}, responsive(1), sleeper(2))
	r.sense("eth0", false)
	r.sense("wlan0", true)
	r.hear(sighting(2, ARPReply))
	r.wait(10 * time.Second)
	r.types()
	r.sends()
	r.now = r.now.Add(8 * time.Hour)
	r.take(r.e.Gap(r.now, "the machine slept for 8 h"))
	if diff := cmp.Diff([]EventType{SensingBack}, r.types()); diff != "" {
		t.Error(diff)
	}
	r.take(r.e.Tick(r.now))
	r.wait(time.Second)
	if n := len(r.sends()); n < 2 {
		t.Errorf("%d probes", n)
	}
	r.hear(sighting(2, ARPReply))
	r.wait(30 * time.Second)
	if got := r.types(); len(got) > 0 {
		t.Errorf("events %v", got)
	}
	rec, _ := r.e.Record(mac(2).ID())
	if got := rec.Model.weeks(); got < 2.999 || got > 3.001 {
		t.Errorf("the gap counts as time at home: %g weeks", got)
	}
	r.wait(time.Minute)
	if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" {
		t.Error(diff)
	}
}

// house is three devices that are always there, a laptop and a phone.
func house(t *testing.T, cfg Config) *rig {
	r := newRig(t, cfg, anchor(1), anchor(2), anchor(3), responsive(4), sleeper(5))
	for i := 1; i <= 5; i++ {
		r.answers[mac(i)] = true
	}
	r.wait(10 * time.Minute)
	r.types()
	return r
}

// TestOutage has the access point reboot.
func TestOutage(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute} {
		r := house(t, Config{ProbeInterval: interval})
		clear(r.answers)
		r.wait(3 * time.Minute)
		for i := 1; i <= 5; i++ {
			r.answers[mac(i)] = true
		}
		r.wait(30 * time.Minute)
		if len(r.events) > 0 {
			t.Errorf("interval %s: %+v", interval, r.events)
		}
		rec, _ := r.e.Record(mac(1).ID())
		if n := len(rec.Model.slept); n > binOf(150*time.Second) {
			t.Errorf("interval %s: the outage was learned: %v", interval, rec.Model.slept)
		}
	}
}

// TestOutageOfAVeryQuickSetting has timeouts shorter than it takes to find out.
func TestOutageOfAVeryQuickSetting(t *testing.T) {
	r := house(t, Config{AwayAfter: 7 * time.Second, ProbeInterval: 3 * time.Second})
	clear(r.answers)
	r.wait(4 * time.Minute)
	if len(r.events) > 0 {
		t.Errorf("%+v", r.events)
	}
}

// TestOutageIsHeldNoLonger than OUTAGE_HOLD: then they are gone.
func TestOutageIsHeldNoLonger(t *testing.T) {
	r := house(t, Config{OutageHold: 4 * time.Minute})
	clear(r.answers)
	r.wait(4 * time.Minute)
	if len(r.events) > 0 {
		t.Fatalf("%+v", r.events)
	}
	r.wait(2 * time.Minute)
	if got := r.types(); len(got) != 4 { // the phone may be asleep
		t.Errorf("events %v", got)
	}
	r.wait(time.Hour)
	if got := r.types(); len(got) != 1 {
		t.Errorf("events %v", got)
	}
}

// TestNoOutage has one leave while the others answer, or while there are too
// few others to judge by: its departure is known in time.
func TestNoOutage(t *testing.T) {
	r := house(t, Config{})
	delete(r.answers, mac(4))
	r.wait(45 * time.Second)
	if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" {
		t.Error(diff)
	}
	delete(r.answers, mac(1)) // one that was always there
	r.wait(45 * time.Second)
	if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" {
		t.Error(diff)
	}
	r = newRig(t, Config{}, anchor(1), responsive(2))
	r.wait(45 * time.Second)
	if diff := cmp.Diff([]EventType{Left, Left}, r.types()); diff != "" {
		t.Error(diff)
	}
}

// TestOutageWithOneGone has one of those that began the hold gone for good: the
// return of the other ends it.
func TestOutageWithOneGone(t *testing.T) {
	r := house(t, Config{})
	delete(r.answers, mac(1))
	delete(r.answers, mac(2))
	r.wait(45 * time.Second)
	if got := r.types(); len(got) > 0 {
		t.Fatalf("events %v", got)
	}
	r.hear(sighting(2, ARPAnnouncement))
	r.answers[mac(2)] = true
	r.wait(time.Minute)
	if len(r.events) != 1 || r.events[0].ID != mac(1).ID() {
		t.Errorf("%+v", r.events)
	}
}

// TestOutageOfOneOfMany has one access point of several reboot: the devices
// behind it are few among those that are always there.
func TestOutageOfOneOfMany(t *testing.T) {
	for _, test := range []struct {
		there, silent int
		outage        bool
	}{
		{20, 4, true},
		{20, 1, false},
		{300, 12, true},
		{300, 3, false}, // of so many, three leave together by chance
	} {
		var known []Record
		for i := 1; i <= test.there; i++ {
			known = append(known, anchor(i))
		}
		r := newRig(t, Config{}, append(known, responsive(999))...)
		for i := 1; i <= test.there; i++ {
			r.answers[mac(i)] = true
		}
		r.answers[mac(999)] = true
		r.wait(10 * time.Minute)
		for i := test.there; i > test.there-test.silent; i-- {
			delete(r.answers, mac(i))
		}
		delete(r.answers, mac(999))
		r.wait(2 * time.Minute)
		want := test.silent + 1
		if test.outage {
			want = 0
		}
		if len(r.events) != want {
			t.Errorf("%d of %d silent: %d left, want %d", test.silent, test.there, len(r.events), want)
		}
	}
}

// TestForgottenInOutage forgets a device that began a hold.
func TestForgottenInOutage(t *testing.T) {
	r := house(t, Config{})
	clear(r.answers)
	r.wait(45 * time.Second)
	l := r.e.links["eth0"]
	if len(l.missing) != 3 {
		t.Fatalf("%d missing", len(l.missing))
	}
	r.e.begin(r.now)
	r.e.remove(r.e.devices[mac(1).ID()])
	r.take(r.e.end())
	if len(l.missing) != 2 || len(r.gone) != 1 || r.e.Summary().Home != 4 {
		t.Errorf("%d missing, gone %v, %d home", len(l.missing), r.gone, r.e.Summary().Home)
	}
}

// TestNoInterface has devices whose interface is not known: they are asked and
// decided on like others.
func TestNoInterface(t *testing.T) {
	var known []Record
	for i := 1; i <= 4; i++ {
		rec := anchor(i)
		rec.Interface = ""
		known = append(known, rec)
	}
	r := newRig(t, Config{}, known...)
	r.wait(20 * time.Minute)
	if got := r.types(); len(got) != 4 {
		t.Errorf("events %v", got)
	}
	if got := r.e.Summary().Sensing; len(got) != 0 {
		t.Errorf("sensing %v", got)
	}
}

func TestParent(t *testing.T) {
	for name, want := range map[string]string{"eth0": "eth0", "eth0.10": "eth0", "": ""} {
		if got := parent(name); got != want {
			t.Errorf("parent of %q is %q", name, got)
		}
	}
	// A VLAN that says itself whether it hears is a link of its own.
	rec := responsive(1)
	rec.Interface = "eth0.10"
	r := newRig(t, Config{}, rec)
	r.sense("eth0.10", false)
	r.sense("eth0", true)
	r.wait(time.Minute)
	if diff := cmp.Diff([]EventType{SensingLost, Left}, r.types()); diff != "" {
		t.Error(diff)
	}
	if why := r.device(1).Why; !strings.HasPrefix(why, "no answer to ") {
		t.Error(why)
	}
}
