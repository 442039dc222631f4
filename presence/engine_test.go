package presence

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEvidenceOfUnknown(t *testing.T) {
	arrives := []EventType{NewDevice, Arrived}
	for _, test := range []struct {
		name string
		s    Sighting
		want []EventType
	}{
		{"ARP probe", sighting(1, ARPProbe), arrives},
		{"ARP announcement", sighting(1, ARPAnnouncement), arrives},
		{"ARP request", sighting(1, ARPRequest), arrives},
		{"ARP reply", sighting(1, ARPReply), arrives},
		{"DISCOVER", sighting(1, DHCPDiscover), arrives},
		{"REQUEST", sighting(1, DHCPRequest), arrives},
		{"REQUEST by unicast", Sighting{MAC: mac(1), Kind: DHCPRequest, Unicast: true}, arrives},
		{"INFORM", sighting(1, DHCPInform), arrives},
		{"DECLINE", sighting(1, DHCPDecline), nil},
		{"RELEASE", sighting(1, DHCPRelease), nil},
		{"OFFER", sighting(1, DHCPOffer), nil},
		{"ACK", sighting(1, DHCPAck), nil},
		{"DAD", sighting(1, NDPDad), arrives},
		{"router solicitation", sighting(1, NDPRouterSolicitation), arrives},
		{"neighbour solicitation", sighting(1, NDPSolicitation), arrives},
		{"neighbour advertisement", sighting(1, NDPAdvertisement), arrives},
		{"unknown kind", sighting(1, Kind(99)), nil},
		{"group address", Sighting{MAC: MAC{1}, Kind: ARPRequest}, nil},
		{"no address", Sighting{Kind: ARPRequest}, nil},
		{"this machine", sighting(9, ARPRequest), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, Config{Self: []MAC{mac(9)}})
			r.hear(test.s)
			if diff := cmp.Diff(test.want, r.types(), equateEmpty); diff != "" {
				t.Error(diff)
			}
			if got, want := len(r.e.Devices()), min(len(test.want), 1); got != want {
				t.Errorf("%d devices, want %d", got, want)
			}
			if got := r.e.Summary(); got.Home != len(r.e.Devices()) || got.Known != got.Home {
				t.Errorf("summary %+v", got)
			}
		})
	}
}

var equateEmpty = cmp.FilterValues(
	func(a, b []EventType) bool { return len(a)+len(b) == 0 },
	cmp.Comparer(func(a, b []EventType) bool { return true }),
)

// TestEvidenceOfSilence has a device that is home end a silence of 10 minutes:
// what the end proves decides what is learned, and whether it is asked.
func TestEvidenceOfSilence(t *testing.T) {
	for _, test := range []struct {
		name          string
		s             Sighting
		slept, joined float64
		heard, asked  bool
	}{
		{"join", sighting(1, DHCPRequest), 0, 1, true, false},
		{"alive", sighting(1, ARPRequest), 1, 0, true, false},
		{"renewal", Sighting{Interface: "eth0", MAC: mac(1), Addr: addr(1), Kind: DHCPRequest, Unicast: true}, 1, 0, true, false},
		{"hint", sighting(1, DHCPRelease), 0, 0, false, true},
		{"decline", sighting(1, DHCPDecline), 0, 0, false, true},
		{"server", sighting(1, DHCPAck), 0, 0, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, Config{AwayInitial: time.Hour})
			r.hear(sighting(1, ARPRequest))
			r.wait(10 * time.Minute)
			r.sends()
			r.types()
			r.hear(test.s)
			before := r.now
			r.wait(200 * time.Millisecond)
			if got := len(r.sends()) > 0; got != test.asked {
				t.Errorf("asked at once: %t", got)
			}
			if got := r.device(1).LastSeen.Equal(before); got != test.heard {
				t.Errorf("heard: %t", got)
			}
			r.hear(sighting(1, ARPRequest))
			r.wait(joinLag + time.Minute)
			rec, _ := r.e.Record(mac(1).ID())
			// The silences that follow are of half a minute, or tainted by the hint.
			long := func(h histogram) float64 { return h[min(len(h), binOf(2*time.Minute)):].weight() }
			if s, j := long(rec.Model.slept), long(rec.Model.joined); test.heard && (s != test.slept || j != test.joined) {
				t.Errorf("learned %g asleep, %g joined, want %g and %g", s, j, test.slept, test.joined)
			}
			if got := r.types(); len(got) > 0 {
				t.Errorf("events %v", got)
			}
		})
	}
}

