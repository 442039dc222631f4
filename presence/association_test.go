package presence

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wifi is what an access point says of device n. It knows no address.
func wifi(n int, k Kind, ap string) Sighting {
	return Sighting{Interface: "eth0", MAC: mac(n), Kind: k, AP: ap}
}

// associate has device n come in by ap0; it is known, with its address.
func associated(t *testing.T, cfg Config, records ...Record) *rig {
	t.Helper()
	r := newRig(t, cfg, records...)
	for n := range records {
		r.hear(wifi(n+1, WiFiAssociation, "ap0"))
		r.answers[mac(n+1)] = true
	}
	r.wait(time.Second)
	r.events, r.probes, r.changed = nil, nil, nil
	return r
}

// left returns how long after at device n left, and why.
func (r *rig) left(n int, at time.Time) (after time.Duration, why string) {
	r.t.Helper()
	for _, e := range r.events {
		if e.Type == Left && e.MAC == mac(n) {
			return e.Time.Sub(at), e.Why
		}
	}
	r.t.Fatalf("device %d has not left: %v", n, r.events)
	return 0, ""
}

// Who leaves the Wi-Fi is asked at once, closely at first, and is away when the
// time that is set has passed.
func TestDisassociated(t *testing.T) {
	for _, test := range []struct {
		name     string
		after    time.Duration
		record   Record
		own      time.Duration // its own timeout
		want     time.Duration
		least    int // probes
		why, and string
	}{
		{"as set", 20 * time.Second, responsive(1), 0, 20 * time.Second, 6, "it left the Wi-Fi of ap0 20 s ago, no answer to 6 probes in 20 s; it had 20 s to come back", ""},
		{"a sleeper", 20 * time.Second, sleeper(1), 0, 20 * time.Second, 6, "left the Wi-Fi", ""},
		{"at once", time.Second, responsive(1), 0, time.Second, 3, "left the Wi-Fi of ap0", "it had 1 s to come back"},
		{"later", 5 * time.Minute, responsive(1), 0, 5 * time.Minute, 6, "left the Wi-Fi of ap0 5 min ago", ""},
		{"its own timeout", 20 * time.Second, responsive(1), 2 * time.Minute, 2 * time.Minute, 6, "left the Wi-Fi of ap0", "its timeout is set to 2 min"},
		{"drops the link as a habit", 20 * time.Second, dropper(1), 0, 11 * time.Minute, 6, "left the Wi-Fi of ap0", "it often drops the link, and had "},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := associated(t, Config{WiFiAwayAfter: test.after}, test.record)
			if test.own > 0 {
				r.set(1, Change{AwayAfter: &test.own})
			}
			r.wait(time.Second)
			r.answers[mac(1)] = false
			r.probes = nil
			at := r.now
			r.hear(wifi(1, WiFiDisassociation, "ap0"))
			r.hear(wifi(1, WiFiDisassociation, "ap0")) // hostapd may say it twice
			r.wait(30 * time.Minute)
			after, why := r.left(1, at)
			if after < test.want || after > test.want*5/4 || test.want < time.Minute && after > test.want+500*time.Millisecond {
				t.Errorf("away after %s, want %s", after, test.want)
			}
			sends := slices.DeleteFunc(r.sends(), func(p sent) bool { return p.at.Sub(at) > after })
			if len(sends) < test.least || sends[0].at.Sub(at) > 50*time.Millisecond {
				t.Errorf("asked at %v", sends)
			}
			if !strings.Contains(why, test.why) || !strings.Contains(why, test.and) {
				t.Errorf("why: %s", why)
			}
		})
	}
}

// dropper drops the link for ten minutes, eight times a day.
func dropper(n int) Record {
	r := responsive(n)
	for range 8 * 21 {
		r.Model.join(10 * time.Minute)
	}
	return r
}

// An associated device is home, however silent, and is not asked without end.
func TestAssociatedIsHome(t *testing.T) {
	r := associated(t, Config{}, responsive(1), sleeper(2))
	r.answers[mac(1)], r.answers[mac(2)] = false, false
	r.wait(10 * time.Hour)
	if len(r.events) > 0 || r.device(1).State != Home || r.device(2).State != Home {
		t.Fatalf("events %v", r.events)
	}
	if n := len(r.sends()); n < 100 || n > 200 {
		t.Errorf("asked %d times in 10 h", n)
	}
	// It was there and slept: that is learned as far as it may be.
	r.hear(sighting(2, ARPReply))
	at := r.now
	r.hear(wifi(1, WiFiDisassociation, "ap0"))
	r.wait(time.Minute)
	if after, _ := r.left(1, at); after != 20*time.Second {
		t.Errorf("away after %s", after)
	}
}

