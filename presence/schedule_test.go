package presence

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProbesInSilence follows one silence of each habit to its end.
func TestProbesInSilence(t *testing.T) {
	for _, test := range []struct {
		name     string
		rec      Record
		cfg      Config
		min, max int           // probes
		within   time.Duration // after the timeout
	}{
		{"answers always", responsive(1), Config{}, asks, asks + 1, 3 * time.Second},
		{"sleeps", sleeper(1), Config{}, asks + 3, asks + 8, 3 * time.Second},
		{"not known yet", record(1, Model{}), Config{}, asks + 4, asks + 26, 3 * time.Second},
		{"not known yet, asked seldom", record(1, Model{}), Config{ProbeInterval: 2 * time.Minute}, asks + 2, asks + 16, 3 * time.Second},
		{"fixed, shorter than the interval", record(1, Model{}), Config{AwayAfter: 10 * time.Second}, asks, asks + 1, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, test.cfg, test.rec)
			r.hear(sighting(1, ARPReply)) // a silence begins
			timeout := r.device(1).AwayAfter
			r.wait(timeout - time.Millisecond)
			if len(r.events) > 0 {
				t.Fatalf("left before its timeout of %s: %+v", timeout, r.events)
			}
			r.wait(test.within)
			if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" {
				t.Fatal(diff)
			}
			probes := r.sends()
			if n := len(probes); n < test.min || n > test.max {
				t.Errorf("%d probes, want %d to %d", n, test.min, test.max)
			}
			last := t0
			for i, p := range probes {
				if p.MAC != mac(1) || p.Addr != addr(1) || p.Interface != "eth0" || p.Broadcast != (i == len(probes)-1) {
					t.Errorf("probe %d of %d: %+v", i, len(probes), p)
				}
				if gap := p.at.Sub(last); gap < askGap {
					t.Errorf("probe %d comes %s after the one before", i, gap)
				}
				last = p.at
			}
			if last.Sub(t0) > timeout {
				t.Errorf("last probe after the timeout of %s, at %s", timeout, last.Sub(t0))
			}
		})
	}
}

// TestResponsiveIsAskedOncePerInterval bounds what a device that always answers costs.
func TestResponsiveIsAskedOncePerInterval(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.answers[mac(1)] = true
	r.wait(time.Hour)
	if n := len(r.sends()); n < 119 || n > 122 {
		t.Errorf("%d probes in an hour", n)
	}
}

// TestPace has a thousand devices that are all due at once.
func TestPace(t *testing.T) {
	for _, test := range []struct {
		devices int
		rate    float64 // probes a second that are allowed
	}{
		{200, 50 * rateHurry},
		{3000, rateHurry * rateHeadroom * 3000.0 / 30},
	} {
		var known []Record
		for i := range test.devices {
			known = append(known, responsive(i+1))
		}
		r := newRig(t, Config{}, known...)
		for i := range test.devices {
			r.answers[mac(i+1)] = true
		}
		r.wait(2 * time.Minute)
		probes := r.sends()
		perSecond := map[time.Time]int{}
		for _, p := range probes {
			perSecond[p.at.Truncate(time.Second)]++
		}
		for at, n := range perSecond {
			// An extra probe goes out when one device is due for two reasons.
			if float64(n) > test.rate*1.05+2 {
				t.Errorf("%d devices: %d probes in the second %s, want at most %g", test.devices, n, at, test.rate)
			}
		}
		if len(probes) < 4*test.devices {
			t.Errorf("%d devices: only %d probes", test.devices, len(probes))
		}
		if len(r.events) > 0 {
			t.Errorf("%d devices: %+v", test.devices, r.events[0])
		}
	}
}

// TestLateTick wakes the Engine long after it asked to be: nobody is away
// unasked, and the probes that were missed do not come in a burst.
func TestLateTick(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.answers[mac(1)] = true
	r.now = t0.Add(20 * time.Minute)
	r.take(r.e.Tick(r.now))
	if len(r.events) > 0 {
		t.Fatalf("%+v", r.events)
	}
	r.wait(time.Minute)
	if len(r.events) > 0 {
		t.Errorf("%+v", r.events)
	}

	for _, rec := range []Record{responsive(1), sleeper(1)} {
		r = newRig(t, Config{}, rec)
		r.hear(sighting(1, ARPReply))
		r.now = t0.Add(20 * time.Minute)
		r.take(r.e.Tick(r.now))
		r.wait(time.Hour)
		if got := r.types(); len(got) != 1 {
			t.Fatalf("events %v", got)
		}
		last := time.Time{}
		for i, p := range r.sends() {
			if gap := p.at.Sub(last); gap < askGap {
				t.Errorf("probe %d comes %s after the one before", i, gap)
			}
			last = p.at
		}
	}
}

