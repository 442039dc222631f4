package discovery

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"time"

	"porchlight/presence"
)

// Payloads of the status topic.
const (
	Online  = "online"
	Offline = "offline"
)

// Options says how payloads are rendered.
type Options struct {
	Topics
	Zone           string // Home Assistant's zone that is the house: "zone.home"
	AttributesOnly bool   // trackers without a state topic (HA_TRACKER_MODE=attributes_only)
	HideAddresses  bool   // leave ip, mac and host_name out of the attributes: Home Assistant shows no discovery cards for them
	Version        string // of this program
	URL            string // the web page, http or https; empty: none
}

// Attributes is the JSON of a device's attributes topic. None of its names is
// one that Home Assistant blocks (name, state, icon and others).
type Attributes struct {
	InZones    []string     `json:"in_zones"` // the zone when home, else empty; since 2026.7 zones and people count by it
	MAC        string       `json:"mac,omitempty"`
	MACs       []string     `json:"macs,omitempty"` // all of them, if there are several
	IP         string       `json:"ip,omitempty"`
	IPv6       []netip.Addr `json:"ipv6"`
	HostName   string       `json:"host_name,omitempty"`
	Vendor     string       `json:"vendor"`
	PrivateMAC bool         `json:"private_mac"`
	Groups     []string     `json:"groups"`
	Kind       string       `json:"kind,omitempty"`
	Important  bool         `json:"important,omitempty"`
	Since      time.Time    `json:"since"` // of the state
	Why        string       `json:"why"`   // of the state
	AwayAfterS int          `json:"away_after_s"`
}

// Bounds of what a payload takes over from the LAN.
const (
	maxWhy  = 250
	maxIPv6 = 8
)

// State returns the payload of a device's state topic. It is never empty, which
// would delete the retained one.
func State(d *presence.Device) []byte {
	if d.State == presence.Home {
		return []byte(presence.Home)
	}
	return []byte(presence.NotHome)
}

// Attributes returns the payload of a device's attributes topic.
func (o *Options) Attributes(d *presence.Device) []byte {
	a := Attributes{
		InZones:    []string{},
		IPv6:       []netip.Addr{},
		Vendor:     presence.CleanText(d.Vendor, presence.MaxName),
		PrivateMAC: d.MAC.Private(),
		Groups:     make([]string, 0, len(d.Groups)),
		Kind:       string(d.Kind),
		Important:  d.Important,
		Since:      d.Since.UTC().Truncate(time.Second),
		Why:        presence.CleanText(d.Why, maxWhy),
		AwayAfterS: int(d.AwayAfter / time.Second),
	}
	if d.State == presence.Home {
		a.InZones = append(a.InZones, o.Zone)
	}
	if !o.HideAddresses {
		a.MAC = d.MAC.String()
		for _, m := range d.MACs {
			a.MACs = append(a.MACs, m.String())
		}
		if d.Addr.IsValid() {
			a.IP = d.Addr.String()
		}
		a.HostName = presence.CleanText(d.HostName, presence.MaxName)
	}
	if n := min(len(d.IPv6), maxIPv6); n > 0 && !o.HideAddresses {
		a.IPv6 = d.IPv6[:n]
	}
	for _, g := range d.Groups[:min(len(d.Groups), presence.MaxDeviceGroups)] {
		a.Groups = append(a.Groups, presence.CleanText(g, presence.MaxName))
	}
	return marshal(a)
}

// Name returns the payload of a device's name topic: text, never empty, of at
// most presence.MaxName bytes.
func Name(d *presence.Device) []byte { return []byte(displayName(d)) }

// displayName is the device's name, fit to be shown.
func displayName(d *presence.Device) string {
	return cmp.Or(presence.CleanText(d.DisplayName(), presence.MaxName), "Device "+string(d.ID))
}

// LastSeen returns the payload of a device's last_seen topic; nil when it was
// never heard.
func LastSeen(d *presence.Device) []byte {
	if d.LastSeen.IsZero() {
		return nil
	}
	return []byte(d.LastSeen.UTC().Format(time.RFC3339))
}

// Event returns the payload of the event topic.
func Event(e *presence.Event) []byte {
	return marshal(e)
}

// summary is the JSON of the summary topic.
type summary struct {
	Home     int                `json:"home"`
	Known    int                `json:"known"`
	LastNew  *presence.NewFound `json:"last_new"`
	Sensing  map[string]sensing `json:"sensing"`
	Problems []string           `json:"problems"`
}

type sensing struct {
	OK  bool   `json:"ok"`
	Why string `json:"why"`
}

// Summary returns the payload of the summary topic.
func Summary(s *presence.Summary) []byte {
	out := summary{
		Home:     s.Home,
		Known:    s.Known,
		Sensing:  make(map[string]sensing, len(s.Sensing)),
		Problems: make([]string, 0, len(s.Problems)),
	}
	if s.LastNew != nil {
		found := *s.LastNew
		found.Name = presence.CleanText(found.Name, presence.MaxName)
		found.Vendor = presence.CleanText(found.Vendor, presence.MaxName)
		found.Time = found.Time.Truncate(time.Second)
		out.LastNew = &found
	}
	for _, i := range s.Sensing {
		out.Sensing[i.Interface] = sensing{OK: !i.Blind, Why: presence.CleanText(i.Why, maxWhy)}
	}
	for _, p := range s.Problems {
		out.Problems = append(out.Problems, presence.CleanText(p, maxWhy))
	}
	return marshal(out)
}

// marshal renders v, whose types cannot fail to: times are of this age and
// strings that are not UTF-8 are repaired.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		// Only a time beyond the year 9999 gets here.
		return []byte("{}")
	}
	return b
}