// Nobody leaves, and nothing is told, when it is soon back or is heard through
// another access point.
func TestBackOnWiFi(t *testing.T) {
	for name, back := range map[string]func(*rig){
		"associated again":              func(r *rig) { r.wait(15 * time.Second); r.hear(wifi(1, WiFiAssociation, "ap0")) },
		"associated with another":       func(r *rig) { r.hear(wifi(1, WiFiAssociation, "ap1")) },
		"found in the list":             func(r *rig) { r.wait(time.Second); r.hear(wifi(1, WiFiListed, "ap1")) },
		"answers through another":       func(r *rig) { r.answers[mac(1)] = true },
		"says something":                func(r *rig) { r.wait(19 * time.Second); r.hear(sighting(1, ARPRequest)) },
		"its access point is lost then": func(r *rig) { r.wait(time.Second); r.take(r.e.LoseAP(r.now, "ap0")); r.wait(30 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			r := associated(t, Config{}, responsive(1))
			r.answers[mac(1)] = false
			r.hear(wifi(1, WiFiDisassociation, "ap0"))
			back(r)
			r.wait(5 * time.Second)
			r.answers[mac(1)] = true
			r.wait(5 * time.Minute)
			if len(r.events) > 0 || len(r.changed) > 0 {
				t.Errorf("events %v", r.events)
			}
		})
	}
}

// What does not say that a device has left: nobody leaves by it.
func TestNotDisassociated(t *testing.T) {
	r := associated(t, Config{}, sleeper(1), responsive(2))
	r.answers[mac(1)] = false
	// It moves to another access point; the first notices only later.
	r.hear(wifi(1, WiFiAssociation, "ap1"))
	r.hear(wifi(1, WiFiDisassociation, "ap0"))
	// A stranger tries to get in with the MAC of one that is on no access point.
	r.take(r.e.LoseAP(r.now, "ap0"))
	r.hear(wifi(2, WiFiDisassociation, "ap0"))
	// It was heard since: the word of the access point came late.
	r.hear(wifi(2, WiFiAssociation, "ap0"))
	r.wait(time.Second)
	r.hear(sighting(2, ARPReply))
	late := wifi(2, WiFiDisassociation, "ap0")
	late.At = r.now.Add(-time.Millisecond)
	r.take(r.e.Sight(late))
	r.answers[mac(2)] = false
	r.wait(25 * time.Second)
	if len(r.events) > 0 {
		t.Errorf("events %v", r.events)
	}
	// Two access points that both list it: it has left when both have let it go.
	r.hear(wifi(1, WiFiListed, "ap0"))
	r.hear(wifi(1, WiFiDisassociation, "ap1"))
	r.wait(25 * time.Minute)
	if slices.ContainsFunc(r.events, func(e Event) bool { return e.MAC == mac(1) }) {
		t.Errorf("events %v", r.events)
	}
	at := r.now
	r.hear(wifi(1, WiFiDisassociation, "ap0"))
	r.wait(time.Minute)
	if after, why := r.left(1, at); after != 20*time.Second || !strings.Contains(why, "ap0") {
		t.Errorf("away after %s: %s", after, why)
	}
}

// When an access point says no more, silence counts again, from then on.
func TestLoseAP(t *testing.T) {
	r := associated(t, Config{}, responsive(1))
	r.answers[mac(1)] = false
	r.wait(time.Hour)
	timeout := r.device(1).AwayAfter
	at := r.now
	r.take(r.e.LoseAP(r.now, "ap0"))
	r.take(r.e.LoseAP(r.now, "ap0"))
	r.take(r.e.LoseAP(r.now, "ap7"))
	r.wait(timeout - time.Second)
	if len(r.events) > 0 {
		t.Fatalf("events %v", r.events)
	}
	r.wait(10 * time.Second)
	if after, why := r.left(1, at); after < timeout || !strings.Contains(why, "nothing heard for") {
		t.Errorf("away after %s of %s: %s", after, timeout, why)
	}
}

