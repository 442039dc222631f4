package presence

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseReach(t *testing.T) {
	for s, want := range map[string]string{
		"ping 10.1.2.3":               "ping 10.1.2.3",
		" tcp  10.1.2.3:22 ":          "tcp 10.1.2.3:22",
		"tcp [fd00::3]:443":           "tcp [fd00::3]:443",
		"ping ::ffff:10.1.2.3":        "ping 10.1.2.3",
		"tcp 10.1.2.3":                "",
		"tcp 10.1.2.3:0":              "",
		"ping 10.1.2.3:22":            "",
		"ping nas.lan":                "",
		"ping":                        "",
		"udp 10.1.2.3:53":             "",
		"ping 127.0.0.1":              "",
		"ping 0.0.0.0":                "",
		"ping 255.255.255.255":        "",
		"ping 224.0.0.251":            "",
		"ping fe80::1%eth0":           "",
		"ping fd00::3%eth0":           "ping fd00::3",
		"ping 169.254.1.1":            "",
		"10.1.2.3":                    "",
		"":                            "",
		"tcp 10.1.2.3:22 10.1.2.4:22": "",
	} {
		r, ok := ParseReach(s)
		if ok != (want != "") || ok && r.String() != want || !ok && r != (Reach{}) {
			t.Errorf("%q: %s, %t", s, r, ok)
		}
	}
}

func FuzzParseReach(f *testing.F) {
	f.Add("ping 10.1.2.3")
	f.Add("tcp [fd00::3]:443")
	f.Add("ping ::ffff:10.1.2.3%eth0")
	f.Fuzz(func(t *testing.T, s string) {
		r, ok := ParseReach(s)
		if again, same := ParseReach(r.String()); ok && (!same || again != r || !hostAddr(r.Addr)) {
			t.Errorf("%q: %s, and again %s", s, r, again)
		}
	})
}

func TestReachMAC(t *testing.T) {
	a, b := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.1.2.4")
	m := ReachMAC(a)
	if m != ReachMAC(a) || m == ReachMAC(b) || !m.Station() || !m.Private() {
		t.Errorf("%s and %s", m, ReachMAC(b))
	}
	if m.String() != "52:43:79:24:57:2d" { // it is the device's id for good
		t.Errorf("%s", m)
	}
}

var site = netip.MustParseAddr("10.9.0.0")

// routed declares device n to be reached by a ping, and by TCP.
func routed(n int) Declaration {
	a := netip.AddrFrom4([4]byte{10, 9, byte(n >> 8), byte(n)})
	return declare(n, Change{Reach: &[]Reach{{Addr: a}, {Addr: a, Port: 22}}})
}

func answerOf(n int, k Kind) Sighting {
	s := sighting(n, k)
	s.Interface, s.Addr = Routed, routed(n).addr()
	return s
}

// behindRouter is a device as it is stored that no segment hears.
func behindRouter(r Record, n int) Record {
	r.Interface, r.Addr = Routed, routed(n).addr()
	return r
}

func (f Declaration) addr() netip.Addr { return (*f.Reach)[0].Addr }

// TestReachedOnlyWhereDeclared: an answer makes nobody known, and nobody home of
// whom the device file does not say that it counts.
func TestReachedOnlyWhereDeclared(t *testing.T) {
	r := newRig(t, Config{Declared: []Declaration{declare(1, Change{Name: ptr("x")}), routed(3)}})
	for _, k := range []Kind{PingReply, TCPReply} {
		r.hear(answerOf(1, k))
		r.hear(answerOf(2, k))
		other := answerOf(3, k)
		other.Addr = site
		r.hear(other)
	}
	if r.device(1).State != NotHome || r.known(2) || r.device(3).State != NotHome || len(r.events) > 0 {
		t.Errorf("%+v, %+v, %v", r.device(1), r.device(3), r.events)
	}
	if len(r.sends()) != 0 || !slices.Equal(r.device(3).Reach, *routed(3).Reach) {
		t.Errorf("%+v", r.device(3))
	}
}

