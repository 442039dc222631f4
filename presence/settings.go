package presence

import (
	"regexp"
	"slices"
	"time"
)

// DeviceKind says what sort of thing a device is. Empty: the user has not said.
type DeviceKind string

// The kinds.
const (
	Phone      DeviceKind = "phone"
	Tablet     DeviceKind = "tablet"
	Watch      DeviceKind = "watch"
	Laptop     DeviceKind = "laptop"
	Computer   DeviceKind = "computer"
	Server     DeviceKind = "server"
	Television DeviceKind = "tv"
	Speaker    DeviceKind = "speaker"
	Console    DeviceKind = "console"
	Camera     DeviceKind = "camera"
	Printer    DeviceKind = "printer"
	Appliance  DeviceKind = "appliance"
	IoT        DeviceKind = "iot"
	Network    DeviceKind = "network" // router, switch, access point
	Car        DeviceKind = "car"
	Guest      DeviceKind = "guest" // without groups of its own it is in GuestGroup
	Other      DeviceKind = "other"
)

// DeviceKinds lists every kind.
func DeviceKinds() []DeviceKind {
	return []DeviceKind{
		Phone, Tablet, Watch, Laptop, Computer, Server, Television, Speaker, Console, Camera, Printer,
		Appliance, IoT, Network, Car, Guest, Other,
	}
}

// GuestGroup is the group of guests: devices of the kind Guest without groups of
// their own, and those with a private MAC of which the user has not said who they
// are: by a name, a kind, a group, or that they are known.
const GuestGroup = "Guests"

// Bounds of what a user can set.
const (
	MaxDeviceGroups = 16 // groups of one device
	MaxNotes        = 500
	MinAwayAfter    = time.Second
	MaxAwayAfter    = 7 * 24 * time.Hour
)

// icon is a name from a set of icons (Home Assistant, "Icons": mdi:cellphone;
// sets of others have their own prefix).
var icon = regexp.MustCompile(`^[a-z0-9_]{1,16}:[a-z0-9]+(-[a-z0-9]+){0,15}$`)

// ValidIcon reports whether s has the form of an icon such as mdi:cellphone.
func ValidIcon(s string) bool { return len(s) <= MaxName && icon.MatchString(s) }

// Settings is what the user has decided about a device.
type Settings struct {
	Name             string        // wins over HostName; empty: none given
	Kind             DeviceKind    // empty: none given
	Icon             string        // wins over the kind's; empty: none given
	Groups           []string      // names, in the user's order
	Track            *bool         // nil: the TRACK setting decides
	Known            bool          // the user knows what it is: it needs no name to be so
	Important        bool          // comes first where not all can
	AwayAfter        time.Duration // fixed timeout; 0: learned
	IgnoreARPReplies bool          // its answers to questions are no evidence: something else may give them
	Nudge            *bool         // whether it is woken when it is silent; nil: its kind decides
	Reach            []Reach       // where it is asked that no segment hears; only the device file says so
	Notes            string
	Follow           *Follow // by what else it is known; nil: by its MACs alone
}

// Change is a command from the user to change a device's Settings; nil leaves
// a field as it is, and the zero value takes it back.
type Change struct {
	Name             *string
	Kind             *DeviceKind
	Icon             *string
	Groups           *[]string
	Track            *bool
	TrackByPolicy    bool // the TRACK setting decides again; Track is nil then
	Known            *bool
	Important        *bool
	AwayAfter        *time.Duration // 0: learn it again
	IgnoreARPReplies *bool
	Nudge            *bool
	NudgeByKind      bool // the NUDGE setting decides again; Nudge is nil then
	Reach            *[]Reach
	Notes            *string
	Follow           *Follow // the zero Follow takes it back
}

// Declaration is what the device file says of one device: a Change that wins
// over the user's commands for as long as the file says so.
type Declaration struct {
	MAC  MAC
	MACs []MAC // others of the same device
	Change
}