// TestJoinAfterFirstFrame has a device whose join is heard only after its
// first frame: the silence counts as one that ended with a join.
func TestJoinAfterFirstFrame(t *testing.T) {
	for _, test := range []struct {
		after         time.Duration
		slept, joined float64
	}{
		{5 * time.Second, 0, 1},
		{joinLag + time.Second, 1, 0},
	} {
		r := newRig(t, Config{AwayInitial: time.Hour})
		r.hear(sighting(1, ARPRequest))
		r.wait(20 * time.Minute)
		r.hear(sighting(1, ARPRequest))
		r.wait(test.after)
		r.hear(sighting(1, DHCPRequest))
		rec, _ := r.e.Record(mac(1).ID())
		long := func(h histogram) float64 { return h[min(len(h), binOf(time.Minute)):].weight() }
		if s, j := long(rec.Model.slept), long(rec.Model.joined); s != test.slept || j != test.joined {
			t.Errorf("join after %s: %g asleep, %g joined", test.after, s, j)
		}
	}
}

func TestArriveLeaveArrive(t *testing.T) {
	r := newRig(t, Config{MaxTracked: -1, Vendor: func(MAC) string { return "Acme" }})
	s := sighting(1, DHCPRequest)
	s.DHCP = &DHCP{HostName: "kettle", VendorClass: "tea", ClientID: "01", Fingerprint: "1,3,6"}
	r.hear(s)
	r.wait(20 * time.Minute)
	r.hear(sighting(1, ARPReply))
	want := []Event{
		{Type: NewDevice, Time: t0, Why: "DHCP REQUEST heard from it for the first time"},
		{Type: Arrived, Time: t0, Why: "DHCP REQUEST heard from it for the first time"},
		{Type: Left, Time: t0.Add(10 * time.Minute), Why: "no answer to 31 probes in 10 min, nothing heard for 10 min; its habits are not known yet, so it had 10 min"},
		{Type: Arrived, Time: t0.Add(20 * time.Minute), Why: "ARP reply heard after 20 min of silence"},
	}
	for i := range want {
		e := &want[i]
		e.ID, e.MAC, e.Addr, e.Name, e.HostName, e.Vendor = mac(1).ID(), mac(1), addr(1), "kettle", "kettle", "Acme"
	}
	got := r.events
	if len(got) == len(want) {
		if late := got[2].Time.Sub(want[2].Time); late < 0 || late > 3*time.Second {
			t.Errorf("left %s after its timeout", late)
		}
		got[2].Time = want[2].Time
	}
	if diff := cmp.Diff(want, got, cmpAddrs); diff != "" {
		t.Error(diff)
	}
	d := r.device(1)
	if d.State != Home || !d.Since.Equal(t0.Add(20*time.Minute)) || !d.FirstSeen.Equal(t0) ||
		d.VendorClass != "tea" || d.ClientID != "01" || d.Fingerprint != "1,3,6" || !d.Tracked {
		t.Errorf("device %+v", d)
	}
}

var cmpAddrs = cmp.Comparer(func(a, b Event) bool {
	ja, _ := json.Marshal(a)
	jb, _ := json.Marshal(b)
	return string(ja) == string(jb)
})

