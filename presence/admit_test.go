package presence

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// madeUp returns the n-th made-up MAC.
func madeUp(n int) MAC {
	var m MAC
	binary.BigEndian.PutUint32(m[2:], uint32(n))
	m[0] = 2
	return m
}

// TestFlood has a million made-up MACs at 50,000 a second: the table stays
// bounded, and known devices come and go as ever.
func TestFlood(t *testing.T) {
	phone := responsive(1)
	phone.State = NotHome
	r := newRig(t, Config{MaxTracked: 5}, phone, responsive(2), responsive(3))
	r.answers[mac(2)] = true // 3 leaves
	const frames = 1_000_000
	for i := range frames {
		r.hear(Sighting{Interface: "eth0", MAC: madeUp(i), Addr: addr(i), Kind: ARPRequest})
		if i == frames/2 {
			r.hear(sighting(1, DHCPRequest))
			r.answers[mac(1)] = true
		}
		if i%100 == 99 {
			r.wait(2 * time.Millisecond)
		}
	}
	if n := r.e.Summary().Known; n > 3+2*floodSize {
		t.Errorf("%d devices", n)
	}
	if p := r.e.Summary().Problems; len(p) != 1 || !strings.HasPrefix(p[0], "a flood of made-up MAC addresses: ") {
		t.Errorf("problems %q", p)
	}
	if r.e.tracked > 5 {
		t.Errorf("%d entities", r.e.tracked)
	}
	arrived := r.device(1).Since.Sub(t0)
	if r.device(1).State != Home || arrived != 10*time.Second {
		t.Errorf("the phone is %s since %s", r.device(1).State, arrived)
	}
	r.wait(time.Minute)
	left := r.device(3).Since.Sub(t0) - r.device(3).AwayAfter
	if r.device(3).State != NotHome || left > time.Second {
		t.Errorf("the one that left is %s since %s after its timeout", r.device(3).State, left)
	}
	if r.device(2).State != Home {
		t.Error("the one that stays is away")
	}
	if p := r.e.Summary().Problems; len(p) != 0 {
		t.Errorf("problems %q", p)
	}
	if r.hear(Sighting{MAC: madeUp(frames), Kind: ARPRequest}); len(r.e.doorman.seen) != 0 {
		t.Error("the flood's MACs are kept")
	}
}

// TestNewInFlood lets a real device in that is heard again and again while
// others are made up at a moderate pace.
func TestNewInFlood(t *testing.T) {
	r := newRig(t, Config{})
	for i := range 4000 {
		r.hear(Sighting{Interface: "eth0", MAC: madeUp(i), Kind: ARPRequest})
		if i%1000 == 999 {
			r.wait(time.Second)
			r.hear(sighting(1, ARPRequest))
		}
	}
	if !r.known(1) {
		t.Error("not let in")
	}
	if n := r.e.Summary().Known; n > floodSize+4 {
		t.Errorf("%d devices", n)
	}
}

// TestSlowFlood stays below what counts as a flood: the pace of admission
// bounds it.
func TestSlowFlood(t *testing.T) {
	r := newRig(t, Config{})
	for i := range 6000 {
		r.hear(Sighting{Interface: "eth0", MAC: madeUp(i), Kind: ARPRequest})
		r.wait(4 * time.Millisecond)
	}
	if n := r.e.Summary().Known; n < admitBurst || n > admitBurst+24*admitRate+1 {
		t.Errorf("%d devices", n)
	}
}

// TestEvict fills the table: private MACs go first, the longest unheard first
// of all; one that is home, named or an entity never.
func TestEvict(t *testing.T) {
	away := func(m MAC, ago time.Duration, s Settings) Record {
		return Record{Device: Device{
			ID: m.ID(), MAC: m, Interface: "eth0", State: NotHome, Since: t0.Add(-ago),
			FirstSeen: t0.AddDate(-1, 0, 0), LastSeen: t0.Add(-ago), Settings: s,
		}}
	}
	yes := true
	named := away(madeUp(1), 200*time.Hour, Settings{Name: "Kettle"})
	entity := away(madeUp(2), 200*time.Hour, Settings{Track: &yes})
	grouped := away(madeUp(3), 200*time.Hour, Settings{Groups: []string{"kitchen"}})
	fixed := away(madeUp(4), 200*time.Hour, Settings{AwayAfter: time.Minute})
	old, older := away(madeUp(5), 3*time.Hour, Settings{}), away(madeUp(6), 4*time.Hour, Settings{})
	twin := away(madeUp(7), 3*time.Hour, Settings{})
	vendor := away(mac(8), 100*time.Hour, Settings{})
	r := newRig(t, Config{MaxDevices: 9, Track: TrackNamed, MaxTracked: -1}, named, entity, grouped, fixed, old, older, twin, vendor, responsive(9))
	r.answers[mac(9)] = true
	for i := range 6 {
		r.hear(sighting(100+i, ARPReply))
		r.wait(time.Second)
	}
	want := []ID{older.ID, old.ID, twin.ID, vendor.ID}
	if diff := cmp.Diff(want, r.gone); diff != "" {
		t.Error(diff)
	}
	if !r.known(103) || r.known(104) || len(r.e.devices) != 9 {
		t.Errorf("%d devices", len(r.e.devices))
	}
	for _, rec := range []Record{named, entity, grouped, fixed, responsive(9)} {
		if _, ok := r.e.Device(rec.ID); !ok {
			t.Errorf("%s is forgotten", rec.ID)
		}
	}
}