// TestRouted: a device that no segment hears comes and goes by its answers, and
// is asked for however long it is away.
func TestRouted(t *testing.T) {
	r := newRig(t, Config{Declared: []Declaration{routed(1)}})
	r.wait(50 * time.Hour)
	probes := r.sends()
	if n := len(probes); n < 50*100 || n > 50*121 {
		t.Errorf("asked %d times in 50 hours", n)
	}
	ways := map[Reach]int{}
	for _, p := range probes {
		ways[p.Reach]++
		if p.Interface != Routed || p.Addr != p.Reach.Addr || p.Broadcast || p.Nudge {
			t.Fatalf("%+v", p)
		}
	}
	if len(ways) != 2 {
		t.Errorf("asked at %v", ways)
	}
	r.answers[mac(1)] = true
	r.wait(time.Minute)
	if got := r.types(); !slices.Equal(got, []EventType{Arrived}) {
		t.Errorf("events %v", got)
	}
	d := r.device(1)
	if d.Interface != Routed || d.Addr != routed(1).addr() || !strings.Contains(d.Why, "at 10.9.0.1 (no segment hears it) from it for the first time") {
		t.Errorf("%+v", d)
	}
	r.wait(48 * time.Hour)
	if d = r.device(1); d.AwayAfter > time.Minute || len(r.types()) > 0 {
		t.Errorf("away after %s", d.AwayAfter)
	}
	r.answers[mac(1)] = false
	r.wait(2 * time.Minute)
	if d = r.device(1); d.State != NotHome || !strings.Contains(d.Why, "no answer to") {
		t.Errorf("%s: %s", d.State, d.Why)
	}
	r.answers[mac(1)] = true
	r.wait(time.Minute)
	if d = r.device(1); d.State != Home || !strings.Contains(d.Why, "(no segment hears it) after") {
		t.Errorf("%s: %s", d.State, d.Why)
	}

	// Of a file without it, it is known no less, but not asked.
	r.take(r.e.Declare(r.now, nil))
	r.sends()
	r.hear(answerOf(1, PingReply))
	r.wait(3 * time.Hour)
	if d = r.device(1); d.State != NotHome || len(r.sends()) > 0 || d.Reach != nil {
		t.Errorf("%s: %s", d.State, d.Why)
	}
}

// TestRoutedAtRestart: it is asked at once, and home throughout.
func TestRoutedAtRestart(t *testing.T) {
	stored := behindRouter(responsive(1), 1)
	r := newRig(t, Config{Declared: []Declaration{routed(1)}}, stored)
	r.answers[mac(1)] = true
	r.wait(time.Hour)
	if p := r.sends(); len(p) == 0 || p[0].at.Sub(t0) > time.Second || len(r.types()) > 0 {
		t.Errorf("%d probes", len(p))
	}
}

// TestHeardFirst: a device that a segment hears is asked there first, and is on
// it once it was heard there.
func TestHeardFirst(t *testing.T) {
	r := newRig(t, Config{Declared: []Declaration{routed(1)}})
	r.hear(answerOf(1, PingReply))
	r.wait(3 * time.Minute)
	r.hear(sighting(1, ARPRequest))
	r.hear(answerOf(1, PingReply))
	if d := r.device(1); d.Interface != "eth0" || d.Addr != addr(1) {
		t.Errorf("%+v", d)
	}
	r.sends()
	r.wait(20 * time.Minute)
	for i, p := range r.sends() {
		if wide := i%2 == 1; (p.Reach != Reach{}) != wide || !wide && p.Interface != "eth0" {
			t.Fatalf("probe %d: %+v", i, p)
		}
	}
	if r.device(1).State != NotHome {
		t.Error("still home")
	}
}

// TestReachBesideAnswersThatDoNotCount: a computer whose network card answers
// while it is off can be asked after all.
func TestReachBesideAnswersThatDoNotCount(t *testing.T) {
	decl := routed(1)
	decl.IgnoreARPReplies = ptr(true)
	r := newRig(t, Config{Declared: []Declaration{decl}})
	r.hear(sighting(1, ARPRequest))
	r.answers[mac(1)] = true
	r.wait(48 * time.Hour)
	if d := r.device(1); d.State != Home || d.AwayAfter > time.Minute || d.Interface != "eth0" {
		t.Errorf("%s, away after %s", d.State, d.AwayAfter)
	}
	r.answers[mac(1)] = false
	r.wait(2 * time.Minute)
	if d := r.device(1); d.State != NotHome {
		t.Errorf("%s: %s", d.State, d.Why)
	}
}

// TestWayCut: nobody leaves because the way there is cut, however long; and when
// it is open again, everybody has the whole timeout.
func TestWayCut(t *testing.T) {
	for _, back := range []bool{true, false} {
		stored := behindRouter(responsive(1), 1)
		r := newRig(t, Config{Declared: []Declaration{routed(1)}}, stored)
		r.answers[mac(1)] = true
		r.wait(time.Hour)
		known := r.device(1).AwayAfter
		r.cut = true
		r.wait(20 * time.Hour)
		r.sends()
		r.wait(time.Hour)
		if n := len(r.sends()); len(r.types()) > 0 || n < 100 || n > 400 {
			t.Fatalf("while it is cut: %v, asked %d times in an hour", r.device(1), n)
		}
		r.cut, r.answers[mac(1)] = false, back
		open := r.now
		r.wait(5 * time.Minute)
		d := r.device(1)
		switch {
		case back && (len(r.types()) > 0 || d.AwayAfter > known+time.Second):
			t.Errorf("it was there all the time: %s, away after %s, was %s", d.Why, d.AwayAfter, known)
		case !back && (d.State != NotHome || d.Since.Sub(open) < d.AwayAfter):
			t.Errorf("%s, %s after the way was open: %s", d.State, d.Since.Sub(open), d.Why)
		}
	}
}