// TestWhyLeft has each way to put it.
func TestWhyLeft(t *testing.T) {
	day := taught(1, 30*time.Second)
	dropper := Model{home: 1}
	for range 100 {
		dropper.join(20 * time.Minute)
	}
	fixed := record(1, day)
	fixed.Settings.AwayAfter = time.Minute
	nowhere := responsive(1)
	nowhere.Addr = netip.Addr{}
	for _, test := range []struct {
		name string
		cfg  Config
		rec  Record
		mute bool
		want []string
	}{
		{"learned", Config{}, responsive(1), false, []string{"no answer to ", "it is usually heard within 32 s, and had "}},
		{"chatty", Config{}, record(1, Model{home: 1}), false, []string{"it is hardly ever silent, and had 38 s"}},
		{"drops the link", Config{}, record(1, dropper), false, []string{"it drops the link when it sleeps, and had "}},
		{"set", Config{}, fixed, false, []string{"its timeout is set to 60 s"}},
		{"set for all", Config{AwayAfter: time.Minute}, responsive(1), false, []string{"the timeout for all devices is set to 60 s"}},
		{"passive", Config{Passive: true}, responsive(1), true, []string{"nobody asked it, nothing heard for "}},
		{"no address", Config{}, nowhere, false, []string{"it could not be asked, its address is not known"}},
		{"mute", Config{}, responsive(1), true, []string{"it could not be asked, nothing"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, test.cfg, test.rec)
			r.mute = test.mute
			r.wait(2 * time.Hour)
			if len(r.events) != 1 || r.events[0].Type != Left {
				t.Fatalf("events %+v", r.events)
			}
			for _, want := range test.want {
				if why := r.events[0].Why; !strings.Contains(why, want) {
					t.Errorf("why %q, want %q in it", why, want)
				}
			}
			if d := r.device(1); d.Why != r.events[0].Why || d.State != NotHome {
				t.Errorf("device %+v", d)
			}
		})
	}
	r := newRig(t, Config{Passive: true}, responsive(1))
	r.e.AskedAddr(t0.Add(5*time.Second), addr(1))
	r.e.AskedAddr(t0.Add(5*time.Second), addr(2))
	r.e.Asked(t0, Probe{MAC: mac(2)})
	r.mute = true
	r.wait(time.Hour)
	if why := r.events[0].Why; !strings.HasPrefix(why, "no answer to a probe, ") {
		t.Errorf("why %q", why)
	}
}

// TestAwayAfter has the timeout fixed, for one and for all, and learned again.
func TestAwayAfter(t *testing.T) {
	r := newRig(t, Config{AwayAfter: 3 * time.Minute}, responsive(1), responsive(2))
	two := 2 * time.Minute
	r.set(1, Change{AwayAfter: &two})
	if a, b := r.device(1).AwayAfter, r.device(2).AwayAfter; a != two || b != 3*time.Minute {
		t.Errorf("away after %s and %s", a, b)
	}
	r.wait(two - time.Second)
	if got := r.types(); len(got) > 0 {
		t.Fatalf("too early: %v", got)
	}
	r.wait(3 * time.Second)
	if got := r.types(); len(got) != 1 {
		t.Fatalf("events %v", got)
	}
	none := time.Duration(0)
	r.set(1, Change{AwayAfter: &none})
	if got := r.device(1).AwayAfter; got != 3*time.Minute {
		t.Errorf("away after %s", got)
	}
	if _, ok := r.e.Set(r.now, "nobody", Change{}); ok {
		t.Error("set on nobody")
	}
}

func TestSet(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.changed = nil
	name, off, groups := "  Kettle\n", false, []string{"kitchen"}
	r.set(1, Change{Name: &name, Track: &off, Groups: &groups})
	groups[0] = "changed by the caller"
	off = true
	d := r.device(1)
	if d.Settings.Name != "Kettle" || d.DisplayName() != "Kettle" || *d.Track || d.Tracked || d.Groups[0] != "kitchen" {
		t.Errorf("device %+v", d)
	}
	if len(r.changed) != 1 || r.changed[0].Settings.Name != "Kettle" {
		t.Errorf("changed %+v", r.changed)
	}
	if r.e.Set(r.now, mac(1).ID(), Change{}); r.device(1).Settings.Name != "Kettle" {
		t.Error("an empty change changed the name")
	}
}

func TestRestart(t *testing.T) {
	const n = 100
	var known []Record
	for i := 1; i <= n; i++ {
		rec := responsive(i)
		if i%2 == 0 {
			rec = sleeper(i)
		}
		known = append(known, rec)
	}
	away := responsive(200)
	away.State, away.Since = NotHome, t0.Add(-time.Hour)
	odd := responsive(201)
	odd.State = ""
	known = append(known, away, odd, known[0], Record{Device: Device{ID: "x", MAC: MAC{1}}}, Record{Device: Device{ID: "y", MAC: mac(1)}})
	r := newRig(t, Config{MaxTracked: -1}, known...)
	if got := r.e.Summary(); got.Home != n || got.Known != n+2 || len(got.Sensing) != 0 {
		t.Errorf("summary %+v", got)
	}
	if len(r.changed) != n+2 { // all have an entity from now on
		t.Errorf("%d changed", len(r.changed))
	}
	// Everyone who was home is asked at once, as far as the pace allows.
	r.wait(5 * time.Second)
	asked := map[MAC]int{}
	for _, p := range r.sends() {
		asked[p.MAC]++
	}
	for i := 1; i <= n; i++ {
		if asked[mac(i)] != 1 {
			t.Errorf("device %d asked %d times", i, asked[mac(i)])
		}
	}
	// Nobody answers: each leaves after its own timeout, and none before.
	r.wait(2 * time.Hour)
	if len(r.events) != n {
		t.Errorf("%d events, want %d", len(r.events), n)
	}
	for _, e := range r.events {
		d, _ := r.e.Device(e.ID)
		if in := e.Time.Sub(t0); e.Type != Left || in < d.AwayAfter || in > d.AwayAfter+10*time.Second {
			t.Errorf("%s: %s after %s, its timeout is %s", e.Name, e.Type, in, d.AwayAfter)
		}
	}
	rec, _ := r.e.Record(mac(1).ID())
	if rec.Model.slept.weight() != 100 {
		t.Error("a silence with a restart in it was learned")
	}
}

