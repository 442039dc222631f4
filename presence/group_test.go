package presence

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestGroupSlug(t *testing.T) {
	for _, same := range [][]string{
		{"kids", "Kids", " KIDS! ", "kids", "'kids'"},
		{"anna_s_phones", "Anna's phones", "anna s  phones", "ANNA-S-PHONES"},
		{"madchen", "Mädchen", "madchen", "MÄDCHEN"},
		{"strasse_7", "Straße 7"},
		{"etage", "Étage"},
		{"floor_2", "Floor 2"},
	} {
		for _, name := range same[1:] {
			if got := GroupSlug(name); got != same[0] {
				t.Errorf("%q is %q, want %q", name, got, same[0])
			}
		}
	}
	// Those of which something is lost are told apart by it, always alike.
	seen := map[string]string{}
	for _, name := range []string{"Этаж 1", "Комната 1", "1", "大人", "小孩", "Team 👶", "Team 🐶", "Team", "", "!", "?"} {
		slug := GroupSlug(name)
		if other, twice := seen[slug]; twice {
			t.Errorf("%q and %q are both %q", name, other, slug)
		}
		seen[slug] = name
		if again := GroupSlug(strings.ToUpper(name)); again != slug {
			t.Errorf("%q in upper case is %q, not %q", name, again, slug)
		}
	}
	if got := GroupSlug("Этаж 1"); got != "1_f0b9dc69" {
		t.Errorf("a slug that people use has changed: %q", got)
	}
}

var slugForm = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)

func FuzzGroupSlug(f *testing.F) {
	for _, s := range []string{"Kids", "Ümit's", "+/#", "\xff", "İ", "ß", "\x00", "____", strings.Repeat("ÿ", 31)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean := CleanText(name, MaxName)
		if slug := GroupSlug(clean); !slugForm.MatchString(slug) || len(slug) > MaxName+9 {
			t.Errorf("%q is %q", clean, slug)
		}
	})
}

// TestGroupsFollowMembers: whatever happens, the groups are what the devices
// say, and every change of them is told.
func TestGroupsFollowMembers(t *testing.T) {
	names := []string{"Kids", "kids", "Parents", "Guests", "A", "B", "Этаж 1"}
	rapid.Check(t, func(rt *rapid.T) {
		e := New(Config{AwayAfter: time.Minute, MaxDevices: 12, ForgetAfter: time.Hour, NewGuests: rapid.SampledFrom([]GuestPolicy{GuestsEach, GuestsDaily}).Draw(rt, "guests")})
		addr := func(n int) MAC { // some of them made up
			m := mac(n)
			m[0] |= byte(n%2) << 1
			return m
		}
		now := t0
		last := []Group{}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			n := rapid.IntRange(1, 15).Draw(rt, "device")
			groups := rapid.SliceOfN(rapid.SampledFrom(names), 0, 4).Draw(rt, "groups")
			kind := rapid.SampledFrom([]DeviceKind{"", Phone, Guest}).Draw(rt, "kind")
			var out Output
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				s := sighting(n, DHCPRequest)
				s.MAC = addr(n)
				s.At = now
				out = e.Sight(s)
			case 1:
				now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Minute, 3 * time.Hour}).Draw(rt, "time"))
				out = e.Tick(now)
			case 2:
				out, _ = e.Set(now, addr(n).ID(), Change{Groups: &groups, Kind: &kind})
			case 3:
				out = e.Declare(now, []Declaration{{MAC: addr(n), Change: Change{Groups: &groups}}, {MAC: addr(n + 1)}})
			case 4:
				s := sighting(n, DHCPRelease)
				s.MAC = addr(n)
				s.At = now
				out = e.Sight(s)
			}
			told := out.GroupsChanged
			got := e.Groups()
			if diff := gocmp.Diff(groupsOf(e.Devices()), got); diff != "" {
				rt.Fatalf("groups (-of the devices +got):\n%s", diff)
			}
			if !told && !slices.Equal(last, got) {
				rt.Fatalf("not told that %v became %v", last, got)
			}
			last = got
		}
	})
}

