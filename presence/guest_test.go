package presence

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// privateMAC is the n-th made-up address.
func privateMAC(n int) MAC { return MAC{0x02, 0, 0x5e, byte(n >> 16), byte(n >> 8), byte(n)} }

func privately(n int, k Kind) Sighting {
	s := sighting(n, k)
	s.MAC = privateMAC(n)
	return s
}

func (r *rig) groups() string {
	var all []string
	for _, g := range r.e.Groups() {
		all = append(all, fmt.Sprintf("%s %s %s", g.Slug, g.Name, g.State))
	}
	return strings.Join(all, ", ")
}

// TestGuests: who has a private MAC, and of whom the user has said nothing that
// tells who it is, is a guest.
func TestGuests(t *testing.T) {
	const home, none = "guests Guests home", ""
	for _, c := range []struct {
		name   string
		mac    MAC
		set    Change
		file   []Declaration
		groups string
	}{
		{"as it is", privateMAC(1), Change{}, nil, home},
		{"of a maker", mac(1), Change{}, nil, none},
		{"named", privateMAC(1), Change{Name: ptr("Anna's phone")}, nil, none},
		{"of a kind", privateMAC(1), Change{Kind: ptr(Phone)}, nil, none},
		{"of the kind", privateMAC(1), Change{Kind: ptr(Guest)}, nil, home},
		{"named, of the kind", mac(1), Change{Name: ptr("Tablet for guests"), Kind: ptr(Guest)}, nil, home},
		{"known", privateMAC(1), Change{Known: ptr(true)}, nil, none},
		{"in another group", privateMAC(1), Change{Groups: ptr([]string{"Kids"})}, nil, "kids Kids home"},
		{"of the kind, in another group", mac(1), Change{Kind: ptr(Guest), Groups: ptr([]string{"Kids"})}, nil, "kids Kids home"},
		{"in that group by the user's word", mac(1), Change{Groups: ptr([]string{"guests"})}, nil, "guests guests home"},
		{"what says nothing of who it is", privateMAC(1), Change{Notes: ptr("hm"), Important: ptr(true), Track: ptr(false)}, nil, home},
		{"in the file", privateMAC(1), Change{}, []Declaration{{MAC: privateMAC(1)}}, none},
		{"in the file, of the kind", privateMAC(1), Change{}, []Declaration{{MAC: privateMAC(1), Change: Change{Kind: ptr(Guest)}}}, home},
		{"in the file, not named any more", privateMAC(1), Change{Name: ptr("Anna")}, []Declaration{{MAC: privateMAC(1), Change: Change{Name: ptr("")}}}, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			s := sighting(1, DHCPRequest)
			s.MAC = c.mac
			s.DHCP = &DHCP{HostName: "iPhone"} // what it says itself is no name
			r.hear(s)
			before := r.groups()
			out, _ := r.e.Set(r.now, c.mac.ID(), c.set)
			r.take(out)
			r.take(r.e.Declare(r.now, c.file))
			if got := r.groups(); got != c.groups {
				t.Errorf("groups %q, want %q", got, c.groups)
			}
			rec, _ := r.e.Record(c.mac.ID())
			if c.set.Groups == nil && rec.Groups != nil {
				t.Errorf("stored as the user's word: %q", rec.Groups)
			}
			// What was said is taken back.
			r.take(r.e.Declare(r.now, nil))
			out, _ = r.e.Set(r.now, c.mac.ID(), Change{Name: ptr(""), Known: ptr(false), Kind: ptr(DeviceKind("")), Groups: ptr([]string{})})
			r.take(out)
			if got := r.groups(); got != before {
				t.Errorf("in the end %q, want %q", got, before)
			}
		})
	}
}