// A station is a device: a known one comes home at once, one that was never
// heard after a moment in which it may say its name.
func TestAssociation(t *testing.T) {
	r := newRig(t, Config{Self: []MAC{mac(9)}}, responsive(1))
	r.wait(2 * time.Hour)
	r.events = nil
	r.hear(wifi(1, WiFiAssociation, "ap0"))
	if len(r.events) != 1 || r.events[0].Type != Arrived || !strings.HasPrefix(r.events[0].Why, "Wi-Fi association with ap0 after 2 h 0") {
		t.Errorf("%+v", r.events)
	}
	r.events = nil
	r.hear(wifi(2, WiFiAssociation, "ap0"))
	r.hear(wifi(3, WiFiListed, "ap0"))
	r.hear(wifi(4, WiFiAssociation, "ap0"))
	r.hear(wifi(9, WiFiAssociation, "ap0")) // this machine
	r.hear(Sighting{MAC: MAC{1}, Kind: WiFiAssociation, AP: "ap0"})
	r.hear(wifi(5, WiFiDisassociation, "ap0")) // was not let in
	if len(r.events) > 0 {
		t.Errorf("%+v", r.events)
	}
	r.wait(200 * time.Millisecond)
	s := sighting(2, DHCPRequest)
	s.DHCP = &DHCP{HostName: "kettle"}
	r.hear(s)
	r.hear(wifi(4, WiFiDisassociation, "ap0")) // it looked in
	r.wait(time.Second)
	var got []string
	for _, e := range r.events {
		got = append(got, string(e.Type)+" "+string(e.ID)+" "+e.HostName+": "+e.Why)
	}
	want := []string{
		"new_device " + string(mac(2).ID()) + " kettle: DHCP REQUEST heard from it for the first time",
		"arrived " + string(mac(2).ID()) + " kettle: DHCP REQUEST heard from it for the first time",
		"new_device " + string(mac(3).ID()) + " : Wi-Fi association with ap0 from it for the first time",
		"arrived " + string(mac(3).ID()) + " : Wi-Fi association with ap0 from it for the first time",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r.known(4) || r.known(5) || r.known(9) {
		t.Errorf("%d devices", len(r.e.Devices()))
	}
	// Without an address it cannot be asked, and is no less away for that.
	at := r.now
	r.hear(wifi(3, WiFiDisassociation, "ap0"))
	r.wait(time.Minute)
	if after, why := r.left(3, at); after != 20*time.Second || !strings.Contains(why, "its address is not known") {
		t.Errorf("away after %s: %s", after, why)
	}
	// What cannot be known by the list is no silence, and one that is back is home.
	r.events = nil
	r.hear(wifi(3, WiFiListed, "ap0"))
	if len(r.events) != 1 || r.events[0].Type != Arrived {
		t.Errorf("%+v", r.events)
	}
}

// An access point that drops all at once, those who are always there among them,
// is in trouble: nobody has left.
func TestDroppedTogether(t *testing.T) {
	r := associated(t, Config{}, anchor(1), anchor(2), sleeper(3))
	for n := 1; n <= 3; n++ {
		r.answers[mac(n)] = false
		r.hear(wifi(n, WiFiDisassociation, "ap0"))
		r.wait(100 * time.Millisecond)
	}
	r.wait(3 * time.Minute)
	if len(r.events) > 0 {
		t.Fatalf("events %v", r.events)
	}
	for n := 1; n <= 2; n++ {
		r.hear(wifi(n, WiFiAssociation, "ap0"))
		r.answers[mac(n)] = true
	}
	at := r.now
	r.wait(time.Minute)
	if after, _ := r.left(3, at); after != 20*time.Second {
		t.Errorf("away after %s", after)
	}
	if types := r.types(); !slices.Equal(types, []EventType{Left}) {
		t.Errorf("%v", types)
	}
}

// A departure is decided on in time while others have a check going on, and
// where probes cannot go out.
func TestDisassociatedInTime(t *testing.T) {
	r := associated(t, Config{WiFiAwayAfter: 2 * time.Second}, responsive(1), anchor(2), anchor(3), responsive(4))
	r.take(r.e.LoseAP(r.now, "ap1"))
	for n := 1; n <= 4; n++ {
		r.answers[mac(n)] = false
	}
	r.e.check(r.e.links["eth0"])
	r.mute = true
	at := r.now
	r.hear(wifi(1, WiFiDisassociation, "ap0"))
	r.wait(2900 * time.Millisecond)
	if after, why := r.left(1, at); after > 2600*time.Millisecond || !strings.Contains(why, "could not be asked") {
		t.Errorf("away after %s: %s", after, why)
	}
}

// What is learned: how long a device drops the link for, but neither the moment
// in which it roams nor that it was gone.
func TestWhatAssociationsTeach(t *testing.T) {
	weight := func(r *rig) (slept, joined float64) {
		m := r.e.byMAC[mac(1)].model
		return m.slept.weight(), m.joined.weight()
	}
	r := associated(t, Config{}, record(1, Model{}))
	r.answers[mac(1)] = false
	r.wait(15 * time.Second)
	r.hear(wifi(1, WiFiAssociation, "ap1")) // was on ap0 all the time
	if slept, joined := weight(r); slept+joined > 0 {
		t.Errorf("roaming: slept %v, joined %v", slept, joined)
	}
	r.hear(wifi(1, WiFiDisassociation, "ap1"))
	r.wait(12 * time.Second)
	r.hear(wifi(1, WiFiAssociation, "ap1"))
	if slept, joined := weight(r); slept > 0 || joined != 1 {
		t.Errorf("a drop: slept %v, joined %v", slept, joined)
	}
	r.hear(wifi(1, WiFiDisassociation, "ap1"))
	r.wait(10 * time.Minute)
	r.hear(sighting(1, ARPReply)) // it joined another access point, unheard
	r.wait(time.Minute)
	if slept, joined := weight(r); slept > 0 || joined != 2 {
		t.Errorf("an absence: slept %v, joined %v", slept, joined)
	}
}

// A flood of stations is bounded: the first are waited for, and the doorman
// decides about them like about all.
func TestManyStations(t *testing.T) {
	r := newRig(t, Config{})
	for n := range maxNewcomers + 100 {
		r.hear(wifi(n+10, WiFiAssociation, "ap0"))
	}
	if n := len(r.e.newcomers); n != maxNewcomers {
		t.Errorf("%d wait", n)
	}
	r.wait(time.Second)
	if n := len(r.e.devices); n == 0 || n > floodSize+1 || len(r.e.newcomers) > 0 {
		t.Errorf("%d are devices, %d wait", n, len(r.e.newcomers))
	}
	r.take(r.e.LoseAP(r.now, "ap0"))
	if n := len(r.e.stations); n > 0 {
		t.Errorf("%d stations of nobody", n)
	}
}

// Stations that were there from the start are in the first run's list.
func TestStationsInBaseline(t *testing.T) {
	r := newRig(t, Config{Baseline: true})
	r.hear(wifi(1, WiFiListed, "ap0"))
	r.take(r.e.EndBaseline(r.now))
	r.wait(time.Minute)
	if types := r.types(); !slices.Equal(types, []EventType{Baseline}) || r.device(1).State != Home {
		t.Errorf("%v", types)
	}
}

// Who is to be woken when it is silent is woken at once when it has left.
func TestNudgeWhenDisassociated(t *testing.T) {
	wake := responsive(1)
	wake.Settings.Nudge = ptr(true)
	r := associated(t, Config{}, wake)
	at := r.now
	r.hear(wifi(1, WiFiDisassociation, "ap0"))
	r.wait(5 * time.Second)
	if woken := nudges(r.sends(), at); len(woken) == 0 || woken[0] > 50*time.Millisecond {
		t.Errorf("nudged after %v", woken)
	}
}

// A phone that drops the Wi-Fi twice an hour when it sleeps is taken for away by
// that until the habit is known, which takes a day; not after that. That it has
// really gone is then known when it has had that time.
func TestHabitOfDroppingTheLink(t *testing.T) {
	r := associated(t, Config{}, record(1, Model{}))
	rng := rand.New(rand.NewPCG(1, 2))
	var wrong []int // departures, by day
	for day := range 14 {
		r.events = nil
		for range 24 {
			for range 2 {
				r.answers[mac(1)] = true
				r.wait(24 * time.Minute)
				r.answers[mac(1)] = false
				r.hear(wifi(1, WiFiDisassociation, "ap0"))
				r.wait(time.Duration(120+rng.IntN(240)) * time.Second)
				r.hear(wifi(1, WiFiAssociation, "ap0"))
			}
		}
		wrong = append(wrong, 0)
		for _, e := range r.events {
			if e.Type == Left {
				wrong[day]++
			}
		}
	}
	if wrong[0] > 24 || !cmp.Equal(wrong[1:], make([]int, 13)) {
		t.Errorf("taken for away, by day: %v", wrong)
	}
	at := r.now
	r.hear(wifi(1, WiFiDisassociation, "ap0"))
	r.wait(time.Hour)
	if after, why := r.left(1, at); after < 5*time.Minute || after > 8*time.Minute || !strings.Contains(why, "often drops the link") {
		t.Errorf("away after %s: %s", after, why)
	}
}