// groupsOf is what Groups should return.
func groupsOf(devices []Device) []Group {
	groups := map[string]Group{}
	for _, d := range devices {
		for _, name := range d.Groups {
			slug := GroupSlug(name)
			g, known := groups[slug]
			if !known {
				g = Group{Slug: slug, Name: name, State: NotHome}
			}
			g.Name = min(g.Name, name)
			if d.State == Home {
				g.State = Home
			}
			groups[slug] = g
		}
	}
	all := append([]Group{}, slices.Collect(maps.Values(groups))...)
	slices.SortFunc(all, func(a, b Group) int { return cmp.Compare(a.Slug, b.Slug) })
	return all
}

// TestGroupsAreBounded: there is a most, and it is said.
func TestGroupsAreBounded(t *testing.T) {
	e := New(Config{})
	var list []Declaration
	for n := range MaxGroups + 20 {
		list = append(list, Declaration{MAC: mac(n), Change: Change{Groups: &[]string{"Group " + strings.Repeat("x", n%50) + mac(n).String()}}})
	}
	e.Declare(t0, list)
	if got := len(e.Groups()); got != MaxGroups {
		t.Errorf("%d groups", got)
	}
	if p := e.Summary().Problems; len(p) != 1 || !strings.Contains(p[0], "128 groups") {
		t.Errorf("problems %q", p)
	}
	e.Declare(t0, nil)
	if got := e.Groups(); len(got) != 0 || len(e.Devices()) != 0 {
		t.Errorf("left: %v, %d devices", got, len(e.Devices()))
	}
}

// TestGroupsAtTheMost: as many groups as there can be are no problem, also while
// all of them are renamed; one more is, until another one goes.
func TestGroupsAtTheMost(t *testing.T) {
	r := newRig(t, Config{})
	file := func(prefix string, groups int) (list []Declaration) {
		for n := range 2 * groups {
			name := prefix + strconv.Itoa(n/2)
			list = append(list, declare(n, Change{Groups: &[]string{name}}))
		}
		return list
	}
	for n := range MaxGroups {
		r.hear(sighting(2*n, DHCPRequest)) // the first one of each group is home
	}
	check := func(groups int, problem bool) {
		t.Helper()
		got := r.e.Groups()
		for _, g := range got {
			if g.State != Home {
				t.Errorf("%s is %s", g.Name, g.State)
			}
		}
		if p := r.e.Summary().Problems; len(got) != groups || len(p) > 0 != problem {
			t.Errorf("%d groups, problems %q", len(got), p)
		}
	}
	for _, prefix := range []string{"old ", "new "} {
		r.take(r.e.Declare(r.now, file(prefix, MaxGroups)))
		check(MaxGroups, false)
	}
	late := MaxGroups * 2
	r.hear(sighting(late, DHCPRequest))
	r.set(late, Change{Groups: &[]string{"one more"}})
	check(MaxGroups, true)
	r.take(r.e.Declare(r.now, file("new ", MaxGroups)[2:]))
	check(MaxGroups, false)
	r.take(r.e.Declare(r.now, nil))
	check(1, false)
}

// TestGroupWhileBlind: no group is away because nothing can be heard.
func TestGroupWhileBlind(t *testing.T) {
	r := newRig(t, Config{AwayAfter: time.Minute})
	r.sense("eth0", false)
	r.hear(sighting(1, DHCPRequest))
	r.set(1, Change{Groups: &[]string{"Kids"}})
	r.sense("eth0", true)
	r.wait(time.Hour)
	if g := r.e.Groups(); len(g) != 1 || g[0].State != Home {
		t.Errorf("while blind: %v", g)
	}
	r.sense("eth0", false)
	r.wait(2 * time.Minute)
	if g := r.e.Groups(); g[0].State != NotHome {
		t.Errorf("after its timeout: %v", g)
	}
}