// TestGuestGroupFollows: it is home while any guest is, and goes with the last.
func TestGuestGroupFollows(t *testing.T) {
	r := newRig(t, Config{AwayAfter: time.Minute})
	r.sense("eth0", false)
	r.hear(privately(1, DHCPRequest))
	r.wait(40 * time.Second)
	r.hear(privately(2, DHCPRequest))
	r.wait(30 * time.Second)
	if got := r.groups(); got != "guests Guests home" {
		t.Errorf("one is there: %q", got)
	}
	r.wait(40 * time.Second)
	if got := r.groups(); got != "guests Guests not_home" {
		t.Errorf("both have left: %q", got)
	}
	r.wait(3 * 24 * time.Hour)
	if got := r.groups(); got != "" || len(r.gone) != 2 {
		t.Errorf("both are forgotten: %q", got)
	}
}

// TestGuestsInAFlood: however many MACs somebody makes up, the group's state
// changes no more often than there is reason to.
func TestGuestsInAFlood(t *testing.T) {
	r := newRig(t, Config{AwayAfter: time.Minute, MaxDevices: 500})
	r.sense("eth0", false)
	last, changes := "", 0
	for n := range 20_000 {
		r.hear(privately(n, ARPRequest))
		if g := r.groups(); g != last {
			last = g
			changes++
		}
		r.now = r.now.Add(200 * time.Microsecond)
	}
	if changes != 1 || last != "guests Guests home" || len(r.e.Devices()) > 500 {
		t.Errorf("%d changes, %q, %d devices", changes, last, len(r.e.Devices()))
	}
	r.wait(10 * time.Minute)
	if got := r.groups(); got != "guests Guests not_home" {
		t.Errorf("after it: %q", got)
	}
}

// digests returns the digests since the last call.
func (r *rig) digests() (all []Event) {
	for _, e := range r.events {
		if e.Type == NewGuests {
			all = append(all, e)
		}
	}
	r.events = nil
	return all
}

// TestGuestsDaily: a new guest has no alarm of its own; a day after the first
// one, all are told at once, and never twice a day.
func TestGuestsDaily(t *testing.T) {
	r := newRig(t, Config{NewGuests: GuestsDaily, AwayAfter: 10 * time.Minute})
	r.sense("eth0", false)
	r.hear(sighting(1, DHCPRequest))
	r.hear(privately(1, DHCPRequest))
	if diff := cmp.Diff([]EventType{NewDevice, Arrived, Arrived}, r.types()); diff != "" {
		t.Errorf("at once (-want +got):\n%s", diff)
	}
	if s := r.e.Summary(); s.LastNew == nil || s.LastNew.MAC != privateMAC(1) {
		t.Errorf("the summary's last: %+v", s.LastNew)
	}
	r.wait(10 * time.Hour)
	r.hear(privately(2, DHCPRequest))
	r.hear(privately(3, DHCPRequest)) // it gets a name
	out, _ := r.e.Set(r.now, privateMAC(3).ID(), Change{Name: ptr("Anna")})
	r.take(out)
	r.wait(14*time.Hour - time.Second)
	if got := r.digests(); len(got) != 0 {
		t.Fatalf("too early: %+v", got)
	}
	r.wait(time.Second)
	got := r.digests()
	if len(got) != 1 || got[0].Why != "2 new guests in 24 h 00 min, with private MACs and without names from you" ||
		len(got[0].Devices) != 2 || got[0].Devices[0].ID != privateMAC(1).ID() || got[0].Devices[1].Name != "Private device 00:02" {
		t.Fatalf("after a day: %+v", got)
	}
	r.hear(privately(4, DHCPRequest))
	at := r.now
	r.wait(24*time.Hour - time.Second)
	if got := r.digests(); len(got) != 0 {
		t.Errorf("twice within a day: %+v", got)
	}
	r.wait(10 * 24 * time.Hour)
	if got := r.digests(); len(got) != 1 || !strings.HasPrefix(got[0].Why, "one new guest in 24 h 00 min, with a private MAC and") || !got[0].Time.Equal(at.Add(24*time.Hour)) {
		t.Errorf("the next: %+v", got)
	}
	// Who is taken for a guest later is not new; neither is who has got a name before.
	r.hear(privately(5, DHCPRequest))
	for _, name := range []string{"Ben", ""} {
		out, _ = r.e.Set(r.now, privateMAC(5).ID(), Change{Name: ptr(name)})
		r.take(out)
	}
	r.wait(3 * 24 * time.Hour)
	if got := r.digests(); len(got) != 0 || !r.e.guests.at.IsZero() {
		t.Errorf("nobody new: %+v", got)
	}
}

