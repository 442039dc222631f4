package presence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// answersFor is an answer of device n for the address of device of.
func answersFor(n, of int) Sighting {
	s := sighting(n, ARPReply)
	s.Addr, s.Unicast = addr(of), true
	return s
}

// TestProxyKeepsNobody: a proxy answers for all addresses, again and again. Who
// is away stays away, who leaves leaves, nobody is new, and one event says it.
func TestProxyKeepsNobody(t *testing.T) {
	r := newRig(t, Config{}, responsive(1), responsive(2), responsive(3))
	proxy, gone := mac(1), mac(2)
	r.answers[proxy], r.answers[mac(3)] = true, true
	r.wait(time.Minute)
	known := len(r.e.Devices())
	for range 20 {
		for n := 1; n < 255; n++ {
			r.hear(answersFor(1, n))
			r.wait(time.Millisecond)
		}
		r.wait(time.Minute)
	}
	var got []string
	for _, e := range r.events {
		got = append(got, fmt.Sprintf("%s %s", e.Type, e.MAC))
	}
	slices.Sort(got)
	want := []string{"left " + gone.String(), "proxy_found " + proxy.String()}
	if !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if d := r.device(1); len(r.e.Devices()) != known || d.State != Home || d.Addr != addr(1) {
		t.Errorf("%d devices, and the proxy is %s at %s", len(r.e.Devices()), d.State, d.Addr)
	}
}

// TestNewProxy: of a proxy that nobody knew, whose first word is an answer for
// another address, is said that it is new, and what it is; then, by what it asks,
// where it is, without another event.
func TestNewProxy(t *testing.T) {
	away := responsive(7)
	away.State = NotHome
	r := newRig(t, Config{}, away)
	r.answers[mac(1)] = true
	for range 3 {
		for n := 7; n < 255; n++ { // the first is for one that is away
			r.hear(answersFor(1, n))
			r.wait(20 * time.Millisecond)
		}
		r.wait(10 * time.Minute)
	}
	ask := sighting(1, ARPRequest)
	ask.Peer = addr(9)
	r.hear(ask)
	if got, want := r.types(), []EventType{NewDevice, Arrived, ProxyFound}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if d := r.device(1); d.Addr != addr(1) {
		t.Errorf("it goes by %s", d.Addr)
	}
	r.wait(10 * time.Minute)
	for n := 7; n < 255; n++ {
		r.hear(answersFor(1, n))
	}
	if d := r.device(1); d.Addr != addr(1) || len(r.events) > 0 {
		t.Errorf("it goes by %s, events %v", d.Addr, r.types())
	}
}

// TestProxyIsToldAgain: when it is over for long, not because of a restart.
func TestProxyIsToldAgain(t *testing.T) {
	r := newRig(t, Config{}, anchor(1))
	r.answers[mac(1)] = true
	proxy := func() {
		for n := 1; n <= ManyAddresses; n++ {
			r.hear(answersFor(1, n))
		}
	}
	for _, step := range []struct {
		after time.Duration
		told  bool
	}{{0, true}, {time.Hour, false}, {30 * time.Hour, false}, {30 * time.Hour, false}, {40 * time.Hour, true}} {
		r.wait(step.after)
		was := r.events
		r.events = nil
		proxy()
		if got := len(r.events) == 1 && r.events[0].Type == ProxyFound; got != step.told {
			t.Errorf("after %s: events %v", step.after, r.types())
		}
		r.events = append(was, r.events...)
	}
	last := r.events[len(r.events)-1]
	if last.ID != mac(1).ID() || !strings.Contains(last.Why, "answers for 9 addresses and more, such as 10.0.0.1 and 10.0.0.2") {
		t.Errorf("%+v", last)
	}
	r = newRig(t, Config{Told: r.events, AwayAfter: 3 * time.Hour}, anchor(1))
	r.mute = true
	r.wait(time.Hour)
	for n := 9; n > 1; n-- {
		r.hear(answersFor(1, n))
	}
	proxy()
	if d := r.device(1); len(r.events) > 0 || d.Addr != addr(1) {
		t.Errorf("after a restart it is told again, or goes by %s: %v", d.Addr, r.types())
	}
}

// TestFewAddresses: who has a few addresses, or one after the other over days, is
// no proxy.
func TestFewAddresses(t *testing.T) {
	r := newRig(t, Config{AwayAfter: 24 * time.Hour}, anchor(1), anchor(2))
	r.mute = true
	for day := range 10 {
		for range 100 {
			for n := range ManyAddresses - 2 {
				r.hear(answersFor(1, 100+n))
			}
			r.wait(time.Minute)
		}
		r.hear(answersFor(2, 200+day))
		r.wait(2 * time.Hour)
	}
	if n := slices.IndexFunc(r.events, func(e Event) bool { return e.Type != AddressChanged }); n >= 0 {
		t.Errorf("%+v", r.events[n])
	}
}