// TestMute cannot send: the decision waits, but not for ever.
func TestMute(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.mute = true
	timeout := r.device(1).AwayAfter
	r.wait(timeout + patience - time.Second)
	if got := r.types(); len(got) > 0 {
		t.Fatalf("events %v", got)
	}
	r.wait(10 * time.Second)
	if got := r.types(); len(got) != 1 {
		t.Errorf("events %v", got)
	}
}

// TestExpectedAddress asks a device at both addresses that it may have.
func TestExpectedAddress(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.wait(time.Second)
	r.hear(sighting(1, ARPReply))
	ack := sighting(1, DHCPAck)
	ack.Addr = addr(77)
	r.hear(ack)
	r.sends()
	r.wait(time.Minute)
	got := map[string]int{}
	for _, p := range r.sends() {
		got[p.Addr.String()]++
	}
	if got["10.0.0.1"] < 2 || got["10.0.0.77"] < 2 || len(got) != 2 {
		t.Errorf("asked at %v", got)
	}
	r.e.AskedAddr(r.now, addr(77))
	if n := r.e.devices[mac(1).ID()].asked; n < 7 {
		t.Errorf("asked %d times", n)
	}
}

// TestAwayIsAskedNowAndThen for a day, at growing intervals.
func TestAwayIsAskedNowAndThen(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.wait(2 * time.Minute)
	r.types()
	r.sends()
	r.wait(48 * time.Hour)
	n := len(r.sends())
	if n < 120 || n > 160 {
		t.Errorf("%d probes", n)
	}
	if r.e.Next().Before(r.now) {
		t.Errorf("next is %s, now is %s", r.e.Next(), r.now)
	}
	// It came back unheard and answers the probe.
	r = newRig(t, Config{}, responsive(1))
	r.wait(time.Hour)
	r.answers[mac(1)] = true
	r.wait(awayAskMax + time.Second)
	if diff := cmp.Diff([]EventType{Left, Arrived}, r.types()); diff != "" {
		t.Error(diff)
	}
}

// TestReleaseThenFrame takes a good-bye back: no extra probe.
func TestReleaseThenFrame(t *testing.T) {
	r := newRig(t, Config{}, responsive(1))
	r.wait(time.Second)
	r.sends()
	r.hear(sighting(1, DHCPRelease))
	r.hear(sighting(1, ARPRequest))
	r.wait(29 * time.Second)
	if n := len(r.sends()); n != 0 {
		t.Errorf("%d probes", n)
	}
	r.wait(time.Second)
	if n := len(r.sends()); n != 1 {
		t.Errorf("%d probes", n)
	}
}

// TestPlanAscends has the places of the plan come one after the other, for
// every timeout and interval.
func TestPlanAscends(t *testing.T) {
	for _, interval := range []time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute} {
		for _, m := range []Model{{}, taught(1, 20*time.Second), taught(1, 20*time.Minute)} {
			for timeout := time.Second; timeout < 400*24*time.Hour; timeout = timeout * 5 / 4 {
				e := New(Config{ProbeInterval: interval})
				d := &device{model: m}
				d.Device.AwayAfter = timeout
				last := time.Duration(-1)
				inWindow := 0
				for d.step = 0; d.step < 150; d.step++ {
					ask, decide, place := e.plan(d)
					if decide != timeout {
						t.Fatalf("interval %s, timeout %s: decided at %s", interval, timeout, decide)
					}
					if ask <= last {
						t.Fatalf("interval %s, timeout %s: step %d at %s after %s", interval, timeout, d.step, ask, last)
					}
					if place >= 0 && ask < timeout {
						inWindow++
					}
					last = ask
				}
				if inWindow != asks {
					t.Errorf("interval %s, timeout %s: %d probes in the window", interval, timeout, inWindow)
				}
			}
		}
	}
	if got := New(Config{}).askAt(&device{}, 0); got.IsValid() {
		t.Errorf("asked at %s", got)
	}
	if math.IsInf(New(Config{}).spacing().Seconds(), 0) {
		t.Error("no spacing")
	}
}