// TestRestartIsQuiet has everyone answer: nothing happens.
func TestRestartIsQuiet(t *testing.T) {
	r := newRig(t, Config{}, responsive(1), sleeper(2), responsive(3))
	for i := 1; i <= 3; i++ {
		r.answers[mac(i)] = true
	}
	r.changed = nil
	r.wait(6 * time.Hour)
	if len(r.events) > 0 || len(r.changed) > 0 {
		t.Errorf("events %v, changed %v", r.events, r.changed)
	}
}

// TestReturnAfterRestart has the words count the silence from when the device
// was last heard, not from the restart.
func TestReturnAfterRestart(t *testing.T) {
	rec := responsive(1)
	rec.State, rec.Since, rec.LastSeen = NotHome, t0.Add(-3*time.Hour), t0.Add(-3*time.Hour)
	r := newRig(t, Config{}, rec)
	r.hear(sighting(1, DHCPRequest))
	if len(r.events) != 1 || r.events[0].Why != "DHCP REQUEST heard after 3 h 00 min of silence" {
		t.Errorf("%+v", r.events)
	}
}

// TestNamedBeforeHeard has a device that the user named before it ever came.
func TestNamedBeforeHeard(t *testing.T) {
	rec := Record{Device: Device{ID: mac(1).ID(), MAC: mac(1), Settings: Settings{Name: "Kettle"}}}
	r := newRig(t, Config{}, rec)
	if d := r.device(1); d.State != NotHome || r.e.Summary().LastNew != nil {
		t.Errorf("device %+v, newest %+v", d, r.e.Summary().LastNew)
	}
	r.wait(time.Minute)
	r.hear(sighting(1, ARPRequest))
	if diff := cmp.Diff([]EventType{NewDevice, Arrived}, r.types()); diff != "" {
		t.Error(diff)
	}
	if got := r.e.Summary().LastNew; got == nil || !got.Time.Equal(r.now) || got.Name != "Kettle" {
		t.Errorf("newest %+v", got)
	}
}

// Names that strangers choose make the list shorter, not longer.
func TestBaselineOfLongNames(t *testing.T) {
	r := newRig(t, Config{Baseline: true})
	for i := 1; i <= MaxFound; i++ {
		s := sighting(i, DHCPRequest)
		s.DHCP = &DHCP{HostName: strings.Repeat(`"`, MaxName)}
		r.hear(s)
		r.wait(20 * time.Millisecond)
	}
	r.take(r.e.EndBaseline(r.now))
	found := r.events[0].Devices
	if text, err := json.Marshal(found); err != nil || len(found) < 60 || len(text) > 12<<10 {
		t.Errorf("%d devices in %d bytes: %v", len(found), len(text), err)
	}
}

func TestBaseline(t *testing.T) {
	r := newRig(t, Config{Baseline: true})
	for i := 1; i <= MaxFound+10; i++ {
		r.hear(sighting(i, ARPReply))
		r.wait(20 * time.Millisecond)
	}
	if len(r.events) > 0 || !r.e.Baselining() || r.e.Summary().LastNew != nil {
		t.Errorf("events %v, newest %v", r.types(), r.e.Summary().LastNew)
	}
	r.take(r.e.EndBaseline(r.now))
	r.take(r.e.EndBaseline(r.now))
	if r.e.Baselining() || len(r.events) != 1 || r.events[0].Type != Baseline || len(r.events[0].Devices) < 150 ||
		!strings.HasPrefix(r.events[0].Why, "first run: 260 devices found") {
		t.Fatalf("events %+v", r.events)
	}
	if got, want := r.events[0].Devices[0], (Found{ID: mac(1).ID(), Addr: addr(1), Name: "Device 00:01"}); got != want {
		t.Errorf("first %+v", got)
	}
	r.hear(sighting(300, ARPReply))
	if diff := cmp.Diff([]EventType{Baseline, NewDevice, Arrived}, r.types()); diff != "" {
		t.Error(diff)
	}
	if got := r.e.Summary().LastNew; got == nil || got.ID != mac(300).ID() {
		t.Errorf("newest %+v", got)
	}
}