// TestWayCutWhileAway: it is asked on, and comes back.
func TestWayCutWhileAway(t *testing.T) {
	r := newRig(t, Config{Declared: []Declaration{routed(1)}})
	r.cut = true
	r.wait(time.Hour)
	r.cut, r.answers[mac(1)] = false, true
	r.wait(time.Minute)
	if d := r.device(1); d.State != Home {
		t.Errorf("%s: %s", d.State, d.Why)
	}
}

// TestRoutedTogether: when all those behind a router that are always there fall
// silent at once, it is the way that is gone, though nobody says so.
func TestRoutedTogether(t *testing.T) {
	var stored []Record
	var cfg Config
	for n := 1; n <= 4; n++ {
		rec := anchor(n)
		if n == 1 {
			rec = responsive(n)
		}
		stored, cfg.Declared = append(stored, behindRouter(rec, n)), append(cfg.Declared, routed(n))
	}
	local := anchor(9)
	r := newRig(t, cfg, append(stored, local)...)
	all := func(on bool) {
		for n := 1; n <= 4; n++ {
			r.answers[mac(n)] = on
		}
	}
	r.answers[mac(9)] = true
	all(true)
	r.wait(time.Hour)
	all(false)
	r.wait(4 * time.Minute)
	if got := r.types(); len(got) > 0 {
		t.Errorf("while the way is gone: %v, %s", got, r.device(1).Why)
	}
	all(true)
	r.wait(5 * time.Minute)
	if got := r.types(); len(got) > 0 {
		t.Errorf("when it is back: %v", got)
	}
	r.answers[mac(1)] = false // it alone
	r.wait(2 * time.Minute)
	if got := r.types(); !slices.Equal(got, []EventType{Left}) {
		t.Errorf("one that leaves alone: %v", got)
	}
}

// TestHeardFirstWayCut: who is asked on a segment leaves it, whatever is cut.
func TestHeardFirstWayCut(t *testing.T) {
	r := newRig(t, Config{Declared: []Declaration{routed(1)}})
	r.hear(sighting(1, ARPRequest))
	r.cut = true
	r.wait(20 * time.Minute)
	if d := r.device(1); d.State != NotHome {
		t.Errorf("%s: %s", d.State, d.Why)
	}
}

// TestReachedSaysNothingOfTheSegment: an answer from beyond a router changes
// neither where a device is heard nor through which repeater.
func TestReachedSaysNothingOfTheSegment(t *testing.T) {
	r := newRig(t, Config{Declared: []Declaration{routed(1)}})
	behind := sighting(1, ARPRequest)
	behind.Via = mac(9)
	r.hear(behind)
	r.hear(answerOf(1, PingReply))
	r.wait(5 * time.Minute)
	reply := behind
	reply.Kind = ARPReply
	r.hear(reply)
	if d := r.device(1); !d.LastSeen.Equal(r.now) {
		t.Errorf("last seen at %s: the answer through the repeater does not count", d.LastSeen)
	}

	joins := sighting(1, DHCPRequest)
	joins.Interface = "eth1"
	r.hear(joins)
	r.hear(answerOf(1, PingReply))
	r.sends()
	r.wait(20 * time.Minute)
	for _, p := range r.sends() {
		if (p.Interface == Routed) != (p.Reach != Reach{}) {
			t.Fatalf("%+v", p)
		}
	}
}

// TestRelayedAndReached: what comes through a DHCP relay is no reason to ask on
// the segment of the relay.
func TestRelayedAndReached(t *testing.T) {
	r := newRig(t, Config{Declared: []Declaration{routed(1)}})
	joins := sighting(1, DHCPRequest)
	joins.Relayed = true
	r.hear(joins)
	r.sends()
	r.wait(20 * time.Minute)
	if d := r.device(1); d.Interface != Routed || d.State != NotHome {
		t.Errorf("%s, on %s: %s", d.State, d.Interface, d.Why)
	}
	for _, p := range r.sends() {
		if p.Reach == (Reach{}) {
			t.Fatalf("%+v", p)
		}
	}
}