// via is s sent by device n for the one that it is of.
func via(n int, s Sighting) Sighting {
	s.Via = mac(n)
	return s
}

// TestVoice says, frame by frame, whether what another station says for a device
// counts.
func TestVoice(t *testing.T) {
	const phone, station = 1, 2
	request, answer := sighting(phone, ARPRequest), sighting(phone, ARPReply)
	join, announcement := sighting(phone, DHCPRequest), sighting(phone, ARPAnnouncement)
	probe := sighting(phone, ARPProbe)
	type step struct {
		Sighting
		counts bool
	}
	for name, steps := range map[string][]step{
		"answers for one that speaks itself": {
			{request, true},
			{via(station, answer), false},
			{via(station, announcement), false},
			{answer, true},
			{via(station, answer), false},
		},
		"a device behind a repeater": {
			{via(station, join), true},
			{via(station, probe), true},
			{via(station, announcement), true},
			{via(station, answer), true},
			{via(station, request), true},
			{via(3, answer), false},
		},
		"a device that comes to a repeater, and goes": {
			{request, true},
			{via(station, answer), false},
			{via(station, request), true},
			{via(station, answer), true},
			{answer, true},
			{via(station, answer), false},
		},
		"after a restart": {
			{via(station, answer), true},
			{request, true},
			{via(station, answer), false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{}, responsive(phone))
			r.mute = true
			for i, s := range steps {
				r.wait(time.Second)
				r.hear(s.Sighting)
				if got := r.device(phone).LastSeen.Equal(r.now); got != s.counts {
					t.Errorf("frame %d, %s via %s: counts %t", i, s.Kind, s.Via, got)
				}
			}
			r.wait(2 * time.Hour)
			if r.device(phone).State != NotHome {
				t.Fatal("it did not leave")
			}
			r.hear(via(9, answer))
			if r.device(phone).State != NotHome {
				t.Error("it came home by what another said for it")
			}
		})
	}
}

// TestVoiceAfterRestart: what one station says for another keeps nobody home for
// longer than AwayMax after a restart, even if the device was never heard itself.
func TestVoiceAfterRestart(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	for range 2 * 60 {
		r.hear(via(2, sighting(1, ARPReply)))
		r.wait(30 * time.Second)
	}
	if got := r.types(); len(got) > 0 {
		t.Fatalf("events in the first hour: %v", got)
	}
	for range 4 {
		r.hear(via(2, sighting(1, ARPReply)))
		r.wait(30 * time.Second)
	}
	if got := r.types(); !slices.Equal(got, []EventType{Left}) {
		t.Errorf("events %v", got)
	}
}

// TestVoiceOfAll: a station answers for all addresses with a MAC of its own for
// each, known and unknown ones. Nobody comes home, nobody stays, one event.
func TestVoiceOfAll(t *testing.T) {
	known := []Record{anchor(1)}
	for n := 2; n < 20; n++ {
		known = append(known, responsive(n))
	}
	r := newRig(t, Config{}, known...)
	for n := range 20 {
		r.answers[mac(n)] = n < 10
	}
	r.wait(30 * time.Minute)
	if got := len(r.types()); got != 10 {
		t.Fatalf("%d left, want 10", got)
	}
	for n := 2; n < 6; n++ {
		r.answers[mac(n)] = false
	}
	for range 20 {
		for n := 2; n < 255; n++ {
			r.hear(via(1, answersFor(n, n)))
		}
		r.wait(time.Minute)
	}
	var told []Event
	left := 0
	for _, e := range r.events {
		if e.Type == Left {
			left++
			continue
		}
		told = append(told, e)
	}
	if len(told) != 1 || told[0].Type != ProxyFound || told[0].ID != mac(1).ID() || left != 4 || len(r.e.Devices()) != len(known) {
		t.Errorf("%d left, %d devices, events %+v", left, len(r.e.Devices()), told)
	}
}

// TestVoicesAreBounded also when each frame comes from another station.
func TestVoicesAreBounded(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.hear(sighting(1, ARPRequest))
	for n := range 5000 {
		s := sighting(1, ARPReply)
		s.Via = madeUp(n)
		r.hear(s)
		r.wait(time.Millisecond)
	}
	if len(r.e.voices) > maxVoices || len(r.events) > 0 {
		t.Errorf("%d stations are watched, events %v", len(r.e.voices), r.types())
	}
}