func TestTouched(t *testing.T) {
	r := newRig(t, Config{}, responsive(1), responsive(2))
	r.e.Touched()
	r.hear(sighting(2, ARPReply))
	r.hear(sighting(1, ARPReply))
	got := r.e.Touched()
	if len(got) != 2 || got[0].ID != mac(1).ID() || !got[1].LastSeen.Equal(r.now) {
		t.Errorf("touched %+v", got)
	}
	// A record does not change with the Engine.
	before, _ := got[0].Model.MarshalBinary()
	r.wait(25 * time.Second)
	r.hear(sighting(1, ARPReply))
	after, _ := got[0].Model.MarshalBinary()
	if string(before) != string(after) {
		t.Error("a record has changed")
	}
	if got := r.e.Touched(); len(got) != 1 {
		t.Errorf("touched %+v", got)
	}
	if got := r.e.Touched(); len(got) != 0 {
		t.Errorf("touched again %+v", got)
	}
	if _, ok := r.e.Record("nobody"); ok {
		t.Error("a record of nobody")
	}
	if _, ok := r.e.Device("nobody"); ok {
		t.Error("a device nobody")
	}
}

// TestTimeGoesBack has sightings and ticks that are late or out of order.
func TestTimeGoesBack(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.answers[mac(1)] = true
	r.wait(10 * time.Minute)
	r.take(r.e.Tick(t0))
	s := sighting(1, ARPReply)
	s.At = t0
	weeks := r.e.devices[mac(1).ID()].model.weeks()
	r.take(r.e.Sight(s))
	if got := r.e.devices[mac(1).ID()].model.weeks(); got < weeks {
		t.Errorf("time at home went back from %g to %g weeks", weeks, got)
	}
	if d := r.device(1); d.LastSeen.Before(t0.Add(9 * time.Minute)) {
		t.Errorf("last seen went back to %s", d.LastSeen)
	}
	if r.e.Next().Before(t0.Add(10 * time.Minute)) {
		t.Errorf("next is %s", r.e.Next())
	}
	r.wait(time.Hour)
	if got := r.types(); len(got) > 0 {
		t.Errorf("events %v", got)
	}
}

// TestClockStartsWithFirstCall has an Engine that nobody told the time yet.
func TestClockStartsWithFirstCall(t *testing.T) {
	e := New(Config{})
	if !e.Next().IsZero() {
		t.Errorf("next is %s", e.Next())
	}
	e.Tick(t0)
	if got := e.Next(); !got.Equal(t0.Add(forgetEvery)) {
		t.Errorf("next is %s", got)
	}
}

// TestSame has the same inputs twice: the outputs are the same, byte for byte.
func TestSame(t *testing.T) {
	play := func() []byte {
		r := newRig(t, Config{MaxDevices: 1000, MaxTracked: 20}, anchor(1), anchor(2), sleeper(3), anchor(4))
		r.answers[mac(4)] = true
		for i := range 400 {
			r.hear(Sighting{Interface: "eth0.3", MAC: MAC{2, byte(i >> 8), byte(i)}, Addr: addr(i), Kind: ARPRequest})
			r.wait(40 * time.Millisecond)
		}
		for range 8 {
			for i := range 6000 {
				m := MAC{6, byte(i >> 8), byte(i)}
				r.hear(Sighting{Interface: "eth0", MAC: m, Addr: addr(i), Kind: ARPRequest})
				if i%100 == 0 {
					r.wait(40 * time.Millisecond)
				}
			}
		}
		r.sense("eth0", true)
		r.wait(time.Minute)
		r.sense("eth0", false)
		r.wait(30 * time.Hour)
		b, err := json.Marshal([]any{r.events, r.probes, r.changed, r.gone, r.e.Devices(), r.e.Touched(), r.e.Summary()})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a, b := play(), play()
	if string(a) != string(b) {
		t.Error("the same inputs gave other outputs")
	}
	if len(a) < 10000 {
		t.Errorf("only %d bytes to compare", len(a))
	}
}