// Fields returns the names of the settings that c speaks of, as the device file
// and the commands have them.
func (c *Change) Fields() (names []string) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"name", c.Name != nil},
		{"kind", c.Kind != nil},
		{"icon", c.Icon != nil},
		{"groups", c.Groups != nil},
		{"track", c.Track != nil || c.TrackByPolicy},
		{"known", c.Known != nil},
		{"important", c.Important != nil},
		{"away_after", c.AwayAfter != nil},
		{"ignore_arp_replies", c.IgnoreARPReplies != nil},
		{"nudge", c.Nudge != nil || c.NudgeByKind},
		{"reach", c.Reach != nil},
		{"notes", c.Notes != nil},
		{"follow", c.Follow != nil},
	} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}

// apply returns s with the change made, cleaned and within bounds.
func (c *Change) apply(s Settings) Settings {
	if c.Name != nil {
		s.Name = CleanText(*c.Name, MaxName)
	}
	if c.Kind != nil && (*c.Kind == "" || slices.Contains(DeviceKinds(), *c.Kind)) {
		s.Kind = *c.Kind
	}
	if c.Icon != nil && (*c.Icon == "" || ValidIcon(*c.Icon)) {
		s.Icon = *c.Icon
	}
	if c.Groups != nil {
		s.Groups = cleanGroups(*c.Groups)
	}
	s.Track = choose(s.Track, c.Track, c.TrackByPolicy)
	s.Nudge = choose(s.Nudge, c.Nudge, c.NudgeByKind)
	if c.Known != nil {
		s.Known = *c.Known
	}
	if c.Reach != nil {
		s.Reach = slices.Clone((*c.Reach)[:min(len(*c.Reach), MaxReach)])
	}
	if c.Important != nil {
		s.Important = *c.Important
	}
	if c.AwayAfter != nil {
		s.AwayAfter = min(max(*c.AwayAfter, 0), MaxAwayAfter)
	}
	if c.IgnoreARPReplies != nil {
		s.IgnoreARPReplies = *c.IgnoreARPReplies
	}
	if c.Notes != nil {
		s.Notes = CleanText(*c.Notes, MaxNotes)
	}
	if c.Follow != nil {
		s.Follow = nil
		if f := c.Follow.Clean(); f != (Follow{}) {
			s.Follow = &f
		}
	}
	return s
}

// choose returns what a switch is after a change: taken back, set, or as it was.
func choose(was, to *bool, back bool) *bool {
	switch {
	case back:
		return nil
	case to != nil:
		on := *to
		return &on
	}
	return was
}

// cleanGroups returns at most MaxDeviceGroups names, each group once, in a
// slice of its own; nil for none.
func cleanGroups(names []string) (clean []string) {
	slugs := map[string]bool{}
	for _, name := range names {
		name = CleanText(name, MaxName)
		slug := GroupSlug(name)
		if name == "" || slugs[slug] || len(clean) == MaxDeviceGroups {
			continue
		}
		slugs[slug] = true
		clean = append(clean, name)
	}
	return clean
}

// Equal reports whether a and b are the same decisions.
func (s *Settings) Equal(o *Settings) bool {
	same := func(a, b *bool) bool { return a == b || a != nil && b != nil && *a == *b }
	follow := s.Follow == o.Follow || s.Follow != nil && o.Follow != nil && *s.Follow == *o.Follow
	return same(s.Track, o.Track) && same(s.Nudge, o.Nudge) && follow && s.Name == o.Name && s.Kind == o.Kind && s.Icon == o.Icon && slices.Equal(s.Groups, o.Groups) &&
		slices.Equal(s.Reach, o.Reach) &&
		s.Known == o.Known && s.Important == o.Important && s.AwayAfter == o.AwayAfter && s.IgnoreARPReplies == o.IgnoreARPReplies && s.Notes == o.Notes
}

// decided reports whether the user has decided anything.
func (s *Settings) decided() bool { return !s.Equal(&Settings{}) }
