package web

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"porchlight/config"
	"porchlight/discovery"
	"porchlight/presence"
)

// Device is a device in the JSON of the API.
type Device struct {
	ID       presence.ID    `json:"id"`
	MAC      presence.MAC   `json:"mac"`
	State    presence.State `json:"state"`
	Since    time.Time      `json:"since"`
	Why      string         `json:"why"`
	Name     string         `json:"name"` // what to call it
	HostName string         `json:"host_name,omitempty"`

	HostNameSource presence.NameSource `json:"host_name_source,omitempty"`

	IP         string       `json:"ip,omitempty"`
	IPv6       []netip.Addr `json:"ipv6,omitempty"`
	Vendor     string       `json:"vendor,omitempty"`
	PrivateMAC bool         `json:"private_mac"`
	Interface  string       `json:"interface,omitempty"`
	FirstSeen  time.Time    `json:"first_seen,omitzero"`
	LastSeen   time.Time    `json:"last_seen,omitzero"`
	AwayAfterS float64      `json:"away_after_s"`
	Tracked    bool         `json:"tracked"` // it has topics and an entity

	Groups           []string            `json:"groups"`
	Kind             presence.DeviceKind `json:"kind,omitempty"`
	Icon             string              `json:"icon,omitempty"`
	Known            bool                `json:"known"`
	Important        bool                `json:"important"`
	Track            *bool               `json:"track"`            // as set; null: the TRACK setting decides
	SetAwayAfterS    float64             `json:"set_away_after_s"` // as set; 0: learned
	IgnoreARPReplies bool                `json:"ignore_arp_replies"`
	Nudge            *bool               `json:"nudge"`           // as set; null: the NUDGE setting decides
	Reach            []string            `json:"reach,omitempty"` // as in the device file
	Notes            string              `json:"notes,omitempty"`
	FromFile         []string            `json:"from_file"` // the settings that the device file decides

	MACs        []presence.MAC   `json:"macs,omitempty"`      // all of them, if there are several
	ClientID    string           `json:"client_id,omitempty"` // what it says by DHCP, and can be followed by
	Fingerprint string           `json:"fingerprint,omitempty"`
	Follow      *presence.Follow `json:"follow,omitempty"`    // as set
	Resembles   presence.ID      `json:"resembles,omitempty"` // as merge_suggested said
}

// NewDevice returns d as programs get it.
func NewDevice(d *presence.Device) Device {
	v := Device{
		ID: d.ID, MAC: d.MAC, State: d.State, Since: d.Since, Why: d.Why, Name: d.DisplayName(),
		HostName: d.HostName, HostNameSource: d.HostNameSource, IPv6: d.IPv6, Vendor: d.Vendor,
		PrivateMAC: d.MAC.Private(), Interface: d.Interface, FirstSeen: d.FirstSeen, LastSeen: d.LastSeen,
		AwayAfterS: d.AwayAfter.Seconds(), Tracked: d.Tracked,
		Groups: array(d.Groups), Kind: d.Kind, Icon: discovery.Icon(d), Known: d.Known, Important: d.Important, Track: d.Track,
		SetAwayAfterS: d.Settings.AwayAfter.Seconds(), IgnoreARPReplies: d.IgnoreARPReplies, Notes: d.Notes, FromFile: array(d.FromFile),
	}
	v.Nudge, v.Follow = d.Nudge, d.Follow
	v.MACs, v.ClientID, v.Fingerprint, v.Resembles = d.MACs, d.ClientID, d.Fingerprint, d.Resembles
	for _, r := range d.Reach {
		v.Reach = append(v.Reach, r.String())
	}
	if d.Addr.IsValid() {
		v.IP = d.Addr.String()
	}
	return v
}

// Change is what can be set of a device (presence.ParseChange). A field that is
// not there stays; null takes back what was set.
type Change struct {
	Name             *string              `json:"name"`
	Kind             *presence.DeviceKind `json:"kind"`
	Icon             *string              `json:"icon"`
	Groups           *[]string            `json:"groups"`
	Track            *bool                `json:"track"`
	Known            *bool                `json:"known"`
	Important        *bool                `json:"important"`
	AwayAfter        *string              `json:"away_after"` // such as "10m", or seconds
	IgnoreARPReplies *bool                `json:"ignore_arp_replies"`
	Nudge            *bool                `json:"nudge"`
	Notes            *string              `json:"notes"`
	Follow           *presence.Follow     `json:"follow"` // or true
}

// Group is a group in the API.
type Group struct {
	Slug    string         `json:"slug"`
	Name    string         `json:"name"`
	State   presence.State `json:"state"` // home when any of its devices is
	Devices []presence.ID  `json:"devices"`
}

func groupsOf(devices []presence.Device) []Group {
	by := map[string]*Group{}
	for _, d := range devices {
		for _, name := range d.Groups {
			slug := presence.GroupSlug(name)
			g := by[slug]
			if g == nil {
				g = &Group{Slug: slug, Name: name, State: presence.NotHome}
				by[slug] = g
			}
			if d.State == presence.Home {
				g.State = presence.Home
			}
			g.Devices = append(g.Devices, d.ID)
		}
	}
	all := []Group{}
	for _, g := range by {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b Group) int { return cmp.Compare(a.Slug, b.Slug) })
	return all
}

// Silences is what was learned of how long a device can be silent.
type Silences struct {
	UsualS float64      `json:"usual_s"` // 95 % of its sleeps stay within it
	HomeS  float64      `json:"home_s"`  // how long it was watched while at home
	Bins   []SilenceBin `json:"bins"`
}

// SilenceBin counts silences by their length; old ones count less.
type SilenceBin struct {
	UpToS  float64 `json:"up_to_s"`
	Slept  float64 `json:"slept"`  // it was there all the time
	Joined float64 `json:"joined"` // it joined the network afterwards
}

func newSilences(s presence.Silences) Silences {
	v := Silences{UsualS: s.Usual.Seconds(), HomeS: s.Home.Seconds(), Bins: []SilenceBin{}}
	for _, b := range s.Bins {
		v.Bins = append(v.Bins, SilenceBin{b.UpTo.Seconds(), b.Slept, b.Joined})
	}
	return v
}

// moment reads a time of the query.
func moment(text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	return config.ParseMoment(text, time.Now())
}
