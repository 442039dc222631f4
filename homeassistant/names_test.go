package homeassistant

import (
	"regexp"
	"strings"
	"unicode"

	"porchlight/lab"
	"porchlight/presence"
)

// trackNamed: only what has a name becomes an entity.
func trackNamed(s *scene) {
	s.set("TRACK", "named")
	s.start()
	named, other := s.thing("named"), s.thing("other")
	s.join(named)
	s.join(other)
	s.until("both to have arrived", func() bool { return len(s.events(presence.Arrived)) == 2 })
	s.change(named, `{"name": "`+s.node+` Phone"}`)
	named.tracker = "device_tracker." + s.node + "_phone"
	s.await(named.tracker, "home")
	s.absent(other, "without a name")

	if !s.since(2026, 11) {
		s.forgive("No device components to cleanup for " + named.id) // its own messages
	}
	s.change(named, `{"name": ""}`)
	s.shown(named, false)
	s.absent(named, "after its name was taken")
	s.change(other, `{"name": "`+s.node+` Other"}`)
	s.await(other.tracker, "home")
	s.absent(named, "after another got a name")
}

// called makes a device that calls itself so, and is not heard yet.
func (s *scene) called(name string) *thing {
	s.t.Helper()
	s.devices++
	d, err := s.pop.Add(lab.Identity{HostName: name, Addr: s.addr(s.devices)}, lab.Behaviour{Asleep: true})
	s.must(err)
	return &thing{Device: d, id: idOf(d), name: name}
}

// idOf is Porchlight's id of a device.
func idOf(d *lab.Device) string { return string(presence.MAC(d.MAC).ID()) }

// entityID is Home Assistant's rule (homeassistant/core.py, VALID_ENTITY_ID).
var entityID = regexp.MustCompile(`^device_tracker\.[a-z0-9]+(_[a-z0-9]+)*$`)

// hidden are the characters that show nothing, or change what others show.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
}

// hostileNames: what strangers call themselves is shown as text, cleaned.
func hostileNames(s *scene) {
	s.start()
	names := []struct{ says, shown string }{
		{`"'><img src=x onerror=alert(1)> & \"`, `"'><img src=x onerror=alert(1)> & \"`},
		{"{{ states | length }}{% for %} %s%n %(x)s ${y}", "{{ states | length }}{% for %} %s%n %(x)s ${y}"},
		{"🏠 Ännas Händy 手机 🙈", "🏠 Ännas Händy 手机 🙈"},
		{"\x1b[31mred\r\n\x00null\x07\u202egnol\u2066 \u200fend\ufeff", ""},
		{"# + / $SYS/../..", "# + / $SYS/../.."},
		{strings.Repeat("long ", 50), ""},
		{"None", "None"},
		{"unavailable", "unavailable"},
		{"\xff\xfe\xfd", ""},
		{"   ", ""},
	}
	things := make([]*thing, len(names))
	for i, n := range names {
		things[i] = s.called(n.says)
		s.join(things[i])
	}
	for i, n := range names {
		t := things[i]
		var d Device
		s.until("the device that calls itself "+n.says+" to be home", func() bool {
			var ok bool
			if d, ok = s.registered(t.id); !ok {
				return false
			}
			t.tracker = s.entities(d)["tracker"].Entity
			return s.state(t.tracker) == "home"
		})
		want := n.shown
		if want == "" { // how it is cleaned is tested elsewhere; it must be clean
			want = presence.CleanText(n.says, presence.MaxName)
		}
		if want != "" {
			equal(s.t, "the name of what calls itself "+n.says, d.Name, want)
		} else if d.Name == "" {
			s.t.Errorf("what calls itself %q has no name", n.says)
		}
		if strings.ContainsFunc(d.Name, hidden) {
			s.t.Errorf("%q has something hidden in it", d.Name)
		}
		if !entityID.MatchString(t.tracker) {
			s.t.Errorf("what calls itself %q is %s", n.says, t.tracker)
		}
		if got := s.full(t.tracker).Attributes["friendly_name"]; got != d.Name {
			s.t.Errorf("the tracker of %q is shown as %q", d.Name, got)
		}
	}
	// The event and the sensors say the name of the last one, as text.
	s.join(s.called("{{ 6 * 7 }}"))
	s.await(s.bridge("sensor", "last_new"), "{{ 6 * 7 }}")
	s.until("the event to tell of it", func() bool {
		return s.full(s.bridge("event", "event")).Attributes["host_name"] == "{{ 6 * 7 }}"
	})
}