// TestGuestsDailyRestart: a restart neither loses who waits nor tells twice,
// whatever the clock or the policy has become.
func TestGuestsDailyRestart(t *testing.T) {
	for name, c := range map[string]struct {
		policy GuestPolicy
		after  time.Duration // that the restart comes, by the clock
		wait   time.Duration
	}{
		"soon":                  {GuestsDaily, time.Hour, 23 * time.Hour},
		"days later":            {GuestsDaily, 5 * 24 * time.Hour, 0},
		"the clock is set back": {GuestsDaily, -1000 * time.Hour, 24 * time.Hour},
		"each again":            {GuestsEach, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{NewGuests: GuestsDaily})
			r.hear(privately(1, DHCPRequest))
			r.hear(privately(2, DHCPRequest))
			records := r.e.Touched()
			declared := []Declaration{{MAC: privateMAC(2), Change: Change{Name: ptr("Ben")}}}

			r = &rig{t: t, e: New(Config{NewGuests: c.policy, Declared: declared}), now: t0.Add(c.after)}
			r.take(r.e.Restore(r.now, records))
			r.wait(max(c.wait-time.Second, 0))
			if c.wait > 0 && len(r.digests()) > 0 {
				t.Error("told too early")
			}
			r.wait(time.Second)
			if got := r.digests(); len(got) != 1 || len(got[0].Devices) != 1 || got[0].Devices[0].ID != privateMAC(1).ID() {
				t.Errorf("told: %+v", got)
			}
			records = r.e.Touched()
			r = newRig(t, Config{NewGuests: GuestsDaily}, records...)
			r.wait(48 * time.Hour)
			if got := r.digests(); len(got) != 0 {
				t.Errorf("told again: %+v", got)
			}
		})
	}
}

// TestGuestsDailyFirstRun: who was there at the first run is in its list alone.
func TestGuestsDailyFirstRun(t *testing.T) {
	r := newRig(t, Config{NewGuests: GuestsDaily, Baseline: true})
	r.hear(privately(1, DHCPRequest))
	r.take(r.e.EndBaseline(r.now))
	r.wait(48 * time.Hour)
	if got := r.digests(); len(got) != 0 {
		t.Errorf("told: %+v", got)
	}
}

// TestGuestsDailyMany: the digest lists as many as fit, and counts all, also
// those that a full table had to forget; no guest is forgotten by its age first.
func TestGuestsDailyMany(t *testing.T) {
	const most = 300
	r := newRig(t, Config{NewGuests: GuestsDaily, AwayAfter: time.Minute, ForgetAfter: time.Hour, MaxDevices: most})
	for n := range most + 7 {
		r.hear(privately(n, DHCPRequest))
		r.wait(2 * time.Minute)
	}
	if len(r.gone) != 7 {
		t.Fatalf("%d forgotten", len(r.gone))
	}
	r.wait(24 * time.Hour)
	got := r.digests()
	if len(got) != 1 || len(got[0].Devices) < 100 || len(got[0].Devices) >= most || !strings.HasPrefix(got[0].Why, "307 new guests in 24 h 00 min,") {
		t.Fatalf("%d digests: %.300s", len(got), fmt.Sprint(got))
	}
	if r.wait(2 * time.Hour); len(r.e.Devices()) != 0 {
		t.Errorf("%d are not forgotten", len(r.e.Devices()))
	}
}