// TestForget has old devices and ghosts go.
func TestForget(t *testing.T) {
	rec := func(n int, seenFor, unheard time.Duration) Record {
		r := responsive(n)
		r.State = NotHome
		r.LastSeen = t0.Add(-unheard)
		r.FirstSeen, r.Since = r.LastSeen.Add(-seenFor), r.LastSeen
		return r
	}
	const month = 30 * 24 * time.Hour
	named := rec(4, 0, 2*month)
	named.Settings.Name = "Kettle"
	r := newRig(t, Config{MaxTracked: -1},
		rec(1, time.Hour, month-time.Minute), rec(2, time.Hour, month-2*time.Hour),
		rec(3, 0, ghostAfter-time.Minute), named, rec(5, 2*ghostSpan, 10*24*time.Hour), responsive(6))
	r.answers[mac(6)] = true
	r.changed = nil
	r.wait(forgetEvery + time.Minute)
	if diff := cmp.Diff([]ID{mac(1).ID(), mac(3).ID()}, r.gone); diff != "" {
		t.Error(diff)
	}
	if len(r.events) > 0 || len(r.changed) > 0 {
		t.Errorf("events %v, changed %v", r.events, r.changed)
	}
	r.wait(2 * month)
	if n := r.e.Summary().Known; n != 2 {
		t.Errorf("%d known", n)
	}
	// Who was forgotten is new when it comes again.
	r.hear(sighting(1, ARPRequest))
	if diff := cmp.Diff([]EventType{NewDevice, Arrived}, r.types()); diff != "" {
		t.Error(diff)
	}
}

// TestForgetByHand has the user forget devices, home or not.
func TestForgetByHand(t *testing.T) {
	r := newRig(t, Config{MaxTracked: -1, Declared: []Declaration{{MAC: mac(3)}}}, responsive(1), responsive(2))
	for n, want := range map[int]bool{1: true, 3: false, 9: false} {
		out, ok := r.e.Forget(r.now, mac(n).ID())
		if ok != want || ok != slices.Equal(out.Forgotten, []ID{mac(n).ID()}) {
			t.Errorf("device %d: %v, forgot %v", n, ok, out.Forgotten)
		}
	}
	if s := r.e.Summary(); s.Home != 1 || s.Known != 2 {
		t.Errorf("%d of %d home", s.Home, s.Known)
	}
	r.hear(sighting(1, ARPRequest))
	if diff := cmp.Diff([]EventType{NewDevice, Arrived}, r.types()); diff != "" {
		t.Error(diff)
	}
}

func TestTracking(t *testing.T) {
	yes, no, name := true, false, "Kettle"
	for _, test := range []struct {
		policy                         TrackPolicy
		limit                          int
		plain, named, wanted, unwanted bool
	}{
		{"", -1, true, true, true, false},
		{TrackAll, 500, true, true, true, false},
		{TrackAll, 2, false, true, true, false},
		{TrackAll, 0, false, false, false, false},
		{TrackNamed, 500, false, true, true, false},
		{TrackNone, 500, false, false, true, false},
	} {
		t.Run(fmt.Sprint(test.policy, test.limit), func(t *testing.T) {
			r := newRig(t, Config{Track: test.policy, MaxTracked: test.limit})
			for i := 1; i <= 4; i++ {
				r.hear(sighting(i, ARPRequest))
			}
			r.set(4, Change{Track: &no})
			r.set(3, Change{Track: &yes})
			r.set(2, Change{Name: &name})
			got := []bool{r.device(1).Tracked, r.device(2).Tracked, r.device(3).Tracked, r.device(4).Tracked}
			want := []bool{test.plain, test.named, test.wanted, test.unwanted}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			n := 0
			for _, on := range got {
				if on {
					n++
				}
			}
			if r.e.tracked != n {
				t.Errorf("%d tracked, counted %d", n, r.e.tracked)
			}
			// Whoever came later than the limit allows has none.
			if test.limit == 2 {
				if r.hear(sighting(5, ARPRequest)); r.device(5).Tracked {
					t.Error("one too many")
				}
				// A place that is given up goes to the oldest.
				if r.set(3, Change{Track: &no}); !r.device(1).Tracked || r.device(5).Tracked {
					t.Error("the place is not the oldest's")
				}
			}
		})
	}
}

// TestStrangersKeepNoEntity from a device that the user decides on later.
func TestStrangersKeepNoEntity(t *testing.T) {
	r := newRig(t, Config{MaxTracked: 2})
	for i := 1; i <= 3; i++ {
		r.hear(sighting(i, ARPRequest))
		r.wait(time.Second)
	}
	name := "Kettle"
	r.changed = nil
	r.set(3, Change{Name: &name})
	if !r.device(1).Tracked || r.device(2).Tracked || !r.device(3).Tracked {
		t.Error("the user's choice has no entity, or not the newest stranger lost its own")
	}
	if len(r.changed) != 2 {
		t.Errorf("changed %+v", r.changed)
	}
}

// TestFirstRunOfALargeSite has ten thousand devices heard within seconds, on
// the run that makes the first list: all are let in.
func TestFirstRunOfALargeSite(t *testing.T) {
	r := newRig(t, Config{Baseline: true})
	const devices = 10_000
	for i := range devices {
		r.hear(sighting(i+1, ARPAnnouncement))
		r.wait(200 * time.Microsecond)
	}
	if n := r.e.Summary().Known; n != devices {
		t.Errorf("%d of %d devices", n, devices)
	}
}
